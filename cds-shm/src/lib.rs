//! Structures in shared memory.
mod error;
mod geometry;
mod ground;
mod heap;
mod list;
mod map;
mod stored;
mod superblock;
mod words;

pub use error::ShmError;
pub use heap::Heap;
pub use list::{ListWriter, ShmList};
pub use map::{MapWriter, ShmHashMap};
pub use stored::{Bytes, Stored};
pub use superblock::Balance;
pub use urcu_core::space::Stop;
pub use words::Plain;

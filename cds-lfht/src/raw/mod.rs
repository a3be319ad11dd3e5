//! The C library's model of the hash table.

mod buckets;
mod count;
#[cfg(doc)]
pub mod design;
mod error;
mod lookup;
mod resize;
mod section;
mod split_order;
mod table;
mod turn;
mod update;
mod word;

pub use buckets::BucketMemory;
pub use error::{NewError, NotFound, ReplaceError, ResizeError};
pub use lookup::{Iter, NodeCount, is_node_deleted};
pub use table::{NotEmpty, Options, Table, TableBox};
pub use word::Node;

//! A hash map for readers that never wait: [`LfHashMap`], and [`LfHashSet`].

mod bucket;
#[cfg(doc)]
pub mod design;
mod entry;
mod face;
mod index;
mod iter;
#[cfg(urcu_loom)]
#[doc(hidden)]
pub mod model;
mod nodes;
mod pinned;
mod reclaim;
mod resize;
#[cfg(feature = "serde")]
mod serial;
mod set;
#[cfg_attr(urcu_loom, path = "slab_model.rs")]
mod slab;
#[cfg(not(urcu_loom))]
mod stripe;
mod table;
mod teardown;
mod traits;
mod update;

pub use entry::{Computed, Occupied, Operation};
pub use face::LfHashMap;
pub use iter::{GetAll, Iter, Keys, Values};
pub use pinned::Pinned;
#[cfg(feature = "serde")]
pub use serial::InFlavor;
pub use set::{IntoValues, LfHashSet, PinnedSet};
pub use traits::IntoIter;

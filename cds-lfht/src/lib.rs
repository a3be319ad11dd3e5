//! A resizable lock-free hash table.

pub mod map;

pub use map::{LfHashMap, LfHashSet, Pinned, PinnedSet};

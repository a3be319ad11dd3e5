//! A resizable hash table over any RCU flavor.
//!
//! - [`LfHashMap`] and [`LfHashSet`]: typed, safe maps for readers that never wait. See [`map`].

pub mod map;

pub use map::{LfHashMap, LfHashSet, Pinned, PinnedSet};

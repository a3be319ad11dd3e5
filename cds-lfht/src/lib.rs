//! Resizable hash tables over any RCU flavor.
//!
//! - [`LfHashMap`] and [`LfHashSet`]: typed, safe maps for readers that never wait. See [`map`].
//! - [`raw`]: the C library's model: nodes inside the caller's objects, the caller's hash, `unsafe`.

pub mod map;
pub mod raw;
#[cfg(not(urcu_loom))]
mod stripe;

pub use map::{LfHashMap, LfHashSet, Pinned, PinnedSet};

//! A key with its value, and what callers say and hear about them.

use core::fmt;

/// What the map keeps: never moved, never changed.
#[derive(Debug)]
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

/// What [`LfHashMap::compute`](crate::LfHashMap::compute) is to do, as its closure decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<V> {
    /// Put this value there.
    Insert(V),
    /// Remove what is there.
    Remove,
    /// Leave everything as it is.
    Keep,
}

/// What [`LfHashMap::compute`](crate::LfHashMap::compute) has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed<'g, K, V> {
    /// There was none; now there is this one.
    Inserted(&'g K, &'g V),
    /// A value was replaced.
    Updated {
        /// The value that was there.
        old: &'g V,
        /// The value that took its place.
        new: &'g V,
    },
    /// This one was there.
    Removed(&'g K, &'g V),
    /// Nothing; this is there, if anything.
    Kept(Option<(&'g K, &'g V)>),
}

/// There is an entry with this key already.
pub struct Occupied<'g, K, V> {
    /// The value that is there.
    pub current: &'g V,
    /// The key that was not inserted.
    pub key: K,
    /// The value that was not inserted.
    pub value: V,
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Occupied<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Occupied")
            .field("current", self.current)
            .field("key", &self.key)
            .field("value", &self.value)
            .finish()
    }
}

impl<K, V> fmt::Display for Occupied<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is an entry with this key already")
    }
}

impl<K: fmt::Debug, V: fmt::Debug> core::error::Error for Occupied<'_, K, V> {}

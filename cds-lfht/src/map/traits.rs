//! `LfHashMap` and the traits of the standard library's collections.
//!
//! `FromIterator` and `Default` have no argument for the flavor; [`LfHashMap::from_entries`] has.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::ops::ControlFlow;
use std::hash::RandomState;

use urcu_core::FlavorVtable;

use super::entry::Entry;
use super::face::LfHashMap;
use super::index::Index;
use super::teardown::FirstPanic;

impl<K: Hash + Eq + Send + 'static, V: Send + 'static> LfHashMap<K, V, RandomState> {
    /// A map with these entries; of those with the same key, the last one.
    ///
    /// Any thread, registered or not: nobody else has the map.
    pub fn from_entries(entries: impl IntoIterator<Item = (K, V)>, flavor: &'static FlavorVtable) -> Self {
        let mut map = Self::new(flavor);
        map.extend(entries);
        map
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> LfHashMap<K, V, S> {
    /// Adds an entry, or replaces the one with this key, when nobody else has the map; the old value.
    ///
    /// Any thread, registered or not. The old value is not retired: it is returned.
    pub fn insert_mut(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hash_of(&key);
        let entry = Entry { key, value };
        // SAFETY: `&mut self`: nobody else is in the map.
        let old = unsafe {
            self.index.insert_alone(hash, entry, |one, other| one.key == other.key, |entry| self.hash_of(&entry.key))
        };
        old.map(|entry| entry.value)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Extend<(K, V)> for LfHashMap<K, V, S> {
    /// [`insert_mut`](LfHashMap::insert_mut) for each.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert_mut(key, value);
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for LfHashMap<K, V, S> {
    /// Its length: what is in it needs a section to be looked at, so that [`Pinned`](crate::Pinned) shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LfHashMap")
            .field("flavor", &self.flavor().name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The entries of a map that nobody else has: see [`LfHashMap::into_iter`].
pub struct IntoIter<K, V> {
    index: Index<Entry<K, V>>,
    /// Entries that were taken out of the index and not handed out yet.
    taken: Vec<Entry<K, V>>,
    /// The next bucket.
    bucket: usize,
}

impl<K, V, S> IntoIterator for LfHashMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    /// The keys and values themselves. Needs no grace period.
    fn into_iter(self) -> IntoIter<K, V> {
        IntoIter { index: self.index, taken: Vec::new(), bucket: 0 }
    }
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        while self.taken.is_empty() {
            let bucket = self.bucket;
            self.bucket += 1;
            match self.index.take_bucket(bucket, &mut self.taken) {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(()) => return None,
            }
        }
        self.taken.pop().map(|entry| (entry.key, entry.value))
    }
}

impl<K, V> Drop for IntoIter<K, V> {
    /// Drops what was not handed out, whatever panics.
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        while let Some(entry) = self.taken.pop() {
            panics.catch(|| drop(entry));
        }
        panics.catch(|| self.index.tear_down());
        panics.go_on();
    }
}

impl<K, V> FusedIterator for IntoIter<K, V> {}

impl<K, V> fmt::Debug for IntoIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").finish_non_exhaustive()
    }
}

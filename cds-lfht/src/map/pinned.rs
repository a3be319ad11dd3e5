//! A map together with a section.

use core::fmt;
use core::hash::{BuildHasher, Hash};

use equivalent::Equivalent;
use urcu_core::DynGuard;

use super::entry::{Computed, Occupied, Operation};
use super::face::LfHashMap;
use super::iter::{GetAll, Iter, Keys, Values};

/// A map and a section of its flavor, from [`LfHashMap::pin`]: the map's methods without their last argument.
///
/// Dropping it leaves the section. What it returns does not outlive it. Who has a guard of the flavor anyway saves two
/// indirect calls by giving that to the map's own methods.
pub struct Pinned<'m, K, V, S> {
    map: &'m LfHashMap<K, V, S>,
    guard: DynGuard,
}

impl<'m, K, V, S> Pinned<'m, K, V, S> {
    #[track_caller]
    pub(super) fn new(map: &'m LfHashMap<K, V, S>) -> Self {
        Self { map, guard: map.flavor().pin() }
    }

    /// The map.
    pub fn map(&self) -> &'m LfHashMap<K, V, S> {
        self.map
    }

    /// The section.
    pub fn guard(&self) -> &DynGuard {
        &self.guard
    }

    /// See [`LfHashMap::len`].
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// See [`LfHashMap::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// See [`LfHashMap::iter`].
    pub fn iter(&self) -> Iter<'_, K, V, S> {
        self.map.iter(&self.guard)
    }

    /// See [`LfHashMap::keys`].
    pub fn keys(&self) -> Keys<'_, K, V, S> {
        self.map.keys(&self.guard)
    }

    /// See [`LfHashMap::values`].
    pub fn values(&self) -> Values<'_, K, V, S> {
        self.map.values(&self.guard)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    /// See [`LfHashMap::get`].
    #[inline]
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.map.get(key, &self.guard)
    }

    /// See [`LfHashMap::get_key_value`].
    #[inline]
    pub fn get_key_value<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<(&K, &V)> {
        self.map.get_key_value(key, &self.guard)
    }

    /// See [`LfHashMap::contains`].
    #[inline]
    pub fn contains<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.map.contains(key, &self.guard)
    }

    /// See [`LfHashMap::get_all`].
    pub fn get_all<'p, 'q, Q: Hash + Equivalent<K> + ?Sized>(&'p self, key: &'q Q) -> GetAll<'p, 'q, K, V, Q> {
        self.map.get_all(key, &self.guard)
    }

    /// See [`LfHashMap::get_many`].
    #[inline]
    pub fn get_many<Q: Hash + Equivalent<K> + ?Sized, const N: usize>(&self, keys: [&Q; N]) -> [Option<&V>; N] {
        self.map.get_many(keys, &self.guard)
    }

    /// See [`LfHashMap::insert`].
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<&V> {
        self.map.insert(key, value, &self.guard)
    }

    /// See [`LfHashMap::try_insert`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn try_insert(&self, key: K, value: V) -> Result<&V, Occupied<'_, K, V>> {
        self.map.try_insert(key, value, &self.guard)
    }

    /// See [`LfHashMap::insert_duplicate`].
    pub fn insert_duplicate(&self, key: K, value: V) -> &V {
        self.map.insert_duplicate(key, value, &self.guard)
    }

    /// See [`LfHashMap::get_or_insert`].
    pub fn get_or_insert(&self, key: K, value: V) -> &V {
        self.map.get_or_insert(key, value, &self.guard)
    }

    /// See [`LfHashMap::get_or_insert_with`].
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> &V {
        self.map.get_or_insert_with(key, make, &self.guard)
    }

    /// See [`LfHashMap::replace`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn replace(&self, key: K, value: V) -> Result<&V, (K, V)> {
        self.map.replace(key, value, &self.guard)
    }

    /// See [`LfHashMap::update`].
    pub fn update(&self, key: K, change: impl FnMut(&V) -> V) -> Option<(&V, &V)> {
        self.map.update(key, change, &self.guard)
    }

    /// See [`LfHashMap::compute`].
    pub fn compute<'p>(
        &'p self,
        key: K,
        decide: impl FnMut(Option<(&'p K, &'p V)>) -> Operation<V>,
    ) -> Computed<'p, K, V> {
        self.map.compute(key, decide, &self.guard)
    }

    /// See [`LfHashMap::remove`].
    #[inline]
    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.map.remove(key, &self.guard)
    }

    /// See [`LfHashMap::remove_entry`].
    #[inline]
    pub fn remove_entry<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<(&K, &V)> {
        self.map.remove_entry(key, &self.guard)
    }

    /// See [`LfHashMap::remove_if`].
    pub fn remove_if<Q: Hash + Equivalent<K> + ?Sized>(
        &self,
        key: &Q,
        condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<(&K, &V)> {
        self.map.remove_if(key, condition, &self.guard)
    }

    /// See [`LfHashMap::remove_all`].
    pub fn remove_all<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> usize {
        self.map.remove_all(key, &self.guard)
    }

    /// See [`LfHashMap::retain`].
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.map.retain(keep, &self.guard);
    }

    /// See [`LfHashMap::clear`].
    pub fn clear(&self) {
        self.map.clear(&self.guard);
    }

    /// See [`LfHashMap::reserve`].
    pub fn reserve(&self, additional: usize) {
        self.map.reserve(additional, &self.guard);
    }

    /// See [`LfHashMap::resize`].
    pub fn resize(&self, capacity: usize) -> bool {
        self.map.resize(capacity, &self.guard)
    }

    /// See [`LfHashMap::shrink_to_fit`].
    pub fn shrink_to_fit(&self) -> bool {
        self.map.shrink_to_fit(&self.guard)
    }
}

impl<K, V, S> fmt::Debug for Pinned<'_, K, V, S>
where
    K: Hash + Eq + fmt::Debug,
    V: fmt::Debug,
    S: BuildHasher,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'p, K: Hash + Eq, V, S: BuildHasher> IntoIterator for &'p Pinned<'_, K, V, S> {
    type Item = (&'p K, &'p V);
    type IntoIter = Iter<'p, K, V, S>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

//! `LfHashSet`: a map without values.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;

use equivalent::Equivalent;
use urcu_core::{AnyGuard, FlavorVtable};

use super::face::LfHashMap;
use super::iter::Keys;
use super::pinned::Pinned;
use super::traits::IntoIter;

/// A hash set whose readers never wait and never write: an [`LfHashMap`] without values, with its guarantees.
pub struct LfHashSet<T, S = RandomState> {
    map: LfHashMap<T, (), S>,
}

impl<T: Send + 'static> LfHashSet<T> {
    /// See [`LfHashMap::new`].
    pub fn new(flavor: &'static FlavorVtable) -> Self {
        Self { map: LfHashMap::new(flavor) }
    }

    /// See [`LfHashMap::with_capacity`].
    pub fn with_capacity(capacity: usize, flavor: &'static FlavorVtable) -> Self {
        Self { map: LfHashMap::with_capacity(capacity, flavor) }
    }
}

impl<T: Hash + Eq + Send + 'static> LfHashSet<T> {
    /// See [`LfHashMap::from_entries`].
    pub fn from_entries(values: impl IntoIterator<Item = T>, flavor: &'static FlavorVtable) -> Self {
        Self { map: LfHashMap::from_entries(values.into_iter().map(|value| (value, ())), flavor) }
    }
}

impl<T: Send + 'static, S> LfHashSet<T, S> {
    /// See [`LfHashMap::with_hasher`].
    pub fn with_hasher(hasher: S, flavor: &'static FlavorVtable) -> Self {
        Self { map: LfHashMap::with_hasher(hasher, flavor) }
    }

    /// See [`LfHashMap::with_capacity_and_hasher`].
    ///
    /// # Panics
    ///
    /// As there.
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S, flavor: &'static FlavorVtable) -> Self {
        Self { map: LfHashMap::with_capacity_and_hasher(capacity, hasher, flavor) }
    }
}

impl<T, S> LfHashSet<T, S> {
    /// The flavor whose guards the readers bring.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.map.flavor()
    }

    /// What hashes the values.
    pub fn hasher(&self) -> &S {
        self.map.hasher()
    }

    /// The set with a section of its own: see [`LfHashMap::pin`].
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn pin(&self) -> PinnedSet<'_, T, S> {
        PinnedSet(self.map.pin())
    }

    /// See [`LfHashMap::len`].
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// See [`LfHashMap::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// See [`LfHashMap::capacity`].
    pub fn capacity(&self, guard: &impl AnyGuard) -> usize {
        self.map.capacity(guard)
    }

    /// All values: see [`LfHashMap::iter`].
    pub fn iter<'g>(&'g self, guard: &'g impl AnyGuard) -> Keys<'g, T, (), S> {
        self.map.keys(guard)
    }
}

impl<T: Hash + Eq, S: BuildHasher> LfHashSet<T, S> {
    /// The stored value that is equal to this one. Wait-free.
    #[inline]
    #[track_caller]
    pub fn get<'g, Q>(&'g self, value: &Q, guard: &'g impl AnyGuard) -> Option<&'g T>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.get_key_value(value, guard).map(|(value, ())| value)
    }

    /// Whether there is such a value. Wait-free.
    #[inline]
    #[track_caller]
    pub fn contains<Q>(&self, value: &Q, guard: &impl AnyGuard) -> bool
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.contains(value, guard)
    }

    /// Adds a value; whether it was not there. One that was there stays.
    #[inline]
    #[track_caller]
    pub fn insert(&self, value: T, guard: &impl AnyGuard) -> bool {
        self.map.try_insert(value, (), guard).is_ok()
    }

    /// Adds a value, or replaces the one that is equal to it, which is returned.
    #[inline]
    #[track_caller]
    pub fn replace<'g>(&'g self, value: T, guard: &'g impl AnyGuard) -> Option<&'g T> {
        self.map.insert_entry(value, (), guard).map(|(value, ())| value)
    }

    /// Removes a value.
    #[inline]
    #[track_caller]
    pub fn remove<'g, Q>(&'g self, value: &Q, guard: &'g impl AnyGuard) -> Option<&'g T>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.remove_entry(value, guard).map(|(value, ())| value)
    }

    /// Removes a value if `condition` says so: see [`LfHashMap::remove_if`].
    #[track_caller]
    pub fn remove_if<'g, Q>(
        &'g self,
        value: &Q,
        mut condition: impl FnMut(&T) -> bool,
        guard: &'g impl AnyGuard,
    ) -> Option<&'g T>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.remove_if(value, |value, ()| condition(value), guard).map(|(value, ())| value)
    }

    /// Removes the values for which `keep` is false: see [`LfHashMap::retain`].
    #[track_caller]
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool, guard: &impl AnyGuard) {
        self.map.retain(|value, ()| keep(value), guard);
    }

    /// Removes all values: see [`LfHashMap::clear`].
    #[track_caller]
    pub fn clear(&self, guard: &impl AnyGuard) {
        self.map.clear(guard);
    }

    /// See [`LfHashMap::reserve`].
    #[track_caller]
    pub fn reserve(&self, additional: usize, guard: &impl AnyGuard) {
        self.map.reserve(additional, guard);
    }

    /// See [`LfHashMap::shrink_to_fit`].
    #[track_caller]
    pub fn shrink_to_fit(&self, guard: &impl AnyGuard) -> bool {
        self.map.shrink_to_fit(guard)
    }
}

impl<T: Hash + Eq, S: BuildHasher> Extend<T> for LfHashSet<T, S> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.map.extend(values.into_iter().map(|value| (value, ())));
    }
}

impl<T, S> IntoIterator for LfHashSet<T, S> {
    type Item = T;
    type IntoIter = IntoValues<T>;

    /// The values themselves. Needs no grace period.
    fn into_iter(self) -> IntoValues<T> {
        IntoValues(self.map.into_iter())
    }
}

impl<T: fmt::Debug, S> fmt::Debug for LfHashSet<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LfHashSet")
            .field("flavor", &self.flavor().name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The values of a set that nobody else has.
#[derive(Debug)]
pub struct IntoValues<T>(IntoIter<T, ()>);

impl<T> Iterator for IntoValues<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next().map(|(value, ())| value)
    }
}

/// A set and a section of its flavor, from [`LfHashSet::pin`]: the set's methods without their last argument.
pub struct PinnedSet<'m, T, S>(Pinned<'m, T, (), S>);

impl<T: Hash + Eq, S: BuildHasher> PinnedSet<'_, T, S> {
    /// See [`LfHashSet::len`].
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// See [`LfHashSet::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// See [`LfHashSet::get`].
    #[inline]
    pub fn get<Q: Hash + Equivalent<T> + ?Sized>(&self, value: &Q) -> Option<&T> {
        self.0.get_key_value(value).map(|(value, ())| value)
    }

    /// See [`LfHashSet::contains`].
    #[inline]
    pub fn contains<Q: Hash + Equivalent<T> + ?Sized>(&self, value: &Q) -> bool {
        self.0.contains(value)
    }

    /// See [`LfHashSet::insert`].
    #[inline]
    pub fn insert(&self, value: T) -> bool {
        self.0.try_insert(value, ()).is_ok()
    }

    /// See [`LfHashSet::replace`].
    #[inline]
    pub fn replace(&self, value: T) -> Option<&T> {
        self.0.map().insert_entry(value, (), self.0.guard()).map(|(value, ())| value)
    }

    /// See [`LfHashSet::remove`].
    #[inline]
    pub fn remove<Q: Hash + Equivalent<T> + ?Sized>(&self, value: &Q) -> Option<&T> {
        self.0.remove_entry(value).map(|(value, ())| value)
    }

    /// See [`LfHashSet::iter`].
    pub fn iter(&self) -> Keys<'_, T, (), S> {
        self.0.keys()
    }

    /// See [`LfHashSet::retain`].
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|value, ()| keep(value));
    }

    /// See [`LfHashSet::clear`].
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl<T: Hash + Eq + fmt::Debug, S: BuildHasher> fmt::Debug for PinnedSet<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<'p, T: Hash + Eq, S: BuildHasher> IntoIterator for &'p PinnedSet<'_, T, S> {
    type Item = &'p T;
    type IntoIter = Keys<'p, T, (), S>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

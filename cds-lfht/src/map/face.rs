//! `LfHashMap`: making one, and looking things up.

use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;

use equivalent::Equivalent;
use urcu_core::{AnyGuard, FlavorVtable};

use super::entry::Entry;
use super::index::Index;
use super::iter::{GetAll, Iter, Keys, Values};
use super::pinned::Pinned;
use super::resize::bits_for;

/// A hash map whose readers never wait and never write: see the [module page](crate::map).
pub struct LfHashMap<K, V, S = RandomState> {
    pub(super) index: Index<Entry<K, V>>,
    pub(super) hasher: S,
}

impl<K: Send + 'static, V: Send + 'static> LfHashMap<K, V> {
    /// An empty map whose readers use `flavor` and whose keys are hashed with a random key.
    pub fn new(flavor: &'static FlavorVtable) -> Self {
        Self::with_capacity(0, flavor)
    }

    /// The same, with room for `capacity` entries: it grows when there are more, and does not become smaller by itself.
    pub fn with_capacity(capacity: usize, flavor: &'static FlavorVtable) -> Self {
        Self::with_capacity_and_hasher(capacity, RandomState::new(), flavor)
    }
}

impl<K: Send + 'static, V: Send + 'static, S> LfHashMap<K, V, S> {
    /// An empty map whose readers use `flavor` and whose keys are hashed by `hasher`.
    ///
    /// The hash's lowest bits choose the bucket and its highest eight tell entries of a bucket apart: both should depend on
    /// the whole key. A hasher without a random key is only for keys that nobody chooses with bad intentions.
    pub fn with_hasher(hasher: S, flavor: &'static FlavorVtable) -> Self {
        Self::with_capacity_and_hasher(0, hasher, flavor)
    }

    /// [`with_capacity`](LfHashMap::with_capacity) and [`with_hasher`](Self::with_hasher).
    ///
    /// # Panics
    ///
    /// When there is no memory for so many entries.
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S, flavor: &'static FlavorVtable) -> Self {
        match Index::new(flavor, bits_for(capacity)) {
            Some(index) => Self { index, hasher },
            None => panic!("no memory for a table of {capacity} entries"),
        }
    }
}

impl<K, V, S> LfHashMap<K, V, S> {
    /// The flavor whose guards the readers bring.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.index.nodes.flavor()
    }

    /// What hashes the keys.
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// The map with a section of its own, for those who bring no guard. Wait-free; see [`FlavorVtable::pin`].
    ///
    /// # Panics
    ///
    /// When the calling thread is not registered with the flavor (or not online).
    #[track_caller]
    pub fn pin(&self) -> Pinned<'_, K, V, S> {
        Pinned::new(self)
    }

    /// How many entries there are. Exact while nobody adds or removes one; otherwise close to it.
    ///
    /// Any context. Reads a number per group of threads.
    pub fn len(&self) -> usize {
        self.index.nodes.live()
    }

    /// Whether [`len`](Self::len) is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fit before the table grows.
    pub fn capacity(&self, guard: &impl AnyGuard) -> usize {
        self.check(guard);
        // SAFETY: inside a section of the flavor.
        unsafe { self.index.current() }.count() * super::resize::MOST_LOAD
    }

    /// Bytes of the table and of the entries, without what keys and values own.
    pub fn memory(&self, guard: &impl AnyGuard) -> usize {
        self.check(guard);
        // SAFETY: inside a section of the flavor.
        unsafe { self.index.memory() }
    }

    /// All entries. Those that are there all the time are met once; those that come or go meanwhile, at most once.
    ///
    /// (With [`insert_duplicate`](Self::insert_duplicate) a key can be met more often, once per entry.) Wait-free, each step.
    pub fn iter<'g>(&'g self, guard: &'g impl AnyGuard) -> Iter<'g, K, V, S> {
        self.check(guard);
        // SAFETY: inside a section of the flavor, during `'g`.
        unsafe { Iter::new(self) }
    }

    /// The keys of [`iter`](Self::iter).
    pub fn keys<'g>(&'g self, guard: &'g impl AnyGuard) -> Keys<'g, K, V, S> {
        Keys(self.iter(guard))
    }

    /// The values of [`iter`](Self::iter).
    pub fn values<'g>(&'g self, guard: &'g impl AnyGuard) -> Values<'g, K, V, S> {
        Values(self.iter(guard))
    }

    #[inline]
    #[track_caller]
    pub(super) fn check(&self, guard: &impl AnyGuard) {
        // One comparison; what it says when it fails is the flavor's.
        if guard.domain() != self.index.domain {
            self.flavor().assert_guards(guard);
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> LfHashMap<K, V, S> {
    /// The value of a key. Wait-free; where nothing is found and there are, or were, duplicates in the map, lock-free.
    ///
    /// A key that is there at every moment is found, also when one of its entries takes the other's place.
    ///
    /// `Q` is a borrowed form of the key, or anything else that is [`Equivalent`] to it and hashes like it.
    ///
    /// # Panics
    ///
    /// When the guard is of another flavor; when hashing or comparing does.
    #[doc(alias = "cds_lfht_lookup")]
    #[inline(always)]
    #[track_caller]
    pub fn get<'g, Q>(&'g self, key: &Q, guard: &'g impl AnyGuard) -> Option<&'g V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.entry(key, guard).map(|entry| &entry.value)
    }

    /// The stored key and its value. As [`get`](Self::get).
    #[inline]
    #[track_caller]
    pub fn get_key_value<'g, Q>(&'g self, key: &Q, guard: &'g impl AnyGuard) -> Option<(&'g K, &'g V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.entry(key, guard).map(|entry| (&entry.key, &entry.value))
    }

    /// Whether there is such a key. As [`get`](Self::get).
    #[inline]
    #[track_caller]
    pub fn contains<Q>(&self, key: &Q, guard: &impl AnyGuard) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.entry(key, guard).is_some()
    }

    /// The values of all entries with this key: more than one after [`insert_duplicate`](Self::insert_duplicate).
    ///
    /// In no particular order. Wait-free, each step.
    #[doc(alias = "cds_lfht_next_duplicate")]
    #[track_caller]
    pub fn get_all<'g, 'q, Q>(&'g self, key: &'q Q, guard: &'g impl AnyGuard) -> GetAll<'g, 'q, K, V, Q>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.check(guard);
        let hash = self.hash_of(key);
        // SAFETY: inside a section of the flavor, during `'g`.
        unsafe { GetAll::new(&self.index, hash, key) }
    }

    /// The values of several keys. The same as as many calls of [`get`](Self::get), but the memory of one is fetched while
    /// that of the others is. Wait-free.
    #[track_caller]
    pub fn get_many<'g, Q, const N: usize>(&'g self, keys: [&Q; N], guard: &'g impl AnyGuard) -> [Option<&'g V>; N]
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.check(guard);
        let hashes = keys.map(|key| self.hash_of(key));
        // SAFETY: inside a section of the flavor, during `'g`.
        let found = unsafe { self.index.find_many(hashes, |number, entry| keys[number].equivalent(&entry.key)) };
        found.map(|entry| entry.map(|entry| &entry.value))
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn entry<'g, Q>(&'g self, key: &Q, guard: &'g impl AnyGuard) -> Option<&'g Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.check(guard);
        let hash = self.hash_of(key);
        // SAFETY: inside a section of the flavor, during `'g`.
        unsafe { self.index.find(hash, |entry| key.equivalent(&entry.key)) }
    }

    #[inline]
    pub(super) fn hash_of<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }
}

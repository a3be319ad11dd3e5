//! `LfHashMap`: changing it.
//!
//! Whatever is removed or replaced is dropped after a grace period; the references that updates return are those that a
//! reader could have.

use core::hash::{BuildHasher, Hash};
use core::ptr;

use equivalent::Equivalent;
use urcu_core::AnyGuard;

use super::entry::{Computed, Entry, Occupied, Operation};
use super::face::LfHashMap;
use super::index::{Added, IfPresent};
use super::resize::bits_for;

impl<K: Hash + Eq, V, S: BuildHasher> LfHashMap<K, V, S> {
    /// Adds an entry, or replaces the one with this key; the value that was there.
    ///
    /// Who looks the key up meanwhile finds the old or the new value, and never nothing. The old value is retired.
    #[doc(alias = "cds_lfht_add_replace")]
    #[inline(always)]
    #[track_caller]
    pub fn insert<'g>(&'g self, key: K, value: V, guard: &'g impl AnyGuard) -> Option<&'g V> {
        self.insert_entry(key, value, guard).map(|(_, value)| value)
    }

    /// [`insert`](Self::insert), with the key that was there: it is replaced, too.
    #[inline(always)]
    #[track_caller]
    pub fn insert_entry<'g>(&'g self, key: K, value: V, guard: &'g impl AnyGuard) -> Option<(&'g K, &'g V)> {
        match self.add(key, value, IfPresent::Replace, guard) {
            Added::InPlaceOf(old, _) => Some((&old.key, &old.value)),
            Added::New(_) | Added::Occupied(..) => None,
        }
    }

    /// Adds an entry unless there is one with this key; its value.
    ///
    /// Of several threads that try it at the same time one succeeds.
    ///
    /// # Errors
    ///
    /// [`Occupied`]: what is there, and what was not inserted.
    #[doc(alias = "cds_lfht_add_unique")]
    #[inline(always)]
    #[track_caller]
    pub fn try_insert<'g>(&'g self, key: K, value: V, guard: &'g impl AnyGuard) -> Result<&'g V, Occupied<'g, K, V>> {
        match self.add(key, value, IfPresent::Keep, guard) {
            Added::New(entry) | Added::InPlaceOf(_, entry) => Ok(&entry.value),
            Added::Occupied(present, fresh) => {
                let Entry { key, value } = fresh.into_inner();
                Err(Occupied { current: &present.value, key, value })
            }
        }
    }

    /// Adds an entry, also if there is one with this key. See [`get_all`](Self::get_all).
    ///
    /// Other operations act on any one of the entries with a key.
    #[doc(alias = "cds_lfht_add")]
    #[track_caller]
    pub fn insert_duplicate<'g>(&'g self, key: K, value: V, guard: &'g impl AnyGuard) -> &'g V {
        self.check(guard);
        let hash = self.hash_of(&key);
        self.index.expect_duplicates();
        let fresh = self.index.nodes.fresh(Entry { key, value });
        // SAFETY: inside a section of the flavor, during `'g`; entries are `Send` since `new`.
        let entry = unsafe { self.index.add_another(hash, fresh, self.rehash()) };
        &entry.value
    }

    /// The value of a key, which is inserted if it is not there.
    #[track_caller]
    pub fn get_or_insert<'g>(&'g self, key: K, value: V, guard: &'g impl AnyGuard) -> &'g V {
        match self.try_insert(key, value, guard) {
            Ok(value) => value,
            Err(occupied) => occupied.current,
        }
    }

    /// The value of a key; if it is not there, what `make` returns is inserted.
    ///
    /// `make` runs without a lock and at most once. Its value is dropped if another thread was faster.
    #[track_caller]
    pub fn get_or_insert_with<'g>(&'g self, key: K, make: impl FnOnce() -> V, guard: &'g impl AnyGuard) -> &'g V {
        if let Some(entry) = self.entry(&key, guard) {
            return &entry.value;
        }
        self.get_or_insert(key, make(), guard)
    }

    /// Replaces the value of a key that is there, and returns the old one.
    ///
    /// # Errors
    ///
    /// Key and value, when there is no such key.
    #[doc(alias = "cds_lfht_replace")]
    #[track_caller]
    pub fn replace<'g>(&'g self, key: K, value: V, guard: &'g impl AnyGuard) -> Result<&'g V, (K, V)> {
        self.check(guard);
        let hash = self.hash_of(&key);
        let fresh = self.index.nodes.fresh(Entry { key, value });
        let entry = fresh.pointer();
        // SAFETY: alive: nobody else has it until it is published, after the last comparison.
        let wanted = |present: &Entry<K, V>| present.key == unsafe { &*entry }.key;
        // SAFETY: inside a section of the flavor, during `'g`; entries are `Send` since `new`.
        let replaced = unsafe { self.index.replace(hash, fresh, wanted, self.rehash()) };
        match replaced {
            Ok((old, _)) => Ok(&old.value),
            Err(fresh) => {
                let Entry { key, value } = fresh.into_inner();
                Err((key, value))
            }
        }
    }

    /// Replaces the value of a key by one that is computed from it; the old and the new value, or `None` when there is no
    /// such key.
    ///
    /// `change` runs without a lock, and again when another thread was faster.
    #[track_caller]
    pub fn update<'g>(
        &'g self,
        key: K,
        mut change: impl FnMut(&V) -> V,
        guard: &'g impl AnyGuard,
    ) -> Option<(&'g V, &'g V)> {
        let computed = self.compute(
            key,
            |entry| match entry {
                Some((_, value)) => Operation::Insert(change(value)),
                None => Operation::Keep,
            },
            guard,
        );
        match computed {
            Computed::Updated { old, new } => Some((old, new)),
            _ => None,
        }
    }

    /// Inserts, replaces or removes the value of a key, as `decide` says when it sees what is there.
    ///
    /// It is done only if that is still there, in one step; otherwise `decide` is asked again. It runs without a lock. Lock-free:
    /// it is asked again only when another thread has changed this key.
    #[track_caller]
    pub fn compute<'g>(
        &'g self,
        key: K,
        mut decide: impl FnMut(Option<(&'g K, &'g V)>) -> Operation<V>,
        guard: &'g impl AnyGuard,
    ) -> Computed<'g, K, V> {
        self.check(guard);
        let hash = self.hash_of(&key);
        let mut key = key;
        loop {
            // SAFETY: inside a section of the flavor, during `'g`.
            let present = unsafe { self.index.find(hash, |entry| entry.key == key) };
            let seen = present.map(|entry| (&entry.key, &entry.value));
            let fresh = match (decide(seen), present) {
                (Operation::Keep, _) | (Operation::Remove, None) => return Computed::Kept(seen),
                (Operation::Remove, Some(entry)) => {
                    if self.remove_this(hash, entry) {
                        return Computed::Removed(&entry.key, &entry.value);
                    }
                    continue;
                }
                (Operation::Insert(value), None) => {
                    match self.add_hashed(hash, Entry { key, value }, IfPresent::Keep) {
                        Added::New(entry) | Added::InPlaceOf(_, entry) => {
                            return Computed::Inserted(&entry.key, &entry.value);
                        }
                        Added::Occupied(_, fresh) => fresh,
                    }
                }
                (Operation::Insert(value), Some(entry)) => {
                    let fresh = self.index.nodes.fresh(Entry { key, value });
                    // SAFETY: inside a section of the flavor, during `'g`; entries are `Send` since `new`.
                    match unsafe { self.index.replace(hash, fresh, |other| ptr::eq(other, entry), self.rehash()) } {
                        Ok((old, new)) => return Computed::Updated { old: &old.value, new: &new.value },
                        Err(fresh) => fresh,
                    }
                }
            };
            key = fresh.into_inner().key;
        }
    }

    /// Removes the entry of a key; its value.
    #[doc(alias = "cds_lfht_del")]
    #[inline]
    #[track_caller]
    pub fn remove<'g, Q>(&'g self, key: &Q, guard: &'g impl AnyGuard) -> Option<&'g V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove_entry(key, guard).map(|(_, value)| value)
    }

    /// Removes the entry of a key. Of several threads that remove the same entry one gets it.
    #[inline]
    #[track_caller]
    pub fn remove_entry<'g, Q>(&'g self, key: &Q, guard: &'g impl AnyGuard) -> Option<(&'g K, &'g V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.check(guard);
        let hash = self.hash_of(key);
        // SAFETY: inside a section of the flavor, during `'g`; entries are `Send` since `new`.
        let removed = unsafe { self.index.remove(hash, |entry| key.equivalent(&entry.key), self.rehash()) };
        removed.map(|entry| (&entry.key, &entry.value))
    }

    /// Removes the entry of a key if `condition` says so; the entry.
    ///
    /// `condition` runs without a lock, and again when another thread has replaced the value meanwhile.
    #[track_caller]
    pub fn remove_if<'g, Q>(
        &'g self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
        guard: &'g impl AnyGuard,
    ) -> Option<(&'g K, &'g V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.check(guard);
        let hash = self.hash_of(key);
        loop {
            // SAFETY: inside a section of the flavor, during `'g`.
            let entry = unsafe { self.index.find(hash, |entry| key.equivalent(&entry.key)) }?;
            if !condition(&entry.key, &entry.value) {
                return None;
            }
            if self.remove_this(hash, entry) {
                return Some((&entry.key, &entry.value));
            }
        }
    }

    /// Removes all entries of a key; how many there were.
    #[track_caller]
    pub fn remove_all<Q>(&self, key: &Q, guard: &impl AnyGuard) -> usize
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let mut removed = 0;
        while self.remove_entry(key, guard).is_some() {
            removed += 1;
        }
        removed
    }

    /// Removes the entries for which `keep` is false. Entries that come meanwhile may be left out. `keep` runs without a lock.
    #[track_caller]
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool, guard: &impl AnyGuard) {
        for entry in self.iter(guard).entries() {
            if !keep(&entry.key, &entry.value) {
                self.remove_this(self.hash_of(&entry.key), entry);
            }
        }
    }

    /// Removes all entries. Entries that come meanwhile may stay.
    #[track_caller]
    pub fn clear(&self, guard: &impl AnyGuard) {
        self.retain(|_, _| false, guard);
    }

    /// Makes room for `additional` more entries.
    ///
    /// Moves buckets until it is done, or gives up when there is no memory or hashing a key panics; then the map keeps
    /// working at its size. Readers and other updates go on meanwhile.
    #[track_caller]
    pub fn reserve(&self, additional: usize, guard: &impl AnyGuard) {
        self.check(guard);
        let wanted = bits_for(self.len().saturating_add(additional));
        self.resize_with(|bits| (bits < wanted).then_some(wanted));
    }

    /// Makes the table as large as `capacity` entries need, and not smaller than its entries need.
    ///
    /// Whether it has that size now. It has not when there is no memory, when hashing a key panics, or when it has become
    /// smaller so often that a grace period has to pass first (16 times). As [`reserve`](Self::reserve) otherwise.
    #[doc(alias = "cds_lfht_resize")]
    #[track_caller]
    pub fn resize(&self, capacity: usize, guard: &impl AnyGuard) -> bool {
        self.check(guard);
        let wanted = bits_for(capacity.max(self.len()));
        // Before it is done: otherwise updates could undo it.
        let least = self.index.set_least_bits(wanted);
        let is_done = self.resize_with(|bits| (bits != wanted).then_some(wanted));
        if !is_done {
            self.index.set_least_bits(wanted.min(least));
        }
        is_done
    }

    /// Makes the table as small as its entries allow; and allows it to become as small again later.
    #[track_caller]
    pub fn shrink_to_fit(&self, guard: &impl AnyGuard) -> bool {
        self.check(guard);
        self.index.set_least_bits(0);
        let wanted = bits_for(self.len());
        self.resize_with(|bits| (bits > wanted).then_some(wanted))
    }

    fn resize_with(&self, wanted: impl Fn(u32) -> Option<u32>) -> bool {
        // SAFETY: called with a guard of the flavor.
        unsafe { self.index.resize_to(wanted, &self.rehash()) }
    }

    #[inline(always)]
    fn add<'g>(
        &'g self,
        key: K,
        value: V,
        if_present: IfPresent,
        guard: &'g impl AnyGuard,
    ) -> Added<'g, 'g, Entry<K, V>> {
        self.check(guard);
        let hash = self.hash_of(&key);
        self.add_hashed(hash, Entry { key, value }, if_present)
    }

    /// Called with a guard of the flavor.
    #[inline(always)]
    fn add_hashed<'g>(&'g self, hash: u64, entry: Entry<K, V>, if_present: IfPresent) -> Added<'g, 'g, Entry<K, V>> {
        // SAFETY: inside a section of the flavor.
        let place = unsafe { self.index.announce(hash) };
        let fresh = self.index.nodes.fresh(entry);
        let entry = fresh.pointer();
        // SAFETY: alive: nobody else has it until it is published, after the last comparison.
        let wanted = |present: &Entry<K, V>| present.key == unsafe { &*entry }.key;
        // SAFETY: inside a section of the flavor, during `'g`; entries are `Send` since `new`.
        unsafe { self.index.add(place, hash, fresh, if_present, wanted, self.rehash()) }
    }

    /// Called with a guard of the flavor, under which `entry` was found; whether it was still there.
    fn remove_this(&self, hash: u64, entry: &Entry<K, V>) -> bool {
        // SAFETY: inside a section of the flavor; entries are `Send` since `new`.
        unsafe { self.index.remove(hash, |other| ptr::eq(other, entry), self.rehash()) }.is_some()
    }

    #[inline]
    pub(super) fn rehash(&self) -> impl Fn(&Entry<K, V>) -> u64 + '_ {
        |entry| self.hash_of(&entry.key)
    }
}

//! Going over entries.
//!
//! A whole map is gone over by the buckets of the table that was current at the beginning: each hash belongs to exactly one of
//! them. What is in a bucket is gathered at once, before it is handed out; if the bucket is migrated, from where its entries
//! went.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;

use equivalent::Equivalent;

use super::entry::Entry;
use super::face::LfHashMap;
use super::index::{Index, Walk, entry_of};
use super::table::Table;

/// See [`LfHashMap::iter`].
pub struct Iter<'g, K, V, S> {
    map: &'g LfHashMap<K, V, S>,
    /// The table whose buckets are gone over.
    table: &'g Table,
    /// The next of them.
    bucket: usize,
    /// What was in the last one and was not handed out yet.
    gathered: Vec<&'g Entry<K, V>>,
}

/// Hashes whose lowest bits have a value.
#[derive(Clone, Copy)]
struct Ending {
    bits: u32,
    value: usize,
}

impl Ending {
    fn ends(self, hash: u64) -> bool {
        hash & ((1 << self.bits) - 1) == self.value as u64
    }
}

/// The entries themselves.
pub(super) struct Entries<'g, K, V, S>(Iter<'g, K, V, S>);

impl<'g, K, V, S> Iter<'g, K, V, S> {
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`.
    pub(super) unsafe fn new(map: &'g LfHashMap<K, V, S>) -> Self {
        // SAFETY: as promised.
        let table = unsafe { map.index.current() };
        Self { map, table, bucket: 0, gathered: Vec::new() }
    }

    pub(super) fn entries(self) -> Entries<'g, K, V, S> {
        Entries(self)
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iter<'g, K, V, S> {
    #[inline]
    fn next_entry(&mut self) -> Option<&'g Entry<K, V>> {
        loop {
            if let Some(entry) = self.gathered.pop() {
                return Some(entry);
            }
            if self.bucket == self.table.count() {
                return None;
            }
            let bucket = self.bucket;
            self.bucket += 1;
            self.gather(self.table, bucket, Ending { bits: self.table.bits(), value: bucket });
        }
    }

    /// Gathers what is in bucket `index` of `table`, or went from there, and is `wanted`.
    fn gather(&mut self, table: &'g Table, index: usize, wanted: Ending) {
        // SAFETY: inside a section during `'g`, as promised to `new`.
        let Some(walk) = (unsafe { Walk::whole(table, index) }) else {
            // From a larger table several buckets may go to one: only what was in this one.
            let wanted = if table.bits() > wanted.bits { Ending { bits: table.bits(), value: index } } else { wanted };
            // SAFETY: as above; the bucket is migrated.
            let next: &'g Table = unsafe { self.map.index.after(table) };
            if next.bits() <= wanted.bits {
                self.gather(next, wanted.value & (next.count() - 1), wanted);
            } else {
                for target in (wanted.value..next.count()).step_by(1 << wanted.bits) {
                    self.gather(next, target, wanted);
                }
            }
            return;
        };
        let first = self.gathered.len();
        for word in walk {
            // SAFETY: an entry that was reachable inside this section.
            let entry: &'g Entry<K, V> = unsafe { entry_of(word) };
            let is_wanted = wanted.bits <= table.bits()
                || if wanted.bits <= table.known() {
                    wanted.ends(table.known_hash(index, word.bits()))
                } else {
                    wanted.ends(self.map.hash_of(&entry.key))
                };
            if is_wanted {
                self.gathered.push(entry);
            }
        }
        self.drop_repeated(first);
    }

    /// A key that was removed and inserted again while its bucket was gone over may have been met in two slots. What was gathered
    /// from `first` on is of one bucket.
    fn drop_repeated(&mut self, first: usize) {
        if self.map.index.may_have_duplicates() {
            return;
        }
        let mut number = first + 1;
        while number < self.gathered.len() {
            let (before, rest) = self.gathered[first..].split_at(number - first);
            if before.iter().any(|entry| entry.key == rest[0].key) {
                self.gathered.swap_remove(number);
            } else {
                number += 1;
            }
        }
    }
}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for Iter<'g, K, V, S> {
    type Item = (&'g K, &'g V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().map(|entry| (&entry.key, &entry.value))
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> FusedIterator for Iter<'_, K, V, S> {}

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for Entries<'g, K, V, S> {
    type Item = &'g Entry<K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_entry()
    }
}

impl<K, V, S> fmt::Debug for Iter<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("bucket", &self.bucket)
            .field("buckets", &self.table.count())
            .finish_non_exhaustive()
    }
}

/// See [`LfHashMap::keys`].
#[derive(Debug)]
pub struct Keys<'g, K, V, S>(pub(super) Iter<'g, K, V, S>);

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for Keys<'g, K, V, S> {
    type Item = &'g K;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_entry().map(|entry| &entry.key)
    }
}

/// See [`LfHashMap::values`].
#[derive(Debug)]
pub struct Values<'g, K, V, S>(pub(super) Iter<'g, K, V, S>);

impl<'g, K: Hash + Eq, V, S: BuildHasher> Iterator for Values<'g, K, V, S> {
    type Item = &'g V;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_entry().map(|entry| &entry.value)
    }
}

/// See [`LfHashMap::get_all`].
pub struct GetAll<'g, 'q, K, V, Q: ?Sized> {
    walk: Walk<'g>,
    key: &'q Q,
    index: core::marker::PhantomData<&'g Index<Entry<K, V>>>,
}

impl<'g, 'q, K, V, Q: ?Sized> GetAll<'g, 'q, K, V, Q> {
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`.
    pub(super) unsafe fn new(index: &'g Index<Entry<K, V>>, hash: u64, key: &'q Q) -> Self {
        // SAFETY: as promised.
        let table = unsafe { index.current() };
        // SAFETY: as promised.
        let walk = unsafe { Walk::with_tag(index, table, hash) };
        Self { walk, key, index: core::marker::PhantomData }
    }
}

impl<'g, K, V, Q: Equivalent<K> + ?Sized> Iterator for GetAll<'g, '_, K, V, Q> {
    type Item = &'g V;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let word = self.walk.next()?;
            // SAFETY: an entry that was reachable inside the section that `new` was promised.
            let entry: &'g Entry<K, V> = unsafe { entry_of(word) };
            if self.key.equivalent(&entry.key) {
                return Some(&entry.value);
            }
        }
    }
}

impl<K, V, Q: ?Sized> fmt::Debug for GetAll<'_, '_, K, V, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GetAll")
    }
}

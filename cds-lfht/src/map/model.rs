//! What the model checker's tests see of the map: operations on an index whose keys are their hashes.
//!
//! They need no guards: nothing that is retired is freed before the end of a model's run.

use urcu_core::FlavorVtable;

use super::entry::Entry;
use super::index::{Added, IfPresent, Index};

/// A map from hashes to numbers.
#[derive(Debug)]
pub struct Model(Index<Entry<u64, u64>>);

impl Model {
    /// With `1 << bits` buckets.
    pub fn new(bits: u32, flavor: &'static FlavorVtable) -> Self {
        Self(Index::new(flavor, bits).expect("memory"))
    }

    /// The value of a key.
    pub fn get(&self, key: u64) -> Option<u64> {
        // SAFETY: nothing is freed before the end.
        unsafe { self.0.find(key, |entry| entry.key == key) }.map(|entry| entry.value)
    }

    /// The value of a key; `hook` is told of each key that is compared, before it is.
    pub fn get_with(&self, key: u64, mut hook: impl FnMut(u64)) -> Option<u64> {
        // SAFETY: nothing is freed before the end.
        unsafe {
            self.0.find(key, |entry| {
                hook(entry.key);
                entry.key == key
            })
        }
        .map(|entry| entry.value)
    }

    /// The values of several keys.
    pub fn get_many<const N: usize>(&self, keys: [u64; N]) -> [Option<u64>; N] {
        // SAFETY: nothing is freed before the end.
        unsafe { self.0.find_many(keys, |number, entry| entry.key == keys[number]) }
            .map(|it| it.map(|entry| entry.value))
    }

    /// Adds or replaces; the old value.
    pub fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.add(key, value, IfPresent::Replace)
    }

    /// Adds; the value that is there.
    pub fn try_insert(&self, key: u64, value: u64) -> Option<u64> {
        self.add(key, value, IfPresent::Keep)
    }

    /// Adds, whatever there is.
    pub fn insert_duplicate(&self, key: u64, value: u64) {
        self.0.expect_duplicates();
        let fresh = self.0.nodes.fresh(Entry { key, value });
        // SAFETY: nothing is freed before the end.
        unsafe { self.0.add_another(key, fresh, |entry| entry.key) };
    }

    /// Removes the entry with this value; its value.
    pub fn remove_entry(&self, key: u64, value: u64) -> Option<u64> {
        // SAFETY: nothing is freed before the end.
        unsafe { self.0.remove(key, |entry| entry.key == key && entry.value == value, |entry| entry.key) }
            .map(|entry| entry.value)
    }

    fn add(&self, key: u64, value: u64, if_present: IfPresent) -> Option<u64> {
        let fresh = self.0.nodes.fresh(Entry { key, value });
        // SAFETY: nothing is freed before the end.
        let place = unsafe { self.0.announce(key) };
        // SAFETY: as above.
        match unsafe { self.0.add(place, key, fresh, if_present, |entry| entry.key == key, |entry| entry.key) } {
            Added::New(_) => None,
            Added::InPlaceOf(old, _) | Added::Occupied(old, _) => Some(old.value),
        }
    }

    /// Removes; the old value.
    pub fn remove(&self, key: u64) -> Option<u64> {
        // SAFETY: nothing is freed before the end.
        unsafe { self.0.remove(key, |entry| entry.key == key, |entry| entry.key) }.map(|entry| entry.value)
    }

    /// Moves to a table of `1 << bits` buckets.
    pub fn resize(&self, bits: u32) -> bool {
        // SAFETY: nothing is freed before the end.
        unsafe { self.0.resize_to(|now| (now != bits).then_some(bits), &|entry| entry.key) }
    }
}

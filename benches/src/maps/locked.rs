//! The standard library's map behind a lock.

use std::collections::HashMap;

use parking_lot::RwLock;

use super::{Found, Hasher, Map, Session, Step, hasher, value_of};

/// `RwLock<HashMap>`, with parking_lot's lock, which is taken once per batch.
pub(super) struct Locked(RwLock<HashMap<u64, u64, Hasher>>);

pub(super) fn make(capacity: usize) -> Box<dyn Map> {
    Box::new(Locked(RwLock::new(HashMap::with_capacity_and_hasher(capacity, hasher()))))
}

impl Map for Locked {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

impl Session for &Locked {
    #[inline(never)]
    fn get(&mut self, keys: &[u64]) -> Found {
        let map = self.0.read();
        let mut found = Found::default();
        for key in keys {
            found.add(map.get(key).copied());
        }
        found
    }

    #[inline(never)]
    fn insert(&mut self, keys: &[u64]) {
        let mut map = self.0.write();
        for &key in keys {
            assert!(map.insert(key, value_of(key)).is_none(), "it was there");
        }
    }

    #[inline(never)]
    fn remove(&mut self, keys: &[u64]) {
        let mut map = self.0.write();
        for key in keys {
            assert!(map.remove(key).is_some(), "it was not there");
        }
    }

    /// One lock per operation: for a whole batch it would have to be the updaters' one.
    #[inline(never)]
    fn mixed(&mut self, steps: &[Step]) -> Found {
        let mut found = Found::default();
        for step in steps {
            match step {
                Step::Get(key) => found.add(self.0.read().get(key).copied()),
                &Step::Insert(key) => assert!(self.0.write().insert(key, value_of(key)).is_none(), "it was there"),
                Step::Remove(key) => assert!(self.0.write().remove(key).is_some(), "it was not there"),
            }
        }
        found
    }
}

//! Ends of maps where one does not expect them: in a deferred call, in a drop, with the last of their own entries.

use std::sync::Arc;

use cds_lfht::LfHashMap;
use structure_conformance::{Bp, Counted, Counts, Tested, on_every_flavor, within_limit};

/// More than a map has in allocations of their own.
const ENTRIES: u64 = 500;

/// An entry that may own the map that it is in.
struct Owner {
    _map: Option<Arc<LfHashMap<u64, Owner>>>,
    _counted: Counted,
}

on_every_flavor! {
    fn with_the_last_of_its_own_entries<F>() {
        let thread = urcu_core::Thread::<F>::register().expect("not registered yet");
        let counts = Counts::new();
        let map = Arc::new(LfHashMap::<u64, Owner>::new(F::vtable()));
        let owner = |number, map| Owner { _map: map, _counted: counts.make(number) };
        {
            let guard = thread.read_lock();
            for key in 0..ENTRIES {
                assert!(map.insert(key, owner(key, None), &guard).is_none());
            }
            // Its drop, on a thread of the flavor, drops all the others, and the memory that it is in itself.
            assert!(map.insert(ENTRIES, owner(ENTRIES, Some(Arc::clone(&map))), &guard).is_none());
            for key in 0..ENTRIES / 2 {
                assert!(map.remove(&key, &guard).is_some());
            }
            assert!(map.remove(&ENTRIES, &guard).is_some());
        }
        drop(map);
        drop(thread);
        F::vtable().wait_for_retired().expect("outside of sections");
        assert_eq!((counts.made(), counts.dropped()), (ENTRIES as usize + 1, ENTRIES as usize + 1));
    }
}

/// A map that is used in the drop of an entry of another, and of its own.
struct User {
    map: Arc<LfHashMap<u64, u64>>,
    key: u64,
}

impl Drop for User {
    fn drop(&mut self) {
        let map = self.map.pin();
        map.insert(self.key, self.key);
        assert_eq!(map.get(&self.key), Some(&self.key));
    }
}

#[test]
fn drops_may_use_maps() {
    within_limit("drops_may_use_maps", || {
        let used = Arc::new(LfHashMap::<u64, u64>::new(Bp::vtable()));
        let map = LfHashMap::<u64, User>::new(Bp::vtable());
        let user = |key| User { map: Arc::clone(&used), key };
        {
            let map = map.pin();
            for key in 0..ENTRIES {
                map.insert(key % 100, user(key));
                // Refused, and dropped here.
                assert!(map.try_insert(key % 100, user(ENTRIES + key)).is_err());
            }
        }
        drop(map);
        Bp::vtable().wait_for_retired().expect("outside of sections");
        assert_eq!(used.len() as u64, 2 * ENTRIES);
    });
}

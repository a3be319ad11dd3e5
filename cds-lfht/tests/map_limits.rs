//! What must not take more than it should: steps of iterators, tables after a wish that could not be granted.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use cds_lfht::LfHashMap;
use structure_conformance::{Bp, Tested, within_limit};

static COMPARISONS: AtomicUsize = AtomicUsize::new(0);

struct Key(usize);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        COMPARISONS.fetch_add(1, Ordering::Relaxed);
        self.0 == other.0
    }
}

impl Eq for Key {}

#[test]
fn an_iterator_from_before_a_growth_compares_keys_of_one_bucket_only() {
    const ENTRIES: usize = 20_000;
    within_limit("an_iterator_from_before_a_growth", || {
        let map = LfHashMap::<Key, ()>::new(Bp::vtable());
        let map = map.pin();
        // Over the four buckets of an empty map.
        let entries = map.iter();
        for key in 0..ENTRIES {
            map.insert(Key(key), ());
        }
        COMPARISONS.store(0, Ordering::Relaxed);
        assert_eq!(entries.count(), ENTRIES);
        let compared = COMPARISONS.load(Ordering::Relaxed);
        assert!(compared < 20 * ENTRIES, "{compared} comparisons");
    });
}

#[test]
fn a_size_that_cannot_be_had_does_not_keep_the_table_from_shrinking() {
    within_limit("a_size_that_cannot_be_had", || {
        let map = LfHashMap::<usize, usize>::new(Bp::vtable());
        let map = map.pin();
        assert!(!map.resize(usize::MAX));
        for key in 0..10_000 {
            map.insert(key, key);
        }
        let large = map.map().capacity(map.guard());
        assert!(large >= 10_000);
        for key in 0..10_000 {
            map.remove(&key);
        }
        assert!(map.map().capacity(map.guard()) < large / 16);
    });
}

#[test]
fn growth_ends_whatever_is_done_between_insertions() {
    within_limit("growth_ends_whatever_is_done_between_insertions", || {
        // Every so manyth update is an insertion of a new key, and the others replace a value.
        for every in [2, 16] {
            for first in 0..every {
                let map = LfHashMap::<usize, usize>::new(Bp::vtable());
                let map = map.pin();
                map.insert(usize::MAX, 0);
                for number in 0..first {
                    map.insert(usize::MAX, number);
                }
                let entries = 3_000;
                for key in 0..entries {
                    map.insert(key, key);
                    for number in 1..every {
                        map.insert(usize::MAX, number);
                    }
                }
                let capacity = map.map().capacity(map.guard());
                assert!(capacity >= entries, "room for {capacity} entries, {first} of {every}");
            }
        }
    });
}

#[test]
fn the_table_shrinks_whatever_is_done_between_removals() {
    within_limit("the_table_shrinks_whatever_is_done_between_removals", || {
        for first in 0..2 {
            let map = LfHashMap::<usize, usize>::new(Bp::vtable());
            let map = map.pin();
            for key in 0..10_000 {
                map.insert(key, key);
            }
            let large = map.map().capacity(map.guard());
            for number in 0..first {
                map.replace(0, number).expect("it is there");
            }
            for key in 1..10_000 {
                map.remove(&key);
                map.replace(0, key).expect("it is there");
            }
            let capacity = map.map().capacity(map.guard());
            assert!(capacity < large / 16, "room for {capacity} entries, as if there were {large}");
        }
    });
}

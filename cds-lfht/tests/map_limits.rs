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

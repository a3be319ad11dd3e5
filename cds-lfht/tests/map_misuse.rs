//! Keys that break the rules of `Hash`: entries may not be found any more; nothing worse happens.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use cds_lfht::LfHashMap;
use structure_conformance::{Bp, Tested, within_limit};

thread_local! {
    /// On this thread, keys hash to something else.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(if CHANGED.get() { self.0 % 3 } else { self.0 });
    }
}

/// The hash is the number that was written.
#[derive(Clone, Copy, Debug, Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("numbers only");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl BuildHasher for Plain {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

/// So many buckets that the keys of a small table have to be hashed again.
const OUTGROWN: usize = 4 << 17;

#[test]
fn a_key_whose_hash_changes_is_moved_with_its_bucket() {
    within_limit("a_key_whose_hash_changes_is_moved_with_its_bucket", || {
        let map = LfHashMap::<Key, u64, Plain>::with_hasher(Plain(0), Bp::vtable());
        let map = map.pin();
        for key in 0..12 {
            map.insert(Key(key), key);
        }
        // Takes the first bucket's.
        let mut entries = map.iter();
        let first = entries.next().map(|(key, _)| key.0);
        CHANGED.set(true);
        map.reserve(OUTGROWN);
        CHANGED.set(false);
        assert!(map.map().capacity(map.guard()) >= OUTGROWN);
        // The other buckets' are where these have gone.
        let mut seen: Vec<u64> = first.into_iter().chain(entries.map(|(key, _)| key.0)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..12).collect::<Vec<_>>());
    });
}

/// Counts its drops, and is an allocation, so that a sanitizer sees when one is looked at too late.
struct Counted(Arc<Vec<AtomicUsize>>, Box<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0[*self.1].fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn keys_whose_hash_changes_break_nothing_beside_updates() {
    const ROUNDS: usize = 10;
    const UPDATERS: usize = 3;
    const MOST: usize = 20_000;
    const MOVED: usize = 1000;
    within_limit("keys_whose_hash_changes_break_nothing_beside_updates", || {
        for _ in 0..ROUNDS {
            let drops = Arc::new((0..UPDATERS * MOST + MOVED).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
            let value = |number| Counted(Arc::clone(&drops), Box::new(number));
            let map = LfHashMap::<Key, Counted, Plain>::with_capacity_and_hasher(1024, Plain(0), Bp::vtable());
            for number in 0..MOVED {
                map.pin().insert(Key(16 + number as u64), value(number));
            }
            let grown = AtomicBool::new(false);
            let used = AtomicUsize::new(MOVED);
            let begin = Barrier::new(UPDATERS + 1);
            thread::scope(|scope| {
                for updater in 0..UPDATERS {
                    let (map, value, grown, used, begin) = (&map, &value, &grown, &used, &begin);
                    scope.spawn(move || {
                        begin.wait();
                        let mut made = 0;
                        while made < MOST && !grown.load(Ordering::Relaxed) {
                            // In the buckets that changed keys go to.
                            let key = Key(made as u64 % 9 / 3);
                            let map = map.pin();
                            map.insert(key, value(MOVED + updater * MOST + made));
                            made += 1;
                            map.remove(&key);
                        }
                        used.fetch_add(made, Ordering::Relaxed);
                    });
                }
                begin.wait();
                CHANGED.set(true);
                map.pin().reserve(OUTGROWN);
                CHANGED.set(false);
                grown.store(true, Ordering::Relaxed);
            });
            for (_, value) in map.pin().iter() {
                assert_eq!(value.0[*value.1].load(Ordering::Relaxed), 0, "dropped, and still there");
            }
            drop(map);
            Bp::vtable().wait_for_retired().expect("outside of sections");
            let times = |times| drops.iter().filter(|drops| drops.load(Ordering::Relaxed) == times).count();
            assert_eq!(times(0) + times(1), drops.len(), "dropped more than once");
            assert_eq!(times(1), used.load(Ordering::Relaxed), "lost");
        }
    });
}

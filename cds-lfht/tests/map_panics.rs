//! Panics in users' code leave the map as it was, usable and unlocked.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cds_lfht::LfHashMap;
use cds_lfht::map::Operation;
use structure_conformance::{Bp, Tested, within_limit};

thread_local! {
    /// What panics on this thread.
    static TRAP: Cell<Trap> = const { Cell::new(Trap::None) };
}

/// Does nothing with a result.
fn ignore<T>(_: T) {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trap {
    None,
    Hash,
    Eq,
}

/// A key whose operations can be made to panic.
#[derive(Clone, Debug)]
struct Key(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(TRAP.get() != Trap::Hash, "the hash panics");
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        assert!(TRAP.get() != Trap::Eq, "the comparison panics");
        self.0 == other.0
    }
}

impl Eq for Key {}

/// Runs `work`, which has to panic because of `trap`.
fn trapped(trap: Trap, work: impl FnOnce()) {
    TRAP.set(trap);
    let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
    TRAP.set(Trap::None);
    assert!(panicked, "nothing panicked");
}

#[test]
fn hashing_and_comparing_may_panic() {
    within_limit("hashing_and_comparing_may_panic", || {
        let map = LfHashMap::<Key, u64>::new(Bp::vtable());
        let map = map.pin();
        for key in 0..100 {
            map.insert(Key(key), key);
        }
        for trap in [Trap::Hash, Trap::Eq] {
            trapped(trap, || ignore(map.get(&Key(7)).copied()));
            trapped(trap, || ignore(map.insert(Key(7), 1).copied()));
            trapped(trap, || ignore(map.try_insert(Key(7), 1).is_ok()));
            trapped(trap, || ignore(map.replace(Key(7), 1).is_ok()));
            trapped(trap, || ignore(map.remove(&Key(7)).copied()));
            trapped(trap, || ignore(map.remove_if(&Key(7), |_, _| true).is_some()));
            trapped(trap, || ignore(map.update(Key(7), |value| value + 1).is_some()));
            trapped(trap, || ignore(map.get_many([&Key(7), &Key(8)]).map(|found| found.is_some())));
            trapped(trap, || ignore(map.get_all(&Key(7)).count()));
        }
        assert_eq!(map.len(), 100);
        for key in 0..100 {
            assert_eq!(map.get(&Key(key)), Some(&key));
            // Not locked either.
            assert_eq!(map.insert(Key(key), key), Some(&key));
        }
    });
}

#[test]
fn closures_may_panic() {
    within_limit("closures_may_panic", || {
        let map = LfHashMap::<u64, u64>::new(Bp::vtable());
        let map = map.pin();
        map.insert(1, 1);
        let panics = |work: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        panics(&|| ignore(map.get_or_insert_with(2, || panic!("as it should")).to_owned()));
        panics(&|| ignore(map.update(1, |_| panic!("as it should")).is_some()));
        panics(&|| ignore(map.compute(1, |_| -> Operation<u64> { panic!("as it should") })));
        panics(&|| ignore(map.remove_if(&1, |_, _| panic!("as it should")).is_some()));
        panics(&|| map.retain(|_, _| panic!("as it should")));
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&1, &1)]);
        assert_eq!(map.insert(1, 2), Some(&1));
    });
}

#[test]
fn closures_may_use_the_map() {
    within_limit("closures_may_use_the_map", || {
        let map = LfHashMap::<u64, u64>::new(Bp::vtable());
        let map = map.pin();
        assert_eq!(map.get_or_insert_with(1, || *map.get_or_insert_with(1, || 5) + 1), &5);
        assert_eq!(map.update(1, |value| value + map.len() as u64), Some((&5, &6)));
        assert!(map.remove_if(&1, |key, _| map.remove(key).is_some()).is_none());
        assert!(map.is_empty());
    });
}

#[test]
fn a_hash_that_panics_while_the_table_moves_stops_the_move_and_nothing_else() {
    within_limit("a_hash_that_panics_while_the_table_moves", || {
        let map = LfHashMap::<Key, u64>::new(Bp::vtable());
        for key in 0..100 {
            map.pin().insert(Key(key), key);
        }
        // So many buckets that the keys have to be hashed again.
        let pinned = map.pin();
        TRAP.set(Trap::Hash);
        pinned.reserve(4 << 17);
        TRAP.set(Trap::None);
        for key in 0..100 {
            assert_eq!(pinned.get(&Key(key)), Some(&key));
            assert_eq!(pinned.insert(Key(key), key), Some(&key));
        }
        assert_eq!(pinned.iter().count(), 100);
        // Hashing works again, and so does the move.
        pinned.reserve(4 << 17);
        assert!(map.capacity(pinned.guard()) >= 4 << 17);
        assert_eq!(pinned.iter().count(), 100);
    });
}

/// A value that counts its drops, and panics in them.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("dropped");
    }
}

#[test]
fn drops_that_panic_are_done_once_each() {
    within_limit("drops_that_panic_are_done_once_each", || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let map = LfHashMap::<u64, Bomb>::new(Bp::vtable());
        for key in 0..100 {
            map.pin().insert(key, Bomb(Arc::clone(&dropped)));
        }
        for key in 0..50 {
            assert!(map.pin().remove(&key).is_some());
        }
        Bp::vtable().wait_for_retired().expect("not inside a section");
        assert_eq!(dropped.load(Ordering::Relaxed), 50);
        // The first panic goes on when all are dropped.
        assert!(catch_unwind(AssertUnwindSafe(|| ignore(map))).is_err());
        assert_eq!(dropped.load(Ordering::Relaxed), 100);
    });
}

//! Safe code that does its worst: whatever it does, nothing is lost, dropped twice, looked at too late, or waited for in vain.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hash, Hasher};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

use cds_lfht::map::Operation;
use cds_lfht::{LfHashMap, LfHashSet};
use structure_conformance::seed::Random;
use structure_conformance::{Bp, Counted, Counts, Mb, OwnProcess, Tested, allocator, on_every_flavor, within_limit};
use urcu_core::Thread;

/// Does nothing with a result.
fn ignore<T>(_: T) {}

thread_local! {
    static LIES: RefCell<Random> = RefCell::new(Random::new(1));
}

/// A key that never says the same twice.
struct Liar(u64, Counted);

impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Few tags and many buckets, or the other way round.
        let lie = LIES.with_borrow_mut(|lies| if lies.once_in(2) { lies.below(64) } else { lies.below(3) << 56 });
        state.write_u64(if self.0.is_multiple_of(2) { lie } else { self.0 });
    }
}

impl PartialEq for Liar {
    fn eq(&self, other: &Self) -> bool {
        assert_eq!((self.1.value(), other.1.value()), (self.0, other.0), "what is compared is alive");
        LIES.with_borrow_mut(|lies| lies.once_in(3))
    }
}

impl Eq for Liar {}

/// The hash is the number that was written.
#[derive(Clone, Copy, Debug, Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0 << 8 | u64::from(byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl BuildHasher for Plain {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

on_every_flavor! {
    /// Hashes and comparisons that mean nothing, beside moves, also those that have to hash the keys again.
    fn keys_that_lie<F>() {
        let counts = Counts::new();
        let map = LfHashMap::<Liar, Counted, Plain>::with_hasher(Plain(0), F::vtable());
        thread::scope(|scope| {
            for number in 0..3 {
                let (map, counts) = (&map, &counts);
                scope.spawn(move || {
                    LIES.set(Random::new(number));
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let mut random = Random::new(10 + number);
                    for round in 0..1500 {
                        let guard = thread.read_lock();
                        let key = || {
                            let key = random.below(200);
                            Liar(key, counts.make(key))
                        };
                        let mut key = key;
                        let value = || counts.make(round);
                        match round % 12 {
                            0 | 1 => ignore(map.insert(key(), value(), &guard).map(Counted::value)),
                            2 => ignore(map.try_insert(key(), value(), &guard).map(Counted::value)),
                            3 | 4 => ignore(map.remove(&key(), &guard).map(Counted::value)),
                            5 => ignore(map.replace(key(), value(), &guard).map(Counted::value)),
                            6 => ignore(map.update(key(), |_| value(), &guard).map(|(old, new)| old.value() + new.value())),
                            7 => ignore(map.compute(key(), |there| match there {
                                None => Operation::Insert(value()),
                                Some((_, old)) if old.value() % 2 == 0 => Operation::Remove,
                                Some(_) => Operation::Keep,
                            }, &guard)),
                            8 => ignore(map.remove_if(&key(), |_, value| value.value() % 2 == 0, &guard)),
                            9 => map.iter(&guard).for_each(|(key, value)| {
                                assert_eq!(key.0, key.1.value());
                                let _ = value.value();
                            }),
                            10 => ignore(map.get_all(&key(), &guard).map(Counted::value).count()),
                            _ if round % 128 == 11 => map.retain(|_, value| value.value() % 3 != 0, &guard),
                            _ if round % 256 == 23 => ignore(map.resize(if number == 0 { 4 << 17 } else { 64 }, &guard)),
                            _ => ignore(map.insert_duplicate(key(), value(), &guard).value()),
                        }
                    }
                });
            }
        });
        let entries = map.len();
        assert_eq!(map.into_iter().filter(|(key, value)| key.0 == key.1.value() && value.value() < 2000).count(), entries);
        F::vtable().wait_for_retired().expect("not inside a section");
        assert_eq!(counts.made(), counts.dropped());
    }

    /// Entries with equal keys that stay are met once each, whatever becomes of those beside them.
    fn copies_that_stay_are_met_once<F>() {
        const COPIES: u64 = 10;
        let map = LfHashMap::<u64, u64, Plain>::with_hasher(Plain(0), F::vtable());
        let stop = AtomicUsize::new(0);
        /// All in one bucket of a table that is not huge, with one tag.
        const STEP: u64 = 1 << 30;
        {
            let thread = Thread::<F>::register().expect("not registered yet");
            let guard = thread.read_lock();
            for copy in 0..COPIES {
                // Others between them, which go.
                map.insert(STEP * (copy + 1), 0, &guard);
                map.insert_duplicate(0, copy, &guard);
            }
        }
        thread::scope(|scope| {
            for updater in 0..2 {
                let (map, stop) = (&map, &stop);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let mut random = Random::new(updater);
                    while stop.load(Ordering::Relaxed) < 2 {
                        let guard = thread.read_lock();
                        let key = STEP * (1 + random.below(30));
                        match random.below(40) {
                            0 => ignore(map.resize(random.below(3000) as usize, &guard)),
                            1..=20 => ignore(map.insert_duplicate(key, 0, &guard)),
                            21 => map.retain(|&key, _| key == 0, &guard),
                            _ => ignore(map.remove(&key, &guard)),
                        }
                    }
                });
            }
            for _ in 0..2 {
                let (map, stop) = (&map, &stop);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    for _ in 0..3000 {
                        let guard = thread.read_lock();
                        let mut copies: Vec<u64> = map.get_all(&0, &guard).copied().collect();
                        copies.sort_unstable();
                        let mut met: Vec<u64> = map.iter(&guard).filter(|it| *it.0 == 0).map(|it| *it.1).collect();
                        met.sort_unstable();
                        let all: Vec<u64> = (0..COPIES).collect();
                        if copies != all || met != all {
                            stop.store(2, Ordering::Relaxed);
                        }
                        assert_eq!((copies, met), (all.clone(), all));
                    }
                    stop.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
    }

    /// What an iterator, a lookup and a removal have found is there as long as the guard, whatever is done under it.
    fn everything_is_changed_under_ones_own_iterator<F>() {
        let counts = Counts::new();
        let map = LfHashMap::<u64, Counted>::new(F::vtable());
        let thread = Thread::<F>::register().expect("not registered yet");
        let guard = thread.read_lock();
        (0..500).for_each(|key| assert!(map.insert(key, counts.make(key), &guard).is_none()));
        let before = map.get(&3, &guard).expect("just inserted");
        let mut met = Vec::new();
        for (round, (key, value)) in map.iter(&guard).enumerate() {
            assert_eq!(*key, value.value());
            met.push((key, value));
            match round {
                5 => map.reserve(100_000, &guard),
                10 => map.clear(&guard),
                20 => (0..500).for_each(|key| ignore(map.insert(key, counts.make(key), &guard))),
                30 => ignore(map.shrink_to_fit(&guard)),
                40 => map.retain(|key, _| map.remove(&(key ^ 1), &guard).is_some_and(|_| key % 3 == 0), &guard),
                _ => {}
            }
        }
        assert!(met.iter().all(|(key, value)| **key == value.value()));
        assert_eq!(before.value(), 3);
        let mut keys: Vec<u64> = met.iter().map(|(key, _)| **key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), met.len(), "a key was met twice");
        drop(guard);
        drop(map);
        drop(thread);
        F::vtable().wait_for_retired().expect("not inside a section");
        assert_eq!(counts.made(), counts.dropped());
    }
}

#[test]
fn guards_of_other_flavors_are_refused_everywhere() {
    within_limit("guards_of_other_flavors_are_refused_everywhere", || {
        let map = LfHashMap::<u64, u64>::new(Bp::vtable());
        let set = LfHashSet::<u64>::new(Bp::vtable());
        let thread = Thread::<Mb>::register().expect("not registered yet");
        let wrong = thread.read_lock();
        let refused = |work: &dyn Fn()| {
            let payload = catch_unwind(AssertUnwindSafe(work)).expect_err("a guard of another flavor was taken");
            let text = payload.downcast_ref::<String>().expect("a text");
            assert!(text.contains("urcu-mb") && text.contains("urcu-bp"), "{text}");
        };
        refused(&|| ignore(map.get(&1, &wrong)));
        refused(&|| ignore(map.get_key_value(&1, &wrong)));
        refused(&|| ignore(map.contains(&1, &wrong)));
        refused(&|| ignore(map.get_all(&1, &wrong)));
        refused(&|| ignore(map.get_many([&1], &wrong)));
        refused(&|| ignore(map.iter(&wrong)));
        refused(&|| ignore(map.keys(&wrong)));
        refused(&|| ignore(map.values(&wrong)));
        refused(&|| ignore(map.insert(1, 1, &wrong)));
        refused(&|| ignore(map.try_insert(1, 1, &wrong)));
        refused(&|| ignore(map.insert_duplicate(1, 1, &wrong)));
        refused(&|| ignore(map.get_or_insert(1, 1, &wrong)));
        refused(&|| ignore(map.get_or_insert_with(1, || 1, &wrong)));
        refused(&|| ignore(map.replace(1, 1, &wrong)));
        refused(&|| ignore(map.update(1, |one| *one, &wrong)));
        refused(&|| ignore(map.compute(1, |_| Operation::Insert(1), &wrong)));
        refused(&|| ignore(map.remove(&1, &wrong)));
        refused(&|| ignore(map.remove_if(&1, |_, _| true, &wrong)));
        refused(&|| ignore(map.remove_all(&1, &wrong)));
        refused(&|| map.retain(|_, _| true, &wrong));
        refused(&|| map.clear(&wrong));
        refused(&|| map.reserve(1, &wrong));
        refused(&|| ignore(map.resize(1, &wrong)));
        refused(&|| ignore(map.shrink_to_fit(&wrong)));
        refused(&|| ignore(map.capacity(&wrong)));
        refused(&|| ignore(map.memory(&wrong)));
        refused(&|| ignore(set.insert(1, &wrong)));
        refused(&|| ignore(set.contains(&1, &wrong)));
        refused(&|| ignore(set.iter(&wrong)));
        assert!(map.is_empty() && set.is_empty());
    });
}

/// A value whose drop panics, with something whose drop panics, too.
struct Bomb(Arc<AtomicUsize>);

struct Shrapnel;

impl Drop for Shrapnel {
    fn drop(&mut self) {
        panic!("the payload's drop");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic_any(Shrapnel);
    }
}

fn bombs(entries: u64) -> (LfHashMap<u64, Bomb>, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let map = LfHashMap::<u64, Bomb>::new(Bp::vtable());
    for key in 0..entries {
        map.pin().insert(key, Bomb(Arc::clone(&dropped)));
    }
    (map, dropped)
}

#[test]
fn a_map_that_is_dropped_by_a_panic_drops_everything_whatever_panics() {
    let _ = OwnProcess::new()
        .run(|| {
            let (map, dropped) = bombs(100);
            let panicked = catch_unwind(AssertUnwindSafe(move || {
                let _map = map;
                panic!("the first");
            }));
            assert!(panicked.expect_err("it panicked").is::<&str>());
            assert_eq!(dropped.load(Ordering::Relaxed), 100);
        })
        .succeeded();
}

#[test]
fn an_iterator_that_owns_its_entries_drops_everything_whatever_panics() {
    let _ = OwnProcess::new()
        .run(|| {
            for taken in [0, 1, 2, 50, 99, 100] {
                let (map, dropped) = bombs(100);
                let mut entries = map.into_iter();
                for _ in 0..taken {
                    let (_, bomb) = entries.next().expect("there are more");
                    // Not dropped, but for what counts.
                    let bomb = mem::ManuallyDrop::new(bomb);
                    // SAFETY: not used again.
                    drop(unsafe { std::ptr::read(&bomb.0) });
                }
                let panicked = catch_unwind(AssertUnwindSafe(|| drop(entries)));
                assert_eq!(panicked.is_err(), taken != 100);
                let payload = catch_unwind(AssertUnwindSafe(|| drop(panicked)));
                assert_eq!(payload.is_err(), taken != 100);
                assert_eq!(dropped.load(Ordering::Relaxed), 100 - taken);
            }
        })
        .succeeded();
}

#[test]
fn room_that_cannot_be_had_is_refused() {
    within_limit("room_that_cannot_be_had_is_refused", || {
        let map = LfHashMap::<u64, u64>::new(Bp::vtable());
        let pinned = map.pin();
        pinned.insert(1, 1);
        for wanted in [usize::MAX, usize::MAX - 1, usize::MAX / 2, usize::MAX / 16, 1 << 58] {
            pinned.reserve(wanted);
            assert!(!pinned.resize(wanted));
            let made = catch_unwind(|| LfHashMap::<u64, u64>::with_capacity(wanted, Bp::vtable()));
            assert!(made.is_err(), "room for {wanted} entries");
        }
        assert_eq!(pinned.get(&1), Some(&1));
        assert_eq!(pinned.insert(2, 2), None);
    });
}

#[test]
fn a_table_that_cannot_grow_stays_as_it_is() {
    /// So many buckets that the keys of a small table have to be hashed again.
    const OUTGROWN: usize = 4 << 17;
    const ENTRIES: u64 = 60;
    let _ = OwnProcess::new()
        .run(|| {
            // No bucket is crowded: lines of chains are allocated like entries.
            let map = LfHashMap::<u64, u64, Plain>::with_hasher(Plain(0), Bp::vtable());
            let pinned = map.pin();
            (0..ENTRIES).for_each(|key| assert_eq!(pinned.insert(key, key), None));
            pinned.shrink_to_fit();
            drop(pinned);
            let mut refused = 0;
            for number in 1.. {
                Bp::vtable().wait_for_retired().expect("outside of sections");
                let pinned = map.pin();
                allocator::fail_at(number);
                pinned.reserve(OUTGROWN);
                let is_unharmed = allocator::fail_no_more();
                let has_grown = map.capacity(pinned.guard()) >= OUTGROWN;
                for key in 0..ENTRIES {
                    assert_eq!(pinned.get(&key), Some(&key));
                    assert_eq!(pinned.insert(key, key), Some(&key));
                }
                assert_eq!(pinned.iter().count() as u64, ENTRIES);
                if is_unharmed {
                    assert!(has_grown);
                    break;
                }
                refused += u32::from(!has_grown);
                pinned.shrink_to_fit();
            }
            // Buckets, what is said about them, keys that are hashed.
            assert!(refused > 5, "{refused} allocations");
        })
        .succeeded();
}

/// What a key does when it is compared or hashed.
type Trick = fn(&LfHashMap<Trickster, u64>);

thread_local! {
    static ON_EQ: Cell<Option<Trick>> = const { Cell::new(None) };
    static ON_HASH: Cell<Option<Trick>> = const { Cell::new(None) };
}

static TRICKED: OnceLock<LfHashMap<Trickster, u64>> = OnceLock::new();

/// A key that uses the map that it is in.
struct Trickster(u64);

fn trick(on: &Cell<Option<Trick>>) {
    if let Some(trick) = on.take() {
        trick(TRICKED.get().expect("made before"));
        on.set(Some(trick));
    }
}

impl Hash for Trickster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ON_HASH.with(trick);
        self.0.hash(state);
    }
}

impl PartialEq for Trickster {
    fn eq(&self, other: &Self) -> bool {
        ON_EQ.with(trick);
        self.0 == other.0
    }
}

impl Eq for Trickster {}

#[test]
fn keys_that_use_their_own_map_do_not_wait_for_themselves() {
    const OUTGROWN: usize = 4 << 17;
    within_limit("keys_that_use_their_own_map_do_not_wait_for_themselves", || {
        let map = TRICKED.get_or_init(|| LfHashMap::new(Bp::vtable()));
        let entries = 12;
        (0..entries).for_each(|key| assert!(map.pin().insert(Trickster(key), key).is_none()));
        let tricks: [Trick; 6] = [
            |map| ignore(map.pin().insert(Trickster(3), 3)),
            |map| ignore(map.pin().remove(&Trickster(3))),
            |map| map.pin().reserve(OUTGROWN),
            |map| map.pin().clear(),
            |map| ignore(map.pin().get(&Trickster(3))),
            |map| ignore(map.pin().iter().count()),
        ];
        let refused = AtomicUsize::new(0);
        for trick in tricks {
            let attempts: [&dyn Fn(); 5] = [
                &|| ignore(map.pin().insert(Trickster(3), 3)),
                &|| ignore(map.pin().try_insert(Trickster(3), 3).is_ok()),
                &|| ignore(map.pin().remove(&Trickster(3))),
                &|| ignore(map.pin().get(&Trickster(3))),
                &|| map.pin().reserve(OUTGROWN),
            ];
            for attempt in attempts {
                for on in [&ON_EQ, &ON_HASH] {
                    on.set(Some(trick));
                    refused.fetch_add(catch_unwind(AssertUnwindSafe(attempt)).is_err().into(), Ordering::Relaxed);
                    on.set(None);
                    // As ever.
                    let pinned = map.pin();
                    (0..entries).for_each(|key| ignore(pinned.insert(Trickster(key), key)));
                    assert_eq!(pinned.iter().count() as u64, entries);
                    pinned.shrink_to_fit();
                }
            }
        }
        assert!(refused.load(Ordering::Relaxed) >= 3, "changes of the bucket that is locked");
        map.pin().clear();
        Bp::vtable().wait_for_retired().expect("outside of sections");
    });
}

#[test]
fn sections_that_never_end_keep_no_map_from_ending() {
    let _ = OwnProcess::new()
        .run(|| {
            let counts = Counts::new();
            let map = LfHashMap::<u64, Counted>::new(Bp::vtable());
            thread::scope(|scope| {
                scope.spawn(|| {
                    let pinned = map.pin();
                    (0..1000).for_each(|key| ignore(pinned.insert(key, counts.make(key))));
                    mem::forget(pinned);
                });
            });
            for key in 0..500 {
                assert!(map.pin().remove(&key).is_some());
            }
            map.pin().shrink_to_fit();
            drop(map);
            // Those that were removed wait for a section that never ends.
            assert_eq!(counts.dropped(), 500);
        })
        .succeeded();
}

static AT_EXIT: OnceLock<LfHashMap<u64, u64>> = OnceLock::new();

/// Uses a map when its thread ends.
struct AtExit(Cell<u64>);

impl Drop for AtExit {
    fn drop(&mut self) {
        let map = AT_EXIT.get().expect("made before").pin();
        let key = self.0.get();
        for round in 0..100 {
            assert_eq!(map.insert(key, round), None);
            assert_eq!(map.remove(&key), Some(&round));
        }
        map.insert(key, key);
    }
}

thread_local! {
    static LATE: AtExit = const { AtExit(Cell::new(0)) };
}

#[test]
fn threads_use_maps_as_they_end_and_there_may_be_many_of_them() {
    // More than have a number of their own.
    const THREADS: u64 = 100;
    within_limit("threads_use_maps_as_they_end", || {
        let map = AT_EXIT.get_or_init(|| LfHashMap::new(Bp::vtable()));
        let together = Arc::new(Barrier::new(THREADS as usize));
        let thread = |number| {
            let together = Arc::clone(&together);
            move || {
                // Before and after the thread's first use of a map: destroyed in either order.
                if u64::is_multiple_of(number, 2) {
                    LATE.with(|late| late.0.set(number));
                }
                map.pin().insert(THREADS + number, number);
                LATE.with(|late| late.0.set(number));
                together.wait();
                for round in 0..50 {
                    map.pin().insert(1000 + 100 * number + round, round);
                }
            }
        };
        // Joined, not scoped: a scope does not wait for what is done as a thread ends.
        let threads: Vec<_> = (0..THREADS).map(|number| thread::spawn(thread(number))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(map.len() as u64, THREADS * 52);
        assert_eq!(map.pin().iter().count() as u64, THREADS * 52);
        // Leak checkers do not find entries of a map that is never dropped: their pointers are used for more.
        map.pin().clear();
        Bp::vtable().wait_for_retired().expect("not inside a section");
    });
}

#[cfg(feature = "serde")]
mod serde {
    use super::*;
    use ::serde::de::DeserializeSeed;
    use ::serde::de::value::{Error, MapDeserializer, SeqDeserializer};
    use cds_lfht::map::InFlavor;

    /// Says that there is more than there can be.
    struct Boaster<I>(I);

    impl<I: Iterator> Iterator for Boaster<I> {
        type Item = I::Item;

        fn next(&mut self) -> Option<I::Item> {
            self.0.next()
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, Some(usize::MAX))
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        let entries = MapDeserializer::<_, Error>::new(Boaster([(1_u64, 2_u64), (1, 3), (4, 5)].into_iter()));
        let map = InFlavor::<LfHashMap<u64, u64>>::new(Bp::vtable()).deserialize(entries).expect("entries");
        assert_eq!((map.len(), map.pin().get(&1), map.pin().get(&4)), (2, Some(&3), Some(&5)));
        assert!(map.memory(map.pin().guard()) < 1 << 20);
        let values = SeqDeserializer::<_, Error>::new(Boaster([1_u64, 1, 2].into_iter()));
        let set = InFlavor::<LfHashSet<u64>>::new(Bp::vtable()).deserialize(values).expect("values");
        assert_eq!(set.len(), 2);
    }
}

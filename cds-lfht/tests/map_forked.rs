//! A forked child has the map as it was, whatever the parent's other threads were doing to it.
#![cfg(not(urcu_tsan))] // Which has no threads in the children of a program with threads.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cds_lfht::LfHashMap;
use cds_lfht::map::Operation;
use structure_conformance::seed::Random;
use structure_conformance::{Bp, Gate, Mb, Membarrier, OwnProcess, Qsbr, Signal, Tested, forked};
use urcu_core::{AnyGuard, Thread};

thread_local! {
    /// What stops on this thread, until the gate opens.
    static STOPS: Cell<Stops> = const { Cell::new(Stops::Nothing) };
}
static STOPPED: Gate = Gate::new();
static GO_ON: Gate = Gate::new();

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    Nothing,
    Comparing,
    Hashing,
}

fn may_stop(stops: Stops) {
    if STOPS.get() == stops {
        STOPS.set(Stops::Nothing);
        STOPPED.open();
        GO_ON.wait();
    }
}

/// A key in whose operations a thread can be stopped.
#[derive(Clone, Copy, Debug)]
struct Key(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        may_stop(Stops::Hashing);
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        may_stop(Stops::Comparing);
        self.0 == other.0
    }
}

impl Eq for Key {}

const ENTRIES: u64 = 300;
/// So many buckets that the keys of a small table have to be hashed again.
const OUTGROWN: usize = 4 << 17;

/// Everything that may be done to a map whose keys below `ENTRIES` are there.
fn use_it(map: LfHashMap<Key, u64>) {
    let pinned = map.pin();
    for key in 0..ENTRIES {
        assert_eq!(pinned.get(&Key(key)), Some(&key));
    }
    assert_eq!(pinned.iter().count() as u64, ENTRIES);
    for key in 0..ENTRIES {
        assert_eq!(pinned.insert(Key(key), key), Some(&key));
        assert_eq!(pinned.update(Key(key), |value| value + 1), Some((&key, &(key + 1))));
    }
    pinned.reserve(OUTGROWN);
    assert!(map.capacity(pinned.guard()) >= OUTGROWN);
    for key in 0..ENTRIES {
        assert_eq!(pinned.remove(&Key(key)), Some(&(key + 1)));
    }
    assert!(pinned.iter().next().is_none());
    pinned.shrink_to_fit();
    assert!(map.capacity(pinned.guard()) < OUTGROWN);
    drop(pinned);
    drop(map);
}

/// Forks while another thread of this process is stopped in the middle of `update`.
fn stopped_in(stops: Stops, update: fn(&LfHashMap<Key, u64>)) {
    // The child's copy is used by value.
    let map = std::mem::ManuallyDrop::new(LfHashMap::<Key, u64>::new(Bp::vtable()));
    for key in 0..ENTRIES {
        map.pin().insert(Key(key), key);
    }
    thread::scope(|scope| {
        let updated = &*map;
        scope.spawn(move || {
            STOPS.set(stops);
            update(updated);
        });
        STOPPED.wait();
        // SAFETY: in the child, where nobody else has it: the other thread does not exist there.
        let child = forked::start(|| use_it(unsafe { std::ptr::read(&*map) }));
        // Another, which only drops it.
        // SAFETY: as above.
        let other = forked::start(|| drop(unsafe { std::ptr::read(&*map) }));
        child.succeeded();
        other.succeeded();
        GO_ON.open();
    });
    use_it(std::mem::ManuallyDrop::into_inner(map));
}

#[test]
fn a_bucket_that_was_locked_at_the_fork_can_be_used() {
    let _ = OwnProcess::new()
        .run(|| {
            stopped_in(Stops::Comparing, |map| {
                assert_eq!(map.pin().insert(Key(7), 7), Some(&7));
            });
        })
        .succeeded();
}

#[test]
fn a_move_that_was_under_way_at_the_fork_goes_on() {
    let _ = OwnProcess::new().run(|| stopped_in(Stops::Hashing, |map| map.pin().reserve(OUTGROWN))).succeeded();
}

/// Tells when it is dropped, which may be once.
struct Value {
    number: usize,
    key: u64,
    /// Also an allocation, so that a sanitizer sees what is looked at too late.
    drops: Arc<Vec<AtomicUsize>>,
}

impl Drop for Value {
    fn drop(&mut self) {
        let before = self.drops[self.number].fetch_add(1, Ordering::Relaxed);
        assert_eq!(before, 0, "dropped twice");
    }
}

/// Does nothing with a result.
fn ignore<T>(_: T) {}

type Map = LfHashMap<u64, Value>;

/// Keys that are always there, and others.
const STAYING: u64 = 100;
const KEYS: u64 = 2000;
const MOST_VALUES: usize = 1_000_000;

struct Values {
    drops: Arc<Vec<AtomicUsize>>,
    made: AtomicUsize,
}

impl Values {
    fn make(&self, key: u64) -> Value {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Value { number, key, drops: Arc::clone(&self.drops) }
    }

    fn are_left(&self) -> bool {
        self.made.load(Ordering::Relaxed) < MOST_VALUES - 100_000
    }
}

fn change(map: &Map, values: &Values, random: &mut Random, guard: &impl AnyGuard) {
    let key = random.below(KEYS);
    let is_staying = key < STAYING;
    match random.below(8) {
        0..=2 => ignore(map.insert(key, values.make(key), guard).map(|old| assert_eq!(old.key, key))),
        3 => ignore(map.try_insert(key, values.make(key), guard).map(|value| value.key)),
        4 | 5 if !is_staying => ignore(map.remove(&key, guard).map(|old| assert_eq!(old.key, key))),
        6 => {
            let decide = |there: Option<(&u64, &Value)>| match there {
                Some(_) if !is_staying => Operation::Remove,
                _ => Operation::Insert(values.make(key)),
            };
            let _ = map.compute(key, decide, guard);
        }
        _ if random.once_in(100) => {
            map.resize(random.below(2 * KEYS) as usize, guard);
        }
        _ if random.once_in(4) => ignore(map.insert_duplicate(KEYS + key, values.make(KEYS + key), guard).key),
        _ => ignore(map.remove_all(&(KEYS + key), guard)),
    }
}

/// In the child.
fn check<F: Tested>(map: Map, values: &Values, random: &mut Random, round: u64) {
    {
        let thread = Thread::<F>::register().expect("not registered yet");
        let guard = thread.read_lock();
        let mut seen = vec![0; STAYING as usize];
        for key in 0..STAYING {
            assert_eq!(map.get(&key, &guard).expect("it is always there").key, key);
        }
        for (key, value) in map.iter(&guard) {
            assert_eq!((value.key, value.drops[value.number].load(Ordering::Relaxed)), (*key, 0));
            if let Some(seen) = seen.get_mut(*key as usize) {
                *seen += 1;
            }
        }
        assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
        if round.is_multiple_of(4) {
            // Dropped in the state that it was found in.
            return drop(guard);
        }
        for key in (0..KEYS).rev() {
            let old = map.insert(key, values.make(key), &guard).is_some();
            assert!(old || key >= STAYING);
            assert_eq!(map.get(&key, &guard).expect("just inserted").key, key);
        }
        map.reserve(20 * KEYS as usize, &guard);
        assert!(map.capacity(&guard) as u64 >= 20 * KEYS);
        for key in 0..KEYS {
            assert!(map.remove(&key, &guard).is_some());
            assert!(map.remove(&key, &guard).is_none(), "there were two");
        }
        map.retain(|key, value| *key == value.key && *key < KEYS, &guard);
        assert_eq!(map.iter(&guard).count(), 0);
        // Not more often than it may during one section.
        map.shrink_to_fit(&guard);
    }
    thread::scope(|scope| {
        for number in 0..2 {
            let map = &map;
            let mut random = Random::new(random.next() + number);
            scope.spawn(move || {
                let thread = Thread::<F>::register().expect("not registered yet");
                (0..2000).for_each(|_| change(map, values, &mut random, &thread.read_lock()));
            });
        }
    });
    if round.is_multiple_of(2) {
        for (key, value) in map {
            assert_eq!(key, value.key);
        }
    }
}

/// Forks at random moments while others change the map.
fn at_any_moment<F: Tested>() {
    const UPDATERS: u64 = 3;
    const FORKS: u64 = 20;
    let drops = Arc::new((0..MOST_VALUES).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let values = Values { drops, made: AtomicUsize::new(0) };
    let mut random = Random::new(1);
    let stop = AtomicBool::new(false);
    let mut forks = 0;
    while forks < FORKS {
        let map = std::mem::ManuallyDrop::new(Map::new(F::vtable()));
        {
            let thread = Thread::<F>::register().expect("not registered yet");
            let guard = thread.read_lock();
            (0..STAYING).for_each(|key| assert!(map.insert(key, values.make(key), &guard).is_none()));
        }
        stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for updater in 0..UPDATERS {
                let (map, values, stop) = (&*map, &values, &stop);
                let mut random = Random::new(random.next() + updater);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    while !stop.load(Ordering::Relaxed) && values.are_left() {
                        let guard = thread.read_lock();
                        (0..16).for_each(|_| change(map, values, &mut random, &guard));
                    }
                });
            }
            for _ in 0..10 {
                forks += 1;
                thread::yield_now();
                for _ in 0..random.below(100_000) {
                    std::hint::spin_loop();
                }
                // SAFETY: outside of every section.
                unsafe { (F::vtable().fork_before)() };
                let child = forked::start(|| {
                    // SAFETY: follows the first hook, on the child's only thread.
                    unsafe { (F::vtable().fork_after_child)() };
                    // SAFETY: nobody else has it here: the other threads do not exist.
                    let map = unsafe { std::ptr::read(&*map) };
                    check::<F>(map, &values, &mut random, forks);
                });
                // SAFETY: follows the first hook.
                unsafe { (F::vtable().fork_after_parent)() };
                child.succeeded();
            }
            stop.store(true, Ordering::Relaxed);
        });
        drop(std::mem::ManuallyDrop::into_inner(map));
    }
}

macro_rules! at_any_moment {
    ($($name:ident: $flavor:ty)*) => {
        mod at_any_moment {
            $(
                #[test]
                fn $name() {
                    let _ = super::OwnProcess::new().run(|| super::at_any_moment::<$flavor>()).succeeded();
                }
            )*
        }
    };
}

at_any_moment! {
    qsbr: super::Qsbr
    mb: super::Mb
    membarrier: super::Membarrier
    signal: super::Signal
    bp: super::Bp
}

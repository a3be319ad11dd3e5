//! Several entries with one key: a key that has one of them at every moment is found at every moment.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cds_lfht::LfHashMap;
use structure_conformance::{on_every_flavor, seed::Random};
use urcu_core::Thread;

/// All keys in one bucket with one tag: slots change hands quickly.
#[derive(Clone, Default)]
struct Same;

impl BuildHasher for Same {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for Same {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}
}

/// Keys that are always there.
const STAYING: u64 = 2;
/// Lookups by each reader.
const LOOKUPS: usize = 200_000;

/// Stops the others when this thread ends, also by a panic.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

on_every_flavor! {
    fn a_key_whose_copies_come_and_go_is_always_found<F>() {
        let map = LfHashMap::<u64, u64, Same>::with_hasher(Same, F::vtable());
        let stop = AtomicBool::new(false);
        let updates = AtomicUsize::new(0);
        {
            let thread = Thread::<F>::register().expect("not registered yet");
            let guard = thread.read_lock();
            (0..STAYING).for_each(|key| assert!(map.insert(key, 0, &guard).is_none()));
        }
        thread::scope(|scope| {
            for updater in 0..STAYING {
                let (map, stop, updates) = (&map, &stop, &updates);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let mut random = Random::new(updater);
                    let (own, other) = (updater, STAYING + updater);
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let guard = thread.read_lock();
                        // Another one comes before one goes, and then others take its place.
                        number += 1;
                        map.insert_duplicate(own, number, &guard);
                        if random.once_in(2) {
                            assert!(map.remove(&own, &guard).is_some());
                        } else {
                            assert!(map.remove_if(&own, |_, _| true, &guard).is_some());
                        }
                        for another in 0..random.below(4) {
                            map.insert_duplicate(other, another, &guard);
                        }
                        if random.once_in(4) {
                            map.remove_all(&other, &guard);
                        }
                        updates.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for reader in 0..2 {
                let (map, stop, updates) = (&map, &stop, &updates);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let _stops = Stops(stop);
                    let mut random = Random::new(100 + reader);
                    let mut lookups = 0;
                    while lookups < LOOKUPS || updates.load(Ordering::Relaxed) < 1000 {
                        let guard = thread.read_lock();
                        for _ in 0..50 {
                            lookups += 1;
                            let key = random.below(STAYING);
                            assert!(map.contains(&key, &guard), "key {key} was missed at lookup {lookups}");
                            let found = map.get_many([&0, &1], &guard);
                            assert!(found.iter().all(Option::is_some), "{found:?} at lookup {lookups}");
                        }
                    }
                });
            }
        });
        let thread = Thread::<F>::register().expect("not registered yet");
        let guard = thread.read_lock();
        for key in 0..STAYING {
            assert_eq!(map.get_all(&key, &guard).count(), 1);
        }
    }
}

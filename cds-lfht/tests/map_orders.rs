//! What one thread's memory is ordered by before another one uses it. ThreadSanitizer looks: without it, these tests find
//! little.
//!
//! Threads meet by `Relaxed` accesses here, which order nothing.
#![cfg(not(urcu_loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cds_lfht::LfHashMap;
use structure_conformance::on_every_flavor;
use urcu_core::Thread;

/// Waits until so many have come, without an order among them.
fn meet(here: &AtomicUsize, count: usize) {
    here.fetch_add(1, Ordering::Relaxed);
    while here.load(Ordering::Relaxed) < count {
        thread::yield_now();
    }
}

on_every_flavor! {
    /// More threads than there are stripes for single ones.
    fn threads_that_share_a_stripe<F>() {
        const THREADS: usize = 40;
        let map = LfHashMap::<usize, usize>::new(F::vtable());
        let here = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (map, here) = (&map, &here);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    map.insert(number, number, &thread.read_lock());
                    meet(here, THREADS);
                    for key in 0..200 {
                        map.insert(THREADS + number * 200 + key, key, &thread.read_lock());
                    }
                });
            }
        });
        assert_eq!(map.len(), THREADS * 201);
    }

    /// How large the next table is may be asked while it is new.
    fn memory_beside_moves<F>() {
        let map = LfHashMap::<u64, u64>::new(F::vtable());
        let is_over = AtomicBool::new(false);
        let grown = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let thread = Thread::<F>::register().expect("not registered yet");
                let mut most = 0;
                while !is_over.load(Ordering::Relaxed) {
                    most = most.max(map.memory(&thread.read_lock()));
                }
                most
            });
            let thread = Thread::<F>::register().expect("not registered yet");
            for key in 0..30_000 {
                map.insert(key, key, &thread.read_lock());
            }
            is_over.store(true, Ordering::Relaxed);
            asking.join().expect("no panic")
        });
        let thread = Thread::<F>::register().expect("not registered yet");
        assert!(map.memory(&thread.read_lock()) >= 30_000 * 16 && grown > 0);
    }

    /// Entries that are reclaimed by several threads after their map has gone: the last one frees the memory of all.
    fn entries_outlive_their_map<F>() {
        const THREADS: usize = 4;
        for _ in 0..4 {
            let map = Arc::new(LfHashMap::<usize, usize>::new(F::vtable()));
            let (here, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
            thread::scope(|scope| {
                for number in 0..THREADS {
                    let (here, gone) = (&here, &gone);
                    let map = Arc::clone(&map);
                    scope.spawn(move || {
                        let mut thread = Thread::<F>::register().expect("not registered yet");
                        let keys = number * 300..(number + 1) * 300;
                        keys.clone().for_each(|key| _ = map.insert(key, key, &thread.read_lock()));
                        meet(here, THREADS);
                        keys.for_each(|key| assert!(map.remove(&key, &thread.read_lock()).is_some()));
                        drop(map);
                        gone.fetch_add(1, Ordering::Relaxed);
                        thread.synchronize();
                    });
                }
                drop(map);
            });
            assert_eq!(gone.load(Ordering::Relaxed), THREADS);
        }
        let mut thread = Thread::<F>::register().expect("not registered yet");
        thread.while_offline(|| F::vtable().wait_for_retired()).expect("outside of sections");
    }
}

//! What one thread's memory is ordered by before another one uses it. ThreadSanitizer looks: without it, these tests find
//! little.
//!
//! Threads meet by `Relaxed` accesses here, which order nothing.
#![cfg(not(urcu_loom))]

use std::sync::atomic::{AtomicUsize, Ordering};
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
}

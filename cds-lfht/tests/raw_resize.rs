//! Growing and shrinking in the background: always to the end, beside everything, with too few processors, and when the
//! table goes away meanwhile.
#![cfg(not(urcu_loom))]

mod raw_common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use cds_lfht::raw::Options;
use raw_common::{Entries, memories};
use structure_conformance::{Mb, Tested, Thread, on_every_flavor, until, within_limit};

on_every_flavor! {
    fn tables_grow_to_the_end_time_and_again<F>() {
        let mut thread = Thread::<F>::register().unwrap();
        for round in 0..30 {
            let entries = Entries::new::<F>(memories()[round % 3]);
            for key in 0..10_000 {
                entries.add_unique(key, key, &thread.read_lock());
                if key % 64 == 0 {
                    thread.quiescent_state();
                }
            }
            until("the table has reached its size", || {
                thread.quiescent_state();
                entries.table().size() >= 16_384
            });
            // From 4,096 in one step, and no further.
            let size = entries.table().size();
            assert!(size <= 65_536, "{size} buckets");
            let guard = thread.read_lock();
            assert!((0..10_000).all(|key| entries.lookup(key, &guard).is_some()));
        }
    }

    fn tables_go_away_while_they_are_resized<F>() {
        let mut thread = Thread::<F>::register().unwrap();
        for round in 0..40_u64 {
            let entries = Entries::new::<F>(memories()[round as usize % 3]);
            for key in 0..3000 + round * 200 {
                entries.add(key, key, &thread.read_lock());
            }
            if round % 2 == 0 {
                entries.clear(&thread.read_lock());
            }
            // Dropped at once, in whatever state it is.
            drop(entries);
            thread.quiescent_state();
        }
        thread.while_offline(|| F::vtable().wait_for_retired()).unwrap();
    }

    fn growth_does_not_wait_for_a_reader_that_stands_still<F>() {
        let entries = Entries::new::<F>(Options::new());
        let (inside, release) = (AtomicBool::new(false), AtomicBool::new(false));
        scope(|scope| {
            scope.spawn(|| {
                let thread = Thread::<F>::register().unwrap();
                let guard = thread.read_lock();
                assert!(entries.lookup(0, &guard).is_none());
                inside.store(true, Ordering::Release);
                until("it is released", || release.load(Ordering::Acquire));
            });
            until("it is inside", || inside.load(Ordering::Acquire));
            let thread = Thread::<F>::register().unwrap();
            // No grace period can end, so the worker cannot begin: updaters have to.
            for key in 0..120_000 {
                entries.add(key, key, &thread.read_lock());
            }
            let size = entries.table().size();
            release.store(true, Ordering::Release);
            assert!(size >= 131_072, "only {size} buckets");
        });
    }

    fn waiting_for_retired_values_does_not_wait_for_ever_for_resizes<F>() {
        let entries = Entries::new::<F>(Options::new());
        let mut thread = Thread::<F>::register().unwrap();
        for key in 0..30_000 {
            entries.add(key, key, &thread.read_lock());
            if key % 5000 == 0 {
                thread.while_offline(|| F::vtable().wait_for_retired()).unwrap();
            }
        }
        for key in 0..30_000 {
            entries.remove(key, &thread.read_lock());
            if key % 5000 == 0 {
                thread.while_offline(|| F::vtable().wait_for_retired()).unwrap();
            }
        }
    }

    fn growth_without_counters_goes_by_the_length_of_chains<F>() {
        let entries = Entries::new::<F>(Options::new().accounting(false));
        let mut thread = Thread::<F>::register().unwrap();
        for key in 0..100_000 {
            entries.add(key, key, &thread.read_lock());
            if key % 64 == 0 {
                thread.quiescent_state();
            }
        }
        let size = entries.table().size();
        assert!((16_384..1 << 20).contains(&size), "{size} buckets");
        let guard = thread.read_lock();
        assert_eq!(entries.count(&guard), 100_000);
    }
}

/// Fills a table; how long it took until it had its size.
fn time_to_grow<F: Tested>(count: u64) -> Duration {
    let entries = Entries::new::<F>(Options::new());
    let mut thread = Thread::<F>::register().unwrap();
    let start = Instant::now();
    for key in 0..count {
        entries.add(key, key, &thread.read_lock());
    }
    until("the table has its size", || {
        thread.quiescent_state();
        entries.table().size() as u64 >= count
    });
    start.elapsed()
}

#[test]
fn a_table_reaches_its_size_with_more_busy_threads_than_processors() {
    within_limit("oversubscribed", || {
        let count = 1 << 17;
        let busy = 3 * std::thread::available_parallelism().map_or(4, usize::from);
        let ended = AtomicBool::new(false);
        let grown = scope(|scope| {
            for _ in 0..busy {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let time = time_to_grow::<Mb>(count);
            ended.store(true, Ordering::Relaxed);
            time
        });
        // Reported, not judged by: the clock of a busy machine proves nothing. That it ends at all is what the limit judges.
        println!("alone {:?}, beside {busy} busy threads {grown:?}", time_to_grow::<Mb>(count));
    });
}

#[test]
fn resizes_by_several_threads_take_turns() {
    within_limit("turns", || {
        let entries = Entries::new::<Mb>(Options::new().auto_resize(false));
        scope(|scope| {
            for order in 0..4 {
                let entries = &entries;
                scope.spawn(move || {
                    for round in 0..20 {
                        entries.table().resize(1 << (order * 2 + round % 2)).unwrap();
                    }
                });
            }
        });
        assert!(entries.table().size() <= 128);
    });
}

#[test]
fn updates_and_resizes_by_threads_of_all_flavors_at_their_own_tables() {
    fn one<F: Tested>() {
        let entries = Entries::new::<F>(Options::new());
        let thread = Thread::<F>::register().unwrap();
        for key in 0..5000 {
            entries.add_unique(key, key, &thread.read_lock());
        }
        assert_eq!(entries.count(&thread.read_lock()), 5000);
    }
    within_limit("all flavors", || {
        scope(|scope| {
            scope.spawn(one::<structure_conformance::Qsbr>);
            scope.spawn(one::<structure_conformance::Mb>);
            scope.spawn(one::<structure_conformance::Membarrier>);
            scope.spawn(one::<structure_conformance::Signal>);
            scope.spawn(one::<structure_conformance::Bp>);
        });
    });
}

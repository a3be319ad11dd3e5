//! Many entries: two million, or as many as `URCU_MAP_ENTRIES` says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cds_lfht::LfHashMap;
use structure_conformance::{Bp, Tested, within_limit};

fn entries() -> u64 {
    std::env::var("URCU_MAP_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000_000)
}

#[test]
fn many_entries_come_and_go() {
    within_limit("many_entries_come_and_go", || {
        let entries = entries();
        let map = LfHashMap::<u64, u64>::new(Bp::vtable());
        let least = map.capacity(&Bp::vtable().pin());
        let threads = 4;
        let each = |work: &(dyn Fn(u64) + Sync)| {
            thread::scope(|scope| {
                for first in 0..threads {
                    scope.spawn(move || (first..entries).step_by(threads as usize).for_each(work));
                }
            });
        };
        each(&|key| assert!(map.pin().insert(key, key ^ 5).is_none()));
        assert_eq!(map.len() as u64, entries);
        let sum = AtomicU64::new(0);
        each(&|key| {
            sum.fetch_add(*map.pin().get(&key).expect("inserted"), Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), (0..entries).map(|key| key ^ 5).fold(0, u64::wrapping_add));
        assert_eq!(map.pin().iter().count() as u64, entries);
        each(&|key| assert_eq!(map.pin().remove(&key), Some(&(key ^ 5))));
        assert!(map.is_empty());
        map.pin().shrink_to_fit();
        assert_eq!(map.capacity(&Bp::vtable().pin()), least);
    });
}

/// Growth goes on whoever is preempted in the middle of it.
#[test]
fn growth_ends_with_more_threads_than_processors() {
    within_limit("growth_ends_with_more_threads_than_processors", || {
        let entries = 400_000_u64;
        let time = |threads: u64| {
            let map = LfHashMap::<u64, u64>::new(Bp::vtable());
            let start = Instant::now();
            thread::scope(|scope| {
                for first in 0..threads {
                    let map = &map;
                    scope.spawn(move || {
                        for key in (first..entries).step_by(threads as usize) {
                            assert!(map.pin().insert(key, key).is_none());
                        }
                    });
                }
            });
            let elapsed = start.elapsed();
            let pinned = map.pin();
            // A bucket whose lock was held by a thread that was not running is left to later updates: two rounds over all buckets.
            let has_grown = || map.capacity(pinned.guard()) as u64 >= entries;
            let more =
                (entries..2 * entries).take_while(|&key| !has_grown() && pinned.insert(key, key).is_none()).count();
            assert!(has_grown(), "the table has not grown");
            assert_eq!(pinned.iter().count(), entries as usize + more);
            elapsed
        };
        let processors = thread::available_parallelism().map_or(1, usize::from) as u64;
        let times: Vec<Duration> = [1, processors, 4 * processors].map(time).into();
        println!("{entries} entries by 1, {processors} and {} threads: {times:?}", 4 * processors);
    });
}

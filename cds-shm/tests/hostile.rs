//! Chosen nonsense in a segment, and threads that use one heap at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use cds_shm::{Bytes, Heap, ShmError, ShmHashMap, ShmList};
use urcu_shm::{Offset, Segment};

fn word(segment: &Segment, at: u64) -> &AtomicU64 {
    let at = segment.resolve::<AtomicU64>(Offset::new(at)).expect("inside, and aligned");
    // SAFETY: inside the segment's data, which the handle keeps; any bits are an atomic.
    unsafe { at.as_ref() }
}

/// Where the root block of the first structure is: the third word of the first entry.
fn first_root(segment: &Segment) -> u64 {
    word(segment, segment.data_start().get() + 16).load(Ordering::Relaxed)
}

#[test]
fn sizes_that_no_table_can_have_are_errors() {
    for wrong in [0, 1, 3, 32, 65, 96, 100, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 33, 1 << 63, u64::MAX] {
        for entries in [10, 100, 500_u64] {
            let segment = Segment::create_memfd("hostile-size", 4 << 20).expect("a segment");
            let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
            let mut map = heap.map::<u64, u64>("map").expect("fresh");
            for key in 0..entries {
                map.insert(&key, &key).expect("room");
            }
            word(&segment, first_root(&segment)).store(wrong, Ordering::Relaxed);
            let mut outcome = Ok(());
            for key in 0..2 * entries {
                outcome = outcome.and(map.insert(&key, &key).map(drop));
                outcome = outcome.and(map.peek(&key).map(drop).map_err(ShmError::from));
            }
            for key in 0..2 * entries {
                outcome = outcome.and(map.remove(&key).map(drop));
            }
            assert!(!matches!(outcome, Err(ShmError::Full { .. })), "{wrong} {entries}: {outcome:?}");
            drop((map, heap));
            // Whether it can be taken over or not.
            let _ = Heap::open(segment.writer().expect("given up"));
        }
    }
}

#[test]
fn lengths_that_nothing_can_have_are_errors() {
    let segment = Segment::create_memfd("hostile-length", 1 << 20).expect("a segment");
    let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
    let mut list = heap.list::<Bytes>("list").expect("fresh");
    list.push_back(b"something").expect("room");
    // The only node: behind its two links is the length.
    let length = word(&segment, word(&segment, first_root(&segment)).load(Ordering::Relaxed) + 16);
    assert_eq!(length.load(Ordering::Relaxed), 9);
    for wrong in (0..64).map(|less| u64::MAX - less).chain([1 << 20, 1 << 63]) {
        length.store(wrong, Ordering::Relaxed);
        assert!(list.to_vec().is_err(), "{wrong:#x}");
    }
    length.store(9, Ordering::Relaxed);
    assert_eq!(list.to_vec(), Ok(vec![b"something".to_vec()]));
}

#[test]
fn structures_that_are_made_at_the_same_time_are_all_there() {
    const THREADS: u64 = 4;
    for _ in 0..50 {
        let segment = Segment::create_memfd("together", 4 << 20).expect("a segment");
        let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
        let start = Arc::new(Barrier::new(THREADS as usize));
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (heap, start) = (heap.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    let mut map = heap.map::<u64, u64>(&format!("map {number}")).expect("its own name");
                    map.insert(&number, &number).expect("room");
                    let same = heap.map::<u64, u64>("the same");
                    (map, same)
                })
            })
            .collect();
        let made: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(made.iter().filter(|(_, same)| same.is_ok()).count(), 1, "one has it, the others are told");
        drop(made);
        for number in 0..THREADS {
            let map = ShmHashMap::<u64, u64>::open(&segment, &format!("map {number}")).expect("made");
            assert_eq!(map.segment().data_len(), segment.data_len());
            let map = heap.map::<u64, u64>(&format!("map {number}")).expect("made, and given back");
            assert_eq!(map.peek(&number), Ok(Some(number)));
        }
        let balance = heap.check().expect("nothing is corrupt");
        assert_eq!(balance.lost, 0, "{balance:?}");
    }
}

#[test]
fn patience_has_no_limit_and_a_map_that_has_no_room_loses_nothing() {
    let segment = Segment::create_memfd("patient", 100 << 10).expect("a segment");
    let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
    heap.set_patience(Duration::MAX);
    let mut list = heap.list::<Bytes>("list").expect("fresh");
    let full = loop {
        if let Err(full) = list.push_back(&[0; 400]) {
            break full;
        }
    };
    assert_eq!(full, ShmError::Full { retired: 0 });
    // One more span would be needed for the buckets, which are larger than elements.
    for number in 0..10 {
        let _ = heap.map::<u64, u64>(&format!("{number}"));
    }
    assert_eq!(heap.check().expect("nothing is corrupt").lost, 0);
    assert!(ShmList::<Bytes>::open(&segment, "list").is_ok());
}

//! Chosen nonsense in a segment, and threads that use one heap at once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use cds_shm::{Bytes, Heap, ShmError, ShmHashMap, ShmList};
use urcu_conformance::watchdog;
use urcu_shm::{Offset, Segment, SegmentOptions};

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

/// Page 1 begins with the number of the current grace period.
#[test]
fn a_flush_ends_when_the_number_of_grace_periods_goes_back() {
    let segment = Segment::create_memfd("set-back", 1 << 20).expect("a segment");
    urcu_shm::attach(&segment).expect("the only test here that attaches");
    let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
    let mut map = heap.map::<u64, u64>("map").expect("fresh");
    let file = File::from(segment.fd().try_clone_to_owned().expect("a descriptor"));
    let page = urcu_core::sys::page_size() as u64;
    let mut first = [0; 8];
    file.read_exact_at(&mut first, page).expect("inside");
    (0..1000).for_each(|_| _ = segment.start_grace_period());
    let thread = urcu_shm::register().expect("attached");
    let guard = thread.read_lock();
    for key in 0..600 {
        map.insert(&key, &key).expect("room");
        map.remove(&key).expect("nothing is corrupt");
    }
    assert_ne!(heap.retired_bytes(), 0, "the section holds it up");
    file.write_all_at(&first, page).expect("inside");
    drop(guard);
    let (done, is_done) = mpsc::channel();
    let flushed = heap.clone();
    thread::spawn(move || {
        flushed.flush();
        done.send(()).expect("the test waits");
    });
    is_done.recv_timeout(watchdog::patient(watchdog::LIMIT)).expect("it goes on for ever");
    assert_eq!(heap.retired_bytes(), 0);
    assert_eq!(heap.check().expect("nothing is corrupt").lost, 0);
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a local.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The size says that nearly all buckets are above it, and of no bucket that one may start there: so each would be looked for
/// from the beginning of the list.
#[test]
fn a_takeover_looks_at_each_bucket_once() {
    const ENTRIES: u64 = 16_000;
    let segment = Segment::create_memfd("takeover", 8 << 20).expect("a segment");
    let fill = || {
        let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
        let mut map = heap.map::<u64, u64>("map").expect("fresh");
        (0..ENTRIES).for_each(|key| _ = map.insert(&key, &key).expect("room"));
        map.buckets() as u64
    };
    let buckets = fill();
    assert!(buckets > ENTRIES / 2, "{buckets}");
    let begin = processor_time();
    drop(Heap::open(segment.writer().expect("given up")).expect("intact"));
    let intact = processor_time() - begin;
    let root = first_root(&segment);
    let damage = || {
        for index in 1..buckets {
            // Behind size and seed: where bucket 0 would be, plus one, if the piece began with it.
            let piece = index.checked_ilog2().map_or(0, |order| u64::from(order.saturating_sub(5)));
            let base = word(&segment, root + 16 + piece * 8).load(Ordering::Relaxed).wrapping_sub(1);
            // Its flag that one may start there.
            word(&segment, base.wrapping_add(index * 8)).fetch_and(!4, Ordering::Relaxed);
        }
        word(&segment, root).store(64, Ordering::Relaxed);
    };
    // The processor that a guest is charged for may have been somebody else's: one quick takeover out of some proves that no bucket
    // is looked for from the beginning.
    let quick = 10 * intact + Duration::from_millis(20);
    let heap = (1..=10).find_map(|attempt| {
        damage();
        let begin = processor_time();
        let heap = Heap::open(segment.writer().expect("given up")).expect("all of it can be reached");
        let damaged = processor_time() - begin;
        println!("intact: {intact:?}, damaged: {damaged:?}, attempt {attempt}");
        (damaged < quick).then_some(heap)
    });
    let heap = heap.expect("a takeover takes much longer than one of an intact segment");
    let map = heap.map::<u64, u64>("map").expect("there");
    assert_eq!(map.len() as u64, ENTRIES);
    assert!((0..ENTRIES).all(|key| map.peek(&key) == Ok(Some(key))));
}

#[test]
fn lengths_that_no_block_has_are_not_copied() {
    const MOST: u64 = 100 << 20;
    let segment = SegmentOptions::new(256 << 20).sparse().create_memfd("long").expect("a segment");
    let heap = Heap::open(segment.writer().expect("nobody else")).expect("fresh");
    let mut list = heap.list::<Bytes>("list").expect("fresh");
    list.push_back(b"something").expect("room");
    let node = word(&segment, first_root(&segment)).load(Ordering::Relaxed);
    word(&segment, node + 16).store(MOST, Ordering::Relaxed);
    assert!(list.to_vec().is_err(), "as long as the segment has room");
    word(&segment, node + 16).store(9, Ordering::Relaxed);
    // What is as long is there.
    for length in [4096 - 24, 4096, 8192 - 24, 8192, 32768 - 24, 32768, 100_000] {
        list.retain(|_| false).expect("nothing is corrupt");
        let value = vec![length as u8; length];
        list.push_back(&value).expect("room");
        assert_eq!(list.to_vec(), Ok(vec![value]));
    }
    let mut map = heap.map::<u64, Bytes>("map").expect("fresh");
    let value = vec![7; 100_000];
    map.insert(&1, &value).expect("room");
    assert_eq!(map.peek(&1), Ok(Some(value)));
}

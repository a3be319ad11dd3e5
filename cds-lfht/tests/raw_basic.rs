//! Each operation of the raw tier, one thread.

#![cfg(not(urcu_loom))]

mod raw_common;

use std::collections::BTreeMap;

use cds_lfht::raw::{BucketMemory, NewError, Node, NodeCount, NotFound, Options, ReplaceError, ResizeError, Table};
use raw_common::{Entries, good_hash, memories};
use structure_conformance::{Mb, Tested, Thread, on_every_flavor, within_limit};

/// Lets grace periods pass.
fn rest<F: Tested>(thread: &mut Thread<F>) {
    thread.quiescent_state();
}

on_every_flavor! {
    fn every_operation<F>() {
        for options in memories() {
            let entries = Entries::new::<F>(options);
            let thread = Thread::<F>::register().unwrap();
            let guard = thread.read_lock();
            assert!(entries.lookup(1, &guard).is_none());
            assert!(entries.all(&guard).is_empty());
            entries.add(1, 10, &guard);
            entries.add(1, 11, &guard);
            entries.add(2, 20, &guard);
            let values: Vec<u64> = entries.duplicates(1, &guard).iter().map(|entry| entry.value).collect();
            assert_eq!(values, [10, 11]);
            assert_eq!(entries.add_unique(2, 21, &guard).map(|entry| entry.value), Some(20));
            assert!(entries.add_unique(3, 30, &guard).is_none());
            assert_eq!(entries.add_replace(3, 31, &guard).map(|entry| entry.value), Some(30));
            assert!(entries.add_replace(4, 40, &guard).is_none());
            assert_eq!(entries.lookup(3, &guard).map(|entry| entry.value), Some(31));
            let at = entries.find(4, &guard);
            assert_eq!(entries.replace_at(at, 4, 41, &guard), Ok(()));
            assert_eq!(entries.replace_at(at, 4, 42, &guard), Err(ReplaceError::NotFound));
            let at = entries.find(4, &guard);
            assert_eq!(entries.replace_at(at, 5, 50, &guard), Err(ReplaceError::Mismatch));
            assert_eq!(entries.count(&guard), 5);
            assert_eq!(entries.remove(1, &guard), Some(10));
            assert_eq!(entries.remove(1, &guard), Some(11));
            assert_eq!(entries.remove(1, &guard), None);
            assert!(!entries.remove_at(entries.find(9, &guard), &guard));
            assert_eq!(entries.count(&guard), 3);
            assert_eq!(entries.clear(&guard), 3);
            assert!(entries.all(&guard).is_empty());
        }
    }

    fn a_table_grows_with_its_nodes_and_shrinks_back<F>() {
        for options in memories() {
            let entries = Entries::new::<F>(options);
            let mut thread = Thread::<F>::register().unwrap();
            const COUNT: u64 = 50_000;
            for key in 0..COUNT {
                let guard = thread.read_lock();
                assert!(entries.add_unique(key, !key, &guard).is_none());
                drop(guard);
            }
            structure_conformance::until("the table has grown", || {
                rest(&mut thread);
                entries.table().size() >= 32_768
            });
            {
                let guard = thread.read_lock();
                for key in 0..COUNT {
                    assert_eq!(entries.lookup(key, &guard).map(|entry| entry.value), Some(!key), "key {key}");
                    assert!(entries.lookup(key + COUNT, &guard).is_none());
                }
                let keys: BTreeMap<u64, u64> = entries.all(&guard).iter().map(|entry| (entry.key, entry.value)).collect();
                assert_eq!(keys.len() as u64, COUNT);
            }
            for key in 0..COUNT {
                let guard = thread.read_lock();
                assert_eq!(entries.remove(key, &guard), Some(!key));
                drop(guard);
                if key % 256 == 0 {
                    rest(&mut thread);
                }
            }
            structure_conformance::until("the table has shrunk", || {
                rest(&mut thread);
                entries.table().size() <= 1024
            });
            let guard = thread.read_lock();
            assert_eq!(entries.count(&guard), 0);
        }
    }

    fn explicit_resizes<F>() {
        for options in memories() {
            let entries = Entries::new::<F>(options.auto_resize(false));
            let mut thread = Thread::<F>::register().unwrap();
            for key in 0..2000 {
                entries.add(key, key, &thread.read_lock());
            }
            assert_eq!(entries.table().size(), 1);
            for size in [16, 4096, 2, 1 << 14, 64, 1] {
                let offline = thread.offline();
                assert_eq!(entries.table().resize(size), Ok(()));
                thread = offline.online();
                assert_eq!(entries.table().size(), size);
                let guard = thread.read_lock();
                assert!((0..2000).all(|key| entries.lookup(key, &guard).is_some()));
                assert_eq!(entries.count(&guard), 2000);
            }
            assert_eq!(entries.table().resize(3), Err(ResizeError::NotPowerOfTwo { value: 3 }));
            assert_eq!(entries.table().resize(0), Err(ResizeError::NotPowerOfTwo { value: 0 }));
            let guard = thread.read_lock();
            assert_eq!(entries.table().resize(8), Err(ResizeError::InsideSection));
            drop(guard);
        }
    }
}

#[test]
fn options_that_make_no_sense_are_errors_that_name_the_parameter() {
    let new = |options: Options| Table::new(Mb::vtable(), options).map(drop);
    assert_eq!(new(Options::new().initial(0)), Err(NewError::Zero { parameter: "initial" }));
    assert_eq!(new(Options::new().min(0)), Err(NewError::Zero { parameter: "min" }));
    assert_eq!(new(Options::new().max(0)), Err(NewError::Zero { parameter: "max" }));
    assert_eq!(new(Options::new().initial(3)), Err(NewError::NotPowerOfTwo { parameter: "initial", value: 3 }));
    assert_eq!(new(Options::new().min(6)), Err(NewError::NotPowerOfTwo { parameter: "min", value: 6 }));
    assert_eq!(new(Options::new().max(7)), Err(NewError::NotPowerOfTwo { parameter: "max", value: 7 }));
    assert_eq!(new(Options::new().min(8).max(4)), Err(NewError::MinAboveMax { min: 8, max: 4 }));
    assert_eq!(new(Options::new().memory(BucketMemory::Chunk)), Err(NewError::NeedsMax));
    assert_eq!(new(Options::new().memory(BucketMemory::Mmap)), Err(NewError::NeedsMax));
    assert_eq!(new(Options::new().max(1 << 50).memory(BucketMemory::Mmap)), Err(NewError::OutOfMemory));
    assert_eq!(new(Options::new().initial(1 << 20).max(16)), Ok(()));
}

#[test]
fn sizes_at_the_beginning() {
    let size = |options: Options| Table::new(Mb::vtable(), options).unwrap().size();
    assert_eq!(size(Options::new()), 1);
    assert_eq!(size(Options::new().initial(1024)), 1024);
    assert_eq!(size(Options::new().initial(4).min(64)), 64);
    assert_eq!(size(Options::new().initial(1024).max(16)), 16);
}

#[test]
fn a_size_that_there_is_no_memory_for_is_an_error_and_the_table_works_on() {
    within_limit("no memory", || {
        let entries = Entries::new::<Mb>(Options::new().auto_resize(false));
        let thread = Thread::<Mb>::register().unwrap();
        for key in 0..100 {
            entries.add(key, key, &thread.read_lock());
        }
        assert_eq!(entries.table().resize(1 << 50), Err(ResizeError::OutOfMemory));
        assert_eq!(entries.table().size(), 1);
        assert_eq!(entries.table().resize(64), Ok(()));
        assert!((0..100).all(|key| entries.lookup(key, &thread.read_lock()).is_some()));
    });
}

#[test]
fn only_an_empty_table_can_be_destroyed() {
    let entries = Entries::new::<Mb>(Options::new());
    let thread = Thread::<Mb>::register().unwrap();
    entries.add(1, 1, &thread.read_lock());
    let mut entries = entries;
    let table = entries.table.take().unwrap();
    let table = table.destroy().expect_err("not empty").0;
    entries.table = Some(table);
    entries.remove(1, &thread.read_lock()).unwrap();
    let table = entries.table.take().unwrap();
    // Inside a section, too.
    let guard = thread.read_lock();
    table.destroy().expect("empty");
    drop(guard);
    entries.table = Some(Table::new(Mb::vtable(), Options::new()).unwrap());
}

#[test]
fn counts_by_the_walk_and_by_the_counters() {
    for accounting in [true, false] {
        let entries = Entries::new::<Mb>(Options::new().accounting(accounting));
        let thread = Thread::<Mb>::register().unwrap();
        let guard = thread.read_lock();
        (0..1000).for_each(|key| entries.add(key, key, &guard));
        (0..300).for_each(|key| assert!(entries.remove(key, &guard).is_some()));
        entries.add_replace(500, 0, &guard).unwrap();
        // SAFETY: inside a section.
        let count = unsafe { entries.table().count_nodes() };
        let approximate = if accounting { 700 } else { 0 };
        assert_eq!(count, NodeCount { approximate_before: approximate, nodes: 700, approximate_after: approximate });
    }
}

#[test]
fn deleted_nodes_say_so() {
    use std::ptr::NonNull;
    let table = Table::new(Mb::vtable(), Options::new()).unwrap();
    let thread = Thread::<Mb>::register().unwrap();
    let guard = thread.read_lock();
    let (fresh, deleted) = (Box::leak(Box::new(Node::new())), Box::leak(Box::new(Node::new_deleted())));
    let (fresh, deleted) = (NonNull::from(fresh), NonNull::from(deleted));
    let is_deleted = |node| {
        // SAFETY: freed at the end.
        unsafe { cds_lfht::raw::is_node_deleted(node) }
    };
    assert!(!is_deleted(fresh) && is_deleted(deleted));
    // SAFETY: as made by `new_deleted`.
    assert_eq!(unsafe { table.del(deleted) }, Err(NotFound));
    // SAFETY: inside a section; a fresh node.
    unsafe { table.add(7, fresh) };
    assert!(!is_deleted(fresh));
    // SAFETY: just added.
    assert_eq!(unsafe { table.del(fresh) }, Ok(()));
    assert!(is_deleted(fresh));
    // SAFETY: still there.
    assert_eq!(unsafe { table.del(fresh) }, Err(NotFound));
    drop(guard);
    thread_synchronize();
    // SAFETY: in no table; a grace period has passed.
    drop(unsafe { Box::from_raw(fresh.as_ptr()) });
    // SAFETY: never in a table.
    drop(unsafe { Box::from_raw(deleted.as_ptr()) });
    table.destroy().unwrap();
}

fn thread_synchronize() {
    assert!(Mb::vtable().synchronize_if_allowed());
}

#[test]
fn all_hashes_equal_and_all_in_one_bucket() {
    within_limit("collisions", || {
        for hash in [|_| 0, |_| usize::MAX, |key| (key as usize) << 40, |key| key as usize] {
            let entries = Entries::hashed::<Mb>(Options::new(), hash);
            let thread = Thread::<Mb>::register().unwrap();
            let guard = thread.read_lock();
            for key in 0..1500 {
                assert!(entries.add_unique(key, key, &guard).is_none());
            }
            for key in 0..1500 {
                assert_eq!(entries.lookup(key, &guard).unwrap().value, key);
                assert_eq!(entries.duplicates(key, &guard).len(), 1);
            }
            assert_eq!(entries.count(&guard), 1500);
            for key in (0..1500).step_by(2) {
                assert_eq!(entries.remove(key, &guard), Some(key));
            }
            for key in 0..1500 {
                assert_eq!(entries.lookup(key, &guard).is_some(), key % 2 == 1);
            }
            assert_eq!(entries.clear(&guard), 750);
        }
    });
}

#[test]
fn nodes_and_places_have_the_layout_of_the_c_library() {
    use std::mem::{align_of, size_of};
    assert_eq!((size_of::<Node>(), align_of::<Node>()), (16, 8));
    assert_eq!((size_of::<cds_lfht::raw::Iter>(), align_of::<cds_lfht::raw::Iter>()), (16, 8));
}

#[test]
fn a_large_table() {
    // Two million by default; `URCU_LARGE=10000000` for more.
    let count: u64 = std::env::var("URCU_LARGE").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    within_limit("a large table", || {
        let entries = Entries::new::<Mb>(Options::new());
        let thread = Thread::<Mb>::register().unwrap();
        for key in 0..count {
            entries.add(key, !key, &thread.read_lock());
        }
        assert_eq!(entries.table().approximate_len(), count.cast_signed());
        structure_conformance::until("the table has grown", || entries.table().size() as u64 >= count / 2);
        let guard = thread.read_lock();
        assert!((0..count).step_by(7).all(|key| entries.lookup(key, &guard).is_some_and(|entry| entry.value == !key)));
        assert!((count..count + 100_000).all(|key| entries.lookup(key, &guard).is_none()));
        assert_eq!(entries.count(&guard) as u64, count);
        assert!(good_hash(1) != good_hash(2));
    });
}

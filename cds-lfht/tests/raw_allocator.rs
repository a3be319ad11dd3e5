//! Tables whose buckets come from a caller's allocator: all of them, each piece given back once, and what happens when there are
//! no more.
#![cfg(not(urcu_loom))]

mod raw_common;

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Mutex;

use cds_lfht::raw::{Allocator, BucketMemory, NewError, Options, ResizeError, Table};
use raw_common::Entries;
use structure_conformance::{Thread, on_every_flavor, until};

/// Pieces that were given out, and how many bytes there may be of them.
#[derive(Debug)]
struct Pool {
    pieces: Mutex<Vec<(usize, Layout)>>,
    limit: usize,
}

impl Pool {
    /// For ever: background work may come back to it.
    fn new(limit: usize) -> &'static Self {
        Box::leak(Box::new(Self { pieces: Mutex::default(), limit }))
    }

    fn used(&self) -> usize {
        self.pieces.lock().unwrap().iter().map(|(_, layout)| layout.size()).sum()
    }

    fn allocator(&'static self) -> Allocator {
        // SAFETY: memory of Rust's allocator, and a pool that stays.
        unsafe { Allocator::new(allocate, free, (&raw const *self).cast_mut().cast()) }
    }
}

unsafe extern "C" fn allocate(pool: *mut c_void, bytes: usize, align: usize) -> *mut c_void {
    // SAFETY: what `Pool::allocator` gave.
    let pool = unsafe { &*pool.cast::<Pool>() };
    assert_ne!(bytes, 0);
    let Ok(layout) = Layout::from_size_align(bytes, align) else { return null_mut() };
    if bytes > pool.limit || pool.used() + bytes > pool.limit {
        return null_mut();
    }
    // SAFETY: not of size 0.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    pool.pieces.lock().unwrap().push((memory.addr(), layout));
    memory.cast()
}

unsafe extern "C" fn free(pool: *mut c_void, memory: *mut c_void, bytes: usize, align: usize) {
    // SAFETY: what `Pool::allocator` gave.
    let pool = unsafe { &*pool.cast::<Pool>() };
    let layout = {
        let mut pieces = pool.pieces.lock().unwrap();
        let place =
            pieces.iter().position(|&(address, _)| address == memory.addr()).expect("given out, and not back yet");
        pieces.swap_remove(place).1
    };
    assert_eq!((layout.size(), layout.align()), (bytes, align), "what was asked for");
    // SAFETY: allocated above with this layout.
    unsafe { std::alloc::dealloc(memory.cast(), layout) };
}

fn kinds() -> [Options; 3] {
    let options = Options::new();
    [options, options.max(1 << 20), options.max(1 << 20).memory(BucketMemory::Chunk)]
}

on_every_flavor! {
    fn all_buckets_come_from_it_and_go_back<F>() {
        for options in kinds() {
            let pool = Pool::new(usize::MAX);
            let entries = Entries::new::<F>(options.allocator(pool.allocator()));
            let mut thread = Thread::<F>::register().unwrap();
            for key in 0..60_000 {
                entries.add_unique(key, key, &thread.read_lock());
                if key % 64 == 0 {
                    thread.quiescent_state();
                }
            }
            until("the table has its size", || {
                thread.quiescent_state();
                entries.table().size() >= 65_536
            });
            assert!(pool.used() >= entries.table().size() * 8, "{} bytes", pool.used());
            let guard = thread.read_lock();
            assert!((0..60_000).all(|key| entries.lookup(key, &guard).is_some()));
            drop(guard);
            // May be at work on another growth.
            drop(entries);
            thread.while_offline(|| F::vtable().wait_for_retired()).unwrap();
            assert_eq!(pool.used(), 0);
        }
    }

    fn a_table_gives_back_what_it_does_not_need<F>() {
        for options in kinds() {
            let pool = Pool::new(usize::MAX);
            let table = Table::new(F::vtable(), options.auto_resize(false).allocator(pool.allocator())).unwrap();
            table.resize(1 << 16).unwrap();
            let most = pool.used();
            table.resize(1 << 10).unwrap();
            assert!(pool.used() <= most / 16, "{} of {most} bytes", pool.used());
            table.resize(1 << 12).unwrap();
            table.destroy().unwrap();
            until("the table is freed", || pool.used() == 0);
        }
    }

    fn a_table_without_more_memory_goes_on_with_what_it_has<F>() {
        for options in kinds() {
            let pool = Pool::new(40_000);
            let entries = Entries::new::<F>(options.allocator(pool.allocator()));
            let mut thread = Thread::<F>::register().unwrap();
            for key in 0..20_000 {
                entries.add_unique(key, key, &thread.read_lock());
                if key % 64 == 0 {
                    thread.quiescent_state();
                }
            }
            assert!(entries.table().size() <= 4096);
            let resized = thread.while_offline(|| entries.table().resize(1 << 14));
            assert_eq!(resized, Err(ResizeError::OutOfMemory));
            assert_eq!(entries.count(&thread.read_lock()), 20_000);
            for key in 0..20_000 {
                assert_eq!(entries.remove(key, &thread.read_lock()), Some(key));
            }
            drop(entries);
            thread.while_offline(|| F::vtable().wait_for_retired()).unwrap();
            assert_eq!(pool.used(), 0);
        }
    }

    fn no_table_without_memory_for_its_first_buckets<F>() {
        let pool = Pool::new(1000);
        let options = Options::new().initial(1024).allocator(pool.allocator());
        assert_eq!(Table::new(F::vtable(), options).err(), Some(NewError::OutOfMemory));
        assert_eq!(pool.used(), 0);
        // One mapping is the system's.
        let options = options.max(1024).memory(BucketMemory::Mmap);
        Table::new(F::vtable(), options).unwrap().destroy().unwrap();
    }
}

//! An allocator that counts the blocks of the suite `reclaim`, the same way for every contender.
//!
//! Every thread has counters of its own, which it alone writes with plain stores: counting adds no shared cache line per
//! block. Whoever measures adds them up. Blocks are told from all other memory by a layout that nobody else asks for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::blocks::{BLOCK_ALIGN, BLOCK_SIZE};
use crate::pool;

/// See the module.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does the work, but for what `pool` gives out.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_block(layout) {
            count(|tally| &tally.allocated);
        } else if pool::is_element(layout)
            && let Some(place) = pool::take()
        {
            return place;
        }
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_block(layout) {
            count(|tally| &tally.freed);
        }
        // SAFETY: what has this layout comes from here or from the system, and the caller gives it up.
        if pool::is_element(layout) && unsafe { pool::give_back(pointer) } {
            return;
        }
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to the caller. Blocks are not made in this way, nor elements.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if pool::is_element(layout) {
            // SAFETY: the caller's size fits the alignment.
            let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
            // SAFETY: the caller's size is not zero.
            let fresh = unsafe { self.alloc(wanted) };
            if !fresh.is_null() {
                // SAFETY: two allocations of at least these sizes.
                unsafe { fresh.copy_from_nonoverlapping(pointer, size.min(layout.size())) };
                // SAFETY: the caller gives it up.
                unsafe { self.dealloc(pointer, layout) };
            }
            return fresh;
        }
        // SAFETY: passed on to the caller. Blocks keep their size.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[inline]
fn is_block(layout: Layout) -> bool {
    layout.size() == BLOCK_SIZE && layout.align() == BLOCK_ALIGN
}

/// One thread's counters, on cache lines of their own.
#[repr(align(128))]
struct Tally {
    allocated: AtomicU64,
    freed: AtomicU64,
}

/// Threads that are counted apart from each other; the last entry is shared by all that come after them.
const THREADS: usize = 32;

static TALLIES: [Tally; THREADS] =
    [const { Tally { allocated: AtomicU64::new(0), freed: AtomicU64::new(0) } }; THREADS];
/// The number of the current window. Threads take an entry anew in each, so that ended ones leave nothing behind.
static WINDOW: AtomicU64 = AtomicU64::new(0);
/// Entries taken in this window.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Place {
    window: u64,
    entry: usize,
}

thread_local! {
    // Without a destructor, so that using it allocates nothing.
    static PLACE: Cell<Place> = const { Cell::new(Place { window: u64::MAX, entry: 0 }) };
}

#[inline]
fn count(which: impl Fn(&'static Tally) -> &'static AtomicU64) {
    // Relaxed: numbers that order nothing.
    let window = WINDOW.load(Ordering::Relaxed);
    let mut place = PLACE.get();
    if place.window != window {
        place = take_place(window);
    }
    let counter = which(&TALLIES[place.entry]);
    if place.entry == THREADS - 1 {
        counter.fetch_add(1, Ordering::Relaxed);
    } else {
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

#[cold]
fn take_place(window: u64) -> Place {
    let place = Place { window, entry: TAKEN.fetch_add(1, Ordering::Relaxed).min(THREADS - 1) };
    PLACE.set(place);
    place
}

/// Blocks counted since a window was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Blocks allocated.
    pub allocated: u64,
    /// Blocks freed.
    pub freed: u64,
}

impl Counts {
    /// Blocks allocated and not freed; what an earlier window has left and this one frees does not make it negative.
    pub fn unfreed(self) -> u64 {
        self.allocated.saturating_sub(self.freed)
    }
}

/// The right to count: one measurement at a time has it.
#[derive(Debug)]
pub struct Window {
    _only: MutexGuard<'static, ()>,
}

impl Window {
    /// Starts counting from zero, when the window before has been dropped.
    pub fn open() -> Self {
        static ONLY: Mutex<()> = Mutex::new(());
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that frees at this very moment may still add to what is cleared here: one block.
        WINDOW.fetch_add(1, Ordering::Relaxed);
        TAKEN.store(0, Ordering::Relaxed);
        for tally in &TALLIES {
            tally.allocated.store(0, Ordering::Relaxed);
            tally.freed.store(0, Ordering::Relaxed);
        }
        Self { _only: only }
    }

    /// What has been counted so far, by all threads; exact when none of them is at it.
    pub fn counts(&self) -> Counts {
        let taken = TAKEN.load(Ordering::Relaxed).min(THREADS);
        // Allocations first: a block that comes and goes in between then does not count as unfreed.
        let allocated = TALLIES[..taken].iter().map(|tally| tally.allocated.load(Ordering::Relaxed)).sum();
        let freed = TALLIES[..taken].iter().map(|tally| tally.freed.load(Ordering::Relaxed)).sum();
        Counts { allocated, freed }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::thread;

    use super::*;
    use crate::blocks::{Block, Contents, Plain};

    fn block() -> Box<Block<(), Plain<8>>> {
        black_box(Box::new(Block { header: (), contents: Plain::filled() }))
    }

    #[test]
    fn blocks_of_all_threads_are_counted_and_other_memory_is_not() {
        let window = Window::open();
        let kept = block();
        let other = black_box(Box::new([0_u8; BLOCK_SIZE]));
        // More threads than entries.
        for _ in 0..2 * THREADS {
            thread::spawn(|| drop(block())).join().unwrap();
        }
        let threads = 2 * THREADS as u64;
        // Other tests of this process may have blocks of their own at the same time.
        let counts = window.counts();
        assert!(counts.allocated > threads && counts.freed >= threads, "{counts:?}");
        drop((kept, other));
        assert!(window.counts().freed > threads);
    }

    #[test]
    fn a_window_starts_from_zero() {
        let window = Window::open();
        let kept = block();
        let mut many = Vec::new();
        many.resize_with(10_000, block);
        drop(window);
        // What came before a window does not count (other tests may add a few of their own meanwhile).
        let window = Window::open();
        assert!(window.counts().allocated < 10_000);
        drop((kept, many));
        assert!(window.counts().freed > 10_000);
    }
}

//! A block of deferred calls: what an updater fills and a reclaimer empties.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;

use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, Watched};

/// Calls per block.
///
/// A grace period is started for each full block, so a larger one shares it among more calls and keeps more memory
/// unfreed. 512 entries are 8 KiB, which still fits a core's first-level cache beside what is being freed.
pub(crate) const BLOCK_CALLS: usize = 512;

/// A function to call after a grace period.
pub(crate) type Function = unsafe extern "C" fn(argument: *mut c_void);

/// A function and what to call it with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) argument: *mut c_void,
}

impl Call {
    /// # Safety
    ///
    /// Once, after a grace period, on a thread where the function may run: what its retirer promised.
    #[inline]
    pub(crate) unsafe fn run(self) {
        // SAFETY: the retirer's promise.
        unsafe { (self.function)(self.argument) };
    }
}

// SAFETY: whoever defers a call promises that it may run on another thread.
unsafe impl Send for Call {}

/// # Invariants
///
/// 1. Entries `taken..len` are initialised and have not been run.
/// 2. `len` and the entries beyond it are the owner's to write while the block is the one being filled; nobody's after.
/// 3. `taken`, `period` and `next` are the reclaimer's (the holder of the queue's lock), once the block is sealed; `next`
///    is the owner's before.
#[repr(C)]
pub(crate) struct Block {
    len: AtomicUsize,
    taken: AtomicUsize,
    /// Bytes that the calls will free, as far as their retirers said.
    bytes: AtomicUsize,
    /// When the first call was added, in coarse nanoseconds; for the age of the oldest one.
    since: AtomicU64,
    /// Which value of the domain's period word every reader must have passed.
    pub(crate) period: UnsafeCell<u64>,
    pub(crate) next: AtomicPtr<Block>,
    /// The zeros that a block begins with.
    pub(crate) made: Watched,
    calls: [UnsafeCell<MaybeUninit<Call>>; BLOCK_CALLS],
}

impl Block {
    pub(crate) fn new() -> Box<Self> {
        let block = Box::<Self>::new_uninit();
        let place = Box::into_raw(block).cast::<Self>();
        // SAFETY: `calls` comes last (`repr(C)`) and may stay uninitialised; zero is a valid value of every other field.
        unsafe { ptr::write_bytes(place.cast::<u8>(), 0, core::mem::offset_of!(Self, calls)) };
        // SAFETY: just made by Box, initialised as far as its type asks.
        let block = unsafe { Box::from_raw(place) };
        block.made.is_written();
        block
    }

    /// Adds a call; `false` when the block is full. The owner's.
    #[inline]
    pub(crate) fn push(&self, call: Call, bytes: usize) -> Option<usize> {
        // Relaxed: the owner's own stores.
        let len = self.len.load(Ordering::Relaxed);
        let entry = self.calls.get(len)?;
        // SAFETY: beyond `len`, so the owner's alone (invariant 2).
        unsafe { (*entry.get()).write(call) };
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
        // Release: the entry before its count. PAIR(call)
        self.len.store(len + 1, Ordering::Release);
        Some(len + 1)
    }

    pub(crate) fn note_start(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    pub(crate) fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Acquire: the entries below the count. PAIR(call)
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many calls are in it and have not been taken. Exact for the reclaimer, a snapshot for others.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.len().saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// Takes the oldest call out. The reclaimer's.
    #[inline]
    pub(crate) fn take(&self) -> Option<Call> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken == self.len() {
            return None;
        }
        self.taken.store(taken + 1, Ordering::Relaxed);
        let entry = self.calls[taken].get();
        // SAFETY: below `len`, and nobody writes there any more.
        let entry = unsafe { *entry };
        // SAFETY: initialised and taken for the first time (invariant 1).
        Some(unsafe { entry.assume_init() })
    }

    /// Makes an empty block as good as new. The reclaimer's, of a sealed block.
    pub(crate) fn reset(&self) {
        debug_assert_eq!(self.pending(), 0);
        self.len.store(0, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

// SAFETY: calls are `Send`, and the invariants say who may touch what.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn nothing(_argument: *mut c_void) {}

    #[test]
    fn calls_come_out_in_order_until_the_block_is_full() {
        let block = Block::new();
        let call = |at: usize| Call { function: nothing, argument: ptr::without_provenance_mut(at) };
        for at in 0..BLOCK_CALLS {
            assert_eq!(block.push(call(at), 2), Some(at + 1));
        }
        assert_eq!(block.push(call(0), 2), None);
        assert_eq!(block.bytes(), 2 * BLOCK_CALLS);
        for at in 0..BLOCK_CALLS {
            assert_eq!(block.take().map(|call| call.argument.addr()), Some(at));
        }
        assert!(block.take().is_none());
        block.reset();
        assert_eq!(block.push(call(7), 0), Some(1));
        assert_eq!(block.pending(), 1);
    }
}

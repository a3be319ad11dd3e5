//! Memory of entries under the model checker: each in a box of its own, so that it finds leaks and early frees.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use urcu_core::sync::{AtomicUsize, Ordering};

/// No kinds here.
pub(super) const KIND: usize = 0b110;

/// An entry's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(pub(super) *mut u8);

impl Handle {
    pub(super) fn address(self) -> *mut u8 {
        self.0
    }

    pub(super) fn is_cut(self) -> bool {
        false
    }
}

/// Counts entries, with atomics that the model checker does not explore.
#[derive(Debug)]
pub(super) struct Pool {
    layout: Layout,
    added: AtomicUsize,
    retired: AtomicUsize,
}

impl Pool {
    pub(super) fn new(layout: Layout) -> NonNull<Self> {
        let layout = layout.pad_to_align();
        NonNull::from(Box::leak(Box::new(Self { layout, added: AtomicUsize::new(0), retired: AtomicUsize::new(0) })))
    }

    pub(super) fn allocate(&self, size: usize) -> (Handle, usize) {
        assert_eq!(size, self.layout.size());
        // SAFETY: not of size zero.
        let memory = unsafe { alloc(self.layout) };
        assert!(!memory.is_null());
        assert!(super::bucket::fits(Handle(memory)), "an address of more than 48 bits");
        (Handle(memory), self.added.fetch_add(1, Ordering::Relaxed))
    }

    /// # Safety
    ///
    /// From `allocate`, and nobody uses it any more.
    pub(super) unsafe fn release(&self, entry: Handle) {
        // SAFETY: as promised.
        unsafe { dealloc(entry.0, self.layout) };
    }

    pub(super) fn uncount(&self) {
        self.added.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_retired(&self, _: Handle) -> usize {
        self.retired.fetch_add(1, Ordering::Relaxed)
    }

    /// # Safety
    ///
    /// Never called: nothing is cut from chunks.
    pub(super) unsafe fn reclaim(_: Handle) {
        unreachable!("nothing is cut from chunks");
    }

    /// # Safety
    ///
    /// Nobody uses the pool any more.
    pub(super) unsafe fn close(pool: NonNull<Self>) {
        // SAFETY: made by `new`.
        drop(unsafe { Box::from_raw(pool.as_ptr()) });
    }

    pub(super) fn live(&self) -> usize {
        self.added.load(Ordering::Relaxed) - self.retired.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.live() * self.layout.size()
    }
}

//! Tells a forked child from its parent without a system call.

use core::ptr;

use super::linux::{map_pages, process_id, unmap_pages};
use crate::sync::{AtomicI32, AtomicPtr, AtomicU32, Ordering, in_model};

/// The size that is asked for; the kernel rounds it up to whole pages.
const BYTES: usize = 4096;

/// Remembers the process that it was set in.
///
/// A page that the kernel wipes in forked children (`MADV_WIPEONFORK`, Linux 4.14) holds a one; where that is not to be
/// had, process ids are compared, which costs a system call each time.
#[derive(Debug)]
pub struct ForkMark {
    /// Null before the first `set`, and where there is no such page.
    page: AtomicPtr<AtomicU32>,
    process: AtomicI32,
}

impl Default for ForkMark {
    fn default() -> Self {
        Self::new()
    }
}

impl ForkMark {
    /// Not set. For statics: its page is never given back.
    pub const fn new() -> Self {
        Self { page: AtomicPtr::new(ptr::null_mut()), process: AtomicI32::new(0) }
    }

    /// Remembers this process, unless another one is remembered. Async-signal-safe.
    pub fn set_if_unset(&self) {
        if in_model() {
            return;
        }
        if self.process.load(Ordering::Relaxed) == 0 {
            self.set();
        }
    }

    /// Remembers this process. Async-signal-safe.
    pub fn set(&self) {
        // Relaxed throughout: a process compares what it stored itself.
        self.process.store(process_id(), Ordering::Relaxed);
        if self.page.load(Ordering::Relaxed).is_null() {
            self.map();
        }
        // SAFETY: null or a mapped page that stays.
        if let Some(page) = unsafe { self.page.load(Ordering::Acquire).as_ref() } {
            page.store(1, Ordering::Relaxed);
        }
    }

    /// Whether this is another process than the one remembered; false if none is.
    #[inline]
    pub fn is_other_process(&self) -> bool {
        // SAFETY: null or a mapped page that stays. Acquire: mapped before its address was published.
        match unsafe { self.page.load(Ordering::Acquire).as_ref() } {
            Some(page) => page.load(Ordering::Relaxed) == 0,
            None => {
                let process = self.process.load(Ordering::Relaxed);
                process != 0 && process != process_id()
            }
        }
    }

    fn map(&self) {
        let Some(page) = map_pages(BYTES) else { return };
        // SAFETY: our own mapping; the advice changes what a child sees.
        let wiped = unsafe { libc::madvise(page, BYTES, libc::MADV_WIPEONFORK) } == 0;
        // SAFETY: our own mapping, at least four bytes, zeroed.
        unsafe { &*page.cast::<AtomicU32>() }.store(1, Ordering::Relaxed);
        let published = wiped
            && self.page.compare_exchange(ptr::null_mut(), page.cast(), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !published {
            // SAFETY: nobody else has seen it.
            unsafe { unmap_pages(page, BYTES) };
        }
    }
}

//! The system's allocator, which must not be called in a signal handler: it may be what the signal has interrupted.
//!
//! Who does so all the same would wait for a lock of its own thread, once in a while. Here the process ends at once.
//!
//! And it can be made to fail: [`fail_at`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

struct NotInHandlers;

#[global_allocator]
static ALLOCATOR: NotInHandlers = NotInHandlers;

thread_local! {
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// Forbids the calling thread to allocate, or allows it again; returns what was the case before.
pub(crate) fn forbid(forbidden: bool) -> bool {
    FORBIDDEN.replace(forbidden)
}

/// How many allocations, of all threads, until one fails; negative: none will.
static UNTIL_FAILURE: AtomicI64 = AtomicI64::new(-1);

/// Makes the process's `number`-th allocation from now on fail, counted from one, and none after it.
pub fn fail_at(number: u32) {
    UNTIL_FAILURE.store(i64::from(number), Ordering::SeqCst);
}

/// No allocation will fail any more. Whether the one asked for has not come yet.
pub fn fail_no_more() -> bool {
    UNTIL_FAILURE.swap(-1, Ordering::SeqCst) > 0
}

/// Whether this allocation has to fail.
fn fails() -> bool {
    UNTIL_FAILURE.load(Ordering::Relaxed) > 0 && UNTIL_FAILURE.fetch_sub(1, Ordering::Relaxed) == 1
}

fn forbid_in_handlers() {
    if FORBIDDEN.get() {
        let message = b"an allocator was called in a signal handler\n";
        // SAFETY: a valid buffer.
        unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
        std::process::abort();
    }
}

/// Whether this allocation fails.
fn check() -> bool {
    forbid_in_handlers();
    fails()
}

// SAFETY: does what `System` does, or fails, or ends the process.
unsafe impl GlobalAlloc for NotInHandlers {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if check() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if check() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if check() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promises.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        forbid_in_handlers();
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

//! The system's allocator, which must not be called in a signal handler: it may be what the signal has interrupted.
//!
//! Who does so all the same would wait for a lock of its own thread, once in a while. Here the process ends at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

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

fn check() {
    if FORBIDDEN.get() {
        let message = b"an allocator was called in a signal handler\n";
        // SAFETY: a valid buffer.
        unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
        std::process::abort();
    }
}

// SAFETY: does what `System` does, or ends the process.
unsafe impl GlobalAlloc for NotInHandlers {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check();
        // SAFETY: the caller's promises.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        check();
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

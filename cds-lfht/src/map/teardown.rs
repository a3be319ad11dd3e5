//! The end of a map: everything is dropped, whoever panics.

use core::ptr;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use urcu_core::sync::modelled::Ordering;

use super::index::Index;
use super::table::Table;

/// Drops what a panic carried, which may panic again.
pub(super) fn dispose(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Enough of it, unless it is what nearly every panic has.
        if !(again.is::<String>() || again.is::<&str>()) {
            core::mem::forget(again);
        }
    }
}

/// The first of several panics, which goes on when everything is done.
#[derive(Default)]
pub(super) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs `work`; a panic waits until [`go_on`](Self::go_on).
    pub(super) fn catch(&mut self, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            match &self.0 {
                None => self.0 = Some(panic),
                Some(_) => dispose(panic),
            }
        }
    }

    /// Lets the first one go on, unless the thread is unwinding already.
    pub(super) fn go_on(self) {
        match self.0 {
            None => {}
            Some(panic) if thread::panicking() => dispose(panic),
            Some(panic) => resume_unwind(panic),
        }
    }
}

impl<T> Index<T> {
    /// Drops all entries and frees all tables; nothing can be used afterwards, and this does nothing when it is called again.
    ///
    /// A drop that panics does not keep the others from being dropped; the first panic goes on at the end.
    pub(super) fn tear_down(&mut self) {
        let mut panics = FirstPanic::default();
        let mark = self.mark();
        // Relaxed: `&mut self` comes after everything.
        let mut table: *mut Table = self.current.load(Ordering::Relaxed);
        while !table.is_null() {
            // SAFETY: made by `Box::new`; only the current table and the one after it are not retired.
            let owned = unsafe { Box::from_raw(table) };
            for index in 0..owned.count() {
                // What is migrated is in the next table.
                let Some(mut locked) = owned.bucket(index).lock(mark) else { continue };
                if locked.take_inherited() {
                    // SAFETY: there are no readers.
                    unsafe { self.take_back(&locked, &owned, index).free() };
                }
                let unlinked = locked.dismantle(|word| {
                    // SAFETY: an entry of this map, which nobody else has.
                    panics.catch(|| unsafe { self.nodes.drop_last(word.handle()) });
                });
                // SAFETY: there are no readers.
                unsafe { unlinked.free() };
            }
            table = owned.next.load(Ordering::Relaxed);
        }
        self.current.store(ptr::null_mut(), Ordering::Relaxed);
        panics.go_on();
    }
}

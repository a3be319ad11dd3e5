//! The end of a map: everything is dropped, whoever panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use urcu_core::sync::modelled::Ordering;

use super::index::Index;
use super::table::Table;

/// Drops what a panic carried, which may panic again.
pub(super) fn dispose(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Enough of it.
        core::mem::forget(again);
    }
}

impl<T> Index<T> {
    /// Drops all entries and frees all tables; nothing can be used afterwards.
    ///
    /// A drop that panics does not keep the others from being dropped; the first panic goes on at the end.
    pub(super) fn tear_down(&mut self) {
        let mut first_panic = None;
        // Relaxed: `&mut self` comes after everything.
        let mut table: *mut Table = self.current.load(Ordering::Relaxed);
        while !table.is_null() {
            // SAFETY: made by `Box::new`; only the current table and the one after it are not retired.
            let owned = unsafe { Box::from_raw(table) };
            for index in 0..owned.count() {
                // What is migrated is in the next table.
                let Some(locked) = owned.bucket(index).lock(self.mark()) else { continue };
                let taken_back = self.take_back(&locked, &owned, index);
                let unlinked = locked.dismantle(|word| {
                    // SAFETY: an entry of this map, which nobody else has.
                    let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { self.nodes.drop_last(word.handle()) }));
                    if let Err(panic) = dropped {
                        match &first_panic {
                            None => first_panic = Some(panic),
                            Some(_) => dispose(panic),
                        }
                    }
                });
                for line in taken_back.0.into_iter().chain(unlinked.0) {
                    // SAFETY: made by `Box::new`, and unlinked.
                    drop(unsafe { Box::from_raw(line) });
                }
            }
            table = owned.next.load(Ordering::Relaxed);
        }
        match first_panic {
            None => {}
            Some(panic) if thread::panicking() => dispose(panic),
            Some(panic) => resume_unwind(panic),
        }
    }
}

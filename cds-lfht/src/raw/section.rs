//! A section of a thread that may be registered or not.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;

use urcu_core::FlavorVtable;

/// A section for the work on a table's size, whoever does it.
#[derive(Debug)]
pub struct Inside {
    flavor: &'static FlavorVtable,
    section: NonNull<c_void>,
    undo: Undo,
    /// Belongs to its thread.
    marker: PhantomData<*mut ()>,
}

/// `-EEXIST`.
const ALREADY: c_int = -17;

#[derive(Debug)]
enum Undo {
    Nothing,
    Unregister,
    Offline,
}

impl Inside {
    /// Enters a section. A thread that is not registered is meanwhile; one that is offline is online meanwhile. `None` if it cannot
    /// be registered.
    pub(super) fn enter(flavor: &'static FlavorVtable) -> Option<Self> {
        // SAFETY: any thread.
        if let Some(section) = NonNull::new(unsafe { (flavor.enter)() }) {
            return Some(Self { flavor, section, undo: Undo::Nothing, marker: PhantomData });
        }
        // SAFETY: any thread.
        let undo = match unsafe { (flavor.register_thread)() } {
            0 => Undo::Unregister,
            ALREADY => {
                // SAFETY: registered; refused because it is offline.
                unsafe { (flavor.thread_online)() };
                Undo::Offline
            }
            _ => return None,
        };
        // SAFETY: any thread.
        let Some(section) = NonNull::new(unsafe { (flavor.enter)() }) else {
            Self::undo(flavor, &undo);
            return None;
        };
        Some(Self { flavor, section, undo, marker: PhantomData })
    }

    fn undo(flavor: &FlavorVtable, undo: &Undo) {
        match undo {
            Undo::Nothing => {}
            // SAFETY: registered by `enter` on this thread, and outside of its section again.
            Undo::Unregister => unsafe { (flavor.unregister_thread)() },
            // SAFETY: online by `enter` on this thread, and outside of its section again.
            Undo::Offline => unsafe { (flavor.thread_offline)() },
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // SAFETY: entered on this thread, left once.
        unsafe { (self.flavor.leave)(self.section.as_ptr()) };
        Self::undo(self.flavor, &self.undo);
    }
}

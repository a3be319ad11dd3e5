//! A destructor that runs when a thread ends, after the thread's Rust thread-locals are gone.

use core::ffi::c_void;

use super::linux::errno;
use crate::sync::{AtomicU32, Ordering};

/// How often POSIX systems call thread-specific destructors at least, while values keep being set.
///
/// Under ThreadSanitizer (`--cfg urcu_tsan`) one less: its own destructor takes the thread's state apart in the last round, and
/// instrumented code that runs after it crashes.
pub(crate) const DESTRUCTOR_ROUNDS: usize = if cfg!(urcu_tsan) { 3 } else { 4 };

/// A thread-specific value whose only purpose is its destructor.
///
/// A `pthread` key and not a `thread_local!` with `Drop`, for three reasons. Its destructors run after those of all
/// Rust thread-locals, so those may still read, and guards that live in them are dropped first. It can be armed again
/// while it runs, so that it comes last among the keys as well. And arming it neither locks nor (for the process's first 32 keys)
/// allocates, so a reader may register itself in a signal handler.
#[derive(Debug)]
pub(crate) struct ExitKey {
    /// 0 while there is no key, else the key plus one.
    key: AtomicU32,
}

impl ExitKey {
    /// No key yet.
    pub(crate) const fn new() -> Self {
        Self { key: AtomicU32::new(0) }
    }

    /// Makes `destructor` run with `value` when the calling thread ends, creating the key on first use.
    ///
    /// Lock-free and, for the first 32 keys of a process, async-signal-safe.
    ///
    /// # Errors
    ///
    /// The error number when the process has no key left (`EAGAIN`) or no memory (`ENOMEM`).
    ///
    /// # Safety
    ///
    /// `destructor(value)` may be called at the end of the calling thread, and is the same for every call on this key.
    pub(crate) unsafe fn arm(&self, destructor: unsafe extern "C" fn(*mut c_void), value: usize) -> Result<(), i32> {
        let key = self.make(destructor)?;
        // SAFETY: the key was created by pthread_key_create and is never deleted; the value is an integer in disguise.
        let code = unsafe { libc::pthread_setspecific(key, core::ptr::without_provenance::<c_void>(value)) };
        if code == 0 { Ok(()) } else { Err(code) }
    }

    /// The key, made on first use.
    pub(crate) fn make(&self, destructor: unsafe extern "C" fn(*mut c_void)) -> Result<u32, i32> {
        // Acquire pairs with the AcqRel exchange in `create`; the key itself is all that is passed on. PAIR(exit-key)
        match self.key.load(Ordering::Acquire) {
            0 => self.create(destructor),
            key => Ok(key - 1),
        }
    }

    /// Takes the value back: the destructor will not run for the calling thread.
    pub(crate) fn disarm(&self) {
        let key = self.key.load(Ordering::Acquire);
        if key != 0 {
            // SAFETY: as in `arm`; null means no destructor call.
            unsafe { libc::pthread_setspecific(key - 1, core::ptr::null()) };
        }
    }

    fn create(&self, destructor: unsafe extern "C" fn(*mut c_void)) -> Result<u32, i32> {
        let mut created: libc::pthread_key_t = 0;
        // SAFETY: a valid pointer to a local; the destructor has the signature that the system calls.
        let code = unsafe { libc::pthread_key_create(&raw mut created, Some(destructor)) };
        if code != 0 {
            return Err(if code > 0 { code } else { errno() });
        }
        // PAIR(exit-key)
        match self.key.compare_exchange(0, created + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(created),
            Err(theirs) => {
                // SAFETY: our key lost the race; nobody has seen or used it.
                unsafe { libc::pthread_key_delete(created) };
                Ok(theirs - 1)
            }
        }
    }
}

//! The C library's mutex, where a structure's layout demands it.

use core::cell::UnsafeCell;
use core::fmt;

use crate::sync::spin_loop;

/// A `pthread_mutex_t`: 40 bytes on x86-64. Code in C may lock and unlock the same one.
///
/// Tries for some microseconds before it sleeps: what it protects in a structure takes nanoseconds.
///
/// # Invariants
///
/// 1. It is not moved or dropped while it is locked. (An unlocked one holds no address of itself. On the C libraries of
///    Linux a locked one holds none either, so breaking this loses the lock and nothing else.)
#[repr(transparent)]
pub struct PthreadMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a mutex is made to be used by several threads.
unsafe impl Send for PthreadMutex {}
// SAFETY: as above.
unsafe impl Sync for PthreadMutex {}

impl PthreadMutex {
    /// Unlocked, of the default kind.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }

    /// Takes it if it is free.
    #[inline]
    pub fn try_lock(&self) -> bool {
        // SAFETY: initialised by `new`, and valid while borrowed.
        unsafe { libc::pthread_mutex_trylock(self.0.get()) == 0 }
    }

    /// Takes it. Blocks. Locking it twice on a thread is a deadlock (glibc and musl; POSIX leaves it undefined).
    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended();
        }
    }

    #[cold]
    fn lock_contended(&self) {
        // Long pauses: the holder takes its next turns meanwhile, with the cache line at hand.
        for pauses in [64, 128, 256, 256, 256, 256] {
            (0..pauses).for_each(|_| spin_loop());
            if self.try_lock() {
                return;
            }
        }
        // SAFETY: as in `try_lock`.
        let error = unsafe { libc::pthread_mutex_lock(self.0.get()) };
        assert_eq!(error, 0, "a mutex that cannot be locked");
    }

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// The calling thread holds it.
    #[inline]
    pub unsafe fn unlock(&self) {
        // SAFETY: the caller holds it.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}

impl Default for PthreadMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PthreadMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PthreadMutex")
    }
}

impl Drop for PthreadMutex {
    fn drop(&mut self) {
        // SAFETY: nobody else has it any more.
        unsafe { libc::pthread_mutex_destroy(self.0.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        struct Shared {
            mutex: PthreadMutex,
            value: UnsafeCell<u64>,
        }
        // SAFETY: the value is touched under the mutex only.
        unsafe impl Sync for Shared {}
        let shared = Shared { mutex: PthreadMutex::new(), value: UnsafeCell::new(0) };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let shared = &shared;
                    for _ in 0..10_000 {
                        shared.mutex.lock();
                        // SAFETY: locked.
                        unsafe { *shared.value.get() += 1 };
                        // SAFETY: locked above.
                        unsafe { shared.mutex.unlock() };
                    }
                });
            }
        });
        assert!(shared.mutex.try_lock());
        assert!(!shared.mutex.try_lock());
        // SAFETY: locked above.
        unsafe { shared.mutex.unlock() };
        assert_eq!(shared.value.into_inner(), 40_000);
    }
}

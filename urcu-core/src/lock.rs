//! A futex lock whose state can be put right in a forked child, which the standard library's cannot.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use crate::backoff::Backoff;
use crate::sync::{AtomicU32, Ordering, Watched, in_model};
use crate::sys;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody sleeps until it is given back.
const CONTENDED: u32 = 2;

/// The lock without what it protects.
#[derive(Debug, Default)]
pub(crate) struct RawLock {
    state: AtomicU32,
}

impl RawLock {
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU32::new(FREE) }
    }

    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        // Acquire pairs with the Release in `give_back`. PAIR(lock)
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn take(&self) {
        while !self.try_take() {
            self.wait_while_held(|| false, || false);
        }
    }

    #[inline]
    pub(crate) fn give_back(&self) {
        // Release: what was done under the lock happens before the next holder's Acquire. PAIR(lock)
        if self.state.swap(FREE, Ordering::Release) == CONTENDED {
            sys::futex_wake(&self.state, i32::MAX);
        }
    }

    /// In a forked child, where the holder may not exist.
    pub(crate) fn reset(&self) {
        self.state.store(FREE, Ordering::Release);
    }

    /// Returns when the lock is free, or `done` holds (which is looked at when the lock changes hands). Sleeps at once while
    /// `will_last` holds.
    pub(crate) fn wait_while_held(&self, done: impl Fn() -> bool, will_last: impl Fn() -> bool) {
        let mut backoff = Backoff::brisk().sleepy();
        while !done() {
            let state = self.state.load(Ordering::Relaxed);
            if state == FREE {
                return;
            }
            if !in_model() && !will_last() && backoff.snooze() {
                continue;
            }
            // The holder wakes everybody when it finds CONTENDED; if it has let go meanwhile the exchange fails.
            let contended = state == CONTENDED
                || self.state.compare_exchange(HELD, CONTENDED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if contended {
                sys::futex_wait(&self.state, CONTENDED, None);
            }
        }
    }
}

/// A lock around a `T`.
#[derive(Debug, Default)]
pub(crate) struct Lock<T> {
    raw: RawLock,
    watched: Watched,
    value: UnsafeCell<T>,
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { raw: RawLock::new(), watched: Watched::new(), value: UnsafeCell::new(value) }
    }

    pub(crate) fn lock(&self) -> Held<'_, T> {
        self.raw.take();
        Held { lock: self }
    }

    /// Takes the lock until [`release_after_fork`](Self::release_after_fork).
    pub(crate) fn hold_for_fork(&self) {
        self.raw.take();
    }

    /// In a forked child where a thread that does not exist may hold it, in the middle of a change: then `fresh` takes the
    /// place of the value, which is leaked.
    pub(crate) fn reset_after_fork(&self, fresh: T) {
        if self.raw.try_take() {
            self.raw.give_back();
            core::mem::forget(fresh);
        } else {
            // SAFETY: the child has one thread, and the holder is not it.
            unsafe { self.value.get().write(fresh) };
            self.raw.reset();
        }
    }

    /// In either process.
    pub(crate) fn release_after_fork(&self) {
        self.raw.give_back();
    }
}

// SAFETY: the lock gives out the value to one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

pub(crate) struct Held<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.lock.watched.is_read();
        // SAFETY: the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.lock.watched.is_written();
        // SAFETY: the lock is held.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.lock.raw.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let lock = Lock::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut value = lock.lock();
                        let seen = *value;
                        core::hint::black_box(&seen);
                        *value = seen + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 80_000);
    }
}

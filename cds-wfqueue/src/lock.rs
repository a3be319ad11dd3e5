//! The lock of the dequeuing side: one word, asleep in the kernel when it takes long.

use core::time::Duration;

use urcu_core::sync::modelled::{AtomicU32, Ordering};
use urcu_core::{Absence, Backoff};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep until it is given back.
const CONTENDED: u32 = 2;

/// How often a thread looks at the lock before it sleeps: with absences in between, some hundred microseconds in all, and then
/// yielding the processor.
const LOOKS: u32 = if cfg!(urcu_loom) { 1 } else { 8 };
const YIELDS: u32 = if cfg!(urcu_loom) { 1 } else { 16 };

/// A lock without what it protects.
///
/// Not fair: a thread that comes back at once finds it free, and its cache lines still its own. Who waits backs off in growing
/// steps for that reason, and sleeps when the holder has not let go after some hundred microseconds.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct RawLock {
    state: AtomicU32,
}

impl RawLock {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(FREE) }
    }

    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        // Acquire: what the last holder did happens before. PAIR(dequeue-lock)
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    pub(crate) fn take(&self) {
        if !self.try_take() {
            self.take_slowly();
        }
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self) {
        let mut absence = Absence::new();
        let mut held = HELD;
        let mut looks = 0_u32;
        loop {
            // Relaxed: only a hint, the exchange decides.
            let state = self.state.load(Ordering::Relaxed);
            if state == FREE {
                // Who has slept takes it as contended: others may still sleep. Acquire as in `try_take`.
                if self.state.compare_exchange(FREE, held, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return;
                }
            } else if looks >= LOOKS + YIELDS
                && (state == CONTENDED
                    || self.state.compare_exchange(HELD, CONTENDED, Ordering::Relaxed, Ordering::Relaxed).is_ok())
            {
                held = CONTENDED;
                self.sleep();
                continue;
            }
            if looks < LOOKS {
                absence.stay_away();
            } else {
                yield_now();
            }
            looks += 1;
        }
    }

    #[cfg(not(urcu_loom))]
    fn sleep(&self) {
        urcu_core::sys::futex_wait(&self.state, CONTENDED, None);
    }

    #[cfg(urcu_loom)]
    fn sleep(&self) {}

    /// # Safety
    ///
    /// The caller has taken it and not given it back.
    #[inline]
    pub(crate) unsafe fn give_back(&self) {
        // Release: what was done under the lock happens before the next holder's Acquire. PAIR(dequeue-lock)
        if self.state.swap(FREE, Ordering::Release) == CONTENDED {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        #[cfg(not(urcu_loom))]
        urcu_core::sys::futex_wake(&self.state, 1);
    }

    /// Holds it until the value is dropped.
    #[inline]
    pub(crate) fn hold(&self) -> Held<'_> {
        self.take();
        Held(self)
    }
}

fn yield_now() {
    #[cfg(not(urcu_loom))]
    std::thread::yield_now();
    #[cfg(urcu_loom)]
    urcu_core::sync::modelled::spin_loop();
}

/// One step of waiting for a thread that is between two instructions: spins, then yields, then naps.
#[cold]
pub(crate) fn wait(backoff: &mut Backoff) {
    if cfg!(urcu_loom) {
        yield_now();
    } else if !backoff.snooze() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl RawLock {
    /// Holds it until the value is dropped, unless somebody else does.
    #[inline]
    pub(crate) fn try_hold(&self) -> Option<Held<'_>> {
        self.try_take().then(|| Held(self))
    }
}

/// The time of some operations of another thread.
#[inline]
pub(crate) fn linger() {
    if !cfg!(urcu_loom) {
        for _ in 0..8 {
            urcu_core::sync::spin_loop();
        }
    }
}

/// What a thread does after an operation that met another thread: see [`Absence`]. Bounded, a fraction of a microsecond.
#[cold]
pub(crate) fn make_way() {
    if !cfg!(urcu_loom) {
        for _ in 0..32 {
            urcu_core::sync::spin_loop();
        }
    }
}

/// The lock is held while this lives.
#[derive(Debug)]
pub(crate) struct Held<'l>(&'l RawLock);

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken by `hold`, given back here only.
        unsafe { self.0.give_back() };
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use std::cell::UnsafeCell;

    use super::*;

    struct Shared(RawLock, UnsafeCell<u64>);

    // SAFETY: the cell is used under the lock only.
    unsafe impl Sync for Shared {}

    #[test]
    fn one_holder_at_a_time_on_an_oversubscribed_machine() {
        let shared = Shared(RawLock::new(), UnsafeCell::new(0));
        let shared = &shared;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let _held = shared.0.hold();
                        // SAFETY: under the lock.
                        unsafe { *shared.1.get() += 1 };
                        if round % 512 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        let _held = shared.0.hold();
        // SAFETY: under the lock.
        assert_eq!(unsafe { *shared.1.get() }, 40_000);
    }
}

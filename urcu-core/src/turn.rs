//! A lock that is given back by a plain store.

use crate::absence::Absence;
use crate::sync::{AtomicBool, Ordering};

/// A lock for turns of nanoseconds: half the price of a mutex.
///
/// One locked instruction per turn instead of two, because it is given back by a plain store. What that gives up is waking: who
/// waits stays away ([`Absence`]), yields and then looks again every so often, at most a millisecond apart. It is not fair
/// either, on purpose: the holder takes its next turns meanwhile at the speed of one processor.
///
/// Not for signal handlers, nor between threads of different real-time priorities. A forked child must not use it if another
/// thread may have held it at the fork.
///
/// ```
/// let turn = urcu_core::Turn::new();
/// let mine = turn.hold();
/// assert!(turn.try_hold().is_none());
/// drop(mine);
/// assert!(turn.try_hold().is_some());
/// ```
#[derive(Debug, Default)]
pub struct Turn {
    taken: AtomicBool,
}

/// The turn is the thread's while this lives.
#[derive(Debug)]
#[must_use = "it is given back when this is dropped"]
pub struct TurnGuard<'t>(&'t Turn);

impl Drop for TurnGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: this turn happens before the next one. PAIR(turn)
        self.0.taken.store(false, Ordering::Release);
    }
}

impl Turn {
    /// Free.
    pub const fn new() -> Self {
        Self { taken: AtomicBool::new(false) }
    }

    /// Takes the turn, unless somebody else has it.
    #[inline]
    pub fn try_hold(&self) -> Option<TurnGuard<'_>> {
        // Acquire: sees the last turn. PAIR(turn)
        // A closure: a guard that were made in vain would give the holder's turn back.
        (!self.taken.swap(true, Ordering::Acquire)).then(|| TurnGuard(self))
    }

    /// Takes the turn; waits for it. Not on a thread that has it: that would be a deadlock.
    #[inline]
    pub fn hold(&self) -> TurnGuard<'_> {
        match self.try_hold() {
            Some(held) => held,
            None => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> TurnGuard<'_> {
        const LOOKS: u32 = 8;
        const YIELDS: u32 = 20;
        let mut absence = Absence::new();
        let mut attempt = 0_u32;
        loop {
            if attempt < LOOKS {
                absence.stay_away();
            } else if attempt < YIELDS {
                std::thread::yield_now();
            } else {
                let micros = 50_u64 << (attempt - YIELDS).min(4);
                std::thread::sleep(core::time::Duration::from_micros(micros));
            }
            attempt = attempt.saturating_add(1);
            // Relaxed: only a hint; `try_hold` acquires.
            if self.taken.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(held) = self.try_hold() {
                return held;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::UnsafeCell;

    use super::*;

    struct Shared(Turn, UnsafeCell<u64>);

    // SAFETY: the cell is used during a turn only.
    unsafe impl Sync for Shared {}

    #[test]
    fn one_turn_at_a_time_on_an_oversubscribed_machine() {
        let shared = Shared(Turn::new(), UnsafeCell::new(0));
        let shared = &shared;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let _held = shared.0.hold();
                        // SAFETY: during the turn.
                        unsafe { *shared.1.get() += 1 };
                        if round % 512 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        let _held = shared.0.hold();
        // SAFETY: during the turn.
        assert_eq!(unsafe { *shared.1.get() }, 40_000);
    }
}

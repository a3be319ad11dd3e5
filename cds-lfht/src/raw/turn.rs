//! Who may change the table's size: one at a time, never across a grace period.

use urcu_core::Backoff;
use urcu_core::sync::modelled::{AtomicU32, Ordering};
use urcu_core::sys;

/// Somebody sleeps until the turn ends. Process ids are smaller.
const AWAITED: u32 = 1 << 31;

/// A lock that holds the process id of its holder, so that a forked child can take it from a thread that does not exist
/// there. What is done under it can be done again from the start.
#[derive(Debug, Default)]
pub(super) struct Turn {
    holder: AtomicU32,
}

/// Ends when dropped.
pub(super) struct Taken<'t> {
    turn: &'t Turn,
}

impl Turn {
    /// Takes the turn if nobody has it.
    pub(super) fn try_take(&self) -> Option<Taken<'_>> {
        let own = sys::process_id().cast_unsigned();
        let holder = self.holder.load(Ordering::Relaxed);
        // Nobody, or a thread of the process that this one was forked from.
        let free = holder == 0 || holder & !AWAITED != own;
        // Acquire pairs with the Release of the last holder. PAIR(lfht-turn)
        let taken = free && self.holder.compare_exchange(holder, own, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Not `then_some`: a `Taken` that was not taken would end somebody else's turn.
        taken.then(|| Taken { turn: self })
    }

    /// Whether a thread of this process has it.
    pub(super) fn is_held_here(&self) -> bool {
        self.holder.load(Ordering::Relaxed) & !AWAITED == sys::process_id().cast_unsigned()
    }

    /// Waits for it. Blocks for as long as others work under it, which is bounded.
    pub(super) fn take(&self) -> Taken<'_> {
        let mut backoff = Backoff::new();
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            if backoff.snooze() {
                continue;
            }
            let holder = self.holder.load(Ordering::Relaxed);
            if holder == 0 {
                continue;
            }
            let awaited = holder | AWAITED;
            let announced = holder == awaited
                || self.holder.compare_exchange(holder, awaited, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if announced {
                sleep(&self.holder, awaited);
            }
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // Release: what was done in this turn happens before the next one. PAIR(lfht-turn)
        if self.turn.holder.swap(0, Ordering::Release) & AWAITED != 0 {
            wake_all(&self.turn.holder);
        }
    }
}

#[cfg(not(urcu_loom))]
fn sleep(holder: &AtomicU32, awaited: u32) {
    sys::futex_wait(holder, awaited, None);
}

#[cfg(not(urcu_loom))]
fn wake_all(holder: &AtomicU32) {
    sys::futex_wake(holder, i32::MAX);
}

/// Nobody sleeps in a model.
#[cfg(urcu_loom)]
fn sleep(_: &AtomicU32, _: u32) {
    loom::thread::yield_now();
}

#[cfg(urcu_loom)]
fn wake_all(_: &AtomicU32) {}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use core::cell::UnsafeCell;

    use super::*;

    struct Shared(Turn, UnsafeCell<u64>);
    // SAFETY: the cell is touched under the turn only.
    unsafe impl Sync for Shared {}

    #[test]
    fn one_at_a_time() {
        let shared = Shared(Turn::default(), UnsafeCell::new(0));
        let shared = &shared;
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..5_000 {
                        let _taken = shared.0.take();
                        // SAFETY: under the turn.
                        let count = unsafe { &mut *shared.1.get() };
                        *count += 1;
                        if round % 1000 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        assert!(shared.0.try_take().is_some());
        assert_eq!(shared.count(), 40_000);
    }

    impl Shared {
        fn count(&self) -> u64 {
            let _taken = self.0.take();
            // SAFETY: under the turn.
            unsafe { *self.1.get() }
        }
    }

    #[test]
    fn a_turn_of_another_process_is_taken_over() {
        let turn = Turn::default();
        turn.holder.store(sys::process_id().cast_unsigned() + 1, Ordering::Relaxed);
        assert!(turn.try_take().is_some());
        let held = turn.take();
        assert!(turn.try_take().is_none());
        assert!(turn.try_take().is_none(), "a refusal has ended the turn");
        drop(held);
    }
}

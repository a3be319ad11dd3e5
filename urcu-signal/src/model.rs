//! Signals for the model checker, where there are none: a thread of the model runs the handler when it says so.

use core::sync::atomic;
use core::time::Duration;

use urcu_core::sync::{AtomicU32, Ordering};

use crate::barrier;

/// Whether the one reader has a signal pending.
static PENDING: AtomicU32 = AtomicU32::new(0);
static SLEEPS_ARE_BOUNDED: atomic::AtomicBool = atomic::AtomicBool::new(true);

pub(crate) fn send() -> bool {
    // Release: the kernel's own order between who sends a signal and its handler.
    PENDING.fetch_or(1, Ordering::Release);
    true
}

pub(crate) fn longest_sleep() -> Option<Duration> {
    SLEEPS_ARE_BOUNDED.load(Ordering::Relaxed).then_some(barrier::LONGEST_SLEEP)
}

/// Whether an updater that nobody wakes goes on all the same. Not inside of a model.
pub fn bound_sleeps(bounded: bool) {
    SLEEPS_ARE_BOUNDED.store(bounded, Ordering::Relaxed);
}

/// The handler, if the calling thread, which is the only one that is signalled, has a signal pending.
pub fn handle() {
    if PENDING.fetch_and(0, Ordering::Acquire) != 0 {
        barrier::on_signal(0);
    }
}

/// The handler, for a signal that came late or from elsewhere: nothing but its own steps orders it.
pub fn handle_stray() {
    barrier::on_signal(0);
}

//! How a worker falls asleep, and how it is woken.
//!
//! # Event-driven
//!
//! A worker sleeps without a timeout as long as nothing is pending. Whoever adds a call looks at `attention` after it;
//! the worker looks at the queues after it has set `ASLEEP` there. One of the two has to see the other, which takes a
//! store-load barrier on both sides. Adding is the hot path, so the barrier is an asymmetric one: a compiler fence
//! there, `membarrier(2)` here, once per falling asleep. Where that call is missing, `FENCE` is set for good, before the
//! worker is first there, and makes every addition take the path with a fence. Where it fails later on, `FENCE` is set then,
//! and sleeps are short ones. PAIR(worker-sleep)
//!
//! Who waits for the worker itself (a barrier, a poll, a stop, a fork) says so, fences, and looks at `attention`; a full fence
//! on this side is the partner, for short rests too. PAIR(worker-call)
//!
//! # Dozing
//!
//! Waking a thread costs the one who does it far more than a deferred call does, and local calls are in no hurry: they only give
//! memory back. So once local calls have come in, the default worker does not fall asleep as soon as it has run them: it dozes, in
//! naps of 10 ms, until none has come for 16 naps in a row. A thread that goes on retiring, however little, wakes the worker
//! once and not for each call. What comes in meanwhile is found when the nap ends: at most 10 ms later, and a short nap
//! more if it was still coming in. What a worker runs for others (remote calls, barriers, polls) ends the nap, as ever; but a
//! remote call that comes in within the nanoseconds in which a nap begins may find it out of sight, since naps go without
//! the barrier, and then it is found when that nap ends. After a doze without local calls the worker sleeps as before,
//! without a timeout.

use core::ptr;
use core::time::Duration;

use super::rounds::Rounds;
use super::{ABSENT, FENCE, LONGEST_NAP, RUNNING, Worker, closed};
use crate::flavor::Flavor;
use crate::membarrier::Membarrier;
use crate::sync::{Ordering, compiler_fence, fence};
use crate::sys;
use crate::weaken;

/// It sleeps and has to be woken.
const ASLEEP: u32 = 2;
/// It sleeps for a short while, in a nap or a doze; local calls do not wake it.
const NAPPING: u32 = 8;
/// It sleeps for its polling period; calls do not wake it, but who waits for the worker itself does.
const POLLING: u32 = 16;

/// The heavy side of PAIR(worker-sleep), shared by all flavors.
static SLEEP_BARRIER: Membarrier = Membarrier::new();

/// Whether the system has no such barrier.
pub(super) fn is_barrier_missing() -> bool {
    SLEEP_BARRIER.init().is_err() || SLEEP_BARRIER.is_missing()
}

impl Worker {
    /// Wakes the worker's thread if it sleeps, for calls that have been added.
    pub(crate) fn wake(&self) {
        self.end_rest(ASLEEP | NAPPING);
    }

    /// Wakes the worker's thread if it sleeps, also if it polls: somebody waits for a round, its end, or its pause.
    pub(super) fn call_for(&self) {
        fence(Ordering::SeqCst);
        self.end_rest(ASLEEP | NAPPING | POLLING);
    }

    fn end_rest(&self, resting: u32) {
        // Relaxed: flags of one word. What the worker is to find is ordered by the fences on both sides: it looks behind its next
        // one, which comes after this change of the word. PAIR(worker-call) PAIR(worker-sleep)
        // Its fence makes the exchange a release. PAIR(rest-end)
        if self.attention.load(Ordering::Relaxed) & resting != 0
            && self.attention.fetch_and(!resting, Ordering::Relaxed) & resting != 0
        {
            sys::futex_wake(&self.attention, 1);
        }
    }
}

impl<F: Flavor> Rounds<F> {
    /// Whether somebody waits for this worker. Each of them fences after saying so, and this comes behind a fence, so the loads are
    /// relaxed. PAIR(worker-call)
    fn is_called_for(&self) -> bool {
        let worker = self.worker;
        worker.wanted.load(Ordering::Relaxed) != worker.done.load(Ordering::Relaxed)
            || worker.is_polled::<F>()
            || worker.pause.load(Ordering::Relaxed) != RUNNING
            || worker.stop.load(Ordering::Relaxed)
    }

    /// Whether calls wait for it. For the moment before falling asleep, behind the heavy side. PAIR(worker-sleep)
    fn has_calls(&self) -> bool {
        ![ptr::null_mut(), closed()].contains(&self.worker.inbox.load(Ordering::Relaxed))
            || (self.is_default && F::domain().deferred.is_pending())
    }

    /// Whether calls wait for it that it runs for others. For the moment before a doze, which has no heavy barrier: one that is just
    /// being added may be missed.
    pub(super) fn has_remote_calls(&self) -> bool {
        let deferred = &F::domain().deferred;
        !deferred.workers.nothing_adopted() || deferred.updaters.iter().any(|updater| updater.remote.holds_anything())
    }

    /// Sleeps, unless somebody calls for it or `stays_up`, which is asked once whoever adds calls can see that it rests.
    pub(super) fn sleep(&self, nap: Option<Duration>, stays_up: impl Fn() -> bool) {
        let attention = &self.worker.attention;
        let (resting, mut length) = match (self.polling, nap) {
            // Whoever adds calls never makes a system call.
            (Some(period), nap) => (POLLING, Some(nap.unwrap_or(period).min(period))),
            (None, Some(nap)) => (NAPPING, Some(nap)),
            (None, None) => (ASLEEP, None),
        };
        // Relaxed: the fence.
        attention.fetch_or(resting, Ordering::Relaxed);
        // PAIR(worker-call)
        fence(Ordering::SeqCst);
        let go_on = weaken!("sleep-looks-for-callers", self.is_called_for() => false)
            || stays_up()
            || (length.is_none() && {
                // The heavy side. PAIR(worker-sleep)
                if weaken!("sleep-barrier", SLEEP_BARRIER.try_heavy_barrier() => Ok(())).is_err() {
                    // Refused after all. From now on whoever adds calls fences; who has just added one without is found
                    // after a short sleep, and this one does not last until somebody wakes it.
                    attention.fetch_or(FENCE, Ordering::Relaxed);
                    length = Some(LONGEST_NAP);
                }
                weaken!("sleep-looks-again", self.has_calls() => false)
            });
        let flags = attention.load(Ordering::Relaxed);
        if !go_on && flags & resting != 0 {
            sys::futex_wait(attention, flags, length);
        }
        // Acquire: the call of whoever has taken the mark already is found by the next round. PAIR(rest-end)
        attention.fetch_and(!resting, Ordering::Acquire);
    }
}

/// The light side of falling asleep: called after a call has been added to a queue that `worker` serves. A nap goes on,
/// unless it is `urgent`.
#[inline]
pub(crate) fn notify<F: Flavor>(worker: &'static Worker, urgent: bool) {
    let ignored = if urgent { 0 } else { NAPPING };
    // Keeps the compiler from looking first. PAIR(worker-sleep)
    compiler_fence(Ordering::SeqCst);
    if worker.attention.load(Ordering::Relaxed) & !ignored != 0 {
        attend::<F>(worker, ignored);
    }
}

#[cold]
fn attend<F: Flavor>(worker: &'static Worker, ignored: u32) {
    fence(Ordering::SeqCst);
    let attention = worker.attention.load(Ordering::Relaxed);
    if attention & ABSENT != 0 && !worker.spawn_failed.load(Ordering::Relaxed) {
        worker.start_or_report::<F>();
    }
    if weaken!("adding-wakes", attention & (ASLEEP | NAPPING) & !ignored != 0 => false) {
        worker.wake();
    }
}

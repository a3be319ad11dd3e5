//! What a worker's thread does: its rounds.
//!
//! A worker collects whatever is pending, waits for one grace period, runs it all, and looks again: the longer a grace
//! period takes, the more calls share the next one. While a thread keeps its own queue of local calls moving, the
//! default worker leaves it alone, and looks again after a nap, which grows from 100 us to 10 ms and which local calls do not end.

use core::mem::ManuallyDrop;
use core::ptr;
use core::time::Duration;

use super::{ABSENT, LONGEST_NAP, PAUSE, PAUSED, RUNNING, Worker};
use crate::defer::block::Call;
use crate::defer::limits;
use crate::defer::queue::Emptied;
use crate::flavor::{Flavor, ReadSide};
use crate::reader::LastGuard;
use crate::sync::Ordering;
use crate::weaken;
use crate::{grace_period, quiescence, reclaim, registration, sys, thread};

/// How many calls a worker keeps room for between rounds.
const LASTING_CALLS: usize = 1 << 14;

const SHORTEST_NAP: Duration = Duration::from_micros(100);
/// After so many naps without a local call, the worker sleeps.
const DOZE: u32 = 16;

/// What the worker's thread does.
pub(super) struct Rounds<F: Flavor> {
    pub(super) worker: &'static Worker,
    /// Whether it serves the queues of all updaters, too.
    pub(super) is_default: bool,
    pub(super) polling: Option<Duration>,
    calls: Vec<Call>,
    /// Counts against the limits until the calls have run.
    emptied: Emptied,
    /// When the oldest of them was added.
    oldest: u64,
    nap: Duration,
    /// Local calls that had ever been added when this thread last looked, and naps since there were new ones.
    local_calls: u64,
    quiet_naps: u32,
    /// Whether this is the first round since the worker slept with nothing pending.
    woken: bool,
    flavor: core::marker::PhantomData<F>,
}

/// What is left to do after a round.
enum Outlook {
    /// More may have come in meanwhile.
    Again,
    /// Threads are busy with their own queues: look again later.
    Nap,
    /// Nothing is pending, but local calls have come in lately.
    Doze,
    /// Nothing is pending.
    Sleep,
}

impl<F: Flavor> Rounds<F> {
    pub(super) fn new(worker: &'static Worker, polling: Option<Duration>) -> Self {
        let is_default = ptr::eq(worker, &raw const F::domain().deferred.default_worker);
        Self {
            worker,
            is_default,
            polling,
            calls: Vec::new(),
            emptied: Emptied::default(),
            oldest: u64::MAX,
            nap: SHORTEST_NAP,
            local_calls: 0,
            quiet_naps: DOZE,
            woken: true,
            flavor: core::marker::PhantomData,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            self.pause_for_fork();
            // Acquire. PAIR(worker-stop)
            if self.worker.stop.load(Ordering::Acquire) {
                return self.finish();
            }
            match self.round() {
                Outlook::Again => self.nap = SHORTEST_NAP,
                Outlook::Nap => {
                    self.sleep(Some(self.nap), || false);
                    self.nap = (self.nap * 2).min(LONGEST_NAP);
                }
                Outlook::Doze => {
                    self.nap = SHORTEST_NAP;
                    self.quiet_naps += 1;
                    self.sleep(Some(LONGEST_NAP), || self.has_remote_calls());
                }
                Outlook::Sleep => {
                    self.nap = SHORTEST_NAP;
                    self.sleep(None, || false);
                    self.woken = true;
                }
            }
        }
    }

    /// Collects, waits for a grace period, runs.
    fn round(&mut self) -> Outlook {
        // Acquire: what was added before. PAIR(round)
        let wanted = self.worker.wanted.load(Ordering::Acquire);
        let everything = wanted > self.worker.done.load(Ordering::Relaxed);
        // Relaxed: see `poll_for`.
        let polled = self.worker.polled.load(Ordering::Relaxed);
        self.worker.take_inbox(&mut self.calls, ptr::null_mut());
        let since = sys::coarse_nanos();
        if self.is_default {
            F::domain().deferred.workers.take_adopted(&mut self.calls);
        }
        // Counted one by one when they were handed over.
        self.emptied.calls += self.calls.len();
        let busy = self.is_default && self.collect(everything);
        self.woken = false;
        let gp_wanted = !F::domain().grace_periods.has_completed(polled);
        if self.calls.is_empty() && !everything && !gp_wanted {
            // Blocks whose calls were taken while they were being filled.
            if self.emptied.calls != 0 {
                F::domain().deferred.limits.settle(core::mem::take(&mut self.emptied));
            }
            return match busy {
                true => Outlook::Nap,
                false if self.quiet_naps < DOZE => Outlook::Doze,
                false => Outlook::Sleep,
            };
        }
        // If no grace period can end any more, they stay pending.
        let in_flight = ManuallyDrop::new(F::domain().deferred.in_flight(self.calls.len(), self.oldest.min(since)));
        self.oldest = u64::MAX;
        if !self.calls.is_empty() || gp_wanted {
            weaken!("worker-waits", grace_period::wait::<F>() => ());
        }
        run_registered::<F>(&mut self.calls);
        drop(ManuallyDrop::into_inner(in_flight));
        self.calls.shrink_to(LASTING_CALLS);
        weaken!("rounds-settle", F::domain().deferred.limits.settle(core::mem::take(&mut self.emptied)) => ());
        if everything {
            // Release. PAIR(round-done)
            self.worker.done.store(wanted, Ordering::Release);
            self.worker.wake_waiting();
        }
        Outlook::Again
    }

    /// Takes the calls of all updaters, but leaves a local queue alone that its owner keeps moving, unless `everything`
    /// is wanted. Whether any was left.
    fn collect(&mut self, everything: bool) -> bool {
        let deferred = &F::domain().deferred;
        let mut busy = false;
        let mut local_calls = 0_u64;
        for updater in deferred.updaters.iter() {
            local_calls = local_calls.wrapping_add(updater.local.queued());
            for (queue, is_local) in [(&updater.remote, false), (&updater.local, true)] {
                let queued = queue.queued();
                if !queue.holds_anything() && !everything {
                    continue;
                }
                let moving = is_local && updater.seen.swap(queued, Ordering::Relaxed) != queued;
                let alone = self.woken && queued.saturating_sub(queue.executed()) <= limits::QUIET_CALLS;
                if moving && !everything && !alone {
                    busy = true;
                    continue;
                }
                // Whoever holds the queue frees what is in it; a barrier waits for that.
                let Some(mut reclaimer) = (if weaken!("barrier-takes-everything", everything => false) {
                    Some(queue.reclaim())
                } else {
                    queue.try_reclaim()
                }) else {
                    busy = true;
                    continue;
                };
                self.oldest = self.oldest.min(queue.oldest());
                self.emptied += reclaimer.take_all(&mut self.calls);
            }
        }
        if local_calls != self.local_calls {
            self.local_calls = local_calls;
            self.quiet_naps = 0;
        }
        busy
    }

    fn pause_for_fork(&self) {
        let pause = &self.worker.pause;
        // Relaxed: the first time behind the fence in `start`, later behind those of sleeps; and who forks waits. PAIR(worker-call)
        if pause.load(Ordering::Relaxed) == RUNNING {
            return;
        }
        // Unless the fork is over: one that found no thread here has not waited for this one.
        // Release: everything of the rounds before is whole for the thread that forks. PAIR(worker-pause)
        if pause.compare_exchange(PAUSE, PAUSED, Ordering::Release, Ordering::Relaxed).is_err() {
            return;
        }
        sys::futex_wake(pause, i32::MAX);
        while pause.load(Ordering::Acquire) == PAUSED {
            sys::futex_wait(pause, PAUSED, None);
        }
    }

    /// The last round of a worker that stops: what is left goes to the default worker.
    fn finish(mut self) {
        self.worker.close(&mut self.calls);
        let leftover = core::mem::take(&mut self.calls);
        weaken!("leftovers-are-adopted", F::domain().deferred.adopt(leftover) => drop(leftover));
        // Barriers that came too late for a round find their calls in the default worker.
        self.worker.done.store(u64::MAX, Ordering::Release);
        // Release: this was the last of it. PAIR(worker-end)
        self.worker.attention.fetch_or(ABSENT, Ordering::Release);
        self.worker.wake_waiting();
    }
}

/// Runs calls whose grace period has ended on a thread that is a registered reader meanwhile, outside every section.
pub(crate) fn run_registered<F: Flavor>(calls: &mut Vec<Call>) {
    if calls.is_empty() {
        return;
    }
    let mut registered = false;
    F::with_record(|record| record.set_reclaiming(true));
    reclaim::running::<F>(|| {
        for call in calls.drain(..) {
            // Each time: a call before may have ended the registration, by itself or by dropping the guard that kept it. A
            // failure leaves callbacks that read without one; their own panic says so.
            if !F::reader().is_registered() {
                registered |= registration::register::<F>().is_ok();
            }
            // SAFETY: a grace period has ended since it was collected; this is a worker's thread, or that of a caller who
            // runs the calls in a worker's place.
            unsafe { call.run() };
            let reader = F::reader();
            // The guard that a call has leaked, or keeps in a thread-local, goes on.
            // So may one that borrows a `Thread` which a call has brought online: it leaves no trace.
            if F::READ_SIDE == ReadSide::QuiescentStates
                && registration::open_sections::<F>(reader) == 0
                && !thread::may_hide_guard::<F>(reader)
            {
                quiescence::announce::<F>(reader);
            }
        }
    });
    F::with_record(|record| record.set_reclaiming(false));
    let reader = F::reader();
    // Unless a call has taken the registration over: its `Thread` may live in a thread-local.
    if registered && !reader.has_handle() {
        if registration::open_sections::<F>(reader) == 0 {
            registration::unregister::<F>();
        } else {
            // A guard may live there, too.
            reader.at_last_guard(LastGuard::EndsRegistration);
        }
    }
}

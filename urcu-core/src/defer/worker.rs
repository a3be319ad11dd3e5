//! A worker: the thread that waits for grace periods on behalf of those who defer, and runs their calls.
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
//! # Sharing grace periods
//!
//! A worker collects whatever is pending, waits for one grace period, runs it all, and looks again: the longer a grace
//! period takes, the more calls share the next one. While a thread keeps its own queue of local calls moving, the
//! default worker leaves it alone, and looks again after a nap, which grows from 100 us to 10 ms and which local calls do not end.
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

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr;
use core::time::Duration;

use crate::backoff::Backoff;
use crate::defer::block::{Call, Function};
use crate::defer::limits;
use crate::defer::queue::Emptied;
use crate::error::{BarrierError, WorkerError};
use crate::flavor::{Flavor, ReadSide};
use crate::head::{Callback, RcuHead};
use crate::membarrier::Membarrier;
use crate::reader::LastGuard;
use crate::report::{Report, report};
use crate::sync::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, CachePadded, Ordering, compiler_fence, fence,
};
use crate::util::OnDrop;
use crate::weaken;
use crate::{grace_period, quiescence, reclaim, registration, sys, thread};

/// No thread runs this worker.
pub(crate) const ABSENT: u32 = 1;
/// It sleeps and has to be woken.
pub(crate) const ASLEEP: u32 = 2;
/// It sleeps for a short while, in a nap or a doze; local calls do not wake it.
pub(crate) const NAPPING: u32 = 8;
/// It cannot issue the asymmetric barrier: whoever adds calls has to fence.
pub(crate) const FENCE: u32 = 4;
/// It sleeps for its polling period; calls do not wake it, but who waits for the worker itself does.
const POLLING: u32 = 16;

const RUNNING: u32 = 0;
const PAUSE: u32 = 1;
const PAUSED: u32 = 2;

/// How many calls a worker keeps room for between rounds.
const LASTING_CALLS: usize = 1 << 14;

const SHORTEST_NAP: Duration = Duration::from_micros(100);
const LONGEST_NAP: Duration = Duration::from_millis(10);
/// After so many naps without a local call, the worker sleeps.
const DOZE: u32 = 16;

/// The heavy side of PAIR(worker-sleep), shared by all flavors.
static SLEEP_BARRIER: Membarrier = Membarrier::new();

/// How a worker's thread is to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) name: Option<String>,
    pub(crate) cpu: Option<usize>,
    pub(crate) realtime: Option<i32>,
    pub(crate) polling: Option<Duration>,
}

/// See the [module page](self). Never freed.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Flags; also what the worker sleeps on.
    pub(crate) attention: CachePadded<AtomicU32>,
    /// Heads handed to this very worker, latest first; `closed()` once it has stopped.
    inbox: CachePadded<AtomicPtr<RcuHead>>,
    /// Full rounds that somebody waits for, and those done.
    wanted: AtomicU64,
    done: AtomicU64,
    done_wake: AtomicU32,
    /// The number of a grace period that somebody polls for.
    polled: AtomicU64,
    /// Heads ever handed over, and taken out.
    pushed: AtomicU64,
    taken: AtomicU64,
    pause: AtomicU32,
    stop: AtomicBool,
    generation: AtomicU32,
    /// No grace period can end any more: a section was leaked with its thread.
    stuck: AtomicBool,
    tid: AtomicI32,
    spawn_failed: AtomicBool,
}

fn closed() -> *mut RcuHead {
    ptr::without_provenance_mut(1)
}

impl Worker {
    pub(crate) const fn new() -> Self {
        Self {
            attention: CachePadded(AtomicU32::new(ABSENT)),
            inbox: CachePadded(AtomicPtr::new(ptr::without_provenance_mut(1))),
            wanted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            done_wake: AtomicU32::new(0),
            polled: AtomicU64::new(0),
            pushed: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            pause: AtomicU32::new(RUNNING),
            stop: AtomicBool::new(false),
            generation: AtomicU32::new(0),
            stuck: AtomicBool::new(false),
            tid: AtomicI32::new(0),
            spawn_failed: AtomicBool::new(false),
        }
    }

    /// Hands `head` to this worker; `false` when it has stopped. Lock-free.
    ///
    /// # Safety
    ///
    /// The head is in no queue and stays untouched until its callback runs.
    pub(crate) unsafe fn push(&self, head: *mut RcuHead, callback: Callback) -> bool {
        // SAFETY: the caller's to write.
        unsafe { (*head).callback = Some(callback) };
        let mut top = self.inbox.load(Ordering::Relaxed);
        loop {
            if top == closed() {
                return false;
            }
            // SAFETY: the caller's until the exchange succeeds.
            unsafe { (*head).next = top };
            // SeqCst: Release for the head, and before the look at `attention`. PAIR(inbox) PAIR(worker-sleep)
            match self.inbox.compare_exchange_weak(top, head, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => top = now,
            }
        }
        self.pushed.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.wake();
        true
    }

    /// Wakes the worker's thread if it sleeps, for calls that have been added.
    pub(crate) fn wake(&self) {
        self.end_rest(ASLEEP | NAPPING);
    }

    /// Wakes the worker's thread if it sleeps, also if it polls: somebody waits for a round, its end, or its pause.
    fn call_for(&self) {
        fence(Ordering::SeqCst);
        self.end_rest(ASLEEP | NAPPING | POLLING);
    }

    fn end_rest(&self, resting: u32) {
        if self.attention.load(Ordering::Relaxed) & resting != 0
            && self.attention.fetch_and(!resting, Ordering::AcqRel) & resting != 0
        {
            sys::futex_wake(&self.attention, 1);
        }
    }

    /// Makes the worker finish grace period `number` soon.
    pub(crate) fn poll_for(&self, number: u64) {
        self.polled.fetch_max(number, Ordering::SeqCst);
        self.call_for();
    }

    /// Returns once everything that was handed over before has run; `false` when the worker has no thread after all.
    ///
    /// # Errors
    ///
    /// When it never will.
    pub(crate) fn drain<F: Flavor>(&self) -> Result<bool, BarrierError> {
        // SeqCst: what was added before is found by the round that sees this. PAIR(round) PAIR(worker-sleep)
        let ticket = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        self.call_for();
        let mut backoff = Backoff::new();
        // Acquire: what the calls did happened before. PAIR(round-done)
        while self.done.load(Ordering::Acquire) < ticket {
            if self.is_stuck() {
                return Err(BarrierError::Stuck { flavor: F::NAME });
            }
            if backoff.snooze() {
                continue;
            }
            if !self.exists() {
                // One that has stopped said that it was done before.
                return Ok(self.done.load(Ordering::Acquire) >= ticket);
            }
            let wake = self.done_wake.load(Ordering::Acquire);
            if self.done.load(Ordering::Acquire) < ticket {
                // A bound, should the thread end in a forked child.
                sys::futex_wait(&self.done_wake, wake, Some(LONGEST_NAP));
            }
        }
        Ok(true)
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Tells this use of the worker from earlier and later ones.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Heads ever handed over, and those of them that have been taken out. A snapshot.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let taken = self.taken.load(Ordering::Relaxed);
        (self.pushed.load(Ordering::Relaxed), taken)
    }

    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    pub(crate) fn exists(&self) -> bool {
        self.attention.load(Ordering::Relaxed) & ABSENT == 0
    }

    /// Starts the worker's thread if there is none.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread or what `setup` asks for.
    pub(crate) fn start<F: Flavor>(&'static self, setup: Setup) -> Result<(), WorkerError> {
        if SLEEP_BARRIER.init().is_err() || SLEEP_BARRIER.is_missing() {
            // Before anybody can find the worker there: its first sleep relies on it.
            self.attention.fetch_or(FENCE, Ordering::SeqCst);
        }
        if self.attention.fetch_and(!ABSENT, Ordering::AcqRel) & ABSENT == 0 {
            return Ok(());
        }
        self.stop.store(false, Ordering::Relaxed);
        let started = self.spawn::<F>(setup);
        if started.is_err() {
            self.attention.fetch_or(ABSENT, Ordering::AcqRel);
        }
        started
    }

    fn spawn<F: Flavor>(&'static self, setup: Setup) -> Result<(), WorkerError> {
        #[cfg(urcu_loom)]
        if crate::sync::in_model() {
            loom::thread::spawn(move || Rounds::<F>::new(self, setup.polling).run());
            return Ok(());
        }
        registration::pin::<F>();
        let name = setup.name.clone().unwrap_or_else(|| F::NAME.to_owned());
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        // Inherited: no handler of the program runs on a worker.
        let blocked = sys::SignalsBlocked::new();
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            let ready =
                sys::set_scheduling(setup.cpu, setup.realtime).map_err(|errno| WorkerError::Scheduling { errno });
            self.tid.store(sys::thread_id(), Ordering::Relaxed);
            let go_on = ready.is_ok();
            let _ = sender.send(ready);
            drop(sender);
            if go_on {
                let stuck = OnDrop(|| self.give_up());
                Rounds::<F>::new(self, setup.polling).run();
                core::mem::forget(stuck);
            }
        });
        drop(blocked);
        match spawned {
            Ok(_detached) => receiver.recv().unwrap_or(Ok(())),
            Err(error) => Err(WorkerError::NoThread { errno: error.raw_os_error().unwrap_or(0) }),
        }
    }

    /// The thread is unwinding: a grace period that can never end panics. What is pending stays pending.
    fn give_up(&self) {
        self.stuck.store(true, Ordering::Release);
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        self.done_wake.fetch_add(1, Ordering::Release);
        sys::futex_wake(&self.done_wake, i32::MAX);
    }

    /// The default worker, on somebody's behalf who cannot be told of a failure; it is reported once.
    pub(crate) fn start_or_report<F: Flavor>(&'static self) -> bool {
        match self.start::<F>(Setup::default()) {
            Ok(()) => {
                self.spawn_failed.store(false, Ordering::Relaxed);
                true
            }
            Err(error) => {
                if !self.spawn_failed.swap(true, Ordering::Relaxed) {
                    report(&Report::NoWorker { flavor: F::NAME, error });
                }
                false
            }
        }
    }

    /// Whether the caller is the one who stops it.
    pub(crate) fn claim_stop(&self) -> bool {
        // SeqCst: before the look at `attention`. PAIR(worker-sleep)
        !self.stop.swap(true, Ordering::SeqCst)
    }

    /// Waits until the thread has ended, which [`claim_stop`](Self::claim_stop) has asked for; new heads are refused from
    /// its last round on.
    pub(crate) fn stop(&self) {
        self.call_for();
        let mut backoff = Backoff::new();
        while self.exists() && !self.is_stuck() {
            if !backoff.snooze() {
                let wake = self.done_wake.load(Ordering::Acquire);
                if self.exists() {
                    sys::futex_wait(&self.done_wake, wake, Some(LONGEST_NAP));
                }
            }
        }
    }

    /// Makes a stopped worker fit for another start.
    pub(crate) fn reuse(&self) {
        self.end_use();
        // Never below what was wanted: a barrier that it has served may not have noticed yet.
        self.done.store(self.wanted.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Handles that name it mean nothing from now on.
    pub(crate) fn end_use(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets heads in. The thread runs, and barriers know of the worker.
    pub(crate) fn open(&self) {
        self.inbox.store(ptr::null_mut(), Ordering::Release);
    }

    /// Before `fork`: returns once the thread, if any, has put itself aside between two rounds.
    pub(crate) fn pause(&self) {
        // A thread that is started meanwhile puts itself aside before its first round.
        self.pause.store(PAUSE, Ordering::SeqCst);
        self.call_for();
        // PAIR(worker-pause)
        while self.pause.load(Ordering::Acquire) == PAUSE && self.exists() && !self.is_stuck() {
            sys::futex_wait(&self.pause, PAUSE, Some(LONGEST_NAP));
        }
    }

    /// After `fork`, in the parent.
    pub(crate) fn resume(&self) {
        // An exchange, because the worker's is one: model checkers do not see that a plain store cannot come in between.
        self.pause.swap(RUNNING, Ordering::Release);
        sys::futex_wake(&self.pause, i32::MAX);
    }

    /// After `fork`, in the child: the thread does not exist.
    pub(crate) fn forget_thread(&self) {
        self.pause.store(RUNNING, Ordering::Relaxed);
        self.tid.store(0, Ordering::Relaxed);
        self.spawn_failed.store(false, Ordering::Relaxed);
        // The reader that nobody could end is not there any more.
        self.stuck.store(false, Ordering::Relaxed);
        let fenced = self.attention.load(Ordering::Relaxed) & FENCE;
        self.attention.store(ABSENT | fenced, Ordering::Release);
    }

    /// Takes all heads, oldest first.
    fn take_inbox(&self, calls: &mut Vec<Call>, leave: *mut RcuHead) {
        let top = self.inbox.load(Ordering::Relaxed);
        if top == closed() || (top.is_null() && leave.is_null()) {
            return;
        }
        // Acquire: the heads' contents. PAIR(inbox)
        let mut top = self.inbox.swap(leave, Ordering::Acquire);
        let from = calls.len();
        while !top.is_null() && top != closed() {
            // SAFETY: handed over by `push`, ours since the swap.
            let head = unsafe { &*top };
            calls.push(head_call(top, head.callback.expect("push sets the callback")));
            top = head.next;
        }
        weaken!("oldest-first", calls[from..].reverse() => ());
        self.taken.fetch_add((calls.len() - from) as u64, Ordering::Relaxed);
    }

    /// Moves what a stopped or vanished worker still holds to `calls`.
    pub(crate) fn close(&self, calls: &mut Vec<Call>) {
        self.take_inbox(calls, closed());
    }
}

/// A head's callback as a call.
pub(crate) fn head_call(head: *mut RcuHead, callback: Callback) -> Call {
    // SAFETY: the two types differ in what a thin pointer argument points to, which is the same ABI.
    let function = unsafe { core::mem::transmute::<Callback, Function>(callback) };
    Call { function, argument: head.cast::<c_void>() }
}

/// What the worker's thread does.
struct Rounds<F: Flavor> {
    worker: &'static Worker,
    /// Whether it serves the queues of all updaters, too.
    is_default: bool,
    polling: Option<Duration>,
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
    fn new(worker: &'static Worker, polling: Option<Duration>) -> Self {
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

    fn run(mut self) {
        loop {
            self.pause_for_fork();
            if self.worker.stop.load(Ordering::SeqCst) {
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
        // SeqCst. PAIR(round)
        let wanted = self.worker.wanted.load(Ordering::SeqCst);
        let everything = wanted > self.worker.done.load(Ordering::Relaxed);
        let polled = self.worker.polled.load(Ordering::SeqCst);
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

    /// Whether somebody waits for this worker. Each of them fences after saying so. PAIR(worker-call)
    fn is_called_for(&self) -> bool {
        let worker = self.worker;
        worker.wanted.load(Ordering::SeqCst) != worker.done.load(Ordering::Relaxed)
            || !F::domain().grace_periods.has_completed(worker.polled.load(Ordering::SeqCst))
            || worker.pause.load(Ordering::SeqCst) != RUNNING
            || worker.stop.load(Ordering::SeqCst)
    }

    /// Whether calls wait for it. For the moment before falling asleep.
    fn has_calls(&self) -> bool {
        ![ptr::null_mut(), closed()].contains(&self.worker.inbox.load(Ordering::SeqCst))
            || (self.is_default && F::domain().deferred.is_pending())
    }

    /// Whether calls wait for it that it runs for others. For the moment before a doze, which has no heavy barrier: one that is just
    /// being added may be missed.
    fn has_remote_calls(&self) -> bool {
        let deferred = &F::domain().deferred;
        !deferred.workers.nothing_adopted() || deferred.updaters.iter().any(|updater| updater.remote.holds_anything())
    }

    /// Sleeps, unless somebody calls for it or `stays_up`, which is asked once whoever adds calls can see that it rests.
    fn sleep(&self, nap: Option<Duration>, stays_up: impl Fn() -> bool) {
        let attention = &self.worker.attention;
        let (resting, mut length) = match (self.polling, nap) {
            // Whoever adds calls never makes a system call.
            (Some(period), nap) => (POLLING, Some(nap.unwrap_or(period).min(period))),
            (None, Some(nap)) => (NAPPING, Some(nap)),
            (None, None) => (ASLEEP, None),
        };
        attention.fetch_or(resting, Ordering::SeqCst);
        // PAIR(worker-call)
        fence(Ordering::SeqCst);
        let go_on = weaken!("sleep-looks-for-callers", self.is_called_for() => false)
            || stays_up()
            || (length.is_none() && {
                // The heavy side. PAIR(worker-sleep)
                if weaken!("sleep-barrier", SLEEP_BARRIER.try_heavy_barrier() => Ok(())).is_err() {
                    // Refused after all. From now on whoever adds calls fences; who has just added one without is found
                    // after a short sleep, and this one does not last until somebody wakes it.
                    attention.fetch_or(FENCE, Ordering::SeqCst);
                    length = Some(LONGEST_NAP);
                }
                weaken!("sleep-looks-again", self.has_calls() => false)
            });
        let flags = attention.load(Ordering::Relaxed);
        if !go_on && flags & resting != 0 {
            sys::futex_wait(attention, flags, length);
        }
        attention.fetch_and(!resting, Ordering::Relaxed);
    }

    fn pause_for_fork(&self) {
        let pause = &self.worker.pause;
        if pause.load(Ordering::SeqCst) == RUNNING {
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
        self.worker.attention.fetch_or(ABSENT, Ordering::AcqRel);
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

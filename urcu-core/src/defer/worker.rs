//! A worker: the thread that waits for grace periods on behalf of those who defer, and runs their calls.
//!
//! Here is what others see of it: how it is made, handed calls, waited for, stopped and put aside for a fork. What its thread does is in
//! [`rounds`], how it falls asleep and is woken in [`sleep`].
//!
//! Who waits for the worker itself (a barrier, a poll, a stop, a fork) says so, fences, and looks at `attention`; a full fence
//! on the worker's side is the partner. PAIR(worker-call)

mod rounds;
mod sleep;

use core::ffi::c_void;
use core::ptr;
use core::time::Duration;
use std::sync::Arc;

use crate::backoff::Backoff;
use crate::defer::block::{Call, Function};
use crate::error::{BarrierError, WorkerError};
use crate::flavor::Flavor;
use crate::head::{Callback, RcuHead};
use crate::report::{Report, report};
use crate::sync::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, CachePadded, Ordering, fence};
use crate::util::OnDrop;
use crate::weaken;
use crate::{registration, sys};
use rounds::Rounds;
pub(crate) use rounds::run_registered;
pub(crate) use sleep::notify;

/// No thread runs this worker.
pub(crate) const ABSENT: u32 = 1;
/// It cannot issue the asymmetric barrier: whoever adds calls has to fence.
pub(crate) const FENCE: u32 = 4;

const RUNNING: u32 = 0;
const PAUSE: u32 = 1;
const PAUSED: u32 = 2;

/// The longest time that a worker, or who waits for one, sleeps without a look round while anything is pending.
const LONGEST_NAP: Duration = Duration::from_millis(10);

/// How a worker's thread is to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) name: Option<String>,
    pub(crate) cpu: Option<usize>,
    pub(crate) realtime: Option<i32>,
    pub(crate) polling: Option<Duration>,
}

/// Whether a new worker's thread runs as it was asked to: nothing yet, or an error number plus one.
#[derive(Debug, Default)]
struct StartOutcome(AtomicU32);

impl StartOutcome {
    fn set(&self, ready: Result<(), i32>) {
        let errno = ready.err().unwrap_or(0).cast_unsigned();
        // Release: the thread's id. PAIR(worker-started)
        self.0.store(errno + 1, Ordering::Release);
        sys::futex_wake(&self.0, 1);
    }

    fn wait(&self) -> Result<(), i32> {
        loop {
            // Acquire. PAIR(worker-started)
            match self.0.load(Ordering::Acquire) {
                0 => sys::futex_wait(&self.0, 0, None),
                1 => return Ok(()),
                told => return Err((told - 1).cast_signed()),
            }
        }
    }
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
            // Release: the head's contents. The fence below comes before the look at `attention`. PAIR(inbox)
            match self.inbox.compare_exchange_weak(top, head, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => top = now,
            }
        }
        self.pushed.fetch_add(1, Ordering::Relaxed);
        // PAIR(worker-sleep)
        fence(Ordering::SeqCst);
        self.wake();
        true
    }

    /// Makes the worker finish grace period `number` soon.
    pub(crate) fn poll_for(&self, number: u64) {
        // Relaxed: a number that is compared, and the fence of `call_for`. What the caller unlinked is ordered by the fences of the
        // grace period itself. PAIR(gp-share)
        self.polled.fetch_max(number, Ordering::Relaxed);
        self.call_for();
    }

    /// Whether somebody polls for a grace period that has not ended.
    pub(crate) fn is_polled<F: Flavor>(&self) -> bool {
        // Relaxed: see `poll_for`.
        !F::domain().grace_periods.has_completed(self.polled.load(Ordering::Relaxed))
    }

    /// Returns once everything that was handed over before has run; `false` when the worker has no thread after all.
    ///
    /// # Errors
    ///
    /// When it never will.
    pub(crate) fn drain<F: Flavor>(&self) -> Result<bool, BarrierError> {
        // Release: what was added before is found by the round that sees this. PAIR(round)
        let ticket = self.wanted.fetch_add(1, Ordering::Release) + 1;
        self.call_for();
        let mut backoff = Backoff::spinning();
        // Acquire: what the calls did happened before. PAIR(round-done)
        while self.done.load(Ordering::Acquire) < ticket {
            if self.is_stuck() {
                return Err(BarrierError::Stuck { flavor: F::NAME });
            }
            if backoff.snooze() {
                continue;
            }
            // PAIR(done-wake)
            let wake = self.done_wake.load(Ordering::Acquire);
            if !self.exists() {
                // One that has stopped said that it was done before.
                return Ok(self.done.load(Ordering::Acquire) >= ticket);
            }
            // Relaxed: the loop looks again.
            if self.done.load(Ordering::Relaxed) < ticket && !self.is_stuck() {
                // A bound, should the thread end in a forked child.
                sys::futex_wait(&self.done_wake, wake, Some(LONGEST_NAP));
            }
        }
        Ok(true)
    }

    pub(crate) fn is_stuck(&self) -> bool {
        // Acquire: a fork that does not wait for this worker copies what it has left. PAIR(worker-stuck)
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
        // Acquire: who finds that it has ended may use the worker again, and finds what it left. PAIR(worker-end)
        self.attention.load(Ordering::Acquire) & ABSENT == 0
    }

    /// Starts the worker's thread if there is none.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread or what `setup` asks for.
    pub(crate) fn start<F: Flavor>(&'static self, setup: Setup) -> Result<(), WorkerError> {
        if sleep::is_barrier_missing() {
            // Before anybody can find the worker there: its first sleep relies on it. Relaxed: one word, one order.
            self.attention.fetch_or(FENCE, Ordering::Relaxed);
        }
        // Acquire: what the thread before has left. PAIR(worker-end)
        if self.attention.fetch_and(!ABSENT, Ordering::Acquire) & ABSENT == 0 {
            return Ok(());
        }
        // Before the new thread's first look at `pause`: either the one that forks sees the thread, and waits, or the thread sees
        // that it has to stay aside. PAIR(worker-call)
        fence(Ordering::SeqCst);
        self.stop.store(false, Ordering::Relaxed);
        let started = self.spawn::<F>(setup);
        if started.is_err() {
            // Release. PAIR(worker-end)
            self.attention.fetch_or(ABSENT, Ordering::Release);
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
        let outcome = Arc::new(StartOutcome::default());
        let tell = Arc::clone(&outcome);
        let body = move || {
            let ready = sys::set_scheduling(setup.cpu, setup.realtime);
            self.tid.store(sys::thread_id(), Ordering::Relaxed);
            tell.set(ready);
            drop(tell);
            if ready.is_ok() {
                let stuck = OnDrop(|| self.give_up());
                Rounds::<F>::new(self, setup.polling).run();
                core::mem::forget(stuck);
            }
        };
        // Inherited: no handler of the program runs on a worker.
        let blocked = sys::SignalsBlocked::new();
        let spawned = sys::spawn_thread(&name, body);
        drop(blocked);
        spawned.map_err(|errno| WorkerError::NoThread { errno })?;
        outcome.wait().map_err(|errno| WorkerError::Scheduling { errno })
    }

    /// The thread is unwinding: a grace period that can never end panics. What is pending stays pending.
    fn give_up(&self) {
        // Release. PAIR(worker-stuck)
        self.stuck.store(true, Ordering::Release);
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        // Release: who sees the new count sees what it tells of, and does not fall asleep. PAIR(done-wake)
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
        // Release: the worker finds its inbox open, with what was handed over before. The fence of `call_for` comes before the look
        // at `attention`. PAIR(worker-stop) PAIR(worker-call)
        !self.stop.swap(true, Ordering::Release)
    }

    /// Waits until the thread is past its last round, which [`claim_stop`](Self::claim_stop) has asked for; new heads are refused from
    /// its last round on.
    pub(crate) fn stop(&self) {
        self.call_for();
        let mut backoff = Backoff::new();
        while self.exists() && !self.is_stuck() {
            if !backoff.snooze() {
                // PAIR(done-wake)
                let wake = self.done_wake.load(Ordering::Acquire);
                if self.exists() && !self.is_stuck() {
                    sys::futex_wait(&self.done_wake, wake, Some(LONGEST_NAP));
                }
            }
        }
    }

    /// Makes a stopped worker fit for another start.
    pub(crate) fn reuse(&self) {
        self.end_use();
        // Never below what was wanted: a barrier that it has served may not have noticed yet. Release: it finds the effects of the
        // calls all the same. PAIR(round-done)
        self.done.store(self.wanted.load(Ordering::Relaxed), Ordering::Release);
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
        // Relaxed: the fence of `call_for` comes behind it. PAIR(worker-call)
        self.pause.store(PAUSE, Ordering::Relaxed);
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

    /// In a forked child: what is in the inbox is lost, and no more is let in.
    pub(crate) fn shut(&self) {
        self.inbox.store(closed(), Ordering::Relaxed);
    }

    /// In a forked child, with the inbox closed: a thread that does not exist may have added a head and not counted it.
    pub(crate) fn recount(&self) {
        self.pushed.store(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
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

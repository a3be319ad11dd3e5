//! Deferred reclamation: what is to be done after a grace period, without waiting for it.
//!
//! Two ways, which differ in who runs the call:
//!
//! - **Local** calls free memory and run no code of the user's: values without a destructor. They may run anywhere, so
//!   the retiring thread runs them itself, a few at each retirement, once their grace period has ended. Freeing in step
//!   with retiring is what allocators like best: the blocks are reused at once.
//! - **Remote** calls run arbitrary code: destructors, callbacks, closures. They run on a worker, outside every section
//!   and with no lock held.
//!
//! Both go through the retiring thread's own [`queue`]; adding a call writes three words of the thread's own memory. The
//! [`worker`] serves whatever a thread leaves lying, and all remote calls.
//!
//! A thread that seals a block of local calls starts a grace period for it by [`grace_period::begin`], one heavy barrier
//! for 512 calls, shared with whoever starts one at the same time.

mod block;
mod limits;
mod queue;
#[cfg(urcu_loom)]
#[doc(hidden)]
pub use queue::model as queue_model;
mod updater;
mod worker;
mod workers;

use crate::error::BarrierError;
use crate::flavor::{Flavor, ReadSide};
use crate::grace_period::Stuck;
use crate::head::{Callback, RcuHead};
use crate::lock::Lock;
use crate::report::{Report, Stall, report};
use crate::sync::{AtomicU64, Ordering};
use crate::util::OnDrop;
use crate::weaken;
use crate::{fork, grace_period, quiescence, reclaim, registration, section, sys, thread};
use block::BLOCK_CALLS;
pub(crate) use block::Call;
use queue::{Emptied, Queue};
use updater::Updaters;
pub(crate) use worker::Worker;
use worker::{head_call, notify, run_registered};

pub(crate) use limits::LimitState;
pub use limits::Limits;
pub(crate) use updater::Updater;
pub(crate) use workers::*;
pub use workers::{WorkerBuilder, WorkerHandle};

/// Every how many retirements a thread looks at what it may free.
const STEP: usize = 4;
/// A block with so many bytes is as good as full.
const HEAVY_BYTES: usize = 1 << 20;
/// How much it frees then: more than came in, so that a backlog shrinks, and no more than the allocator's own
/// per-thread cache takes back without a lock (seven blocks of a size in glibc).
const BURST: usize = 7;
/// Every how many retirements it asks again whether the oldest block's grace period has ended.
const ASK: usize = 64;

/// The deferred-reclamation state of a domain.
pub(crate) struct Deferred {
    pub(crate) updaters: Updaters,
    pub(crate) limits: LimitState,
    pub(crate) default_worker: Worker,
    pub(crate) workers: WorkerSet,
    /// Calls that somebody has taken and not run yet, and when the oldest of them was added.
    taken: AtomicU64,
    taken_since: AtomicU64,
    /// Held by a thread that does a round in the place of a worker.
    round_here: Lock<()>,
}

impl Deferred {
    pub(crate) const fn new() -> Self {
        Self {
            updaters: Updaters::new(),
            limits: LimitState::new(),
            default_worker: Worker::new(),
            workers: WorkerSet::new(),
            taken: AtomicU64::new(0),
            taken_since: AtomicU64::new(u64::MAX),
            round_here: Lock::new(()),
        }
    }

    /// Counts calls that have been taken out of their queues as pending until the guard is dropped.
    fn in_flight(&'static self, calls: usize, since: u64) -> impl Drop + use<> {
        // Relaxed: counters for humans.
        self.taken.fetch_add(calls as u64, Ordering::Relaxed);
        if calls != 0 {
            self.taken_since.fetch_min(since, Ordering::Relaxed);
        }
        OnDrop(move || {
            if self.taken.fetch_sub(calls as u64, Ordering::Relaxed) == calls as u64 {
                self.taken_since.store(u64::MAX, Ordering::Relaxed);
            }
        })
    }

    /// Whether anything waits for the default worker. A snapshot.
    fn is_pending(&'static self) -> bool {
        !self.workers.nothing_adopted() || self.updaters.iter().any(|updater| updater.pending() != 0)
    }
}

/// The calling thread's updater, taken on first use.
#[inline]
fn updater<F: Flavor>() -> &'static Updater {
    match F::with_record(|record| record.updater()) {
        Some(updater) => updater,
        None => acquire_updater::<F>(),
    }
}

#[cold]
fn acquire_updater<F: Flavor>() -> &'static Updater {
    let updater = F::domain().deferred.updaters.acquire();
    F::with_record(|record| record.set_updater(Some(updater)));
    // Without an exit destructor the updater stays the ended thread's, with what is in it served by the worker: the
    // only loss is that no other thread takes it over.
    let _ = registration::arm_exit::<F>();
    updater
}

/// Defers a call that frees memory and runs no code of the user's.
///
/// # Safety
///
/// `call` may run on any thread, once, after a grace period that starts after this call.
#[inline]
pub(crate) unsafe fn add_local<F: Flavor>(call: Call, bytes: usize) {
    let updater = updater::<F>();
    let len = add(&updater.local, call, bytes);
    if len.is_multiple_of(STEP) || is_heavy(&updater.local, bytes) {
        step::<F>(updater, len);
    }
    notify::<F>(&F::domain().deferred.default_worker, false);
}

/// Defers a call that a worker runs.
///
/// # Safety
///
/// `call` may run on a worker's thread, once, after a grace period that starts after this call.
#[inline]
pub(crate) unsafe fn add_remote<F: Flavor>(call: Call, bytes: usize) {
    let updater = updater::<F>();
    let len = add(&updater.remote, call, bytes);
    if len == BLOCK_CALLS || is_heavy(&updater.remote, bytes) {
        seal::<F>(&updater.remote);
        wait_for_room::<F>();
    }
    notify::<F>(&F::domain().deferred.default_worker, true);
}

/// Whether the block being filled holds so many bytes that it is sealed before it is full. Asked where a single call may
/// have done that.
#[inline]
fn is_heavy(queue: &'static Queue, bytes: usize) -> bool {
    bytes > HEAVY_BYTES / BLOCK_CALLS && queue.filling().is_some_and(|block| block.bytes() >= HEAVY_BYTES)
}

/// Adds to the block being filled; how many calls are in it now.
#[inline]
fn add(queue: &'static Queue, call: Call, bytes: usize) -> usize {
    match queue.filling().and_then(|block| block.push(call, bytes)) {
        Some(1) => first_of_block(queue),
        Some(len) => return len,
        None => {
            queue.refill().push(call, bytes).expect("a spare block is empty");
            first_of_block(queue);
        }
    }
    1
}

#[cold]
fn first_of_block(queue: &'static Queue) {
    if let Some(block) = queue.filling() {
        block.note_start(sys::coarse_nanos());
    }
}

/// Seals the full block of a queue of the calling thread's.
#[cold]
fn seal<F: Flavor>(queue: &'static Queue) {
    let (calls, bytes) = queue.filling().map_or((0, 0), |block| (block.len(), block.bytes()));
    let deferred = &F::domain().deferred;
    // First: once it is sealed, somebody may empty it, and subtract.
    deferred.limits.sealed(calls, bytes);
    queue.seal();
    if deferred.limits.beyond_soft() {
        deferred.default_worker.wake();
    }
    if !deferred.default_worker.exists() {
        // It could not be started before: once per block is often enough to try again.
        deferred.default_worker.start_or_report::<F>();
    }
}

/// What a retiring thread does every few retirements for its own local queue.
#[inline(never)]
fn step<F: Flavor>(updater: &'static Updater, len: usize) {
    let queue = &updater.local;
    let full = len == BLOCK_CALLS || is_heavy(queue, HEAVY_BYTES);
    if full {
        seal::<F>(queue);
    }
    // A worker has it, or this is a call of the queue's that retires: not now.
    if let Some(mut own) = queue.try_reclaim() {
        if own.has_sealed() {
            own.collect(weaken!("block-begins-a-period", grace_period::begin::<F> => || 0));
        }
        if !own.ready && (full || len.is_multiple_of(ASK)) {
            own.ready = own.first_period().is_some_and(elapsed::<F>);
        }
        if own.ready {
            free_some::<F>(&mut own);
        }
    }
    if full {
        wait_for_room::<F>();
    }
}

fn elapsed<F: Flavor>(period: u64) -> bool {
    grace_period::push_on::<F>(period);
    grace_period::has_elapsed::<F>(period)
}

#[inline]
fn free_some<F: Flavor>(own: &mut queue::Reclaimer<'_>) {
    let mut emptied = Emptied::default();
    for _ in 0..BURST {
        let Some(call) = own.take(&mut emptied) else { break };
        // SAFETY: its block's grace period has ended.
        unsafe { call.run() };
        if !own.ready {
            // The next block waits for a period of its own.
            break;
        }
    }
    if emptied.calls != 0 {
        F::domain().deferred.limits.emptied(emptied);
        own.ready = own.first_period().is_some_and(elapsed::<F>);
    }
}

/// Beyond the hard limit: frees and waits, unless the calling thread runs deferred calls or is inside a section, whose end
/// (QSBR: the next quiescent state) then waits. Does not panic.
#[cold]
pub(crate) fn wait_for_room<F: Flavor>() {
    let limits = &F::domain().deferred.limits;
    if weaken!("hard-limit", !limits.beyond_hard() => true) {
        return;
    }
    let reader = F::reader();
    match F::READ_SIDE {
        // Online counts as inside.
        ReadSide::QuiescentStates if quiescence::is_online::<F>(reader) => {
            return reader.owes.store(true, Ordering::Relaxed);
        }
        ReadSide::Sections(_) if registration::open_sections::<F>(reader) != 0 => return section::owe::<F>(reader),
        _ => {}
    }
    // Each time: in place of a worker, a call may have left a guard on this thread.
    let may_wait = || {
        !F::with_record(|record| record.is_reclaiming())
            && !fork::is_under_way_here::<F>()
            && !crate::raw::read_ongoing::<F>()
    };
    let (worker, others) = (&F::domain().deferred.default_worker, &F::domain().deferred.workers);
    let mut stall = Stall::new::<F>();
    // A stuck one: nothing will ever be freed; that has been reported, and waiting would not help.
    while may_wait() && limits.beyond_hard() && !worker.is_stuck() && !others.is_any_stuck() {
        if help_own_local::<F>().is_err() {
            return;
        }
        if limits.beyond_hard() {
            if worker.exists() || worker.start_or_report::<F>() {
                worker.wake();
                limits.wait_for_freed();
            } else if run_everything_here::<F>().is_err() {
                return;
            }
            if let Some(waited) = stall.due() {
                let (items, bytes) = (limits.items(), limits.bytes());
                report(&Report::RetireStalled { flavor: F::NAME, waited, items, bytes });
            }
        }
    }
}

/// Runs the calling thread's own local calls after a grace period.
fn help_own_local<F: Flavor>() -> Result<(), Stuck> {
    let Some(updater) = F::with_record(|record| record.updater()) else { return Ok(()) };
    if !updater.local.holds_anything() {
        return Ok(());
    }
    let queued = updater.local.queued();
    weaken!("help-waits", grace_period::try_wait::<F>()? => ());
    // Nobody but this thread adds to the queue, but a report hook that ran meanwhile may have: then the grace period is not one
    // for all that is in it.
    if weaken!("help-looks-again", updater.local.queued() != queued => false) {
        return Ok(());
    }
    let mut calls = Vec::new();
    let Some(mut own) = updater.local.try_reclaim() else { return Ok(()) };
    let emptied = own.take_all(&mut calls);
    // The queue stays ours until they have run: a barrier waits for that.
    let in_flight = F::domain().deferred.in_flight(calls.len(), sys::coarse_nanos());
    run_unregistered::<F>(&mut calls);
    drop(in_flight);
    // Also blocks whose calls a worker took while they were being filled.
    F::domain().deferred.limits.settle(emptied);
    Ok(())
}

/// Runs local calls, which need no registration.
fn run_unregistered<F: Flavor>(calls: &mut Vec<Call>) {
    F::with_record(|record| record.set_reclaiming(true));
    reclaim::running::<F>(|| {
        for call in calls.drain(..) {
            // SAFETY: the caller has waited for a grace period; local calls run anywhere.
            unsafe { call.run() };
        }
    });
    F::with_record(|record| record.set_reclaiming(false));
}

/// In place of a worker that cannot be started: the calling thread, which is outside every section, does a full round.
fn run_everything_here<F: Flavor>() -> Result<(), Stuck> {
    let deferred = &F::domain().deferred;
    // One at a time: who waits for a barrier waits for the calls that somebody else has taken.
    let _round = weaken!("one-round-here", Some(deferred.round_here.lock()) => None);
    let mut calls = Vec::new();
    let mut emptied = Emptied::default();
    deferred.workers.take_adopted(&mut calls);
    emptied.calls += calls.len();
    for updater in deferred.updaters.iter() {
        for queue in [&updater.remote, &updater.local] {
            emptied += queue.reclaim().take_all(&mut calls);
        }
    }
    if let Err(stuck) = grace_period::try_wait::<F>() {
        // They go on waiting, for what never comes.
        deferred.adopt(calls);
        return Err(stuck);
    }
    run_registered::<F>(&mut calls);
    deferred.limits.settle(emptied);
    Ok(())
}

/// Defers `callback(head)` to the worker that is chosen for the calling thread.
///
/// # Safety
///
/// As [`crate::raw::call_rcu`].
#[inline]
pub(crate) unsafe fn call<F: Flavor>(head: *mut RcuHead, callback: Callback) {
    let deferred = &F::domain().deferred;
    if let Some(worker) = deferred.workers.chosen::<F>() {
        // First, as in `seal`.
        deferred.limits.sealed(1, 0);
        // SAFETY: the caller's promise.
        if unsafe { worker.push(head, callback) } {
            wait_for_room::<F>();
            return;
        }
        deferred.limits.emptied(Emptied { calls: 1, bytes: 0 });
    }
    // SAFETY: the caller's promise.
    unsafe { add_remote::<F>(head_call(head, callback), 0) };
}

/// Waits until every call deferred before has run.
pub(crate) fn barrier<F: Flavor>() -> Result<(), BarrierError> {
    if weaken!("no-barrier-in-callbacks", F::with_record(|record| record.is_reclaiming()) => false) {
        return Err(BarrierError::InCallback { flavor: F::NAME });
    }
    let deferred = &F::domain().deferred;
    for worker in deferred.workers.all() {
        worker.drain::<F>()?;
    }
    // Last: a worker that stops hands what it has left to the default one. In this order: whoever finds that it has been taken
    // from there finds the worker that has taken it, or the thread that runs it in a worker's place.
    let is_alone = weaken!(
        "barrier-asks-in-order",
        deferred.workers.nothing_adopted() && !deferred.default_worker.exists()
            => !deferred.default_worker.exists() && deferred.workers.nothing_adopted()
    );
    if is_alone && deferred.updaters.iter().next().is_none() {
        // Nobody has deferred anything yet. (Empty queues say less: somebody may have taken what was in them.)
        drop(deferred.round_here.lock());
        return Ok(());
    }
    while deferred.default_worker.exists() || deferred.default_worker.start_or_report::<F>() {
        if deferred.default_worker.drain::<F>()? {
            // What somebody has taken who ran calls while there was no worker, its rounds do not find.
            weaken!("barrier-waits-for-stand-ins", drop(deferred.round_here.lock()) => ());
            if deferred.workers.nothing_adopted() {
                return Ok(());
            }
            // It has left them again, because no grace period can end; or somebody else has just stopped a worker.
        }
    }
    run_everything_here::<F>().map_err(|_stuck| BarrierError::Stuck { flavor: F::NAME })
}

/// [`barrier`] with the caller's thread offline meanwhile (QSBR), and its section checked.
#[track_caller]
pub(crate) fn barrier_outside<F: Flavor>() -> Result<(), BarrierError> {
    fork::check::<F>();
    let reader = F::reader();
    thread::assert_outside::<F>(reader, "waits for deferred calls");
    thread::offline_while::<F, _>(reader, barrier::<F>)
}

/// Waits for a grace period, then runs the calling thread's own calls on it.
#[track_caller]
pub(crate) fn barrier_thread<F: Flavor>() -> Result<(), BarrierError> {
    if F::with_record(|record| record.is_reclaiming()) {
        return Err(BarrierError::InCallback { flavor: F::NAME });
    }
    let reader = F::reader();
    thread::assert_outside::<F>(reader, "waits for deferred calls");
    let Some(updater) = F::with_record(|record| record.updater()) else { return Ok(()) };
    let mut calls = Vec::new();
    let mut emptied = Emptied::default();
    // Both stay ours until the calls have run: a barrier waits for that.
    let mut own = [updater.remote.reclaim(), updater.local.reclaim()];
    for queue in &mut own {
        emptied += queue.take_all(&mut calls);
    }
    let waited =
        weaken!("barrier-thread-waits", thread::offline_while::<F, _>(reader, grace_period::try_wait::<F>) => Ok(()));
    if waited.is_err() {
        F::domain().deferred.adopt(calls);
        return Err(BarrierError::Stuck { flavor: F::NAME });
    }
    run_unregistered::<F>(&mut calls);
    // Under the lock, so that a fork finds it done.
    F::domain().deferred.limits.settle(emptied);
    drop(own);
    // A worker that took some of them before has them run by the end of its round.
    barrier_outside::<F>()
}

/// The calling thread ends: others may take its updater over.
pub(crate) fn end_updater<F: Flavor>() {
    if let Some(updater) = F::with_record(|record| record.updater()) {
        F::with_record(|record| record.set_updater(None));
        let pending = updater.pending() != 0;
        updater.disown();
        if pending {
            F::domain().deferred.default_worker.wake();
        }
    }
}

/// A snapshot of a domain's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls ever deferred: retired values, callbacks, closures.
    pub queued: u64,
    /// Calls that have run. While a worker is taking calls out of the queues, those count too for a moment: what tells that calls
    /// have run is a barrier.
    pub executed: u64,
    /// The difference.
    pub pending: u64,
    /// Bytes of retired values in full blocks that have not been freed.
    pub bytes_pending: usize,
    /// Grace periods that have started.
    pub grace_periods: u64,
    /// How long the oldest pending call has been waiting: never less than the truth, and more while several threads run what
    /// they have taken.
    pub oldest_pending: core::time::Duration,
    /// The longest time that a grace period has waited for one reader so far.
    pub longest_reader: core::time::Duration,
    /// Registered readers.
    pub readers: usize,
}

/// See a flavor's `stats()`.
pub(crate) fn stats<F: Flavor>() -> Stats {
    let domain = F::domain();
    let deferred = &domain.deferred;
    let now = sys::coarse_nanos();
    // In this order, so that the differences are not negative.
    let taken = deferred.taken.load(Ordering::Relaxed);
    let (mut queued, mut left, mut oldest) = (0, 0, deferred.taken_since.load(Ordering::Relaxed));
    for updater in deferred.updaters.iter() {
        for queue in [&updater.remote, &updater.local] {
            left += queue.executed();
            queued += queue.queued();
            oldest = oldest.min(queue.oldest());
        }
    }
    // Between the fork hooks this thread holds that lock itself.
    let (pushed, popped) = if fork::is_under_way_here::<F>() { (0, 0) } else { deferred.workers.counts() };
    let queued = queued + pushed;
    let executed = (left + popped).saturating_sub(taken);
    Stats {
        queued,
        executed,
        pending: queued.saturating_sub(executed),
        bytes_pending: deferred.limits.bytes(),
        grace_periods: F::LAYOUT.number(domain.period.load(Ordering::Relaxed)) - 1,
        oldest_pending: core::time::Duration::from_nanos(now.saturating_sub(oldest)),
        longest_reader: core::time::Duration::from_nanos(domain.longest_wait.load(Ordering::Relaxed)),
        readers: domain.registry.len(),
    }
}

/// Before `fork`: every worker aside, every queue whole, no grace period running.
///
/// In the order in which one may wait for the other: a worker finishes its round, and who empties a queue may wait for a grace
/// period, which needs the turn; a section that a grace period waits for, or a call that somebody runs who has the queue, may take
/// the locks that come last.
pub(crate) fn before_fork<F: Flavor>() {
    let deferred = &F::domain().deferred;
    let grace_periods = &F::domain().grace_periods;
    deferred.round_here.hold_for_fork();
    weaken!("fork-pauses-workers", deferred.default_worker.pause() => ());
    deferred.workers.pause_all();
    weaken!("fork-holds-queues", deferred.updaters.hold_for_fork() => ());
    loop {
        weaken!("fork-holds-grace-periods", grace_periods.hold() => ());
        if deferred.workers.hold_for_fork() {
            return;
        }
        // Those that were made meanwhile have to finish their rounds, too.
        grace_periods.resume();
        deferred.workers.pause_all();
    }
}

/// After `fork`, in either process: the queues may be emptied again.
fn release_queues<F: Flavor>() {
    F::domain().deferred.workers.release_after_fork();
    F::domain().deferred.updaters.release_after_fork();
}

/// After `fork`, in the parent.
pub(crate) fn after_fork_in_parent<F: Flavor>() {
    release_queues::<F>();
    F::domain().deferred.default_worker.resume();
    F::domain().deferred.workers.resume_all();
    // Last: the next thread that forks finds no worker paused by this one.
    F::domain().deferred.round_here.release_after_fork();
}

/// In a forked child: what is there counts, whatever vanished threads were about to add or subtract.
fn mend<F: Flavor>() {
    let deferred = &F::domain().deferred;
    let mut counted = Emptied::default();
    for updater in deferred.updaters.iter() {
        counted += updater.remote.mend();
        counted += updater.local.mend();
    }
    deferred.limits.recount(counted);
    deferred.taken.store(0, Ordering::Relaxed);
    deferred.taken_since.store(u64::MAX, Ordering::Relaxed);
}

/// In a forked child, after [`mend`]: what stopped workers have left is in no queue, and counts against the limits, too.
fn count_adopted(deferred: &Deferred) {
    deferred.limits.sealed(deferred.workers.adopted_count(), 0);
}

/// In a forked child, without `before_fork`, and without taking a lock or allocating.
pub(crate) fn after_unprepared_fork<F: Flavor>() {
    let deferred = &F::domain().deferred;
    deferred.round_here.reset_after_fork(());
    deferred.updaters.reset_after_fork();
    deferred.default_worker.forget_thread();
    deferred.workers.forget_after_unprepared_fork();
    for updater in deferred.updaters.iter() {
        for queue in [&updater.remote, &updater.local] {
            queue.give_up_if_held();
        }
    }
    deferred.updaters.release_after_fork();
    mend::<F>();
    count_adopted(deferred);
    // The worker that it was set to does not exist; a thread that does not either may have held the list where that would be noted.
    F::with_record(|record| record.set_worker(None));
    deferred.updaters.disown_all_but(F::with_record(|record| record.updater()));
}

/// After `fork`, in the child: what was pending runs here, too, on a new default worker.
pub(crate) fn after_fork_in_child<F: Flavor>() {
    let deferred = &F::domain().deferred;
    deferred.updaters.reset_after_fork();
    weaken!("child-mends-queues", mend::<F>() => ());
    release_queues::<F>();
    deferred.default_worker.forget_thread();
    deferred.workers.forget_threads(deferred);
    count_adopted(deferred);
    deferred.updaters.disown_all_but(F::with_record(|record| record.updater()));
    deferred.round_here.release_after_fork();
    if deferred.is_pending() || deferred.default_worker.is_polled::<F>() {
        deferred.default_worker.start_or_report::<F>();
    }
}

/// Ends the default worker's thread, so that a model ends.
#[cfg(urcu_loom)]
#[doc(hidden)]
pub fn stop_default_worker<F: Flavor>() {
    let worker = &F::domain().deferred.default_worker;
    if worker.exists() && worker.claim_stop() {
        worker.stop();
    }
}

/// What a fork does to the default worker, so that a model can do without the fork.
#[cfg(urcu_loom)]
#[doc(hidden)]
pub fn put_default_worker_aside<F: Flavor>(meanwhile: impl FnOnce()) {
    let worker = &F::domain().deferred.default_worker;
    worker.pause();
    meanwhile();
    worker.resume();
}

//! Grace periods: one pass, one heavy barrier, shared by concurrent callers.
//!
//! # The algorithm
//!
//! ```text
//! reader                                   updater
//! R1  period := load(domain.period)        U1  unlink (the caller did)
//! R2  word := period   (nesting 1)         U2  heavy barrier
//! R3  light barrier                        U3  domain.period += 1; P := its new value
//! R4  loads through RCU pointers           U4  for each reader: wait until it is outside
//! R5  word := 0        (Release)               every section, or its word carries P or later
//! ```
//!
//! # Why it holds
//!
//! The pair of barriers promises: for each reader there is a point in its program order, between the start and the
//! end of U2, such that everything the reader did before the point is visible to the updater after U2, and everything
//! the updater did before U2 is visible to the reader after the point. With plain fences on both sides (flavor mb) the
//! point is where the reader's fence falls in the total order of fences; with `membarrier(2)` and signals the point is
//! the barrier that the kernel or the handler executes on the reader's processor ([`crate::asymmetric`]). R3 keeps the
//! compiler from moving R4 before R2.
//!
//! Take one section of one reader.
//!
//! - **R2 lies before the point.** Then the scan U4 finds the word. R1 lies before the point as well, and the value P
//!   appears only in U3, after the barrier has ended: so the word carries an older number and the updater waits for it.
//! - **R2 lies after the point.** Then so does R4, which therefore sees the unlinking U1: this section cannot reach
//!   what was unlinked and need not be waited for. If its word carries an older number, because R1 came early, the
//!   wait is merely needless.
//! - **The word carries P or later.** Such values are stored by U3 of this or a later grace period only, so R1 lies
//!   after U3, hence after the point: a section of the second kind. In the memory model's terms: U3 is a Release
//!   read-modify-write and R1 an Acquire load, so U1 happens before R4.
//! - **The end.** R5 is a Release store and the scan an Acquire load, so the section's accesses happen before whatever
//!   the updater does next, even when the scan meets a *later* store of that reader: every store to the word, nested
//!   ones included, is a Release. PAIR(section-end)
//!
//! A reader that keeps entering new sections cannot hold the updater up: after U3 its new sections carry P.
//!
//! Liburcu needs two passes and two to six heavy barriers, since its one phase bit makes a stale R1 look *newer*. A
//! whole number can only look older.
//!
//! QSBR fits the same scheme: an online reader is one long section whose word is refreshed by each quiescent state.
//! The refresh needs no fence (see [`crate::quiescence`]).
//!
//! Steps U2 and U3 are the turn's holder's: the numbers are drawn in the order of the barriers, and who finds that P has elapsed may
//! rely on the barriers of all numbers before it. The scan U4 needs no turn for its own sake.
//!
//! `models/grace_period.pml`, a Promela model beside this crate's source, has these steps with store buffers; its README says
//! what is checked within which bounds. Without the heavy barrier, or without the light one, it finds a section that uses what was
//! freed; so it does when U3 comes before U2, where numbers are polled for or where R4 may overtake R1. The counter-examples are
//! replayed by `tests/grace_period_model.rs`.
//!
//! # Sharing
//!
//! A caller is served by any grace period that *starts* after its call. `started` and `completed` count grace periods;
//! a caller notes `started` and leaves as soon as `completed` has passed it by one. PAIR(gp-share): the caller's fence
//! lies between its unlinking and its load of `started`; the leader's store of `started` lies before the heavy
//! barrier, which is a full fence on the leader too. So either the caller sees the new count, and waits for the next
//! grace period, or its unlinking comes before the leader's barrier, and this one serves it.
//!
//! `begin` and `has_elapsed` are the same steps without the wait, for deferred reclamation.
//!
//! Progress: blocking, by nature. A grace period ends once each section that was open at its start has ended.

use core::time::Duration;

use crate::asymmetric::LightBarrier;
use crate::backoff::Backoff;
use crate::flavor::{Flavor, ReadSide};
use crate::lock::RawLock;
use crate::patience::Patience;
use crate::reader::Reader;
use crate::registration;
use crate::report::{Report, Stall, report};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, CachePadded, Ordering, fence, in_model, spin_loop};
use crate::sys;
use crate::weaken;

/// The longest sleep of an updater that waits for a reader.
///
/// The unlock finds the mark A without any barrier of its own, so it may just miss it; then this bound is what ends
/// the sleep.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Its first sleep; after each that has lasted to its end the next is twice as long. Most readers that are waited for at all run again before.
const FIRST_SLEEP: Duration = Duration::from_millis(2);

/// Which grace periods have started and completed, and whose turn it is to run one.
#[derive(Debug)]
pub struct GracePeriods {
    inner: CachePadded<Turn>,
}

#[derive(Debug)]
struct Turn {
    lock: RawLock,
    started: AtomicU64,
    completed: AtomicU64,
    /// Callers that wait for their grace period, or for the turn.
    waiting: AtomicU32,
    /// How many of them the last grace period left behind it.
    expected: AtomicU32,
    /// How long the leader spins for a reader before it sleeps.
    patience: Patience,
    /// Whether the leader sleeps. Then there is nothing to spin for.
    is_asleep: AtomicBool,
    /// Whether a thread that forks waits for the turn. Callers let it go first, or they might go on without it for ever: who gives
    /// the turn back is the one that runs.
    is_reserved: AtomicBool,
}

/// The turn, while this lives.
struct Held<'a>(&'a GracePeriods);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}

/// How often a caller yields to a thread that forks before it takes the turn all the same.
const RESERVED_YIELDS: u32 = 64;

/// How long the leader of a grace period waits for others to join: about a microsecond.
const GATHER_PAUSES: u32 = 160;

impl GracePeriods {
    /// None so far.
    pub const fn new() -> Self {
        Self {
            inner: CachePadded(Turn {
                lock: RawLock::new(),
                started: AtomicU64::new(0),
                completed: AtomicU64::new(0),
                waiting: AtomicU32::new(0),
                expected: AtomicU32::new(0),
                patience: Patience::new(),
                is_asleep: AtomicBool::new(false),
                is_reserved: AtomicBool::new(false),
            }),
        }
    }

    /// The number of a grace period that has not started before this call: once it has completed, everything that the
    /// caller unlinked may be reclaimed.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        // Orders the caller's unlinking before the load. PAIR(gp-share)
        fence(Ordering::SeqCst);
        // Relaxed: the fence does the ordering, the number is compared only.
        self.inner.started.load(Ordering::Relaxed) + weaken!("share-what-starts-later", 1 => 0)
    }

    /// Whether grace period `number` has completed. Wait-free.
    #[inline]
    pub(crate) fn has_completed(&self, number: u64) -> bool {
        // Acquire pairs with the Release in `lead`: what readers did before the grace period ended happened before
        // what this caller does now. PAIR(gp-complete)
        self.inner.completed.load(Ordering::Acquire) >= number
    }

    /// Takes the turn, so that no grace period is running.
    pub(crate) fn hold(&self) {
        // Relaxed, here and below: a courtesy, that nothing depends on.
        self.inner.is_reserved.store(true, Ordering::Relaxed);
        self.inner.lock.take();
        self.inner.is_reserved.store(false, Ordering::Relaxed);
    }

    /// Gives the turn back.
    #[inline]
    pub(crate) fn resume(&self) {
        self.inner.lock.give_back();
    }

    /// Makes the turn free in a forked child, where its holder may not exist.
    pub(crate) fn reset_after_fork(&self) {
        // A grace period that the parent was running never completes here (the caller may be inside a section that holds
        // it up); the next one completes both numbers.
        self.inner.lock.reset();
        self.inner.is_asleep.store(false, Ordering::Relaxed);
        self.inner.is_reserved.store(false, Ordering::Relaxed);
    }

    /// In a forked child whose thread is outside of sections: whatever a grace period could have been waiting for is not there,
    /// so all that have been asked for have ended.
    pub(crate) fn complete_after_fork(&self) {
        // Relaxed: there is one thread.
        let asked_for = self.next();
        self.inner.started.store(asked_for, Ordering::Relaxed);
        self.inner.completed.store(asked_for, Ordering::Relaxed);
    }

    /// Runs one grace period if the turn is free; otherwise waits until the turn has changed hands or is free.
    #[inline]
    fn lead_or_wait<F: Flavor>(&self, number: u64) -> Result<(), Stuck> {
        // Relaxed: see `hold`.
        if self.inner.is_reserved.load(Ordering::Relaxed) {
            self.let_fork_first();
        }
        if !self.inner.lock.try_take() {
            self.wait_until(|| self.has_completed(number));
            return Ok(());
        }
        let _turn = Held(self);
        if !self.has_completed(number) {
            // Under the turn, both counters are ours. Relaxed: the heavy barrier orders it. PAIR(gp-share)
            self.gather::<F>();
            let started = self.inner.started.load(Ordering::Relaxed) + 1;
            self.inner.started.store(started, Ordering::Relaxed);
            run::<F>()?;
            self.inner.expected.store(self.inner.waiting.load(Ordering::Relaxed), Ordering::Relaxed);
            // Release: the end of every section that was waited for comes first. PAIR(gp-complete)
            self.inner.completed.store(started, Ordering::Release);
        }
        Ok(())
    }

    /// Yields to a thread that forks: a few times, should that thread not run.
    #[cold]
    fn let_fork_first(&self) {
        for _ in 0..RESERVED_YIELDS {
            // Relaxed: see `hold`.
            if !self.inner.is_reserved.load(Ordering::Relaxed) {
                return;
            }
            sys::yield_now();
        }
    }

    /// Gives the callers of the grace period before, who are coming back just now, a moment to join the next one.
    ///
    /// Without it the first to come back starts alone, and the others have to wait for the one after: every second grace
    /// period is wasted. Worth it only where the heavy barrier costs much more than the moment.
    #[inline]
    fn gather<F: Flavor>(&self) {
        let costly = F::READ_SIDE == ReadSide::Sections(LightBarrier::Compiler) && !F::runs_on_full_fences();
        // Relaxed: a guess, that nothing depends on.
        let expected = self.inner.expected.load(Ordering::Relaxed);
        if costly && expected != 0 {
            let mut moment = GATHER_PAUSES;
            while self.inner.waiting.load(Ordering::Relaxed) < expected && moment != 0 {
                spin_loop();
                moment -= 1;
            }
        }
    }

    /// Waits until the turn is free or `served` holds.
    #[cold]
    fn wait_until(&self, served: impl Fn() -> bool) {
        // Relaxed: a guess for `gather`.
        self.inner.waiting.fetch_add(1, Ordering::Relaxed);
        // Relaxed: a hint.
        self.inner.lock.wait_while_held(served, || self.inner.is_asleep.load(Ordering::Relaxed));
        self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for GracePeriods {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns once every section that was open at the call has ended. The caller has checked that it is outside.
///
/// # Panics
///
/// When that can never be.
#[inline]
pub(crate) fn wait<F: Flavor>() {
    wait_for_number::<F>(F::domain().grace_periods.next());
}

/// [`wait`], for those who may not panic.
pub(crate) fn try_wait<F: Flavor>() -> Result<(), Stuck> {
    try_wait_for_number::<F>(F::domain().grace_periods.next())
}

/// Returns once grace period `number`, an answer of [`GracePeriods::next`], has ended; runs it if need be.
#[inline]
pub(crate) fn wait_for_number<F: Flavor>(number: u64) {
    if let Err(stuck) = try_wait_for_number::<F>(number) {
        stuck.panic::<F>();
    }
}

#[inline]
fn try_wait_for_number<F: Flavor>(number: u64) -> Result<(), Stuck> {
    let grace_periods = &F::domain().grace_periods;
    while !grace_periods.has_completed(number) {
        grace_periods.lead_or_wait::<F>(number)?;
    }
    // The promise of a full barrier at the end, too.
    fence(Ordering::SeqCst);
    Ok(())
}

/// No grace period can end any more: this reader's thread has ended and left a guard that nobody will ever drop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stuck(&'static Reader);

impl Stuck {
    #[cold]
    pub(crate) fn panic<F: Flavor>(self) -> ! {
        panic!(
            "{}: no grace period can end any more: a thread ended with a guard (or, in QSBR, its `Thread`) leaked{}",
            F::NAME,
            registration::entry_site(self.0),
        )
    }
}

/// One grace period: steps U2 to U4. The caller holds the turn.
fn run<F: Flavor>() -> Result<(), Stuck> {
    let domain = F::domain();
    let (period, elsewhere) = start::<F>();
    let stuck = domain.registry.find(|reader| {
        // Acquire. PAIR(section-end)
        F::LAYOUT.holds_up(reader.word.load(Ordering::Acquire), period)
            && weaken!("wait-for-readers", wait_for::<F>(reader, period).is_err() => false)
    });
    if let Some(reader) = stuck {
        return Err(Stuck(reader));
    }
    if F::MIRRORED {
        F::wait_elsewhere(elsewhere);
    }
    // Release: the ends of those sections. PAIR(elapsed)
    domain.elapsed.store(period, Ordering::Release);
    Ok(())
}

/// Steps U2 and U3; returns P, and the number for the mirrors. The caller holds the turn.
fn start<F: Flavor>() -> (u64, u64) {
    let domain = F::domain();
    // Orders the unlinking, and `started`, before the look at the registry. PAIR(register-scan) PAIR(gp-share)
    fence(Ordering::SeqCst);
    let own = F::reader();
    // Nobody else registered: no section can be open, and one that opens from now on sees the unlinking. A section of
    // the caller's own, whose accesses are in program order, needs no barrier either.
    let others = F::MIRRORED || domain.registry.find(|reader| !core::ptr::eq(reader, own)).is_some();
    if weaken!("heavy-barrier", others => false) {
        weaken!("barrier-then-number", F::heavy_barrier() => ());
    }
    // Before the number that tells others that this has been done.
    let elsewhere = if F::MIRRORED { F::start_elsewhere() } else { 0 };
    // U3. Release: R1's Acquire load makes U1 visible to sections that carry the new number. PAIR(period)
    let step = weaken!("number-grows", F::LAYOUT.one_period() => 0);
    // No Acquire: the turn orders those who draw, and a reader that finds a later number finds U1 of this one too, since additions go
    // on with what a Release before them has published.
    let period = domain.period.fetch_add(step, Ordering::Release).wrapping_add(step);
    weaken!("barrier-then-number", () => if others { F::heavy_barrier() });
    (period, elsewhere)
}

/// Starts a grace period for everything that the caller has unlinked, without waiting for its end; returns the period
/// to ask [`has_elapsed`] about. May be called inside a section, which then holds it up.
///
/// When somebody else is at it, no second heavy barrier is issued: the answer then is the *next but one* number. The
/// holder of the turn may have begun its barrier before the caller unlinked, and will publish N+1 if N was read. Whoever
/// publishes N+2 begins after that: had its fence preceded the caller's in the order of fences, the store of N+1, which
/// comes before it, would have been visible to the caller's load. PAIR(gp-begin)
///
/// Lock-free; waits for the heavy barrier only.
pub(crate) fn begin<F: Flavor>() -> u64 {
    let domain = F::domain();
    // The caller's unlinking before the load of the number. PAIR(gp-begin)
    fence(Ordering::SeqCst);
    if domain.grace_periods.inner.lock.try_take() {
        let _turn = Held(&domain.grace_periods);
        return start::<F>().0;
    }
    domain.period.load(Ordering::Relaxed).wrapping_add(weaken!("begin-next-but-one", 2 => 0) * F::LAYOUT.one_period())
}

/// Sees to it that `period`, an answer of [`begin`], is published at all: when nobody else has, and nobody is at it.
pub(crate) fn push_on<F: Flavor>(period: u64) {
    let domain = F::domain();
    let published = |domain: &crate::Domain| !F::LAYOUT.is_older(domain.period.load(Ordering::Relaxed), period);
    while !published(domain) && domain.grace_periods.inner.lock.try_take() {
        let _turn = Held(&domain.grace_periods);
        if !published(domain) {
            start::<F>();
        }
    }
}

/// Whether every section has ended that was open when `period`, an answer of [`begin`], started. Wait-free in the
/// number of registered readers.
pub(crate) fn has_elapsed<F: Flavor>(period: u64) -> bool {
    let domain = F::domain();
    // Acquire: somebody else has seen the ends of the sections. PAIR(elapsed)
    if !F::LAYOUT.is_older(domain.elapsed.load(Ordering::Acquire), period) {
        return true;
    }
    // Acquire: U3 has happened, so U2 has. PAIR(period)
    let published = domain.period.load(Ordering::Acquire);
    if weaken!("elapsed-is-published", F::LAYOUT.is_older(published, period) => false) {
        return false;
    }
    // Acquire. PAIR(section-end)
    let held_up = |reader: &Reader| F::LAYOUT.holds_up(reader.word.load(Ordering::Acquire), period);
    let held = domain.registry.find(held_up).is_some() || F::MIRRORED && !F::is_quiet_elsewhere();
    if weaken!("elapsed-scans", held => false) {
        return false;
    }
    // A racing store of an older period makes somebody scan again, no more. PAIR(elapsed)
    domain.elapsed.store(period, Ordering::Release);
    true
}

/// Waits until `reader` does not hold up `period` any more: spins, then sleeps. The caller holds the turn.
#[cold]
fn wait_for<F: Flavor>(reader: &'static Reader, period: u64) -> Result<(), Stuck> {
    let turn = &F::domain().grace_periods.inner;
    let spell = turn.patience.spell();
    let mut backoff = Backoff::spinning().of(spell.pauses());
    let mut sleep = FIRST_SLEEP;
    let mut has_slept = false;
    let mut stall = Stall::new::<F>();
    loop {
        // Acquire. PAIR(section-end)
        let word = reader.word.load(Ordering::Acquire);
        if !F::LAYOUT.holds_up(word, period) {
            turn.patience.learn(spell, has_slept);
            return Ok(());
        }
        if backoff.snooze() {
            continue;
        }
        if in_model() {
            // The sleep may end at any time. Without the mark, whose race with the reader's store the checker does not order.
            spin_loop();
            continue;
        }
        // Asks for a wake-up. Relaxed: the word's own modification order is all that counts, and a mark that a racing
        // store of the reader wipes out costs one bounded sleep.
        let marked = word | F::LAYOUT.awaited();
        if word != marked && reader.word.compare_exchange(word, marked, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            spin_loop();
            continue;
        }
        has_slept = true;
        // Relaxed: a hint, which only the holder of the turn gives.
        turn.is_asleep.store(true, Ordering::Relaxed);
        // The half that holds nesting and marks; the kernel compares it before it sleeps.
        let limit = weaken!("bounded-sleep", Some(sleep) => None);
        let timed_out = sys::futex_wait_raw(reader.futex_half(), marked as u32, limit);
        turn.is_asleep.store(false, Ordering::Relaxed);
        if timed_out {
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
        end_if_thread_is_gone::<F>(reader)?;
        if let Some(waited) = stall.due() {
            report_stall::<F>(reader, waited);
        }
        // Relaxed: a counter for humans.
        F::domain().longest_wait.fetch_max(stall.nanos(), Ordering::Relaxed);
    }
}

fn report_stall<F: Flavor>(reader: &Reader, waited: Duration) {
    let tid = reader.tid();
    report(&Report::GracePeriodStalled {
        flavor: F::NAME,
        tid,
        name: sys::thread_name_of(tid),
        nesting: F::LAYOUT.nesting(reader.word.load(Ordering::Relaxed)),
        waited,
        entered_at: reader.entered_at(),
    });
}

/// [`begin`] and [`has_elapsed`] by themselves.
#[cfg(urcu_loom)]
#[doc(hidden)]
pub mod asked_about {
    use crate::flavor::Flavor;

    pub fn begin<F: Flavor>() -> u64 {
        super::begin::<F>()
    }

    pub fn has_elapsed<F: Flavor>(period: u64) -> bool {
        super::has_elapsed::<F>(period)
    }
}

/// Ends the sections of threads that do not exist any more and never ran their exit destructors: for flavors whose updaters
/// wait for mirrors ([`crate::mirror`]) without a grace period of the domain.
#[doc(hidden)]
pub fn end_gone_threads<F: Flavor>() {
    F::domain().registry.for_each(|reader| {
        // Stuck: then the mirror stays as it is.
        let _ = end_if_thread_is_gone::<F>(reader);
    });
}

/// Ends the section of a thread that does not exist any more and never ran its exit destructor.
fn end_if_thread_is_gone<F: Flavor>(reader: &'static Reader) -> Result<(), Stuck> {
    if reader.is_abandoned() {
        return Err(Stuck(reader));
    }
    let tid = reader.tid();
    // A record of another process is that of a forked child's parent: nothing is known about it.
    if tid == 0 || reader.pid() != sys::process_id() || !sys::thread_has_ended(tid) {
        return Ok(());
    }
    // One updater alone is here (it holds the turn), but registration may reap as well.
    if reader.end_ownership(tid) {
        registration::end_with_thread::<F>(reader, tid, || None);
    }
    Ok(())
}

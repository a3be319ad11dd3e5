//! Growing and shrinking, beside everything else.
//!
//! One growth, to twice the size or more, or one halving, at a time.
//!
//! # Growing
//!
//! 1. Under the turn: memory for the new buckets, a cursor at the first of the old ones, and `growing` says from which size to
//!    which.
//! 2. Whoever wants to (the flavor's worker; updaters, when it is late) advances the cursor by a chunk of old buckets and puts
//!    those into the list that are split off them. Searches still begin at the old ones.
//! 3. Who has put the last chunk in publishes the new size. A chunk that somebody was interrupted in may be missing: its
//!    buckets are not `READY`, so searches begin at their parents until it is there.
//!
//! Nobody waits for anybody, and no grace period is needed.
//!
//! # Shrinking
//!
//! 1. Under the turn: publish half the size. From now on nobody begins a search in the upper half.
//! 2. Wait until sections that saw the old size have ended. They were the last to begin there, or to put a bucket in.
//! 3. Remove the upper buckets from the list, as nodes are removed.
//! 4. Wait until sections that may stand on them have ended, then give the memory back.
//!
//! A growth that is wanted before step 3 takes step 1 back. No lock is held while waiting: the cookie of a grace period
//! says later that it has ended, to whoever looks.
//!
//! # Who does it
//!
//! A call deferred to the flavor's worker, at most one per table: it does a slice of work and defers itself again, until there
//! is nothing to do. So a barrier waits for one slice at most, and other deferred calls are not kept waiting. Requests
//! that come while it works make it look again before it ends.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ptr;

use urcu_core::space::Process;
use urcu_core::sync::modelled::{AtomicUsize, Ordering};
use urcu_core::sync::{self, AtomicU32};
use urcu_core::{Backoff, RcuHead};

use super::buckets::OutOfMemory;
use super::error::ResizeError;
use super::family::{Families, When};
use super::ground::Ground;
use super::table::Table;
use super::turn::{Taken, Turn};

/// What is written while the size changes.
pub(super) struct Resize<G: Ground> {
    pub(super) turn: Turn,
    /// One [`Table::resize`] at a time.
    explicit: Turn,
    /// What that one wants; 0 if there is none.
    goal: AtomicUsize,
    /// The size that the table grows from, plus the next bucket that new ones are to be split off. Not below twice that size
    /// when there is none.
    cursor: AtomicUsize,
    /// Insertions that passed many nodes, since the last growth. Without counters, that is how growth is asked for.
    long_chains: AtomicUsize,
    /// [`QUEUED`], [`AGAIN`], [`DISMISSED`].
    job: AtomicU32,
    deferred: UnsafeCell<Deferred<G>>,
    /// Under the turn.
    plan: UnsafeCell<Plan>,
}

/// What the flavor's queue has of a table.
#[repr(C)]
struct Deferred<G: Ground> {
    head: RcuHead,
    table: *mut Table<G>,
}

/// The job is in the flavor's queue, or at work: the table must stay.
const QUEUED: u32 = 1;
/// Somebody asked for it meanwhile.
const AGAIN: u32 = 2;
/// The owner is gone: the job frees the table.
const DISMISSED: u32 = 4;

/// Old and new buckets of a chunk: some microseconds.
const CHUNK: usize = if cfg!(urcu_loom) { 2 } else { 512 };
/// Chunks in one run of the job: about a millisecond.
const SLICE: usize = 128;
/// The same for updaters that do it themselves.
const SHORT_SLICE: usize = 8;
/// Growths up to this size are done at once, by whoever finds that they are due.
const SMALL: usize = if cfg!(urcu_loom) { 0 } else { 1 << 14 };
/// Tables up to this size fit into the first-level cache.
const CACHED: usize = 1 << 12;
/// Tables up to this size fit into the second-level cache.
const MIDDLE: usize = 1 << 17;
/// Growths from less than this go up to it: a piece of memory.
const FEWEST: usize = if cfg!(urcu_loom) { 2 } else { 64 };
/// How many times larger a table becomes in one growth, at most.
pub(super) const MOST_STEP: usize = 64;
/// Updates of a thread between two looks at the count, in large tables.
const INTERVAL: usize = 256;
/// Nodes that an insertion passes in a long chain.
const LONG: u32 = 4;

/// Nodes that a table of this size has at most, before it grows.
///
/// Small tables stay in the cache anyway, and can be emptier: what costs there is the branch that is not foreseen. In those that
/// the second-level cache holds, a bucket less costs less than another step in a chain. In large ones, a step is a
/// miss; two buckets for a node cost as much memory as one of the C library's.
#[inline]
fn capacity(size: usize) -> usize {
    if size <= CACHED {
        size / 4
    } else if size <= MIDDLE {
        size
    } else {
        size / 2
    }
}

/// The size that a table grows to next.
///
/// New buckets are cheap while there are few nodes between them: so the steps are long as long as the memory does not matter.
#[inline]
fn next_size(size: usize) -> usize {
    if size < FEWEST {
        FEWEST
    } else if size < CACHED {
        (size * 8).min(CACHED)
    } else if size < MIDDLE {
        (size * 4).min(MIDDLE)
    } else {
        size * 2
    }
}

/// Whether so few nodes are left that half the size is enough; far from what made the table grow to this size.
#[inline]
fn is_sparse(count: usize, size: usize) -> bool {
    let step = if size <= MIDDLE { 8 } else { 2 };
    count.saturating_mul(step) < capacity(size / 2)
}

/// The two sizes in [`Table::growing`], which is not 0.
#[inline]
fn from_and_to(growing: usize) -> (usize, usize) {
    let from = 1 << growing.trailing_zeros();
    (from, growing - from)
}

struct Plan {
    shrinking: Shrinking,
    /// From where to where buckets are not in the list any more, and the grace period that their memory waits for.
    leaving: Option<(usize, usize, u64)>,
}

/// From a size, to half of it.
#[derive(Clone, Copy)]
enum Shrinking {
    No,
    /// Steps 1 and 2.
    Published {
        from: usize,
        cookie: u64,
    },
    /// Step 3, up to bucket `next`.
    Unmaking {
        from: usize,
        next: usize,
    },
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing is to be done.
    Done,
    /// There is more to do.
    More,
    /// Another thread does the last of it.
    Others,
    /// A grace period has to pass first.
    Grace,
    Failed(ResizeError),
}

impl<G: Ground> Resize<G> {
    pub(super) fn new() -> Self {
        Self {
            turn: Turn::default(),
            explicit: Turn::default(),
            goal: AtomicUsize::new(0),
            cursor: AtomicUsize::new(usize::MAX),
            long_chains: AtomicUsize::new(0),
            job: AtomicU32::new(0),
            deferred: UnsafeCell::new(Deferred { head: RcuHead::new(), table: ptr::null_mut() }),
            plan: UnsafeCell::new(Plan { shrinking: Shrinking::No, leaving: None }),
        }
    }

    /// Tells the job where the table is.
    pub(super) fn set_table(&mut self, table: *mut Table<G>) {
        self.deferred.get_mut().table = table;
    }

    /// The owner goes. Whether it has to free the table.
    pub(super) fn dismiss(&self) -> bool {
        // AcqRel: Acquire for what an earlier job did, Release for the owner's, before the job frees the table. PAIR(lfht-job)
        self.job.fetch_or(DISMISSED, sync::Ordering::AcqRel) & QUEUED == 0
    }
}

impl<G: Ground> Table<G> {
    /// Counts a node that was added past `passed` others.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[inline]
    pub(super) unsafe fn added(&self, passed: u32) {
        if let Some(counters) = &self.counters {
            let updates = counters.increment();
            if self.auto_resize && self.is_time_to_look(updates) {
                // SAFETY: inside a section.
                unsafe { self.review() };
            }
        } else if self.auto_resize && passed >= LONG {
            // SAFETY: inside a section.
            unsafe { self.met_long_chain() };
        }
    }

    /// Counts a node that was removed.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[inline]
    pub(super) unsafe fn deleted(&self) {
        if let Some(counters) = &self.counters {
            let updates = counters.decrement();
            if self.auto_resize && self.is_time_to_look(updates) {
                // SAFETY: inside a section.
                unsafe { self.review() };
            }
        }
    }

    #[inline]
    fn is_time_to_look(&self, updates: u64) -> bool {
        // Small tables have to be looked at more often. Relaxed: a rule of thumb.
        let interval = (self.size.load(Ordering::Relaxed) >> 6).clamp(1, INTERVAL);
        updates & (interval as u64 - 1) == 0
    }

    /// The size that would be right, or the next one on the way there.
    fn wanted(&self) -> usize {
        let size = self.size.load(Ordering::Relaxed);
        let goal = self.resize.goal.load(Ordering::Relaxed);
        if goal != 0 {
            return goal;
        }
        if !self.auto_resize {
            return size;
        }
        let (many, few) = match &self.counters {
            Some(counters) => {
                let count = usize::try_from(counters.sum()).unwrap_or(0);
                (count > capacity(size), is_sparse(count, size))
            }
            None => (self.resize.long_chains.load(Ordering::Relaxed) > size >> 10, false),
        };
        if many && size < self.max {
            next_size(size).min(self.max)
        } else if few && size > self.min {
            size / 2
        } else {
            size
        }
    }

    /// Whether a growth has begun that should be further by now.
    fn is_late(&self) -> bool {
        let right = capacity(self.size.load(Ordering::Relaxed));
        let late = (right + right / 2).cast_signed() as i64;
        self.counters.as_ref().is_none_or(|counters| counters.sum() > late)
    }

    /// Looks whether the size is still right, and does something about it.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[cold]
    #[inline(never)]
    unsafe fn review(&self) {
        if !G::OWNED {
            // Nobody else does it. What cannot be done now is tried again by the next review.
            let _ = self.advance(self.wanted());
            return;
        }
        if self.growing.load(Ordering::Relaxed) != 0 {
            // Updates between two reviews must put in more buckets than they add nodes.
            for _ in 0..if self.is_late() { 1 + 8 * INTERVAL / CHUNK } else { 0 } {
                // SAFETY: inside a section.
                let _ = unsafe { self.sweep() };
            }
            return;
        }
        let size = self.size.load(Ordering::Relaxed);
        let wanted = self.wanted();
        if wanted > size {
            // SAFETY: inside a section.
            unsafe { self.grow_soon() };
        } else if wanted < size {
            self.request();
        }
    }

    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[cold]
    #[inline(never)]
    unsafe fn met_long_chain(&self) {
        if self.growing.load(Ordering::Relaxed) != 0 {
            // SAFETY: inside a section.
            let _ = unsafe { self.sweep() };
            return;
        }
        // Relaxed: a number.
        let met = self.resize.long_chains.fetch_add(1, Ordering::Relaxed) + 1;
        let size = self.size.load(Ordering::Relaxed);
        if met > size >> 10 && size < self.max {
            // SAFETY: inside a section.
            unsafe { self.grow_soon() };
        }
    }

    /// Begins a growth, unless somebody else is at it, and sees to it that it goes on.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    unsafe fn grow_soon(&self) {
        let Some(turn) = self.resize.turn.try_take() else { return };
        // SAFETY: inside a section.
        let begun = unsafe { self.begin_growth(&turn, self.max) };
        drop(turn);
        if matches!(begun, Progress::More | Progress::Grace) {
            self.request();
        }
        // Done: nothing is left to do. Failed: no memory; the table goes on with what it has.
    }

    /// # Safety
    ///
    /// The reference does not outlive `turn`, and is the only one.
    #[allow(clippy::mut_from_ref, reason = "exclusive by the turn")]
    unsafe fn plan<'t>(&'t self, _turn: &'t Taken<'_>) -> &'t mut Plan {
        // SAFETY: under the turn, as promised.
        unsafe { &mut *self.resize.plan.get() }
    }

    /// Whether a table can have so many buckets: the number may come from shared memory, where it is whatever somebody wrote.
    #[inline]
    pub(super) fn can_be_size(&self, size: usize) -> bool {
        G::OWNED || size.is_power_of_two() && size >= self.min && size <= self.max
    }

    /// Step 1 of growing, towards `goal`; all steps, if the table is small.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    unsafe fn begin_growth(&self, turn: &Taken<'_>, goal: usize) -> Progress {
        // Acquire: the size that the last growth published. PAIR(lfht-size)
        if self.growing.load(Ordering::Acquire) != 0 {
            return Progress::More;
        }
        // SAFETY: the one reference in this function.
        let plan = unsafe { self.plan(turn) };
        self.free_left(plan);
        match plan.shrinking {
            Shrinking::No => {}
            Shrinking::Published { from, .. } => {
                // Taken back: the buckets are all still in the list. Release: PAIR(lfht-size)
                self.size.store(from, Ordering::Release);
                plan.shrinking = Shrinking::No;
                return Progress::Grace;
            }
            Shrinking::Unmaking { .. } => return Progress::Grace,
        }
        if plan.leaving.is_some() {
            return Progress::Grace;
        }
        let size = self.size.load(Ordering::Relaxed);
        if size >= self.max {
            return Progress::Done;
        }
        if !self.can_be_size(size) {
            return Progress::Failed(ResizeError::Corrupt);
        }
        let to = next_size(size).min(goal).max(2 * size);
        if !G::OWNED && (!self.can_be_size(to) || to / size > MOST_STEP) {
            return Progress::Failed(ResizeError::Corrupt);
        }
        if let Err(OutOfMemory) = self.buckets.ensure(size, to) {
            return Progress::Failed(ResizeError::OutOfMemory);
        }
        self.resize.long_chains.store(0, Ordering::Relaxed);
        if to <= SMALL {
            // SAFETY: inside a section and with the turn, which keeps others from publishing a size.
            if unsafe { self.make_families(Families { parents: 0..size, from: size, to }, When::Early) }.is_err() {
                return Progress::Failed(ResizeError::Corrupt);
            }
            // Release: who sees the size finds the buckets' memory. PAIR(lfht-size)
            self.size.store(to, Ordering::Release);
            return Progress::Done;
        }
        // Relaxed: published by the next line.
        self.resize.cursor.store(size, Ordering::Relaxed);
        // Release: who sees the growth finds the memory and the cursor. PAIR(lfht-size)
        self.growing.store(size + to, Ordering::Release);
        Progress::More
    }

    /// Steps 2 and 3 of growing: one chunk. Whether there was one.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    pub(super) unsafe fn sweep(&self) -> Result<bool, G::Stop> {
        // Acquire: the buckets' memory and the cursor. PAIR(lfht-size)
        let growing = self.growing.load(Ordering::Acquire);
        if growing == 0 {
            return Ok(false);
        }
        let (size, end) = from_and_to(growing);
        let step = (CHUNK / (end / size)).max(1);
        // Relaxed: chunks are handed out by the exchange alone. A cursor of another growth is not taken for one of this: this section
        // keeps the table from getting smaller than `end / 2`, so later growths begin at `end` or above, and so do their cursors.
        let mut cursor = self.resize.cursor.load(Ordering::Relaxed);
        let next = loop {
            if cursor >= 2 * size {
                return Ok(false);
            }
            let next = (cursor + step).min(2 * size);
            match self.resize.cursor.compare_exchange(cursor, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break next,
                Err(found) => cursor = found,
            }
        };
        let parents = cursor - size..next - size;
        // SAFETY: below a growth seen in this section; the chunk is this thread's.
        unsafe { self.make_families(Families { parents, from: size, to: end }, When::Late) }?;
        if next == 2 * size {
            // Release: who sees the size finds the buckets' memory. PAIR(lfht-size)
            self.size.store(end, Ordering::Release);
            // Release: the next growth sees this size. PAIR(lfht-size)
            self.growing.store(0, Ordering::Release);
        }
        Ok(true)
    }

    /// Step 4 of shrinking, if it is time.
    fn free_left(&self, plan: &mut Plan) {
        if let Some((from, to, cookie)) = plan.leaving
            && self.has_passed(cookie)
        {
            // SAFETY: not in the list since before that grace period, above the size since before another one: no section
            // knows of them. Growth waits until this is done, and all this is under the turn.
            unsafe { self.buckets.release(from, to) };
            plan.leaving = None;
        }
    }

    /// Has the memory of buckets `from..to`, which have been taken out of the list, given back after a grace period. The table
    /// does not grow before.
    pub(super) fn let_go(&self, from: usize, to: usize) {
        let turn = self.resize.turn.take();
        // SAFETY: the one reference in this function.
        let plan = unsafe { self.plan(&turn) };
        plan.leaving = Some((from, to, self.next_grace_period()));
    }

    fn has_passed(&self, cookie: u64) -> bool {
        self.buckets.ground.has_elapsed(self.flavor, cookie)
    }

    fn next_grace_period(&self) -> u64 {
        self.buckets.ground.start_grace_period(self.flavor)
    }

    /// One step towards `goal`, of bounded length. Outside the turn; inside a section or not.
    fn advance(&self, goal: usize) -> Progress {
        if self.growing.load(Ordering::Relaxed) != 0 {
            return self.sweep_slice();
        }
        let turn = self.resize.turn.take();
        // SAFETY: not used across `begin_growth`, which makes its own.
        let plan = unsafe { self.plan(&turn) };
        self.free_left(plan);
        match plan.shrinking {
            Shrinking::Published { from, cookie } => {
                if goal >= from {
                    // Taken back: the buckets are all still in the list. Release: PAIR(lfht-size)
                    self.size.store(from, Ordering::Release);
                    plan.shrinking = Shrinking::No;
                    return Progress::More;
                }
                if !self.has_passed(cookie) {
                    return Progress::Grace;
                }
                plan.shrinking = Shrinking::Unmaking { from, next: from / 2 };
                Progress::More
            }
            Shrinking::Unmaking { from, next } => {
                let to = (next + if G::OWNED { SLICE / 2 } else { SHORT_SLICE } * CHUNK).min(from);
                if let Err(error) = self.unmake(next, to) {
                    return Progress::Failed(error);
                }
                if to < from {
                    plan.shrinking = Shrinking::Unmaking { from, next: to };
                } else {
                    // An earlier half's grace period began before the one that this half waited for: it has been freed.
                    debug_assert!(plan.leaving.is_none());
                    plan.leaving = Some((from / 2, from, self.next_grace_period()));
                    plan.shrinking = Shrinking::No;
                }
                Progress::More
            }
            Shrinking::No => {
                let size = self.size.load(Ordering::Relaxed);
                if goal > size {
                    let Some(_inside) = self.enter() else {
                        return Progress::Failed(ResizeError::NotRegistered);
                    };
                    // SAFETY: inside a section.
                    return match unsafe { self.begin_growth(&turn, goal) } {
                        Progress::Done => Progress::More,
                        other => other,
                    };
                }
                // A growth may have begun since the first look, until the turn was taken.
                if goal < size && self.growing.load(Ordering::Acquire) == 0 {
                    if !self.can_be_size(size) || (!G::OWNED && size == self.min) {
                        return Progress::Failed(ResizeError::Corrupt);
                    }
                    // Release: PAIR(lfht-size)
                    self.size.store(size / 2, Ordering::Release);
                    plan.shrinking = Shrinking::Published { from: size, cookie: self.next_grace_period() };
                    return Progress::Grace;
                }
                if plan.leaving.is_some() { Progress::Grace } else { Progress::Done }
            }
        }
    }

    /// A section for a piece of work on the list. `None` if the thread cannot have one, or the table's owner is gone: its nodes may
    /// be freed a grace period later, which this section would not hold off.
    fn enter(&self) -> Option<G::Inside> {
        let inside = self.buckets.ground.enter(self.flavor)?;
        // Acquire: a section that begins after the grace period that followed the dismissal sees it. PAIR(lfht-job)
        (self.resize.job.load(sync::Ordering::Acquire) & DISMISSED == 0).then_some(inside)
    }

    fn sweep_slice(&self) -> Progress {
        for _ in 0..if G::OWNED { SLICE } else { SHORT_SLICE } {
            let Some(_inside) = self.enter() else {
                return Progress::Failed(ResizeError::NotRegistered);
            };
            // SAFETY: inside a section.
            match unsafe { self.sweep() } {
                Ok(true) => {}
                Ok(false) => {
                    // Relaxed: it is looked at again.
                    let growing = self.growing.load(Ordering::Relaxed) != 0;
                    return if growing { Progress::Others } else { Progress::More };
                }
                Err(_) => return Progress::Failed(ResizeError::Corrupt),
            }
        }
        Progress::More
    }

    /// Step 3 of shrinking, in part.
    fn unmake(&self, from: usize, to: usize) -> Result<(), ResizeError> {
        for chunk in (from..to).step_by(CHUNK) {
            let Some(_inside) = self.enter() else { return Err(ResizeError::NotRegistered) };
            for index in chunk..(chunk + CHUNK).min(to) {
                // SAFETY: inside a section; step 2 is over.
                unsafe { self.unmake_bucket(index) }.map_err(|_| ResizeError::Corrupt)?;
            }
        }
        Ok(())
    }

    /// Has the size looked at.
    fn request(&self) {
        G::request(self);
    }
}

impl Table {
    /// Has the worker look at the size.
    pub(super) fn ask_worker(&self) {
        // AcqRel: Release for what is asked for, before the job looks. PAIR(lfht-job)
        let before = self.resize.job.fetch_or(QUEUED | AGAIN, sync::Ordering::AcqRel);
        if before & QUEUED == 0 {
            // SAFETY: the head is in no queue: who sets `QUEUED` owns it.
            unsafe { self.queue() };
        }
    }

    /// # Safety
    ///
    /// The caller has set `QUEUED`, or is the job.
    unsafe fn queue(&self) {
        // SAFETY: the head is in no queue (the caller owns it), and stays until the job has run: the table does.
        unsafe { (self.flavor.call_rcu)(self.resize.deferred.get().cast(), run) };
    }

    /// Sets the number of buckets, and returns when that is done. An automatic table may change it again later.
    ///
    /// Clamped to the table's maximum, not to its minimum. Blocks: waits for other resizes, and, to shrink, for two grace
    /// periods per halving. An online QSBR thread registered by the raw tier is offline meanwhile.
    ///
    /// # Errors
    ///
    /// - [`ResizeError::NotPowerOfTwo`].
    /// - [`ResizeError::InsideSection`], QSBR: also if the thread is online by a `Thread`.
    /// - [`ResizeError::Stuck`]: no grace period can end any more.
    /// - [`ResizeError::OutOfMemory`]: the table keeps the size that it has, and works.
    /// - [`ResizeError::NotRegistered`]: a thread that is not registered is registered for the time being; that failed.
    #[doc(alias = "cds_lfht_resize")]
    pub fn resize(&self, buckets: usize) -> Result<(), ResizeError> {
        if !buckets.is_power_of_two() {
            return Err(ResizeError::NotPowerOfTwo { value: buckets });
        }
        let goal = buckets.min(self.max);
        let explicit = loop {
            // A grace period as a test whether waiting is allowed; and while waiting, so that an online thread lets others go on.
            self.wait()?;
            if let Some(explicit) = self.resize.explicit.try_take() {
                break explicit;
            }
        };
        self.resize.goal.store(goal, Ordering::Relaxed);
        let outcome = self.reach(goal);
        self.resize.goal.store(0, Ordering::Relaxed);
        drop(explicit);
        outcome
    }

    /// Waits for a grace period.
    fn wait(&self) -> Result<(), ResizeError> {
        /// `-EIO`.
        const STUCK: c_int = -5;
        // SAFETY: checks its own precondition.
        match unsafe { (self.flavor.try_synchronize)() } {
            0 => Ok(()),
            STUCK => Err(ResizeError::Stuck),
            _ => Err(ResizeError::InsideSection),
        }
    }

    fn reach(&self, goal: usize) -> Result<(), ResizeError> {
        {
            // All of it at once, so that what cannot succeed fails before anything is done.
            let turn = self.resize.turn.take();
            // SAFETY: the one reference in this block.
            let plan = unsafe { self.plan(&turn) };
            let size = self.size.load(Ordering::Relaxed);
            let idle = self.growing.load(Ordering::Acquire) == 0
                && plan.leaving.is_none()
                && matches!(plan.shrinking, Shrinking::No);
            if idle && goal > size {
                self.buckets.ensure(size, goal).map_err(|OutOfMemory| ResizeError::OutOfMemory)?;
            }
        }
        let mut backoff = Backoff::new();
        loop {
            match self.advance(goal) {
                Progress::Done => return Ok(()),
                Progress::Failed(error) => return Err(error),
                Progress::More => backoff = Backoff::new(),
                Progress::Others if backoff.snooze() => {}
                Progress::Grace | Progress::Others => self.wait()?,
            }
        }
    }
}

/// The job.
unsafe extern "C" fn run(head: *mut RcuHead) {
    // SAFETY: the head is the first field of a `Deferred`, whose other field is constant.
    let table = unsafe { (*head.cast::<Deferred<Process>>()).table };
    {
        // SAFETY: the table stays while the job is queued.
        let table = unsafe { &*table };
        if !table.work() {
            return;
        }
    }
    // SAFETY: leaked in `Table::new`; its owner is gone, and the job has ended.
    drop(unsafe { Box::from_raw(table) });
}

impl Table {
    /// A run of the job. Whether the table is to be freed. The caller may use the table afterwards only if it is.
    fn work(&self) -> bool {
        let job = &self.resize.job;
        // AcqRel: Acquire for what was asked for. PAIR(lfht-job)
        if job.fetch_and(!AGAIN, sync::Ordering::AcqRel) & DISMISSED != 0 {
            return true;
        }
        let progress = self.advance(self.wanted());
        if matches!(progress, Progress::More | Progress::Grace) {
            // SAFETY: this is the job.
            unsafe { self.queue() };
            return false;
        }
        // AcqRel: as in `dismiss`. PAIR(lfht-job)
        match job.compare_exchange(QUEUED, 0, sync::Ordering::AcqRel, sync::Ordering::Acquire) {
            Ok(_) => false,
            Err(state) if state & DISMISSED != 0 => true,
            Err(_) => {
                // SAFETY: this is the job.
                unsafe { self.queue() };
                false
            }
        }
    }
}

/// What the model checker calls: the steps of resizes, without a worker and without grace periods.
#[cfg(urcu_loom)]
#[allow(missing_docs)]
impl Table {
    /// # Safety
    ///
    /// Nodes live as long as the model.
    pub unsafe fn model_begin_growth(&self, goal: usize) {
        let turn = self.resize.turn.try_take().expect("one thread resizes in a model");
        // SAFETY: nothing is reclaimed in a model.
        assert_eq!(unsafe { self.begin_growth(&turn, goal) }, Progress::More);
    }

    /// # Safety
    ///
    /// As above.
    pub unsafe fn model_sweep(&self) -> bool {
        // SAFETY: nothing is reclaimed in a model.
        super::lookup::sure(unsafe { self.sweep() })
    }

    pub fn model_publish_half(&self) {
        self.size.store(self.size.load(Ordering::Relaxed) / 2, Ordering::Release);
    }

    /// # Safety
    ///
    /// As above; the size was published before the other threads began.
    pub unsafe fn model_unmake(&self, bucket: usize) {
        // SAFETY: as promised.
        super::lookup::sure(unsafe { self.unmake_bucket(bucket) });
    }

    /// # Safety
    ///
    /// The upper half was unmade, and the other threads have ended.
    pub unsafe fn model_release(&self) {
        let size = self.size.load(Ordering::Relaxed);
        // SAFETY: as promised.
        unsafe { self.buckets.release(size, 2 * size) };
    }
}

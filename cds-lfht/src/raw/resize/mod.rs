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

mod explicit;
mod forked;
mod growth;
mod job;
#[cfg(urcu_loom)]
mod model;
mod policy;
mod shrink;

use core::cell::UnsafeCell;

use urcu_core::sync::AtomicU32;
use urcu_core::sync::modelled::AtomicUsize;
use urcu_core::sys;

use self::job::Job;
use super::error::ResizeError;
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
    /// Buckets from here on are fresh, or have no memory; those between the size and this may be in the list. Under the turn.
    top: AtomicUsize,
    /// Insertions that passed many nodes, since the last growth. Without counters, that is how growth is asked for.
    long_chains: AtomicUsize,
    /// The process whose threads have done all that is under way.
    process: AtomicU32,
    job: Job<G>,
    /// Under the turn.
    plan: UnsafeCell<Plan>,
}

/// Old and new buckets of a chunk: some microseconds.
const CHUNK: usize = if cfg!(urcu_loom) {
    2
} else if cfg!(test) {
    16
} else {
    512
};
/// Chunks in one run of the job: about a millisecond.
const SLICE: usize = 128;
/// The same for updaters that do it themselves.
const SHORT_SLICE: usize = 8;
/// Growths up to this size are done at once, by whoever finds that they are due.
///
/// Much smaller in this crate's own tests, as is a chunk: what is begun and not finished there is the same with fewer buckets.
const SMALL: usize = if cfg!(urcu_loom) {
    0
} else if cfg!(test) {
    1 << 10
} else {
    1 << 16
};
/// How many times larger a table becomes in one growth, at most.
pub(super) const MOST_STEP: usize = 64;

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
    /// Step 3, up to bucket `next` of the upper half of `from`. The lower half stays, unless it is above the size, too: then it is
    /// next, because no bucket may go before those that were split off it. In the end all is left from the size to `end`.
    Unmaking {
        from: usize,
        next: usize,
        end: usize,
    },
}

impl Shrinking {
    /// Step 3, which begins with the upper half of `from`.
    const fn unmaking(from: usize, end: usize) -> Self {
        Self::Unmaking { from, next: from / 2, end }
    }
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
    /// Of a table that begins with so many buckets.
    pub(super) fn new(initial: usize) -> Self {
        Self {
            turn: Turn::default(),
            explicit: Turn::default(),
            goal: AtomicUsize::new(0),
            cursor: AtomicUsize::new(usize::MAX),
            top: AtomicUsize::new(initial),
            long_chains: AtomicUsize::new(0),
            process: AtomicU32::new(sys::process_id().cast_unsigned()),
            job: Job::new(),
            plan: UnsafeCell::new(Plan { shrinking: Shrinking::No, leaving: None }),
        }
    }

    /// Tells the job where the table is.
    pub(super) fn set_table(&mut self, table: *mut Table<G>) {
        self.job.set_table(table);
    }

    /// The owner goes. Whether it has to free the table.
    pub(super) fn dismiss(&self) -> bool {
        self.job.dismiss()
    }
}

impl<G: Ground> Table<G> {
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
}

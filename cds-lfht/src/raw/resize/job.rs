//! The work in the background: a call deferred to the flavor's worker, which defers itself again until there is nothing to do.

use core::cell::UnsafeCell;
use core::ptr;

use urcu_core::RcuHead;
use urcu_core::space::Process;
use urcu_core::sync::{self, AtomicU32};

use super::super::ground::Ground;
use super::super::table::Table;
use super::Progress;

/// The call, and whether it is deferred at the moment.
pub(super) struct Job<G: Ground> {
    /// [`QUEUED`], [`AGAIN`], [`DISMISSED`].
    state: AtomicU32,
    deferred: UnsafeCell<Deferred<G>>,
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

impl<G: Ground> Job<G> {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU32::new(0),
            deferred: UnsafeCell::new(Deferred { head: RcuHead::new(), table: ptr::null_mut() }),
        }
    }

    /// Tells the job where the table is.
    pub(super) fn set_table(&mut self, table: *mut Table<G>) {
        self.deferred.get_mut().table = table;
    }

    /// The owner goes. Whether it has to free the table.
    pub(super) fn dismiss(&self) -> bool {
        // AcqRel: Acquire for what an earlier job did, Release for the owner's, before the job frees the table. PAIR(lfht-job)
        self.state.fetch_or(DISMISSED, sync::Ordering::AcqRel) & QUEUED == 0
    }
}

impl<G: Ground> Table<G> {
    /// A section for a piece of work on the list. `None` if the thread cannot have one, or the table's owner is gone: its nodes may
    /// be freed a grace period later, which this section would not hold off.
    pub(super) fn enter(&self) -> Option<G::Inside> {
        let inside = self.buckets.ground.enter(self.flavor)?;
        // Acquire: a section that begins after the grace period that followed the dismissal sees it. PAIR(lfht-job)
        (self.resize.job.state.load(sync::Ordering::Acquire) & DISMISSED == 0).then_some(inside)
    }
}

impl Table {
    /// Has the worker look at the size.
    pub(in crate::raw) fn ask_worker(&self) {
        // AcqRel: Release for what is asked for, before the job looks. PAIR(lfht-job)
        let before = self.resize.job.state.fetch_or(QUEUED | AGAIN, sync::Ordering::AcqRel);
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
        unsafe { (self.flavor.call_rcu)(self.resize.job.deferred.get().cast(), run) };
    }

    /// A run of the job. Whether the table is to be freed. The caller may use the table afterwards only if it is.
    fn work(&self) -> bool {
        let job = &self.resize.job.state;
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

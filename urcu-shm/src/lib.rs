//! Userspace RCU across processes: the flavor for readers in shared memory.
//!
//! A [`Segment`] is memory that several processes map. One of them at a time is its [`Writer`]; any number of others read in it,
//! in sections that grace periods of every process wait for. Within a process it has the API that all flavors have.
//!
//! Choose it where readers are in several processes. The guide of `urcu-core` has [a chapter][chapter] about what happens when a
//! process dies, and about the limits; structures for a segment are in the crate `cds-shm`.
//!
//! ```
//! use urcu_shm as rcu;
//!
//! let segment = rcu::Segment::create_memfd("example", 1 << 16)?;
//! rcu::attach(&segment)?;
//!
//! let thread = rcu::register()?;
//! let guard = thread.read_lock();
//! let number = segment.start_grace_period();
//! assert!(!segment.has_elapsed(number), "it waits for the section");
//! drop(guard);
//! assert!(segment.has_elapsed(number));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | |
//! |---|---|
//! | a section costs | five stores and eight loads ([`Barriers::Membarrier`]), or a full fence on top ([`Barriers::Fences`]) |
//! | a grace period costs | one `membarrier(GLOBAL_EXPEDITED)`, or a fence, and a scan of all processes |
//! | registration | explicit, after [`attach`] |
//! | quiescent states | none |
//! | blocking inside a section | holds up grace periods of all processes |
//! | reading in signal handlers | after registration |
//! | needs | `/proc`; Linux 4.16 for [`Barriers::Membarrier`]; 5.3 for descriptors of processes, otherwise it compares their ids and start times |
//!
//! [chapter]: https://docs.rs/urcu-core/latest/urcu_core/guide/processes/index.html
//!
//! # Who waits for whom
//!
//! | | waits for sections of |
//! |---|---|
//! | [`synchronize`], what is retired, [`barrier`], polling: with [`Access::Write`] | every process |
//! | the same with [`Access::Read`]: it can have unlinked nothing but its own memory | this process |
//! | [`Segment::wait_for`], [`Segment::has_elapsed`] | every process |
//!
//! Two grace periods of different processes run side by side. Each waits for readers of processes that live, and blocks
//! as long as their sections are open: a process that is stopped inside one holds it up, one that has died does not.
//!
//! # For structures in a segment
//!
//! | what | how |
//! |---|---|
//! | memory | [`Segment::data_start`] up to [`Segment::data_len`], one block, fixed size, zeroed when fresh. Places are [`Offset`]s, resolved by [`Segment::resolve`] and `resolve_slice`, which check bounds and alignment |
//! | finding structures | [`Segment::root`] / [`Writer::set_root`] with a [`RootName`]: name and layout number, to an offset |
//! | who may change data | who holds the [`Writer`]: [`Segment::writer`], [`Segment::wait_for_writer`]. [`Writer::recovered`]: the last one died in its role |
//! | freeing | unlink; [`Segment::start_grace_period`] gives a [`GraceNumber`] (a `u64`; may be stored next to the retired block, in the segment); free once [`Segment::has_elapsed`] or after [`Segment::wait_for`]. One number serves everything that was unlinked before it was drawn: batch. A new writer frees what the last one retired by the stored numbers, or draws a new number for all of it |
//! | dead readers | `wait_for` notices them; who only asks `has_elapsed` calls [`Segment::reap`] now and then |
//! | guards | sections of this crate's flavor, on a process that has attached this segment: [`Segment::assert_guard`] |
//!
//! # Deferred reclamation
//!
//! A [`Retired`] value that is dropped is freed after a grace period: by a worker if it has a destructor, else by the
//! retiring thread itself at some later retirement, or by the worker. `retire` and `defer` do the same with boxes and
//! closures; `barrier` waits for all of it, `set_limits` bounds it. Beyond the hard limit retiring waits like
//! [`synchronize`] (inside a section, the end of the outermost one does), so neither is done with a lock held that sections
//! or deferred calls take.
//!
//! # Features
//!
//! All are on by default, and only add functions: `callbacks` (retire, defer, barrier, limits, workers), `poll` (grace
//! periods that are asked about or awaited), `stats` (counters, the limit of the stall report).
//!
//! # Forbidden and limited uses
//!
//! - **Fork.** When parent and child both go on using RCU, call [`raw::fork_before`] before `fork` and one of
//!   [`raw::fork_after_parent`], [`raw::fork_after_child`] after it. What is pending at the fork then runs in both
//!   processes, and waits for ever in the child if it takes a lock that another thread held. `fork` followed by `exec` needs
//!   nothing. A child is a process of its own in the segment: its grace periods wait
//!   for its parent's readers. What its parent had registered before must not read in it unless the hooks were called.
//! - **Thread exit.** A thread that ends without dropping its [`Thread`] is unregistered by its exit. If it ends inside
//!   a section of the raw tier, the section is ended. A section behind a leaked [`Guard`] is never ended, since its
//!   references may live on: from then on whoever waits for a grace period panics (in other processes: waits). A [`Report`] tells of either.
//! - **Signal handlers.** Reading in them: see the table. Nothing else: no `register`, no waiting, no retiring.
//! - **Process exit.** Pending calls are not run. Call `barrier` before, if their effects matter.
//! - **`dlclose`.** Exit destructors need their code, so the shared object that holds this crate stays loaded once a
//!   thread has been registered or a worker runs. Before another object is unloaded whose destructors or callbacks may
//!   be pending, call `barrier`.

mod attach;
mod barrier;
mod error;
mod flavor;
mod grace;
mod inspect;
mod layout;
mod mapping;
#[cfg(urcu_loom)]
#[allow(missing_docs)]
pub mod model;
mod offset;
mod passing;
mod process;
pub mod raw;
mod records;
mod roots;
mod segment;
mod sys;
#[cfg(feature = "callbacks")]
pub mod workers;
mod writer;

pub use attach::attach;
pub use barrier::Barriers;
pub use error::{RootError, SegmentError, WriterError};
pub use flavor::Shm;
pub use grace::GraceNumber;
pub use inspect::{InspectedProcess, InspectedThread, Inspection};
pub use offset::Offset;
pub use passing::{recv_fd, send_fd};
pub use process::ProcessId;
pub use roots::{ROOTS, RootName};
pub use segment::{Access, OpenOptions, Segment, SegmentOptions};
use urcu_core::FlavorVtable;
pub use urcu_core::{
    CompareExchangeError, DomainId, InitError, RcuBox, RegisterError, Report, ReportHook, set_report_hook,
};
pub use writer::Writer;

/// This crate's flavor, under the name that it has in every flavor crate.
pub type Flavor = Shm;
/// The calling thread's registration.
pub type Thread = urcu_core::Thread<Flavor>;
/// A registered thread that grace periods do not wait for.
pub type Offline = urcu_core::Offline<Flavor>;
/// A read-side critical section.
pub type Guard<'t> = urcu_core::Guard<'t, Flavor>;
/// An RCU-protected pointer.
pub type Rcu<T> = urcu_core::Rcu<T, Flavor>;
/// An unlinked value that readers may still be using.
pub type Retired<T> = urcu_core::Retired<T, Flavor>;
/// A counted pointer whose value readers find without touching the count.
pub type RcuArc<T> = urcu_core::RcuArc<T, Flavor>;
/// A counted value as a section found it.
pub type RcuArcRef<'g, T> = urcu_core::RcuArcRef<'g, T, Flavor>;
/// Where counted values are published.
pub type RcuArcCell<T> = urcu_core::RcuArcCell<T, Flavor>;
/// The cell did not hold the expected value.
pub type RcuArcExchangeError<'g, T> = urcu_core::RcuArcExchangeError<'g, T, Flavor>;

/// This flavor as a table of functions, for structures and C.
// SAFETY: `DOMAIN` is what `Flavor::domain` returns.
pub static FLAVOR: FlavorVtable = unsafe { FlavorVtable::new::<Flavor>(&flavor::DOMAIN, c"urcu-shm") };

/// [`FLAVOR`].
#[inline]
pub fn vtable() -> &'static FlavorVtable {
    &FLAVOR
}

/// Whether the flavor is ready: a segment has been attached. Any thread, not in a signal handler.
///
/// # Errors
///
/// [`InitError::NoSegment`] before [`attach`].
#[doc(alias = "rcu_init")]
pub fn init() -> Result<(), InitError> {
    raw::init()
}

/// Registers the calling thread until the [`Thread`] is dropped.
///
/// Never waits for a grace period. Lock-free, but for every 31st thread that this process has at a time: that one claims a page of the
/// segment, for a moment behind others of the process that do. Not in a signal handler.
///
/// # Errors
///
/// [`RegisterError`]: already registered, the thread is ending, no memory or keys, or [`init`] failed.
#[doc(alias = "rcu_register_thread")]
pub fn register() -> Result<Thread, RegisterError> {
    Thread::register()
}

/// Enters a read-side critical section on the calling thread.
///
/// For registered threads. Wait-free. Nests. Allowed in signal handlers.
///
/// # Panics
///
/// When the thread is not registered, with advice; when sections nest deeper than 65,535 levels.
#[doc(alias = "rcu_read_lock")]
#[inline]
#[track_caller]
pub fn read_lock() -> Guard<'static> {
    urcu_core::read_lock()
}

/// Waits for a grace period: until every section that is open now, on any thread, has ended; if this process may write to the
/// segment ([`Access::Write`]), on any thread of any process.
///
/// Blocks; a full barrier on both ends. Any thread, registered or not, outside every section.
///
/// # Panics
///
/// Inside a section: it would wait for itself.
#[doc(alias = "synchronize_rcu")]
#[track_caller]
pub fn synchronize() {
    urcu_core::synchronize::<Flavor>();
}

#[cfg(feature = "stats")]
pub use urcu_core::Stats;

/// The counters of deferred reclamation and of grace periods. Any context; takes a lock for a moment, walks the threads
/// that ever deferred something.
#[cfg(feature = "stats")]
pub fn stats() -> Stats {
    urcu_core::stats::<Flavor>()
}

/// Sets after how long a grace period that waits for one reader is reported ([`Report::GracePeriodStalled`]), and again at
/// each doubling; `None`: never. 10 seconds at first. Any context. Costs readers nothing.
#[cfg(feature = "stats")]
pub fn set_stall_limit(limit: Option<core::time::Duration>) {
    urcu_core::set_stall_limit::<Flavor>(limit);
}

#[cfg(feature = "callbacks")]
pub use urcu_core::{BarrierError, Limits, RcuHead, WorkerError};

/// Drops `value` after a grace period, without waiting for it.
///
/// For what readers have reached through raw pointers and cannot reach any more: memory that they may *still* be looking
/// at must not be turned into a `Box` first; see [`raw::retire`] and [`RcuBox`].
///
/// Any context but signal handlers, inside sections too. Allocates nothing but a block of 512 entries now and then. A
/// value with a destructor is dropped on a worker, one without is freed there or on this thread at a later retirement.
/// Beyond the hard limit
/// ([`set_limits`]) it waits for room, unless in a deferred call (inside a section: the end of the outermost one waits instead):
/// so neither with a lock held that readers take inside sections, or that deferred calls take.
#[cfg(feature = "callbacks")]
#[doc(alias = "call_rcu")]
pub fn retire<T: Send + 'static>(value: Box<T>) {
    urcu_core::retire_box::<T, Flavor>(value);
}

/// Runs `closure` after a grace period, on a worker. Allocates. Contexts as [`retire`].
///
/// A panic in it is caught and reported ([`Report::DeferredPanicked`]).
#[cfg(feature = "callbacks")]
#[doc(alias = "call_rcu")]
#[doc(alias = "defer_rcu")]
pub fn defer(closure: impl FnOnce() + Send + 'static) {
    urcu_core::defer::<_, Flavor>(closure);
}

/// Waits until everything that was retired or deferred before this call, by any thread, has been dropped or has run.
///
/// Blocks. Any thread, outside every section. Does not cover what those calls defer in their turn. Needed before
/// code that owns callbacks is unloaded.
///
/// # Errors
///
/// [`BarrierError::InCallback`] in a deferred call, which would wait for itself; [`BarrierError::Stuck`] when it would wait for
/// ever.
///
/// # Panics
///
/// Inside a section.
#[cfg(feature = "callbacks")]
#[doc(alias = "rcu_barrier")]
#[track_caller]
pub fn barrier() -> Result<(), BarrierError> {
    urcu_core::barrier::<Flavor>()
}

/// A guard that does what [`barrier`] does when it is dropped: whatever was retired while it lived has been dropped then.
#[cfg(feature = "callbacks")]
pub type FlushOnDrop = urcu_core::FlushOnDrop<Flavor>;

/// [`barrier`] when the returned guard is dropped: for the end of a structure's or a test's life. Not to be dropped inside a
/// section or a deferred call (panics).
#[cfg(feature = "callbacks")]
pub const fn flush_on_drop() -> FlushOnDrop {
    FlushOnDrop::new()
}

/// How much may be deferred before retiring waits. Any context.
#[cfg(feature = "callbacks")]
pub fn limits() -> Limits {
    urcu_core::limits::<Flavor>()
}

/// Changes that. Any context; takes effect from the next full block on.
#[cfg(feature = "callbacks")]
pub fn set_limits(limits: Limits) {
    urcu_core::set_limits::<Flavor>(limits);
}

/// A retired value that can be had back once its grace period has ended: what [`Retired::start_poll`](urcu_core::Retired::start_poll) returns.
#[cfg(feature = "poll")]
pub type Polled<T> = urcu_core::Polled<T, Flavor>;

/// A grace period to be asked about.
#[cfg(feature = "poll")]
pub type GracePeriod = urcu_core::GracePeriod<Flavor>;

/// Starts a grace period without waiting for it; the default worker runs it. Any context, inside sections too (the section
/// holds it up).
#[cfg(feature = "poll")]
#[doc(alias = "start_poll_synchronize_rcu")]
pub fn start_poll() -> GracePeriod {
    GracePeriod::start()
}

/// A future that is ready once a grace period has ended.
#[cfg(feature = "poll")]
pub type Synchronize = urcu_core::Synchronize<Flavor>;

/// [`synchronize`] for async code: the grace period starts with this call, the future is ready when it has ended. Needs no
/// particular executor. Allocates.
///
/// Guards are not `Send` and must not live across an `await`.
#[cfg(feature = "poll")]
pub fn synchronize_async() -> Synchronize {
    Synchronize::start()
}

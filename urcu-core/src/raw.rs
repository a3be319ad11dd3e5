//! The raw tier: the C library's model, free functions and the caller's own bookkeeping.
//!
//! The pointer functions are the same for every flavor. The others are generic here; each flavor crate's `raw` module
//! has them under the same names without the parameter.
//!
//! # When the system refuses
//!
//! | what is missing | what happens |
//! |---|---|
//! | memory for deferred calls (a block for 512 of them, lists of those that are run), for a new worker, or for the fork hooks | the process is aborted, as by any allocation of Rust's that fails. Sections, registration and waiting for a grace period allocate nothing on the heap |
//! | memory for another reader | [`RegisterError::OutOfMemory`]; nothing is half done |
//! | a thread for the default worker | reported once ([`Report::NoWorker`](crate::Report::NoWorker)); calls run on the threads that wait: in [`barrier`], in [`defer_barrier_thread`], and beyond the hard limit. It is tried again once per block |
//! | a thread for another worker | [`WorkerError::NoThread`](crate::WorkerError::NoThread) |
//! | `membarrier(2)`, from the start | full fences in its place |
//! | `membarrier(2)`, later on | grace periods of the flavors that use it panic; workers of the others go on, and look for calls a hundred times a second instead of being woken |
//!
//! Time is measured by the monotonic clock only: setting the date has no effect. A reader that is stopped inside a section holds
//! up grace periods until it goes on, and nothing else; [`Report::GracePeriodStalled`](crate::Report::GracePeriodStalled) tells of it.

use core::ffi::c_void;

use crate::defer::{self, Call};
use crate::error::{BarrierError, InitError, RegisterError};
use crate::flavor::{Flavor, ReadSide};
use crate::head::{Callback, RcuHead};
use crate::reader::{LastGuard, Reader, ThreadRecord};
use crate::section::Tier;
use crate::sync::{AtomicPtr, Ordering};
use crate::{fork, poll, quiescence, reclaim, registration, section, thread};

/// Loads an RCU-protected pointer.
///
/// Any context; what it points to may be used only inside the section that the load happened in. Wait-free. Acquire,
/// since Rust has no dependency ordering; the same instruction as a plain load on x86-64.
#[doc(alias = "rcu_dereference")]
#[inline]
pub fn dereference<T>(pointer: &AtomicPtr<T>) -> *mut T {
    // PAIR(publish)
    pointer.load(Ordering::Acquire)
}

/// Publishes `value`: whatever the caller wrote to it before is visible to a reader that [`dereference`]s it.
///
/// Any context. Wait-free. Release. The value that was there before is lost to the caller: see [`exchange_pointer`].
#[doc(alias = "rcu_assign_pointer")]
#[doc(alias = "rcu_set_pointer")]
#[inline]
pub fn assign_pointer<T>(pointer: &AtomicPtr<T>, value: *mut T) {
    // PAIR(publish)
    pointer.store(value, Ordering::Release);
}

/// Publishes `value` and returns what it replaced, which may be reclaimed after a grace period.
///
/// Any context. Wait-free. A full barrier.
#[doc(alias = "rcu_xchg_pointer")]
#[inline]
pub fn exchange_pointer<T>(pointer: &AtomicPtr<T>, value: *mut T) -> *mut T {
    // PAIR(publish). SeqCst, not AcqRel: the C library promises a full barrier here.
    pointer.swap(value, Ordering::SeqCst)
}

/// Publishes `new` if the pointer holds `current`; returns what it held.
///
/// Any context. Wait-free. A full barrier on success, Acquire on failure (the value found may be dereferenced).
#[doc(alias = "rcu_cmpxchg_pointer")]
#[inline]
pub fn compare_exchange_pointer<T>(pointer: &AtomicPtr<T>, current: *mut T, new: *mut T) -> *mut T {
    // PAIR(publish). SeqCst as in `exchange_pointer`.
    match pointer.compare_exchange(current, new, Ordering::SeqCst, Ordering::Acquire) {
        Ok(found) | Err(found) => found,
    }
}

/// Enters a section on the calling thread.
///
/// # Safety
///
/// - Each call is matched by one [`read_unlock`] on the same thread.
/// - QSBR: the thread is registered and online; no quiescent state, offline or wait for a grace period happens before the
///   `read_unlock`, by safe functions (of whatever library on this thread) either.
#[inline]
#[track_caller]
pub unsafe fn read_lock<F: Flavor>() {
    match F::READ_SIDE {
        ReadSide::Sections(light) => {
            section::lock::<F>(F::reader(), light, Tier::Raw);
        }
        ReadSide::QuiescentStates => debug_assert!(
            quiescence::is_online::<F>(F::reader()),
            "{}: read_lock on a thread that is not registered and online",
            F::NAME
        ),
    }
}

/// Leaves a section on the calling thread.
///
/// Wait-free, apart from one `futex` call when an updater sleeps on it; but the end of an outermost section in which the
/// thread has deferred beyond the hard limit ([`Limits`](crate::Limits)) waits for room.
///
/// # Safety
///
/// Matches a [`read_lock`] of this thread, and no pointer loaded in the section is used any more, if it was the
/// outermost.
#[inline]
pub unsafe fn read_unlock<F: Flavor>() {
    if let ReadSide::Sections(_) = F::READ_SIDE {
        section::unlock::<F>(F::reader());
    }
}

/// Whether the calling thread is inside a section (QSBR: online).
#[inline]
pub fn read_ongoing<F: Flavor>() -> bool {
    // A stand-in's word has no nesting, so a thread that is not registered gives false.
    quiescence::is_online::<F>(F::reader())
}

/// Announces a quiescent state (QSBR; nothing elsewhere, and nothing offline).
///
/// # Safety
///
/// No pointer loaded before is used any more.
#[inline]
pub unsafe fn quiescent_state<F: Flavor>() {
    if F::READ_SIDE == ReadSide::QuiescentStates {
        let reader = F::reader();
        debug_assert_outside::<F>(reader);
        quiescence::announce::<F>(reader);
    }
}

/// Leaves the set of readers that grace periods wait for (QSBR; nothing elsewhere, and nothing offline).
///
/// # Safety
///
/// No pointer loaded before is used any more, and no section begins until [`thread_online`].
#[inline]
pub unsafe fn thread_offline<F: Flavor>() {
    if F::READ_SIDE == ReadSide::QuiescentStates {
        let reader = F::reader();
        debug_assert_outside::<F>(reader);
        quiescence::go_offline::<F>(reader);
        quiescence::pay::<F>(reader);
    }
}

/// Guards of the free `read_lock()` are counted, so this broken rule of the raw tier can be seen.
#[inline]
#[track_caller]
fn debug_assert_outside<F: Flavor>(reader: &Reader) {
    if cfg!(debug_assertions) {
        thread::assert_outside::<F>(reader, "announces a quiescent state or goes offline");
    }
}

/// Joins the set of readers again (QSBR; nothing elsewhere, and nothing online).
///
/// # Safety
///
/// No `Offline` or `while_offline` of this thread is being waited in.
///
/// # Panics
///
/// QSBR: when the thread is not registered.
#[inline]
#[track_caller]
pub unsafe fn thread_online<F: Flavor>() {
    if F::READ_SIDE == ReadSide::QuiescentStates {
        let reader = F::reader();
        if !reader.is_registered() {
            registration::refuse::<F>(reader);
        }
        if !quiescence::is_online::<F>(reader) {
            quiescence::go_online::<F>(reader);
        } else if reader.last_guard_does(LastGuard::GoesOffline) && !F::with_record(ThreadRecord::is_reclaiming) {
            // By a guard that a deferred call has left, which ran here while the thread was offline. From now on it is online for
            // its own sake.
            reader.at_last_guard(LastGuard::Nothing);
        }
    }
}

/// Registers the calling thread; QSBR: it is online from now on.
///
/// # Errors
///
/// [`RegisterError`]. In a flavor that registers by itself, a registered thread is no error.
pub fn register_thread<F: Flavor>() -> Result<(), RegisterError> {
    let reader = F::reader();
    if F::REGISTERS_ITSELF && reader.is_registered() {
        registration::pin::<F>();
        return Ok(());
    }
    registration::register::<F>().map(|_| ())
}

/// Ends the calling thread's registration; nothing if there is none.
///
/// # Safety
///
/// No `Thread` value stands for the registration, and no pointer loaded before is used any more.
///
/// # Panics
///
/// Inside a section.
#[track_caller]
pub unsafe fn unregister_thread<F: Flavor>() {
    registration::unregister_and_pay::<F>();
}

/// Waits for a grace period. Blocks. Registered or not, QSBR: online or not.
///
/// # Safety
///
/// QSBR: no pointer loaded before is used any more: an online caller is offline meanwhile.
///
/// # Panics
///
/// Inside a section, which it would wait for.
#[track_caller]
pub unsafe fn synchronize<F: Flavor>() {
    let reader = F::reader();
    thread::assert_outside::<F>(reader, "waits for a grace period");
    thread::wait_offline::<F>(reader);
}

/// Prepares the flavor ahead of its first use.
///
/// # Errors
///
/// [`InitError`]: the machine or the process lacks what the flavor needs.
pub fn init<F: Flavor>() -> Result<(), InitError> {
    F::init()?;
    registration::pin::<F>();
    Ok(())
}

/// Runs `callback(head)` after a grace period, on the worker that is chosen for the calling thread: its own
/// (`workers::set_of_thread`), its processor's, or the default one.
///
/// Any context, inside sections and callbacks too. Callbacks that one thread hands to one worker run in order. Allocates
/// nothing but a block of 512 entries now and then. Beyond the hard limit it waits, unless inside a callback (inside a
/// section: the end of the outermost one waits).
///
/// # Safety
///
/// - `head` is valid, in no queue, and stays untouched until the callback runs.
/// - What the callback reclaims has been unlinked; the callback may run on another thread, and does not unwind.
#[inline]
pub unsafe fn call_rcu<F: Flavor>(head: *mut RcuHead, callback: Callback) {
    // SAFETY: the same rules.
    unsafe { defer::call::<F>(head, callback) };
}

/// Runs `function(argument)` after a grace period, on the default worker or in [`defer_barrier_thread`]. Contexts as
/// [`call_rcu`].
///
/// # Safety
///
/// What the function reclaims has been unlinked; it may run on another thread, and does not unwind.
#[inline]
pub unsafe fn defer<F: Flavor>(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void) {
    // SAFETY: the same rules.
    unsafe { defer::add_remote::<F>(Call { function, argument }, 0) };
}

/// Runs `function(argument)` after a grace period, on any thread and anywhere: also on this one, inside a later call of
/// this kind. Contexts as [`call_rcu`].
///
/// The fastest way to free memory. `bytes` counts against the limits.
///
/// # Safety
///
/// As [`defer`]; and the function only frees memory: it takes no lock that callers might hold, and calls nothing of this
/// library.
#[inline]
pub unsafe fn defer_free<F: Flavor>(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void, bytes: usize) {
    // SAFETY: the same rules.
    unsafe { defer::add_local::<F>(Call { function, argument }, bytes) };
}

/// Drops the box at `value` after a grace period: as `retire` on the face, for a value that readers may still be looking
/// at, which therefore cannot be held in a `Box`.
///
/// # Safety
///
/// `value` comes from `Box::into_raw`, has been unlinked, and is retired once; it may be dropped on another thread.
#[inline]
pub unsafe fn retire<T, F: Flavor>(value: *mut T) {
    // SAFETY: the same rules.
    unsafe { reclaim::retire_raw::<T, F>(value) };
}

/// Waits until everything deferred before this call has run, by whatever thread and on whatever worker. Blocks. Does not
/// cover what those callbacks defer.
///
/// # Errors
///
/// [`BarrierError::InCallback`] on a thread that runs deferred calls.
///
/// # Safety
///
/// QSBR: no pointer loaded before is used any more: an online caller is offline meanwhile.
///
/// # Panics
///
/// Inside a section.
#[track_caller]
pub unsafe fn barrier<F: Flavor>() -> Result<(), BarrierError> {
    defer::barrier_outside::<F>()
}

/// The same: one queue serves `call_rcu` and `defer`.
///
/// # Errors
///
/// As [`barrier`].
///
/// # Safety
///
/// As [`barrier`].
#[track_caller]
pub unsafe fn defer_barrier<F: Flavor>() -> Result<(), BarrierError> {
    defer::barrier_outside::<F>()
}

/// Waits for a grace period and runs what the calling thread has deferred, on it. Blocks.
///
/// # Errors
///
/// As [`barrier`].
///
/// # Safety
///
/// As [`barrier`].
#[track_caller]
pub unsafe fn defer_barrier_thread<F: Flavor>() -> Result<(), BarrierError> {
    defer::barrier_thread::<F>()
}

/// A cookie for a grace period that starts after this call, which the default worker runs. Any context.
pub fn start_poll<F: Flavor>() -> u64 {
    poll::start::<F>()
}

/// Whether the cookie's grace period has ended. Any context; wait-free.
pub fn poll<F: Flavor>(cookie: u64) -> bool {
    poll::is_done::<F>(cookie)
}

/// Before `fork`, when parent and child both go on using RCU: waits out the running grace period and keeps others from
/// starting.
///
/// Blocks, for the rounds of the workers too: what these wait for, sections and deferred calls, may not wait for the fork. To be followed
/// by [`fork_after_parent`] in the parent and [`fork_after_child`] in the child, on the same
/// thread. Not needed for `fork` followed by `exec`.
///
/// # Panics
///
/// Inside a section; QSBR: on a thread that is online by a `Thread`; when called twice in a row.
#[track_caller]
pub fn fork_before<F: Flavor>() {
    let reader = F::reader();
    thread::assert_outside::<F>(reader, "forks");
    assert!(
        !F::with_record(|record| record.is_reclaiming()),
        "{}: a deferred call forks, which would wait for it",
        F::NAME
    );
    thread::assert_no_hidden_guard::<F>(reader);
    thread::offline_while::<F, _>(reader, fork::before::<F>);
}

/// After `fork`, in the parent. Grace periods go on.
///
/// # Safety
///
/// Follows [`fork_before`] on the same thread.
pub unsafe fn fork_after_parent<F: Flavor>() {
    fork::after_in_parent::<F>();
}

/// After `fork`, in the child: forgets the readers whose threads do not exist here. The calling thread's registration
/// goes on. What was pending runs here, too; if it takes a lock that another thread held at the fork, it waits for ever.
///
/// # Safety
///
/// Follows [`fork_before`] on the same thread, in the child, before any other thread is made there.
pub unsafe fn fork_after_child<F: Flavor>() {
    fork::after_in_child::<F>();
}

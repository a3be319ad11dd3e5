//! The raw tier: the C library's model, free functions and the caller's own bookkeeping. The same names in every flavor
//! crate; what a flavor does not need is a cheap no-op.

#[cfg(feature = "callbacks")]
use core::ffi::c_void;

use urcu_core::raw;
pub use urcu_core::raw::{assign_pointer, compare_exchange_pointer, dereference, exchange_pointer};
#[cfg(feature = "callbacks")]
use urcu_core::{BarrierError, Callback, RcuHead};
use urcu_core::{InitError, RegisterError};

use crate::Flavor;

/// Enters a section on the calling thread. Registered threads. Wait-free; allowed in signal handlers.
///
/// # Safety
///
/// Each call is matched by one [`read_unlock`] on the same thread.
#[doc(alias = "rcu_read_lock")]
#[inline]
#[track_caller]
pub unsafe fn read_lock() {
    // SAFETY: the same rules.
    unsafe { raw::read_lock::<Flavor>() }
}

/// Leaves a section on the calling thread. Wait-free, apart from one `futex` call
/// when an updater sleeps on this section. Ignored without a matching lock (a panic in builds with debug assertions).
///
/// # Safety
///
/// Matches a [`read_lock`] of this thread; no pointer loaded in the section is used any more, if it was the outermost.
#[doc(alias = "rcu_read_unlock")]
#[inline]
pub unsafe fn read_unlock() {
    // SAFETY: the same rules.
    unsafe { raw::read_unlock::<Flavor>() }
}

/// Whether the calling thread is inside a section. Any thread; false when not registered. Wait-free.
#[doc(alias = "rcu_read_ongoing")]
#[inline]
pub fn read_ongoing() -> bool {
    raw::read_ongoing::<Flavor>()
}

/// Announces a quiescent state: nothing in this flavor.
///
/// # Safety
///
/// No pointer loaded before is used any more.
#[doc(alias = "rcu_quiescent_state")]
#[inline]
pub unsafe fn quiescent_state() {
    // SAFETY: the same rules.
    unsafe { raw::quiescent_state::<Flavor>() }
}

/// Takes the thread out of the set that grace periods wait for: nothing in this flavor.
///
/// # Safety
///
/// No pointer loaded before is used any more, and no section begins until [`thread_online`].
#[doc(alias = "rcu_thread_offline")]
#[inline]
pub unsafe fn thread_offline() {
    // SAFETY: the same rules.
    unsafe { raw::thread_offline::<Flavor>() }
}

/// Takes the thread back in: nothing in this flavor.
///
/// # Safety
///
/// Not on a thread whose [`Offline`](crate::Offline) or `while_offline` is in use.
#[doc(alias = "rcu_thread_online")]
#[inline]
#[track_caller]
pub unsafe fn thread_online() {
    // SAFETY: the same rules.
    unsafe { raw::thread_online::<Flavor>() }
}

/// Registers the calling thread. Outside signal handlers. Lock-free, but for every 31st thread at a time: see [`register`](crate::register).
///
/// # Errors
///
/// [`RegisterError`].
#[doc(alias = "rcu_register_thread")]
pub fn register_thread() -> Result<(), RegisterError> {
    raw::register_thread::<Flavor>()
}

/// Ends the calling thread's registration; nothing if there is none. Lock-free.
///
/// A thread that ends without this is unregistered by its exit.
///
/// # Safety
///
/// No [`Thread`](crate::Thread) stands for the registration; no pointer loaded before is used any more.
///
/// # Panics
///
/// Inside a section.
#[doc(alias = "rcu_unregister_thread")]
#[track_caller]
pub unsafe fn unregister_thread() {
    // SAFETY: the same rules.
    unsafe { raw::unregister_thread::<Flavor>() }
}

/// Waits for a grace period. Any thread, registered or not, outside every section. Blocks; a full barrier on both ends.
///
/// # Safety
///
/// No pointer loaded before is used any more.
///
/// # Panics
///
/// Inside a section: it would wait for itself.
#[doc(alias = "synchronize_rcu")]
#[track_caller]
pub unsafe fn synchronize() {
    // SAFETY: the same rules.
    unsafe { raw::synchronize::<Flavor>() }
}

/// Prepares the flavor ahead of its first use; optional. Any thread, not in a signal handler.
///
/// # Errors
///
/// [`InitError`].
#[doc(alias = "rcu_init")]
pub fn init() -> Result<(), InitError> {
    raw::init::<Flavor>()
}

/// Before a `fork` after which parent and child both use RCU: waits out the running grace period and keeps others from
/// starting. Outside every section. Blocks: for the rounds of the workers too, so no section and no deferred call may wait for the fork.
/// Not needed for `fork` followed by `exec`.
///
/// # Panics
///
/// Inside a section.
#[track_caller]
pub fn fork_before() {
    raw::fork_before::<Flavor>();
}

/// After `fork`, in the parent: grace periods go on.
///
/// # Safety
///
/// Follows [`fork_before`] on the same thread.
pub unsafe fn fork_after_parent() {
    // SAFETY: the same rules.
    unsafe { raw::fork_after_parent::<Flavor>() }
}

/// After `fork`, in the child: forgets the readers whose threads do not exist here. The calling thread stays registered.
///
/// # Safety
///
/// Follows [`fork_before`] on the same thread, before any other thread is made in the child.
pub unsafe fn fork_after_child() {
    // SAFETY: the same rules.
    unsafe { raw::fork_after_child::<Flavor>() }
}

/// Runs `callback(head)` after a grace period, on the worker chosen for the calling thread.
///
/// Any context, inside sections and callbacks too. One thread's callbacks to one worker run in order. Beyond the hard limit
/// it waits for room, unless inside a section or callback.
///
/// # Safety
///
/// - `head` is valid, in no queue, and stays untouched until the callback runs.
/// - What the callback reclaims has been unlinked; it may run on another thread, and does not unwind.
#[cfg(feature = "callbacks")]
#[inline]
pub unsafe fn call_rcu(head: *mut RcuHead, callback: Callback) {
    // SAFETY: the same rules.
    unsafe { raw::call_rcu::<Flavor>(head, callback) }
}

/// Runs `function(argument)` after a grace period, on the default worker or in [`defer_barrier_thread`]. Contexts as
/// [`call_rcu`]; no thread has to be registered for it.
///
/// # Safety
///
/// What the function reclaims has been unlinked; it may run on another thread, and does not unwind.
#[cfg(feature = "callbacks")]
#[doc(alias = "defer_rcu")]
#[inline]
pub unsafe fn defer(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void) {
    // SAFETY: the same rules.
    unsafe { raw::defer::<Flavor>(function, argument) }
}

/// Runs `function(argument)`, which only frees `bytes` of memory, after a grace period: on any thread, also on this one
/// inside a later call of this kind. The fastest way to free. Contexts as [`call_rcu`].
///
/// # Safety
///
/// As [`defer`]; the function takes no lock that callers might hold, and calls nothing of this library.
#[cfg(feature = "callbacks")]
#[inline]
pub unsafe fn defer_free(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void, bytes: usize) {
    // SAFETY: the same rules.
    unsafe { raw::defer_free::<Flavor>(function, argument, bytes) }
}

/// Drops the box at `value` after a grace period: for values that readers may still be looking at. Contexts as [`call_rcu`].
///
/// # Safety
///
/// `value` comes from `Box::into_raw`, has been unlinked, and is retired once; it may be dropped on another thread.
#[cfg(feature = "callbacks")]
#[inline]
pub unsafe fn retire<T>(value: *mut T) {
    // SAFETY: the same rules.
    unsafe { raw::retire::<T, Flavor>(value) }
}

/// Waits until everything deferred before, by any thread on any worker, has run. Blocks. Any thread, outside every section.
///
/// # Errors
///
/// [`BarrierError::InCallback`] in a deferred call, [`BarrierError::Stuck`] when no grace period can end any more.
///
/// # Safety
///
/// No pointer loaded before is used any more.
///
/// # Panics
///
/// Inside a section.
#[cfg(feature = "callbacks")]
#[doc(alias = "rcu_barrier")]
#[track_caller]
pub unsafe fn barrier() -> Result<(), BarrierError> {
    // SAFETY: the same rules.
    unsafe { raw::barrier::<Flavor>() }
}

/// As [`barrier`]: one queue serves both.
///
/// # Errors
///
/// As [`barrier`].
///
/// # Safety
///
/// As [`barrier`].
#[cfg(feature = "callbacks")]
#[doc(alias = "rcu_defer_barrier")]
#[track_caller]
pub unsafe fn defer_barrier() -> Result<(), BarrierError> {
    // SAFETY: the same rules.
    unsafe { raw::defer_barrier::<Flavor>() }
}

/// Waits for a grace period and runs what the calling thread has deferred, on it. Blocks. Contexts as [`barrier`].
///
/// # Errors
///
/// As [`barrier`].
///
/// # Safety
///
/// As [`barrier`].
#[cfg(feature = "callbacks")]
#[doc(alias = "rcu_defer_barrier_thread")]
#[track_caller]
pub unsafe fn defer_barrier_thread() -> Result<(), BarrierError> {
    // SAFETY: the same rules.
    unsafe { raw::defer_barrier_thread::<Flavor>() }
}

/// A cookie for a grace period that starts after this call; the default worker runs it. Any context.
#[cfg(feature = "poll")]
#[doc(alias = "start_poll_synchronize_rcu")]
pub fn start_poll() -> u64 {
    raw::start_poll::<Flavor>()
}

/// Whether the cookie's grace period has ended; once true, always true. Any context; wait-free.
#[cfg(feature = "poll")]
#[doc(alias = "poll_state_synchronize_rcu")]
pub fn poll(cookie: u64) -> bool {
    raw::poll::<Flavor>(cookie)
}

//! The raw tier: the C library's model, free functions and the caller's own bookkeeping. The same names in every flavor
//! crate; what a flavor does not need is a cheap no-op.

use urcu_core::raw;
pub use urcu_core::raw::{assign_pointer, compare_exchange_pointer, dereference, exchange_pointer};
use urcu_core::{InitError, RegisterError};

use crate::Flavor;

/// Enters a section on the calling thread. Registered threads. Wait-free; allowed in signal handlers.
///
/// # Safety
///
/// Each call is matched by one [`read_unlock`] on the same thread.
#[doc(alias = "rcu_read_lock")]
#[doc(alias = "urcu_memb_read_lock")]
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
#[doc(alias = "urcu_memb_read_unlock")]
#[inline]
pub unsafe fn read_unlock() {
    // SAFETY: the same rules.
    unsafe { raw::read_unlock::<Flavor>() }
}

/// Whether the calling thread is inside a section. Any thread; false when not registered. Wait-free.
#[doc(alias = "rcu_read_ongoing")]
#[doc(alias = "urcu_memb_read_ongoing")]
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
#[doc(alias = "urcu_memb_quiescent_state")]
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
#[doc(alias = "urcu_memb_thread_offline")]
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
#[doc(alias = "urcu_memb_thread_online")]
#[inline]
#[track_caller]
pub unsafe fn thread_online() {
    // SAFETY: the same rules.
    unsafe { raw::thread_online::<Flavor>() }
}

/// Registers the calling thread. Outside signal handlers. Lock-free.
///
/// # Errors
///
/// [`RegisterError`].
#[doc(alias = "rcu_register_thread")]
#[doc(alias = "urcu_memb_register_thread")]
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
#[doc(alias = "urcu_memb_unregister_thread")]
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
#[doc(alias = "urcu_memb_synchronize_rcu")]
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
/// starting. Outside every section. Blocks. Not needed for `fork` followed by `exec`.
///
/// # Panics
///
/// Inside a section.
#[doc(alias = "urcu_memb_before_fork")]
#[track_caller]
pub fn fork_before() {
    raw::fork_before::<Flavor>();
}

/// After `fork`, in the parent: grace periods go on.
///
/// # Safety
///
/// Follows [`fork_before`] on the same thread.
#[doc(alias = "urcu_memb_after_fork_parent")]
pub unsafe fn fork_after_parent() {
    // SAFETY: the same rules.
    unsafe { raw::fork_after_parent::<Flavor>() }
}

/// After `fork`, in the child: forgets the readers whose threads do not exist here. The calling thread stays registered.
///
/// # Safety
///
/// Follows [`fork_before`] on the same thread, before any other thread is made in the child.
#[doc(alias = "urcu_memb_after_fork_child")]
pub unsafe fn fork_after_child() {
    // SAFETY: the same rules.
    unsafe { raw::fork_after_child::<Flavor>() }
}

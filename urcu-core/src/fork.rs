//! What a process does around `fork` when parent and child both go on using RCU.

use crate::defer;
use crate::flavor::Flavor;
use crate::sys;

/// Before `fork`: waits out the running grace period and keeps others from starting.
///
/// The caller is outside every section (QSBR: offline), and calls one of the other two afterwards.
pub(crate) fn before<F: Flavor>() {
    // Workers finish their rounds first, which takes grace periods.
    defer::before_fork::<F>();
    F::domain().grace_periods.hold();
}

/// After `fork`, in the parent: lets grace periods go on.
pub(crate) fn after_in_parent<F: Flavor>() {
    F::domain().grace_periods.resume();
    defer::after_fork_in_parent::<F>();
}

/// After `fork`, in the child: forgets the readers whose threads do not exist here. The calling thread's own
/// registration, if any, goes on under its new id.
pub(crate) fn after_in_child<F: Flavor>() {
    let domain = F::domain();
    let own = F::reader();
    if own.is_registered() {
        own.set_identity(sys::thread_id(), sys::process_id());
    }
    domain.registry.prune(own);
    domain.process.set();
    domain.grace_periods.reset_after_fork();
    defer::after_fork_in_child::<F>();
}

/// Detects a forked child whose hooks were not called: it would wait for readers that do not exist.
///
/// A flavor that registers threads by itself is used by code that knows nothing of hooks: there the child's first
/// thread repairs the state. In the others it is a broken rule, which builds with debug assertions report.
#[track_caller]
pub(crate) fn check<F: Flavor>() {
    if !(F::REGISTERS_ITSELF || cfg!(debug_assertions)) {
        return;
    }
    if F::domain().process.is_other_process() {
        check_failed::<F>();
    }
}

#[cold]
#[track_caller]
fn check_failed<F: Flavor>() {
    if F::REGISTERS_ITSELF && sys::thread_id() == sys::process_id() {
        after_in_child::<F>();
        return;
    }
    let path = F::NAME.replace('-', "_");
    panic!(
        "{}: this process was forked from one with registered readers, and the fork hooks were not called; call \
         {path}::raw::fork_before() before fork, then fork_after_parent() or fork_after_child()",
        F::NAME,
    );
}

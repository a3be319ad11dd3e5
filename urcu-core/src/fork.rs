//! What a process does around `fork` when parent and child both go on using RCU.

use crate::defer;
use crate::flavor::Flavor;
use crate::reader::ThreadRecord;
use crate::sys::{self, SignalsBlocked};

/// Before `fork`: waits out the running grace period and keeps others from starting.
///
/// The caller is outside every section and not online, and calls one of the other two afterwards.
#[track_caller]
pub(crate) fn before<F: Flavor>() {
    assert!(
        !is_under_way_here::<F>(),
        "{}: fork_before() was called twice without fork_after_parent() or fork_after_child() in between",
        F::NAME
    );
    defer::before_fork::<F>();
    F::with_record(|record| record.set_forking(true));
}

/// After `fork`, in the parent: lets grace periods go on.
pub(crate) fn after_in_parent<F: Flavor>() {
    F::with_record(|record| record.set_forking(false));
    F::domain().grace_periods.resume();
    defer::after_fork_in_parent::<F>();
}

/// After `fork`, in the child: forgets the readers whose threads do not exist here. The calling thread's own
/// registration, if any, goes on under its new id.
pub(crate) fn after_in_child<F: Flavor>() {
    forget_readers::<F>();
    defer::after_fork_in_child::<F>();
}

fn forget_readers<F: Flavor>() {
    let domain = F::domain();
    sys::note_forked_child();
    // A handler that reads for the first time in the middle of this would lose its slot.
    let _blocked = F::REGISTERS_ITSELF.then(SignalsBlocked::new);
    let own = F::reader();
    if own.is_registered() {
        own.set_identity(sys::thread_id(), sys::process_id());
    }
    if F::MIRRORED {
        // Before records are cleared, which would clear the parent's mirrors.
        domain.registry.for_each(|reader| reader.set_mirror(None));
    }
    domain.registry.prune(own);
    if F::MIRRORED {
        F::forget_mirrors();
        if own.is_registered()
            && let Err(error) = F::attach_mirror(own)
        {
            panic!("{}: the forked child's thread cannot stay registered: {error}", F::NAME);
        }
    }
    domain.process.set();
    F::with_record(|record| record.set_forking(false));
    domain.grace_periods.reset_after_fork();
}

/// Lets forked children put themselves right without the hooks: for flavors whose users know nothing of RCU.
///
/// By `pthread_atfork`, in the child only, and without taking a lock or allocating there. What the hooks do and this does
/// not: calls that a worker had taken and not run, what the inbox of a worker beside the default one held, and queues that some
/// thread was emptying at the moment of the fork, are lost in the child.
pub fn repair_children<F: Flavor>() {
    unsafe extern "C" fn in_child<F: Flavor>() {
        // With the hooks, everything is held by this thread and `after_in_child` is to come.
        if !is_under_way_here::<F>() {
            forget_readers::<F>();
            // Nobody may make a thread here that would run those that somebody polls for.
            if !crate::raw::read_ongoing::<F>() && !F::MIRRORED {
                F::domain().grace_periods.complete_after_fork();
            }
            defer::after_unprepared_fork::<F>();
        }
    }
    // SAFETY: the handler is async-signal-safe and stays loaded: `pthread_atfork` handlers go with their shared object.
    unsafe { libc::pthread_atfork(None, None, Some(in_child::<F>)) };
}

/// Whether the calling thread is between `fork_before` and one of the hooks after it, and so holds every lock there is.
pub(crate) fn is_under_way_here<F: Flavor>() -> bool {
    F::with_record(ThreadRecord::is_forking)
}

/// Called by whatever waits. Detects waiting between the fork hooks, which would be for this thread itself, and (in builds
/// with debug assertions) a forked child whose hooks were not called: it would wait for readers that do not exist.
#[track_caller]
pub(crate) fn check<F: Flavor>() {
    assert!(
        !is_under_way_here::<F>(),
        "{}: thread '{}' waits between fork_before() and fork_after_parent() or fork_after_child()",
        F::NAME,
        sys::thread_name()
    );
    check_process::<F>();
}

/// See [`check`].
#[track_caller]
pub(crate) fn check_process<F: Flavor>() {
    if cfg!(debug_assertions) && F::domain().process.is_other_process() {
        let path = F::NAME.replace('-', "_");
        panic!(
            "{}: this process was forked from one with registered readers, and the fork hooks were not called; call \
             {path}::raw::fork_before() before fork, then fork_after_parent() or fork_after_child()",
            F::NAME,
        );
    }
}

//! Deferred calls that run on the thread that waits for them, because no worker can be made; and what they leave there.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use urcu_conformance::{Gate, leak, note, seccomp, until};
use urcu_core::DynGuard;

use super::cast::{Inside, Updater, alone, join, named, on_a_thread, published, register};
use super::deferred::barrier;
use crate::TRAITS;
use crate::rcu::{self, Limits};

/// Calls in a block.
const BLOCK: usize = 512;

thread_local! {
    static LEFT: RefCell<Option<DynGuard>> = const { RefCell::new(None) };
}

/// Leaves a guard on the calling thread.
fn leave_guard() {
    LEFT.set(Some(rcu::vtable().pin()));
}

/// Runs `body` on a thread that cannot make threads, in a process without a worker.
#[track_caller]
fn without_worker<B: FnOnce() + Send + 'static>(body: B) {
    static REPORTED: AtomicUsize = AtomicUsize::new(0);
    rcu::set_report_hook(|report| {
        if matches!(report, rcu::Report::NoWorker { .. }) {
            REPORTED.fetch_add(1, Ordering::Relaxed);
        }
    });
    on_a_thread(move || {
        if let Err(error) = seccomp::refuse_threads() {
            return note(&format!("skipped: the kernel has no filters ({error})"));
        }
        body();
        assert_ne!(REPORTED.load(Ordering::Relaxed), 0, "there was a worker");
    });
}

#[test]
fn a_barrier_runs_them() {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    alone(|| {
        without_worker(|| {
            (0..3 * BLOCK).for_each(|_| {
                rcu::defer(|| {
                    RUN.fetch_add(1, Ordering::Relaxed);
                });
            });
            barrier();
            assert_eq!(RUN.load(Ordering::Relaxed), 3 * BLOCK);
        });
    });
}

#[test]
fn a_barrier_waits_for_calls_that_another_thread_has_taken_in_a_worker_s_place() {
    static READY: AtomicBool = AtomicBool::new(false);
    static GO: Gate = Gate::new();
    static HAS_RUN: AtomicBool = AtomicBool::new(false);
    alone(|| {
        rcu::set_report_hook(|_| ());
        let inside = Inside::enter();
        let stand_in = named("stand-in", || {
            if let Err(error) = seccomp::refuse_threads() {
                return note(&format!("skipped: the kernel has no filters ({error})"));
            }
            rcu::defer(|| ());
            READY.store(true, Ordering::Release);
            GO.wait();
            barrier();
        });
        until("no worker could be made", || READY.load(Ordering::Acquire) || stand_in.is_finished());
        if !READY.load(Ordering::Acquire) {
            inside.leave();
            return join(stand_in);
        }
        // Makes no worker: nobody tries again so soon.
        rcu::defer(|| HAS_RUN.store(true, Ordering::Relaxed));
        let before = published();
        GO.open();
        until("the stand-in has taken all calls and waits for the section", || published() != before);
        // This one can make a worker, which finds nothing to do.
        let waiting = Updater::calling(|| {
            barrier();
            assert!(HAS_RUN.load(Ordering::Relaxed), "a barrier returned before a call that had been deferred before");
        });
        waiting.assert_waiting();
        inside.leave();
        waiting.finish();
        join(stand_in);
    });
}

#[test]
fn a_guard_that_one_leaves_ends_the_wait_for_room() {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    /// Beyond the limit again, at once.
    fn defer_more() {
        (0..2 * BLOCK).for_each(|_| {
            rcu::defer(|| {
                RUN.fetch_add(1, Ordering::Relaxed);
            });
        });
    }
    alone(|| {
        without_worker(|| {
            rcu::set_limits(Limits { hard_items: 0, ..Limits::UNLIMITED });
            rcu::defer(|| {
                leave_guard();
                defer_more();
            });
            // Waits for room when a block is full; that guard would hold it up for ever.
            defer_more();
            assert!(LEFT.take().is_some(), "has not run");
            rcu::set_limits(Limits::UNLIMITED);
            barrier();
            assert_eq!(RUN.load(Ordering::Relaxed), 4 * BLOCK);
        });
    });
}

#[test]
fn a_guard_that_one_leaves_while_a_thread_goes_offline_does_not_take_it_offline_later() {
    alone(|| {
        without_worker(|| {
            let mut thread = rcu::vtable().register().expect("not registered yet");
            rcu::set_limits(Limits { hard_items: 0, ..Limits::UNLIMITED });
            rcu::defer(leave_guard);
            // Online, it owes for it.
            (0..BLOCK).for_each(|_| rcu::defer(|| ()));
            if !TRAITS.quiescent_states {
                return;
            }
            // Waits for room, which is made here.
            thread.while_offline(|| ());
            assert!(LEFT.take().is_some(), "has not run");
            // The thread is online for its own sake, and not only for that guard's.
            drop(thread.pin());
        });
    });
}

#[test]
fn a_guard_without_a_trace_that_one_leaves_is_respected() {
    static BEGIN: Gate = Gate::new();
    thread_local! {
        static OFFLINE: RefCell<Option<rcu::Offline>> = const { RefCell::new(None) };
    }
    alone(|| {
        if !TRAITS.quiescent_states {
            return;
        }
        let updater = Updater::calling(|| {
            BEGIN.wait();
            rcu::synchronize();
        });
        without_worker(move || {
            OFFLINE.set(Some(register().offline()));
            rcu::defer(|| {
                let thread: &'static rcu::Thread = leak(Box::new(OFFLINE.take().expect("set above").online()));
                // Counted by nobody: it borrows its `Thread`.
                std::mem::forget(thread.read_lock());
                let before = rcu::stats().grace_periods;
                BEGIN.open();
                until("a grace period has begun that waits for it", || rcu::stats().grace_periods > before);
            });
            barrier();
            updater.assert_waiting();
        });
    });
}

//! What the system refuses: threads, memory for readers, `membarrier(2)` after it was granted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seccomp::{self, Reach};
use urcu_conformance::{Counts, Gate, leak, libc, note, until};

use super::cast::{NAME, alone, assert_still_works, join, named, on_a_thread, register_raw, registered};
use super::deferred::barrier;
use crate::TRAITS;
use crate::rcu::workers::{self, WorkerError};
use crate::rcu::{self, Limits, Report};

static WITHOUT_WORKER: AtomicUsize = AtomicUsize::new(0);

fn count_missing_workers(report: &Report) {
    if matches!(report, Report::NoWorker { error: WorkerError::NoThread { errno: libc::EAGAIN }, .. }) {
        WITHOUT_WORKER.fetch_add(1, Ordering::Relaxed);
    }
}

/// Installs a filter, where filters can be installed at all.
fn refused(filter: std::io::Result<()>) -> bool {
    filter.inspect_err(|error| note(&format!("not tested, since no filter can be installed: {error}"))).is_ok()
}

/// Everything that is deferred runs all the same: on the threads that defer and wait.
fn assert_works_without_workers() {
    const HARD: usize = 2_048;
    rcu::set_report_hook(count_missing_workers);
    rcu::set_limits(Limits { soft_items: 512, hard_items: HARD, ..Limits::UNLIMITED });
    let counts = Counts::new();
    for at in 0..4_000 {
        let value = counts.make(at);
        rcu::defer(move || drop(value));
        rcu::retire(Box::new(counts.make(at)));
        rcu::retire(Box::new([at; 4]));
        let pending = rcu::stats().pending;
        assert!(pending <= HARD as u64 + 2 * 512, "{pending} pending, the limit being {HARD}");
    }
    barrier();
    assert_eq!(counts.dropped(), 8_000);
    // Told once, not with each call.
    assert_eq!(WITHOUT_WORKER.load(Ordering::Relaxed), 1);
    for _ in 0..20 {
        let error = workers::Builder::new().spawn().expect_err("no thread can be made");
        assert_eq!(error, WorkerError::NoThread { errno: libc::EAGAIN });
    }
    assert!(workers::create_for_all_cpus(None).is_err());
    assert_eq!(workers::default_tid(), None);
    // Nobody runs the grace period in the background; whoever waits does.
    let polled = rcu::start_poll();
    rcu::synchronize();
    assert!(polled.is_done());
    rcu::start_poll().wait();
    // SAFETY: the thread is not online.
    unsafe { rcu::raw::defer_barrier_thread() }.expect("not in a deferred call");
}

#[test]
fn without_threads_deferred_calls_run_where_they_are_waited_for() {
    alone(|| {
        if refused(seccomp::refuse_threads()) {
            assert_works_without_workers();
        }
    });
}

#[test]
fn the_same_under_a_limit_of_processes() {
    alone(|| {
        // Another user, since the limit does not bind root. The calling thread alone: the system call, not libc's function.
        const NOBODY: libc::uid_t = 65_533;
        // SAFETY: plain integers.
        unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: a valid pointer to a local.
        let code = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) };
        assert_eq!(code, 0, "setrlimit");
        if thread::Builder::new().spawn(|| ()).is_ok() {
            note("not tested: the limit of processes does not bind this user");
            return;
        }
        assert_works_without_workers();
    });
}

#[test]
fn a_worker_comes_back_when_threads_can_be_made_again() {
    alone(|| {
        // Threads made on this thread are refused; others may make some.
        let (send, orders) = std::sync::mpsc::channel::<()>();
        let counts: &'static Counts = leak(Box::new(Counts::new()));
        let other = named("other", move || {
            orders.recv().expect("the test orders");
            (0..2_000).for_each(|at| rcu::retire(Box::new(counts.make(at))));
            until("a worker has been made", || workers::default_tid().is_some());
        });
        if refused(seccomp::refuse_threads()) {
            rcu::set_report_hook(count_missing_workers);
            (0..10).for_each(|at| rcu::retire(Box::new(counts.make(at))));
            assert_eq!(workers::default_tid(), None);
            send.send(()).expect("the other thread waits");
            join(other);
            barrier();
            assert_eq!(counts.dropped(), 2_010);
        }
    });
}

#[test]
fn no_memory_for_another_reader_is_an_error() {
    alone(|| {
        // The registry's first chunk is part of the program; the next one has to be mapped.
        const FIRST_CHUNK: usize = 64;
        let leave: &'static Gate = leak(Box::new(Gate::new()));
        let one_leaves: &'static Gate = leak(Box::new(Gate::new()));
        let readers: Vec<_> = (0..FIRST_CHUNK)
            .map(|number| {
                named("reader", move || {
                    register_raw();
                    // SAFETY: no references, and no section before the end.
                    unsafe { rcu::raw::thread_offline() };
                    if number == 0 { one_leaves.wait() } else { leave.wait() }
                })
            })
            .collect();
        until("all are registered", || registered() == FIRST_CHUNK);
        if refused(seccomp::refuse(&[libc::SYS_mmap], libc::ENOMEM, Reach::Thread)) {
            for _ in 0..3 {
                assert_eq!(rcu::register().expect_err("no memory"), rcu::RegisterError::OutOfMemory);
                assert_eq!(rcu::raw::register_thread(), Err(rcu::RegisterError::OutOfMemory));
                // SAFETY: any thread.
                assert_eq!(unsafe { (rcu::vtable().register_thread)() }, -libc::ENOMEM);
            }
            if TRAITS.registers_itself {
                assert_says(&message_of(rcu::read_lock), &[NAME, "cannot register", "no memory"]);
            }
            // Nothing is half done, and updaters need no memory.
            assert_eq!(registered(), FIRST_CHUNK);
            rcu::synchronize();
            // A place that is given back is as good as memory.
            one_leaves.open();
            until("a place is free", || registered() == FIRST_CHUNK - 1);
            drop(rcu::register().expect("there is a place"));
        }
        one_leaves.open();
        leave.open();
        readers.into_iter().for_each(join);
        assert_eq!(registered(), 0);
    });
}

/// Whether grace periods go on without `membarrier` after they have begun with it. Where they do not: that is a test of its own, and
/// a panic. (A segment has settled on it for all of its processes.)
fn can_lose_membarrier() -> bool {
    !TRAITS.spans_processes && !["urcu-membarrier", "urcu-bp"].contains(&NAME)
}

#[test]
fn workers_sleep_and_wake_without_membarrier() {
    if TRAITS.spans_processes {
        return;
    }
    alone(|| {
        if refused(seccomp::refuse_membarrier()) {
            defer_and_rest();
        }
    });
}

#[test]
fn a_worker_that_loses_membarrier_goes_on() {
    if !can_lose_membarrier() {
        return;
    }
    alone(|| {
        defer_and_rest();
        if refused(seccomp::refuse(&[libc::SYS_membarrier], libc::EPERM, Reach::Process)) {
            defer_and_rest();
            on_a_thread(assert_still_works);
        }
    });
}

/// Deferred calls that run without anybody waiting for them, each time after the worker has fallen asleep.
fn defer_and_rest() {
    let counts = Counts::new();
    for at in 0..20 {
        rcu::retire(Box::new(counts.make(at)));
        until("the worker has run it", || counts.dropped() == at as usize + 1);
        let worker = workers::default_tid().expect("it has just run");
        until("the worker sleeps", || urcu_conformance::task::is_asleep(worker));
    }
}

//! Deferred calls across `fork`, and at the end of a process.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use urcu_conformance::forked::{self, Forked};
use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seed::Random;
use urcu_conformance::{Gate, leak, until, watchdog};

use super::cast::{Inside, NAME, Updater, alone, join, named, process};
use super::deferred::barrier;
use crate::{TRAITS, rcu};

static RAN: AtomicUsize = AtomicUsize::new(0);

fn count() {
    RAN.fetch_add(1, Ordering::Relaxed);
}

fn fork(child: impl FnOnce()) -> Forked {
    rcu::raw::fork_before();
    let forked = forked::start(|| {
        // SAFETY: follows `fork_before`, on the child's only thread.
        unsafe { rcu::raw::fork_after_child() };
        child();
    });
    // SAFETY: follows `fork_before`.
    unsafe { rcu::raw::fork_after_parent() };
    forked
}

#[test]
fn what_is_pending_runs_in_both_processes() {
    alone(|| {
        for round in 1..=20 {
            RAN.store(0, Ordering::Relaxed);
            // Keeps the worker's round from ending until the fork is asked for; it then runs what it has taken.
            let inside = (round % 2 == 0).then(Inside::enter);
            (0..10).for_each(|_| rcu::defer(count));
            if let Some(inside) = inside {
                inside.leave();
            }
            let worker = rcu::workers::Builder::new().spawn().expect("a worker");
            rcu::workers::set_of_thread(Some(worker));
            (0..10).for_each(|_| rcu::defer(count));
            let child = fork(|| {
                barrier();
                assert_eq!(RAN.load(Ordering::Relaxed), 20);
                // And everything goes on.
                (0..5).for_each(|_| rcu::defer(count));
                rcu::retire(Box::new(String::from("in the child")));
                barrier();
                assert_eq!(RAN.load(Ordering::Relaxed), 25);
                rcu::synchronize();
            });
            barrier();
            assert_eq!(RAN.load(Ordering::Relaxed), 20);
            child.succeeded();
            worker.stop().expect("not in a callback");
        }
    });
}

#[test]
fn a_worker_that_stops_during_a_fork_can_be_used_again() {
    static STOPPED: AtomicUsize = AtomicUsize::new(0);
    alone(|| {
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        // Several, so that a fork waits for one worker while another one stops and leaves the list.
        let owners = [0, 1, 2, 3].map(|at| {
            named("owner", move || {
                let mut random = Random::new(at);
                while !stop.load(Ordering::Relaxed) {
                    let worker = rcu::workers::Builder::new().spawn().expect("a worker");
                    rcu::workers::set_of_thread(Some(worker));
                    (0..random.below(4)).for_each(|_| rcu::defer(count));
                    random.dawdle();
                    // Returns only if the worker's thread runs, and is not put aside by a fork that is over.
                    worker.stop().expect("not in a callback");
                    STOPPED.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let mut random = Random::new(9);
        let mut forks = 0;
        while STOPPED.load(Ordering::Relaxed) < 1_500 {
            rcu::raw::fork_before();
            // SAFETY: follows `fork_before`; the hooks alone are what is tried.
            unsafe { rcu::raw::fork_after_parent() };
            // Now and then: workers have to come to their end between two forks.
            (0..random.below(20)).for_each(|_| std::thread::yield_now());
            forks += 1;
            if forks % 16 == 0 {
                let before = STOPPED.load(Ordering::Relaxed);
                until("a worker has stopped", || STOPPED.load(Ordering::Relaxed) != before);
            }
        }
        stop.store(true, Ordering::Relaxed);
        owners.into_iter().for_each(join);
    });
}

#[test]
fn a_worker_that_is_made_during_a_fork_is_put_aside() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static RAN: AtomicUsize = AtomicUsize::new(0);
    fn run() {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        (0..10).for_each(|_| std::thread::yield_now());
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        RAN.fetch_add(1, Ordering::Relaxed);
    }
    alone(|| {
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let owners = [0, 1, 2].map(|at| {
            named("owner", move || {
                let mut random = Random::new(at);
                while !stop.load(Ordering::Relaxed) {
                    let worker = rcu::workers::Builder::new().spawn().expect("a worker");
                    rcu::workers::set_of_thread(Some(worker));
                    (0..4).for_each(|_| rcu::defer(run));
                    random.dawdle();
                    worker.stop().expect("not in a callback");
                }
            })
        });
        let mut random = Random::new(9);
        let mut forks = 0;
        while RAN.load(Ordering::Relaxed) < 20_000 {
            rcu::raw::fork_before();
            for _ in 0..20 {
                assert_eq!(RUNNING.load(Ordering::SeqCst), 0, "a worker runs a call in the middle of a fork");
                std::thread::yield_now();
            }
            // SAFETY: follows `fork_before`; the hooks alone are what is tried.
            unsafe { rcu::raw::fork_after_parent() };
            (0..random.below(20)).for_each(|_| std::thread::yield_now());
            forks += 1;
            if forks % 16 == 0 {
                let before = RAN.load(Ordering::Relaxed);
                until("a call has run", || RAN.load(Ordering::Relaxed) != before);
            }
        }
        stop.store(true, Ordering::Relaxed);
        owners.into_iter().for_each(join);
    });
}

#[test]
fn forks_amid_a_storm() {
    alone(|| {
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let producers = [0, 1, 2].map(|at| {
            named("producer", move || {
                let mut random = Random::new(at);
                while !stop.load(Ordering::Relaxed) {
                    rcu::retire(Box::new([at; 8]));
                    rcu::retire(Box::new(String::from("storm")));
                    rcu::defer(count);
                    if random.once_in(64) {
                        random.dawdle();
                    }
                }
            })
        });
        for _ in 0..30 {
            let child = fork(|| {
                barrier();
                assert_eq!(rcu::stats().pending, 0);
                rcu::defer(count);
                barrier();
            });
            child.succeeded();
        }
        stop.store(true, Ordering::Relaxed);
        producers.into_iter().for_each(join);
        barrier();
    });
}

/// A thread is in the middle of polling a future when the process is copied. In the child it never gets any further.
#[test]
fn a_future_that_was_being_polled_at_the_fork_holds_nothing_up() {
    static COPYING: Gate = Gate::new();
    static COPIED: Gate = Gate::new();
    static SLOW: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, nothing);
    fn clone(_: *const ()) -> RawWaker {
        COPYING.open();
        COPIED.wait();
        RawWaker::new(std::ptr::null(), &SLOW)
    }
    fn nothing(_: *const ()) {}
    alone(|| {
        // Keeps it from being ready before it is polled.
        let inside = Inside::enter();
        let task = named("task", || {
            // SAFETY: the functions take any pointer.
            let waker = unsafe { Waker::new(std::ptr::null(), &SLOW) };
            let mut future = pin!(rcu::synchronize_async());
            let _either = future.as_mut().poll(&mut Context::from_waker(&waker));
            barrier();
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        });
        COPYING.wait();
        inside.leave();
        let child = fork(|| {
            rcu::defer(count);
            barrier();
            assert_eq!(RAN.load(Ordering::Relaxed), 1, "in the child");
        });
        child.succeeded();
        COPIED.open();
        join(task);
    });
}

#[test]
fn the_first_deferred_call_may_come_between_the_hooks() {
    alone(|| {
        rcu::raw::fork_before();
        let other = named("other", || rcu::defer(count));
        let child = forked::start(|| {
            // SAFETY: follows `fork_before`, on the child's only thread.
            unsafe { rcu::raw::fork_after_child() };
            barrier();
        });
        // SAFETY: follows `fork_before`.
        unsafe { rcu::raw::fork_after_parent() };
        join(other);
        barrier();
        assert_eq!(RAN.load(Ordering::Relaxed), 1);
        child.succeeded();
    });
}

#[test]
fn the_forking_thread_is_told_that_it_would_wait_for_itself() {
    alone(|| {
        rcu::defer(count);
        rcu::raw::fork_before();
        assert_says(&message_of(|| rcu::barrier()), &[NAME, "fork_before"]);
        assert_says(&message_of(rcu::synchronize), &[NAME, "fork_before"]);
        assert_says(&message_of(|| rcu::workers::Builder::new().spawn()), &[NAME, "fork_before"]);
        assert_says(&message_of(rcu::raw::fork_before), &[NAME, "twice"]);
        let _ = rcu::stats();
        rcu::retire(Box::new([0; 8]));
        // SAFETY: follows `fork_before`.
        unsafe { rcu::raw::fork_after_parent() };
        barrier();
    });
}

#[test]
fn a_process_may_end_at_any_time() {
    // Each in a process of its own, which has to end by itself: after `main`, by `exit`, in the middle of everything.
    const WAYS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
    for way in WAYS {
        let body = move || {
            let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
            let mut random = Random::new(way.len() as u64);
            for at in 0..2_u64 {
                let _detached = named("producer", move || {
                    while !stop.load(Ordering::Relaxed) {
                        rcu::retire(Box::new([at; 8]));
                        rcu::defer(count);
                    }
                });
            }
            (0..1000).for_each(|_| random.dawdle());
            match way {
                "0" => (),
                "1" => barrier(),
                "2" => drop(rcu::register()),
                "3" => assert!(rcu::raw::start_poll() > 0),
                "4" => rcu::workers::set_of_thread(rcu::workers::Builder::new().spawn().ok()),
                _ => stop.store(true, Ordering::Relaxed),
            }
            // The process ends now, by `exit`, with the producers and the worker at work.
        };
        let _ = process().role(way).run(body).succeeded();
    }
}

#[test]
fn a_fork_waits_for_the_calls_that_are_running() {
    static RUNNING: AtomicBool = AtomicBool::new(false);
    static GO_ON: AtomicBool = AtomicBool::new(false);
    alone(|| {
        rcu::defer(|| {
            RUNNING.store(true, Ordering::Relaxed);
            until("it may go on", || GO_ON.load(Ordering::Relaxed));
        });
        until("it runs", || RUNNING.load(Ordering::Relaxed));
        let forks = Updater::calling(|| {
            rcu::raw::fork_before();
            // SAFETY: follows `fork_before`.
            unsafe { rcu::raw::fork_after_parent() };
        });
        forks.assert_waiting();
        GO_ON.store(true, Ordering::Relaxed);
        forks.finish();
        barrier();
    });
}

/// Whoever runs its own calls has the queue that a fork waits for, and the calls may do whatever deferred calls may do.
#[test]
fn a_fork_waits_for_calls_that_a_thread_runs_itself() {
    static BUSY: AtomicBool = AtomicBool::new(false);
    static RUNNING: AtomicBool = AtomicBool::new(false);
    static FORKS: AtomicBool = AtomicBool::new(false);
    static DONE: AtomicBool = AtomicBool::new(false);
    alone(|| {
        let runs = named("runs", || {
            // So that the default worker leaves the next call alone.
            rcu::defer(|| {
                BUSY.store(true, Ordering::Relaxed);
                until("another call runs", || RUNNING.load(Ordering::Relaxed));
            });
            until("it is busy", || BUSY.load(Ordering::Relaxed));
            rcu::defer(|| {
                RUNNING.store(true, Ordering::Relaxed);
                until("somebody forks", || FORKS.load(Ordering::Relaxed));
                let _ = rcu::stats();
                let _ = rcu::workers::Builder::new().spawn().expect("a worker");
                DONE.store(true, Ordering::Relaxed);
            });
            // SAFETY: no pointers.
            unsafe { rcu::raw::defer_barrier_thread() }.expect("not in a callback");
        });
        until("it runs", || RUNNING.load(Ordering::Relaxed));
        let forks = Updater::calling(|| fork(barrier).succeeded());
        forks.assert_waiting();
        FORKS.store(true, Ordering::Relaxed);
        forks.finish();
        assert!(DONE.load(Ordering::Relaxed));
        join(runs);
    });
}

/// A stopped worker has left calls to the default one, which is at something else at the fork.
#[test]
fn what_a_stopped_worker_has_left_counts_once_in_a_child() {
    static BUSY: AtomicBool = AtomicBool::new(false);
    static GO_ON: AtomicBool = AtomicBool::new(false);
    static WORKER_BUSY: AtomicBool = AtomicBool::new(false);
    static END: AtomicBool = AtomicBool::new(false);
    alone(|| {
        if !TRAITS.registers_itself {
            return;
        }
        rcu::defer(|| {
            BUSY.store(true, Ordering::Relaxed);
            until("it may go on", || GO_ON.load(Ordering::Relaxed));
        });
        until("the default worker is busy", || BUSY.load(Ordering::Relaxed));
        let worker = rcu::workers::Builder::new().spawn().expect("a worker");
        rcu::workers::set_of_thread(Some(worker));
        rcu::defer(|| {
            WORKER_BUSY.store(true, Ordering::Relaxed);
            until("it may end", || END.load(Ordering::Relaxed));
        });
        until("the worker is busy", || WORKER_BUSY.load(Ordering::Relaxed));
        // More than a block, which would make up for what is counted down.
        (0..1_000).for_each(|_| rcu::defer(count));
        let stops = Updater::calling(move || worker.stop().expect("not in a callback"));
        stops.assert_waiting();
        END.store(true, Ordering::Relaxed);
        stops.finish();
        assert_eq!(RAN.load(Ordering::Relaxed), 0);
        // Without hooks.
        forked::run(|| {
            watchdog::end_by_alarm(watchdog::patient(Duration::from_secs(120)));
            barrier();
            assert_eq!(RAN.load(Ordering::Relaxed), 1_000);
            // Would wait for room.
            (0..2_000).for_each(|_| rcu::defer(count));
            barrier();
            assert_eq!(RAN.load(Ordering::Relaxed), 3_000);
        });
        GO_ON.store(true, Ordering::Relaxed);
        barrier();
    });
}

/// The worker of the thread that forks does not exist in a child, and whoever makes another one does not bring it back.
#[test]
fn without_hooks_a_call_is_not_handed_to_a_worker_of_the_parent() {
    alone(|| {
        if !TRAITS.registers_itself {
            return;
        }
        let worker = rcu::workers::Builder::new().spawn().expect("a worker");
        rcu::workers::set_of_thread(Some(worker));
        forked::run(|| {
            let other = rcu::workers::Builder::new().spawn().expect("a worker");
            join(named("other", move || rcu::workers::set_of_thread(Some(other))));
            rcu::defer(count);
            barrier();
            assert_eq!(RAN.load(Ordering::Relaxed), 1);
            rcu::workers::set_of_thread(Some(worker));
            rcu::defer(count);
            barrier();
            assert_eq!(RAN.load(Ordering::Relaxed), 2);
            worker.stop().expect("not in a callback");
            other.stop().expect("not in a callback");
        });
        worker.stop().expect("not in a callback");
    });
}

/// What one thread holds for its own fork is whole, so a fork beside it has it too.
#[test]
fn a_fork_beside_another_threads_hooks_loses_nothing() {
    alone(|| {
        if !TRAITS.registers_itself {
            return;
        }
        rcu::raw::fork_before();
        join(named("other", || (0..10).for_each(|_| rcu::defer(count))));
        let forks = || {
            forked::run(|| {
                barrier();
                assert_eq!(RAN.load(Ordering::Relaxed), 10);
            });
        };
        join(named("forks", forks));
        // SAFETY: follows `fork_before`.
        unsafe { rcu::raw::fork_after_parent() };
        barrier();
    });
}

//! Workers: which one runs a callback, how they are made and stopped, and that they sleep when there is nothing to do.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seed::Random;
use urcu_conformance::{Counts, libc, task, until};

use super::cast::{Inside, NAME, alone, on_a_thread};
use super::deferred::barrier;
use crate::rcu;
use crate::rcu::workers::{self, WorkerError};

static RAN_ON: AtomicI32 = AtomicI32::new(0);

fn note_thread() {
    RAN_ON.store(task::id(), Ordering::Relaxed);
}

#[test]
fn a_name_with_a_zero_byte_is_refused() {
    alone(|| {
        assert_says(&message_of(|| workers::Builder::new().name("ze\0ro")), &[NAME, "zero byte"]);
        assert_eq!(workers::default_tid(), None);
    });
}

#[test]
fn a_thread_may_have_a_worker_of_its_own() {
    alone(|| {
        let worker = workers::Builder::new().name("own").spawn().expect("a worker");
        let tid = worker.tid();
        on_a_thread(move || {
            workers::set_of_thread(Some(worker));
            assert_eq!(workers::of_thread(), Some(worker));
            rcu::defer(note_thread);
            barrier();
            assert_eq!(RAN_ON.load(Ordering::Relaxed), tid);
            workers::set_of_thread(None);
            rcu::defer(note_thread);
            barrier();
            assert_eq!(Some(RAN_ON.load(Ordering::Relaxed)), workers::default_tid());
        });
        worker.stop().expect("not in a callback");
        worker.stop().expect("again does nothing");
    });
}

#[test]
fn a_stopped_workers_callbacks_go_to_the_default_one() {
    alone(|| {
        let counts = Counts::new();
        let worker = workers::Builder::new().spawn().expect("a worker");
        workers::set_of_thread(Some(worker));
        for round in 0..50 {
            let inside = (round % 2 == 0).then(Inside::enter);
            for at in 0..10 {
                let value = counts.make(at);
                rcu::defer(move || drop(value));
            }
            if let Some(inside) = inside {
                inside.leave();
            }
        }
        worker.stop().expect("not in a callback");
        // The thread still names it, and falls back.
        assert_eq!(workers::of_thread().map(|own| own == worker), Some(true));
        let value = counts.make(0);
        rcu::defer(move || drop(value));
        barrier();
        assert_eq!(counts.dropped(), 501);
        // A new one takes the place of the old one, whose handle means nothing any more.
        let fresh = workers::Builder::new().spawn().expect("a worker");
        assert_ne!(fresh, worker);
        assert_eq!(workers::of_thread(), None);
        worker.stop().expect("does nothing");
        workers::set_of_thread(Some(fresh));
        rcu::defer(note_thread);
        barrier();
        assert_eq!(RAN_ON.load(Ordering::Relaxed), fresh.tid());
        fresh.stop().expect("not in a callback");
    });
}

#[test]
fn processors_may_have_workers() {
    alone(|| {
        let made = workers::create_for_all_cpus(None).expect("workers");
        assert!(made >= 1);
        assert_eq!(workers::create_for_all_cpus(None), Ok(0), "all have one");
        let counts = Counts::new();
        for at in 0..1000 {
            let value = counts.make(at);
            rcu::defer(move || drop(value));
        }
        barrier();
        assert_eq!(counts.dropped(), 1000);
        let cpu = (0..).find(|&cpu| workers::of_cpu(cpu).is_some()).expect("one of them");
        let spare = workers::Builder::new().spawn().expect("a worker");
        assert_eq!(workers::set_of_cpu(cpu, Some(spare)).err(), Some(WorkerError::CpuTaken { cpu }));
        let far = 1 << 20;
        assert_eq!(workers::set_of_cpu(far, Some(spare)).err(), Some(WorkerError::NoSuchCpu { cpu: far }));
        assert_eq!(workers::of_cpu(far), None);
        spare.stop().expect("not in a callback");
        workers::stop_for_all_cpus().expect("not in a callback");
        assert_eq!(workers::of_cpu(cpu), None);
    });
}

#[test]
fn what_the_system_refuses_is_an_error() {
    alone(|| {
        let error = workers::Builder::new().cpu(1 << 20).spawn().expect_err("there is no such processor");
        assert!(matches!(error, WorkerError::Scheduling { .. }), "{error}");
        match workers::Builder::new().realtime(1).spawn() {
            Ok(worker) => worker.stop().expect("not in a callback"),
            Err(error) => assert!(matches!(error, WorkerError::Scheduling { .. }), "{error}"),
        }
        let error = workers::Builder::new().realtime(1000).spawn().expect_err("there is no such priority");
        assert!(matches!(error, WorkerError::Scheduling { .. }), "{error}");
        barrier();
    });
}

#[test]
fn a_polling_worker_needs_no_wake_up() {
    alone(|| {
        let worker = workers::Builder::new().polling(Duration::from_millis(1)).spawn().expect("a worker");
        workers::set_of_thread(Some(worker));
        rcu::defer(note_thread);
        until("the worker looks", || RAN_ON.load(Ordering::Relaxed) == worker.tid());
        worker.stop().expect("not in a callback");
    });
}

#[test]
fn a_callback_cannot_stop_a_worker() {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    alone(|| {
        let worker = workers::Builder::new().spawn().expect("a worker");
        rcu::defer(move || {
            let error = worker.stop().expect_err("in a callback");
            assert_eq!(error, WorkerError::InCallback { flavor: NAME });
            REFUSED.store(1, Ordering::Relaxed);
        });
        barrier();
        assert_eq!(REFUSED.load(Ordering::Relaxed), 1);
        worker.stop().expect("not in a callback");
    });
}

/// How often a thread has gone to sleep so far.
fn switches(tid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/self/task/{tid}/status")).expect("a thread");
    status.lines().filter(|line| line.contains("ctxt_switches")).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_idle_worker_does_not_wake_up() {
    alone(|| {
        assert_eq!(workers::default_tid(), None, "no thread before the first deferred call");
        rcu::retire(Box::new(1));
        rcu::retire(Box::new(String::from("1")));
        barrier();
        let tid = workers::default_tid().expect("there is one now");
        // It takes its naps first; then it sleeps for good. Not a synchronization, but the thing that is tested.
        let mut before = switches(tid);
        until("the worker has stayed asleep for 300 ms", || {
            let since = Instant::now();
            while since.elapsed() < Duration::from_millis(300) {
                thread::park_timeout(Duration::from_millis(300));
            }
            let now = switches(tid);
            // A thread that is ready but does not get a processor does not switch either.
            std::mem::replace(&mut before, now.clone()) == now && task::is_asleep(tid)
        });
        // And it wakes up for the next call.
        barrier();
        rcu::defer(note_thread);
        until("the worker runs", || RAN_ON.load(Ordering::Relaxed) == tid);
    });
}

/// How often a thread has gone to sleep by itself.
fn sleeps(tid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{tid}/status")).expect("a thread");
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).expect("a line of its own");
    line.split_whitespace().last().and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn local_calls_that_trickle_in_do_not_wake_the_worker_one_by_one() {
    alone(|| {
        const CALLS: u64 = 400;
        rcu::retire(Box::new(0));
        barrier();
        let tid = workers::default_tid().expect("there is one now");
        let (before, since) = (sleeps(tid), Instant::now());
        for at in 1..=CALLS {
            // If this one wakes it, so will the next.
            until("the worker rests", || task::is_asleep(tid));
            rcu::retire(Box::new(at));
        }
        let (slept, millis) = (sleeps(tid) - before, since.elapsed().as_millis() as u64);
        // It wakes up by itself, a few times in ten milliseconds.
        assert!(slept < CALLS / 4 + millis, "{slept} times for {CALLS} calls in {millis} ms");
        // Nobody retires any more, and nobody calls for it.
        until("what came in during a nap is freed", || rcu::stats().pending == 0);
    });
}

static STALLS: Mutex<Vec<(i32, u64)>> = Mutex::new(Vec::new());

fn remember_stalls(report: &rcu::Report) {
    if let rcu::Report::GracePeriodStalled { tid, nesting, flavor, .. } = report {
        assert_eq!(*flavor, NAME);
        STALLS.lock().expect("no panic").push((*tid, *nesting));
    }
}

#[test]
fn a_stalled_grace_period_is_reported_and_again_at_each_doubling() {
    alone(|| {
        rcu::set_report_hook(remember_stalls);
        rcu::set_stall_limit(Some(Duration::from_millis(30)));
        let inside = Inside::enter();
        rcu::defer(|| ());
        // On a busy machine some other thread may have been waited for as well.
        until("the stall is reported twice", || {
            let stalls = STALLS.lock().expect("no panic");
            stalls.iter().any(|one| one.1 == 1 && stalls.iter().filter(|other| *other == one).count() >= 2)
        });
        inside.leave();
        barrier();
        let stalls = STALLS.lock().expect("no panic").clone();
        assert!(rcu::stats().longest_reader >= Duration::from_millis(60), "{:?}", rcu::stats());
        // Doubling: a minute would have brought a dozen reports, not thousands.
        assert!(stalls.len() < 20, "{stalls:?}");
        rcu::set_stall_limit(None);
    });
}

#[test]
fn a_polling_worker_does_not_keep_others_waiting() {
    alone(|| {
        let worker = workers::Builder::new().polling(Duration::from_secs(3600)).spawn().expect("a worker");
        workers::set_of_thread(Some(worker));
        let counts = Counts::new();
        for at in 0..10 {
            let value = counts.make(at);
            rcu::defer(move || drop(value));
            barrier();
        }
        assert_eq!(counts.dropped(), 10);
        rcu::raw::fork_before();
        // SAFETY: follows `fork_before`.
        unsafe { rcu::raw::fork_after_parent() };
        worker.stop().expect("not in a callback");
    });
}

#[test]
fn the_default_worker_is_not_pinned_with_the_thread_that_starts_it() {
    alone(|| {
        let allowed = |tid: i32| {
            let status = fs::read_to_string(format!("/proc/self/task/{tid}/status")).expect("a thread");
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list")).map(str::to_owned);
            line.expect("the kernel says so")
        };
        let before = allowed(task::id());
        on_a_thread(|| {
            // SAFETY: plain data, for which zero is the empty set.
            let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
            // SAFETY: takes nothing.
            let cpu = usize::try_from(unsafe { libc::sched_getcpu() }).expect("a processor");
            // SAFETY: an index within the set.
            unsafe { libc::CPU_SET(cpu, &mut one) };
            // SAFETY: a valid pointer to a local of the given size.
            let code = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one) };
            assert_eq!(code, 0);
            rcu::defer(note_thread);
        });
        barrier();
        assert_eq!(allowed(RAN_ON.load(Ordering::Relaxed)), before);
    });
}

#[test]
fn a_worker_keeps_the_order_of_what_it_is_handed() {
    static SEEN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    alone(|| {
        let worker = workers::Builder::new().spawn().expect("a worker");
        workers::set_of_thread(Some(worker));
        let inside = Inside::enter();
        (0..1000).for_each(|at| rcu::defer(move || SEEN.lock().expect("nobody panics").push(at)));
        inside.leave();
        barrier();
        assert!(SEEN.lock().expect("nobody panics").iter().copied().eq(0..1000));
        worker.stop().expect("not in a callback");
    });
}

#[test]
fn no_call_is_left_lying_when_a_worker_falls_asleep() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    alone(|| {
        let own = workers::Builder::new().spawn().expect("a worker");
        let mut random = Random::new(0);
        for round in 0..20_000 {
            workers::set_of_thread((round >= 10_000).then_some(own));
            rcu::defer(|| {
                RAN.fetch_add(1, Ordering::Relaxed);
            });
            // Seen at once, so that the next one comes just when it is about to fall asleep.
            let has_run = || RAN.load(Ordering::Relaxed) > round;
            if !(0..10_000).any(|_| has_run()) {
                until("the call has run", has_run);
            }
            let (start, pause) = (Instant::now(), Duration::from_nanos(random.below(5000)));
            while start.elapsed() < pause {}
        }
        own.stop().expect("not in a callback");
    });
}

//! Forks at chosen instructions of another thread: the child has whatever that thread had just done, and not what it was about to do.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use urcu_conformance::stepper::Stepper;
use urcu_conformance::{forked, note, task, until, watchdog};

use super::cast::{join, named, process, register, registered};
use super::deferred::barrier;
use crate::rcu;

/// More calls than are deferred here.
const MOST: usize = 1 << 14;
/// Whether a call was deferred for certain, and how often it has run.
static ADDED: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];
static RAN: [AtomicU8; MOST] = [const { AtomicU8::new(0) }; MOST];
static CALLS: AtomicUsize = AtomicUsize::new(0);

fn defer() {
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    if call < MOST {
        rcu::defer(move || _ = RAN[call].fetch_add(1, Ordering::Relaxed));
        ADDED[call].store(true, Ordering::Release);
    }
}

/// Everything that was pending runs once, and everything can be done.
fn check() {
    watchdog::end_by_alarm(watchdog::patient(watchdog::LIMIT));
    // The worker may be one.
    assert!(registered() <= 1);
    defer();
    barrier();
    for call in 0..CALLS.load(Ordering::Relaxed).min(MOST) {
        let (added, ran) = (ADDED[call].load(Ordering::Relaxed), RAN[call].load(Ordering::Relaxed));
        assert!(ran == 1 || ran == 0 && !added, "call {call} ran {ran} times");
    }
    let cookie = rcu::raw::start_poll();
    let mut thread = register();
    drop(thread.read_lock());
    thread.synchronize();
    drop(thread);
    until("the grace period has ended", || rcu::raw::poll(cookie));
    let worker = rcu::workers::Builder::new().spawn().expect("a worker");
    rcu::workers::set_of_thread(Some(worker));
    defer();
    worker.stop().expect("not in a callback");
    // Blocks that count, and calls beyond what they could make up for.
    (0..600).for_each(|_| rcu::retire(Box::new(String::new())));
    barrier();
    let stats = rcu::stats();
    assert_eq!((stats.pending, stats.bytes_pending), (0, 0), "{stats:?}");
}

/// Forks so often while a thread does `work` over and over, each time a few instructions further.
fn fork_amid<B: Fn() + Send + Copy + 'static>(forks: usize, stride: u64, work: B) {
    static STEPPED: AtomicUsize = AtomicUsize::new(0);
    static STOP: AtomicBool = AtomicBool::new(false);
    let body = move || {
        defer();
        barrier();
        let stepped = named("stepped", move || {
            STEPPED.store(task::id().unsigned_abs() as usize, Ordering::Release);
            while !STOP.load(Ordering::Relaxed) {
                work();
            }
        });
        until("it has begun", || STEPPED.load(Ordering::Acquire) != 0);
        let tid = i32::try_from(STEPPED.load(Ordering::Relaxed)).expect("a thread's id");
        if let Some(stepper) = Stepper::of(tid, stride) {
            for _ in 0..forks {
                rcu::raw::fork_before();
                let child = forked::start(|| {
                    // SAFETY: follows `fork_before`, on the child's only thread.
                    unsafe { rcu::raw::fork_after_child() };
                    check();
                });
                // SAFETY: follows `fork_before`.
                unsafe { rcu::raw::fork_after_parent() };
                child.succeeded();
                stepper.step();
            }
            stepper.free();
        } else {
            note("this system does not let a process trace its parent: nothing is stepped");
        }
        STOP.store(true, Ordering::Relaxed);
        join(stepped);
        barrier();
    };
    let _ = process().of_test::<B>().run(body).succeeded();
}

#[test]
fn while_a_thread_registers() {
    fork_amid(400, 7, || drop(register()));
}

/// Each makes up for a block.
struct Large(#[allow(dead_code, reason = "its size is what counts")] MaybeUninit<[u8; 1 << 20]>);

impl Drop for Large {
    fn drop(&mut self) {}
}

#[test]
fn while_a_thread_retires() {
    fork_amid(600, 7, || {
        // Not by way of the stack.
        // SAFETY: there is nothing to be initialised.
        rcu::retire(unsafe { Box::<Large>::new_uninit().assume_init() });
    });
}

#[test]
fn while_a_thread_runs_its_own_calls() {
    fork_amid(200, 37, || {
        defer();
        // SAFETY: no pointers.
        unsafe { rcu::raw::defer_barrier_thread() }.expect("not in a callback");
    });
}

#[test]
fn while_a_thread_makes_and_stops_workers() {
    fork_amid(200, 199, || {
        let worker = rcu::workers::Builder::new().spawn().expect("a worker");
        rcu::workers::set_of_thread(Some(worker));
        defer();
        worker.stop().expect("not in a callback");
    });
}

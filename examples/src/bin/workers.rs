//! Who runs deferred calls, how many may wait, and how to see it.
//!
//! Run it with `cargo run -p urcu-examples --bin workers`.
//!
//! Nothing of this is needed: without it, one worker is started at the first deferred call, sleeps while there is
//! nothing to do, and serves the whole process. Workers of your own are for callbacks that must not wait for those of
//! others, or that belong to a processor.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use rcu::workers;
use rcu::{Limits, WorkerError};

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Session {
    _id: usize,
}

impl Drop for Session {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// The name of the thread that runs a deferred closure.
fn where_closures_run() -> String {
    let (sender, receiver) = mpsc::channel();
    rcu::defer(move || {
        let name = thread::current().name().unwrap_or("?").to_owned();
        // The receiver is there until it has got the name.
        let _ = sender.send(name);
    });
    receiver.recv().expect("every deferred closure runs")
}

/// A worker for the callbacks of one thread.
fn own_worker() -> Result<(), WorkerError> {
    println!("by default: {}", where_closures_run());

    let worker = workers::Builder::new().name("tidy-up").spawn()?;
    workers::set_of_thread(Some(worker));
    let name = where_closures_run();
    assert_eq!(name, "tidy-up");
    println!("this thread's own worker: {name}");
    workers::set_of_thread(None);
    // A `Handle` is a name, not an owner: dropping it would leave the worker running.
    worker.stop()?;

    // Real-time scheduling needs permission; refused is an error, not a worker with less than it was asked for.
    match workers::Builder::new().name("urgent").realtime(1).spawn() {
        Ok(urgent) => {
            println!("real-time worker: thread {}", urgent.tid());
            urgent.stop()
        }
        Err(error @ WorkerError::Scheduling { .. }) => {
            println!("no real-time worker: {error}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// A worker for each processor: callbacks run where their data is in the cache.
fn worker_per_cpu() -> Result<(), WorkerError> {
    let made = workers::create_for_all_cpus(None)?;
    let name = where_closures_run();
    assert!(name.starts_with("urcu/"), "{name} is no processor's worker");
    println!("{made} workers for processors; the one of this processor: {name}");
    workers::stop_for_all_cpus()
}

/// How much may wait. At the hard limit, retiring waits for a grace period: memory is bounded, whatever readers do.
fn bounded() {
    const HARD: usize = 4096;
    let before = rcu::limits();
    rcu::set_limits(Limits { soft_items: 1024, hard_items: HARD, ..before });
    let mut most = 0;
    for id in 0..100_000 {
        rcu::retire(Box::new(Session { _id: id }));
        if id % 100 == 0 {
            most = most.max(rcu::stats().pending);
        }
    }
    // The limit is exact to the block of 512 calls that a thread is filling.
    assert!(most <= HARD as u64 + 512, "{most} were pending");
    println!("100000 sessions retired, never more than {most} pending");
    rcu::set_limits(before);
}

/// For the end of a test, of a plug-in, of a structure: everything retired in the scope has been dropped at its end.
fn nothing_left() {
    {
        let _flush = rcu::flush_on_drop();
        for id in 0..1000 {
            rcu::retire(Box::new(Session { _id: id }));
        }
    }
    assert_eq!(DROPPED.load(Relaxed), 101_000);
    println!("all {} sessions dropped", DROPPED.load(Relaxed));
}

fn main() -> Result<(), WorkerError> {
    own_worker()?;
    worker_per_cpu()?;
    bounded();
    nothing_left();
    println!("{:#?}", rcu::stats());
    Ok(())
}

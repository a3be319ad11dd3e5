//! Deferred calls: the queue between the thread that fills it and the worker, the worker's sleep, barriers.

use loom::sync::{Arc, Notify};
use loom::thread;
use urcu_core::sync::explore;
use urcu_core::{Thread, barrier, defer};

use crate::flavor::Fenced;
use crate::objects::Shelf;

/// Takes what is there away and has it reclaimed.
fn retire(shelf: &Arc<Shelf>) {
    let old = shelf.take() as usize;
    let shelf = shelf.clone();
    defer::<_, Fenced>(move || {
        let _alive = &shelf;
        // SAFETY: an object of the shelf's, if there was one.
        if let Some(object) = unsafe { (old as *mut crate::objects::Object).as_ref() } {
            object.reclaim();
        }
    });
}

/// The first thread reads, so that one preemption is enough to find it inside.
#[test]
fn a_call_waits_for_a_section_and_a_barrier_for_the_call() {
    explore(1, || {
        let shelf = Shelf::new();
        let updater = {
            let shelf = shelf.clone();
            thread::spawn(move || {
                retire(&shelf);
                barrier::<Fenced>().expect("outside of calls");
                assert!(shelf.objects[0].is_reclaimed(), "a barrier that did not wait");
            })
        };
        let thread = Thread::<Fenced>::register().expect("a free slot");
        let guard = thread.read_lock();
        shelf.read();
        drop(guard);
        drop(thread);
        updater.join().unwrap();
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// The worker falls asleep, or is about to, when the second call comes; nobody asks for a barrier.
#[test]
fn a_call_wakes_the_worker() {
    explore(1, || {
        for _ in 0..2 {
            let ran: &'static Notify = Box::leak(Box::new(Notify::new()));
            defer::<_, Fenced>(|| ran.notify());
            ran.wait();
        }
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// A barrier covers what a thread deferred that has ended.
#[test]
fn a_barrier_covers_other_threads() {
    explore(1, || {
        let shelf = Shelf::new();
        let other = {
            let shelf = shelf.clone();
            thread::spawn(move || retire(&shelf))
        };
        other.join().unwrap();
        barrier::<Fenced>().expect("outside of calls");
        assert!(shelf.objects[0].is_reclaimed(), "a barrier that did not wait");
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// A worker that is made while another thread forks is not left aside by a fork that is over.
#[test]
fn a_fork_does_not_keep_the_worker() {
    explore(1, || {
        let forker = thread::spawn(urcu_core::put_default_worker_aside::<Fenced>);
        let ran: &'static Notify = Box::leak(Box::new(Notify::new()));
        defer::<_, Fenced>(|| ran.notify());
        ran.wait();
        forker.join().unwrap();
        urcu_core::stop_default_worker::<Fenced>();
    });
}

//! Deferred calls: the queue between the thread that fills it and the worker, the worker's sleep, barriers.

use core::ffi::c_void;

use loom::sync::{Arc, Notify};
use loom::thread;
use urcu_core::sync::{explore, explore_without_time};
use urcu_core::{RcuHead, Thread, WorkerBuilder, barrier, defer, raw, workers};

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
        let forker = thread::spawn(|| urcu_core::put_default_worker_aside::<Fenced>(|| ()));
        let ran: &'static Notify = Box::leak(Box::new(Notify::new()));
        defer::<_, Fenced>(|| ran.notify());
        ran.wait();
        forker.join().unwrap();
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// A fork finds what the worker has done, and nothing half done.
#[test]
fn a_fork_finds_the_worker_between_two_rounds() {
    explore_without_time(1, || {
        let shelf = Shelf::new();
        let forker = {
            let shelf = shelf.clone();
            thread::spawn(move || {
                urcu_core::put_default_worker_aside::<Fenced>(|| {
                    shelf.objects[0].is_reclaimed();
                });
            })
        };
        retire(&shelf);
        barrier::<Fenced>().expect("outside of calls");
        forker.join().unwrap();
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// Whoever waits for a barrier is woken when it has ended, and whoever stops the worker when that has.
#[test]
fn who_waits_for_the_worker_is_woken() {
    explore_without_time(2, || {
        let shelf = Shelf::new();
        retire(&shelf);
        barrier::<Fenced>().expect("outside of calls");
        assert!(shelf.objects[0].is_reclaimed(), "a barrier that did not wait");
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// The calling thread runs its own calls, and waits first. Nobody is preempted: they take turns where they yield.
#[test]
fn a_thread_that_runs_its_own_calls_waits() {
    explore(0, || {
        let shelf = Shelf::new();
        let reader = {
            let shelf = shelf.clone();
            thread::spawn(move || {
                let thread = Thread::<Fenced>::register().expect("a free slot");
                let guard = thread.read_lock();
                let found = shelf.find();
                for _ in 0..3 {
                    thread::yield_now();
                }
                if let Some(object) = found {
                    object.read();
                }
                drop(guard);
            })
        };
        thread::yield_now();
        retire(&shelf);
        // SAFETY: outside of calls and sections.
        unsafe { raw::defer_barrier_thread::<Fenced>() }.expect("outside of calls");
        assert!(shelf.objects[0].is_reclaimed(), "a barrier that did not wait");
        reader.join().unwrap();
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// So large that every call fills a block.
const BLOCK: usize = 1 << 20;

unsafe extern "C" fn reclaim_object(object: *mut c_void) {
    // SAFETY: an object of a shelf's that outlives the model.
    unsafe { &*object.cast::<crate::objects::Object>() }.reclaim();
}

/// Local calls, in a block each: their thread runs some, and the worker the others. Blocks are used again.
#[test]
fn blocks_go_round() {
    explore(0, || {
        let shelf: &'static Shelf = Box::leak(Box::new(Shelf::unshared()));
        for object in &shelf.objects {
            // SAFETY: nobody else uses it; it lives for ever.
            unsafe { raw::defer_free::<Fenced>(reclaim_object, core::ptr::from_ref(object).cast_mut().cast(), BLOCK) };
        }
        barrier::<Fenced>().expect("outside of calls");
        assert!(shelf.objects.iter().all(crate::objects::Object::is_reclaimed), "a barrier that did not wait");
        urcu_core::stop_default_worker::<Fenced>();
    });
}

#[repr(C)]
struct Headed {
    head: RcuHead,
    object: crate::objects::Object,
}

unsafe extern "C" fn reclaim_headed(head: *mut RcuHead) {
    // SAFETY: the head comes first, and lives for ever.
    unsafe { &*head.cast::<Headed>() }.object.reclaim();
}

fn call(headed: &'static Headed) {
    // SAFETY: in no queue.
    unsafe { raw::call_rcu::<Fenced>(core::ptr::from_ref(headed).cast_mut().cast(), reclaim_headed) };
}

fn headed() -> &'static Headed {
    Box::leak(Box::new(Headed { head: RcuHead::new(), object: crate::objects::Object::new() }))
}

/// A worker of the thread's own falls asleep, or is about to, when something is handed to it; and is stopped, used again.
#[test]
fn a_worker_of_ones_own() {
    explore_without_time(1, || {
        for _ in 0..2 {
            let worker = WorkerBuilder::<Fenced>::new().spawn().expect("a thread");
            workers::set_of_thread(Some(worker));
            let headed = headed();
            call(headed);
            barrier::<Fenced>().expect("outside of calls");
            assert!(headed.object.is_reclaimed(), "a barrier that did not wait");
            workers::set_of_thread::<Fenced>(None);
            worker.stop().expect("outside of calls");
        }
    });
}

#[repr(C)]
struct Notified {
    head: RcuHead,
    ran: Notify,
}

unsafe extern "C" fn notify(head: *mut RcuHead) {
    // SAFETY: the head comes first, and lives for ever.
    unsafe { &*head.cast::<Notified>() }.ran.notify();
}

/// Nobody asks for a barrier, which would wake it.
#[test]
fn a_head_wakes_a_worker_of_ones_own() {
    explore_without_time(1, || {
        let worker = WorkerBuilder::<Fenced>::new().spawn().expect("a thread");
        workers::set_of_thread(Some(worker));
        for _ in 0..2 {
            let notified: &'static Notified =
                Box::leak(Box::new(Notified { head: RcuHead::new(), ran: Notify::new() }));
            // SAFETY: in no queue.
            unsafe { raw::call_rcu::<Fenced>(core::ptr::from_ref(notified).cast_mut().cast(), notify) };
            notified.ran.wait();
        }
        workers::set_of_thread::<Fenced>(None);
        worker.stop().expect("outside of calls");
        // The checker's `Notify` wakes without a reason now and then: then the last call is the default worker's, and must not be
        // left to the next execution.
        barrier::<Fenced>().expect("outside of calls");
        urcu_core::stop_default_worker::<Fenced>();
    });
}

/// It is stopped while it has something left, perhaps, and while somebody waits for that.
#[test]
fn a_stopped_workers_calls_are_not_lost() {
    explore_without_time(1, || {
        let worker = WorkerBuilder::<Fenced>::new().spawn().expect("a thread");
        workers::set_of_thread(Some(worker));
        let headed = headed();
        call(headed);
        let stopper = thread::spawn(move || worker.stop().expect("outside of calls"));
        barrier::<Fenced>().expect("outside of calls");
        assert!(headed.object.is_reclaimed(), "a barrier that did not wait");
        stopper.join().unwrap();
        urcu_core::stop_default_worker::<Fenced>();
    });
}

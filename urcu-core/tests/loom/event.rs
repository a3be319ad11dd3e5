//! A lost wake-up is a deadlock here, which the model checker reports.
//!
//! All accesses of the conditions are relaxed: the event alone orders them.

use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::thread;
use urcu_core::Event;

/// Elements that can be taken, and an event for those who want one.
struct Shelf {
    elements: AtomicUsize,
    arrived: Event,
}

impl Shelf {
    fn new() -> Arc<Self> {
        Arc::new(Self { elements: AtomicUsize::new(0), arrived: Event::new() })
    }

    fn take(&self) -> Option<()> {
        let less = |elements: usize| elements.checked_sub(1);
        self.elements.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok().map(drop)
    }

    fn put(&self) {
        self.elements.fetch_add(1, Ordering::Relaxed);
        self.arrived.wake_one();
    }
}

fn model(preemptions: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(body);
}

fn spawn<R: 'static>(shelf: &Arc<Shelf>, run: impl FnOnce(&Shelf) -> R + 'static) -> thread::JoinHandle<R> {
    let shelf = shelf.clone();
    thread::spawn(move || run(&shelf))
}

/// A flag that is only written and read, so that a stale read is possible.
#[test]
fn a_waiter_sees_what_happened_or_is_woken() {
    model(None, || {
        let shelf = Shelf::new();
        let waker = spawn(&shelf, |shelf| {
            shelf.elements.store(1, Ordering::Relaxed);
            shelf.arrived.wake_one();
        });
        shelf.arrived.wait(|| (shelf.elements.load(Ordering::Relaxed) == 1).then_some(()));
        waker.join().unwrap();
    });
}

#[test]
fn a_waiter_sees_what_happened_or_is_woken_with_all() {
    model(None, || {
        let shelf = Shelf::new();
        let waker = spawn(&shelf, |shelf| {
            shelf.elements.store(1, Ordering::Relaxed);
            shelf.arrived.wake_all();
        });
        shelf.arrived.wait(|| (shelf.elements.load(Ordering::Relaxed) == 1).then_some(()));
        waker.join().unwrap();
    });
}

#[test]
fn a_fence_of_the_callers_is_enough() {
    model(None, || {
        let shelf = Shelf::new();
        let waker = spawn(&shelf, |shelf| {
            shelf.elements.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            shelf.arrived.wake_all_after_seq_cst();
        });
        shelf.arrived.wait(|| (shelf.elements.load(Ordering::Relaxed) == 1).then_some(()));
        waker.join().unwrap();
    });
}

/// The second wake may find that the waiter has been woken, but not run: its look must see the second store too.
#[test]
fn a_wake_that_is_left_out_loses_nothing() {
    model(Some(4), || {
        let shelf = Shelf::new();
        let waker = spawn(&shelf, |shelf| {
            for stored in 1..=2 {
                shelf.elements.store(stored, Ordering::Relaxed);
                shelf.arrived.wake_one();
            }
        });
        shelf.arrived.wait(|| (shelf.elements.load(Ordering::Relaxed) == 2).then_some(()));
        waker.join().unwrap();
    });
}

#[test]
fn as_many_elements_as_waiters() {
    model(Some(2), || {
        let shelf = Shelf::new();
        let takers = [(); 2].map(|()| spawn(&shelf, |shelf| shelf.arrived.wait(|| shelf.take())));
        let other = spawn(&shelf, Shelf::put);
        shelf.put();
        takers.into_iter().chain([other]).for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn all_are_woken() {
    model(Some(3), || {
        let shelf = Shelf::new();
        let is_there = |shelf: &Shelf| (shelf.elements.load(Ordering::Relaxed) == 1).then_some(());
        let waiter = spawn(&shelf, move |shelf| shelf.arrived.wait(|| is_there(shelf)));
        let waker = spawn(&shelf, |shelf| {
            shelf.elements.store(1, Ordering::Relaxed);
            shelf.arrived.wake_all();
        });
        shelf.arrived.wait(|| is_there(&shelf));
        waiter.join().unwrap();
        waker.join().unwrap();
    });
}

/// Who waits for something else, and comes later, must not be woken instead.
#[test]
fn different_conditions_and_waking_all() {
    model(Some(3), || {
        let shelf = Shelf::new();
        let turn = |shelf: &Shelf, own| (shelf.elements.load(Ordering::Relaxed) == own).then_some(());
        let other = spawn(&shelf, move |shelf| {
            shelf.arrived.wait(|| turn(shelf, 1));
            shelf.elements.store(2, Ordering::Relaxed);
            shelf.arrived.wake_all();
        });
        shelf.elements.store(1, Ordering::Relaxed);
        shelf.arrived.wake_all();
        shelf.arrived.wait(|| turn(&shelf, 2));
        other.join().unwrap();
    });
}

/// One waiter gives up while an element is brought, perhaps when it has just been chosen to be woken.
#[test]
fn who_gives_up_takes_no_wake_up_away() {
    model(Some(2), || {
        let shelf = Shelf::new();
        let hurried = spawn(&shelf, |shelf| {
            shelf.arrived.wait_deadline(Instant::now() + Duration::from_secs(1), || shelf.take())
        });
        let patient = spawn(&shelf, |shelf| shelf.arrived.wait(|| shelf.take()));
        let clock = spawn(&shelf, |shelf| shelf.arrived.pass_deadlines());
        shelf.put();
        if hurried.join().unwrap().is_some() {
            shelf.put();
        }
        patient.join().unwrap();
        clock.join().unwrap();
    });
}

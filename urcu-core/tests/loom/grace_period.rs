//! Readers that come, read and go beside updaters that unlink, wait and reclaim: registration, the scan, sharing, quiescent
//! states. The scan, the word and the registry are the product's own.

use loom::sync::Arc;
use loom::thread;
use urcu_core::sync::explore;
use urcu_core::{GracePeriod, Thread, synchronize};

use crate::flavor::{Fenced, Quiescent};
use crate::objects::{Object, Shelf};

fn spawn(shelf: &Arc<Shelf>, run: impl FnOnce(&Shelf) + 'static) -> thread::JoinHandle<()> {
    let shelf = shelf.clone();
    thread::spawn(move || run(&shelf))
}

fn registered() -> Thread<Fenced> {
    Thread::register().expect("a free slot")
}

fn reclaim(object: *mut Object) {
    // SAFETY: an object of the shelf's.
    unsafe { object.as_ref() }.expect("one was there").reclaim();
}

/// Takes what is there away and reclaims it after a grace period.
fn update(shelf: &Shelf) {
    let old = shelf.take();
    synchronize::<Fenced>();
    reclaim(old);
}

#[test]
fn an_updater_waits_for_a_section() {
    explore(3, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        update(&shelf);
        reader.join().unwrap();
    });
}

/// The second section begins with the number that the grace period may just have published.
#[test]
fn sections_one_after_the_other() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            for _ in 0..2 {
                let _guard = thread.read_lock();
                shelf.read();
            }
        });
        update(&shelf);
        reader.join().unwrap();
    });
}

#[test]
fn an_inner_section_does_not_end_the_outer_one() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let outer = thread.read_lock();
            drop(thread.read_lock());
            shelf.read();
            drop(outer);
        });
        update(&shelf);
        reader.join().unwrap();
    });
}

/// The updater is registered as well, and reads.
#[test]
fn two_grace_periods_in_a_row() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let mut thread = registered();
        let first = shelf.put(1);
        thread.synchronize();
        reclaim(first);
        let second = shelf.take();
        thread.synchronize();
        reclaim(second);
        reader.join().unwrap();
    });
}

/// A slot that one thread leaves and another takes, with a scan between them or in the middle.
#[test]
fn a_slot_changes_hands() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            for _ in 0..2 {
                let thread = registered();
                let guard = thread.read_lock();
                shelf.read();
                drop(guard);
            }
        });
        update(&shelf);
        reader.join().unwrap();
    });
}

#[test]
fn two_readers() {
    explore(1, || {
        let shelf = Shelf::new();
        let readers = [(); 2].map(|()| {
            spawn(&shelf, |shelf| {
                let thread = registered();
                let guard = thread.read_lock();
                shelf.read();
                drop(guard);
            })
        });
        update(&shelf);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// One of them may be served by the other's grace period, but only by one that begins late enough; who waits for the turn is
/// woken.
#[test]
fn updaters_share() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let other = spawn(&shelf, |_| synchronize::<Fenced>());
        update(&shelf);
        reader.join().unwrap();
        other.join().unwrap();
    });
}

/// Asked about instead of waited for; the worker sees to it that it ends.
#[test]
fn a_polled_grace_period_covers_what_came_before_it() {
    explore(1, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let old = shelf.take();
        let polled = GracePeriod::<Fenced>::start();
        reader.join().unwrap();
        if polled.is_done() {
            reclaim(old);
        }
        urcu_core::stop_default_worker::<Fenced>();
    });
}

#[test]
fn quiescent_states_and_offline() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let mut thread = Thread::<Quiescent>::register().expect("a free slot");
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
            thread.quiescent_state();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let old = shelf.take();
        synchronize::<Quiescent>();
        reclaim(old);
        reader.join().unwrap();
    });
}

#[test]
fn online_again() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let mut thread = Thread::<Quiescent>::register().expect("a free slot");
            thread.while_offline(|| ());
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let old = shelf.take();
        synchronize::<Quiescent>();
        reclaim(old);
        reader.join().unwrap();
    });
}

//! Readers that come, read and go beside updaters that unlink, wait and reclaim: registration, the scan, sharing, quiescent
//! states. The scan, the word and the registry are the product's own.

use loom::sync::Arc;
use loom::thread;
use urcu_core::sync::explore;
use urcu_core::{Flavor, GracePeriod, Thread, begin, has_elapsed, synchronize};

use crate::flavor::{Fallback, Fenced, Interrupted, Quiescent, interrupt};
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
        thread::yield_now();
        if polled.is_done() {
            reclaim(old);
        }
        reader.join().unwrap();
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

/// The scan may meet the second section in place of the end of the first one, in which the object was read.
fn a_later_section<F: Flavor>() {
    explore(3, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = Thread::<F>::register().expect("a free slot");
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
            thread::yield_now();
            drop(thread.read_lock());
        });
        thread::yield_now();
        let old = shelf.take();
        synchronize::<F>();
        reclaim(old);
        reader.join().unwrap();
    });
}

#[test]
fn a_later_section_tells_of_the_end_of_the_one_before() {
    a_later_section::<Fenced>();
}

#[test]
fn a_later_section_on_fallback_fences() {
    a_later_section::<Fallback>();
}

/// The barrier falls between finding and reading. The scan meets whatever the second section stores: its beginning, a level more,
/// a level less.
fn a_later_section_after_an_interrupt(begin: impl Fn(&Thread<Interrupted>) + Copy + Send + Sync + 'static) {
    explore(1, move || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, move |shelf| {
            let thread = Thread::<Interrupted>::register().expect("a free slot");
            let guard = thread.read_lock();
            let found = shelf.find();
            thread::yield_now();
            interrupt();
            thread::yield_now();
            if let Some(object) = found {
                object.read();
            }
            drop(guard);
            begin(&thread);
        });
        thread::yield_now();
        let old = shelf.take();
        synchronize::<Interrupted>();
        reclaim(old);
        reader.join().unwrap();
    });
}

#[test]
fn a_later_section_begins() {
    a_later_section_after_an_interrupt(|thread| {
        let _outer = thread.read_lock();
        thread::yield_now();
    });
}

#[test]
fn a_later_section_goes_a_level_down() {
    a_later_section_after_an_interrupt(|thread| {
        let _outer = thread.read_lock();
        let _inner = thread.read_lock();
        thread::yield_now();
    });
}

#[test]
fn a_later_section_comes_a_level_up() {
    a_later_section_after_an_interrupt(|thread| {
        let _outer = thread.read_lock();
        drop(thread.read_lock());
        thread::yield_now();
    });
}

#[test]
fn an_updater_waits_for_a_section_on_fallback_fences() {
    explore(3, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = Thread::<Fallback>::register().expect("a free slot");
            for _ in 0..2 {
                let _guard = thread.read_lock();
                shelf.read();
            }
        });
        let old = shelf.take();
        synchronize::<Fallback>();
        reclaim(old);
        reader.join().unwrap();
    });
}

/// A thread that registers beside a grace period whose barrier does not reach it.
#[test]
fn a_registration_that_no_interrupt_reaches() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = Thread::<Interrupted>::register().expect("a free slot");
            interrupt();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
            interrupt();
        });
        let old = shelf.take();
        synchronize::<Interrupted>();
        reclaim(old);
        reader.join().unwrap();
    });
}

/// Begun, and asked about: no barrier comes between the answer and the reclaiming.
#[test]
fn a_grace_period_that_has_elapsed() {
    explore(3, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let old = shelf.take();
        let period = begin::<Fenced>();
        if has_elapsed::<Fenced>(period) {
            reclaim(old);
        }
        reader.join().unwrap();
    });
}

/// One of two finds out that the sections have ended, by `look`, and the other hears of it.
fn hearsay(look: impl Fn() + Copy + Send + Sync + 'static) {
    explore(2, move || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            drop(guard);
        });
        let other = spawn(&shelf, move |_| look());
        let old = shelf.take();
        let period = begin::<Fenced>();
        thread::yield_now();
        if has_elapsed::<Fenced>(period) {
            reclaim(old);
        }
        reader.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_grace_period_that_somebody_else_has_seen_elapse() {
    hearsay(|| {
        let period = begin::<Fenced>();
        has_elapsed::<Fenced>(period);
    });
}

#[test]
fn a_grace_period_that_somebody_else_has_waited_for() {
    hearsay(synchronize::<Fenced>);
}

/// Somebody else has the turn, and so the barrier; readers have none of their own.
#[test]
fn a_grace_period_that_somebody_else_begins() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = Thread::<Interrupted>::register().expect("a free slot");
            interrupt();
            let guard = thread.read_lock();
            let found = shelf.find();
            interrupt();
            thread::yield_now();
            if let Some(object) = found {
                object.read();
            }
            drop(guard);
        });
        let other = spawn(&shelf, |_| {
            begin::<Interrupted>();
            begin::<Interrupted>();
        });
        let old = shelf.take();
        let period = begin::<Interrupted>();
        thread::yield_now();
        if has_elapsed::<Interrupted>(period) {
            reclaim(old);
        }
        reader.join().unwrap();
        other.join().unwrap();
    });
}

/// The one who waits for the reader is not the one who reclaims.
#[test]
fn who_shares_has_not_looked_at_the_readers() {
    explore(2, || {
        let shelf = Shelf::new();
        let reader = spawn(&shelf, |shelf| {
            let thread = registered();
            let guard = thread.read_lock();
            shelf.read();
            thread::yield_now();
            shelf.read();
            drop(guard);
        });
        thread::yield_now();
        let other = spawn(&shelf, |_| synchronize::<Fenced>());
        update(&shelf);
        reader.join().unwrap();
        other.join().unwrap();
    });
}

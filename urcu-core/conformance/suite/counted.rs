//! `RcuArc<T>` and `RcuArcCell<T>`: a value lives as long as there is a reference or a section that found it, and is
//! dropped once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use urcu_conformance::panics::assert_says;
use urcu_conformance::seed::Random;
use urcu_conformance::{Counted, Counts, RaisedAtEnd, until};

use super::cast::{NAME, alone, register};
use crate::rcu::{self, RcuArc, RcuArcCell};

type Cell = RcuArcCell<Counted>;

fn flush() {
    rcu::barrier().expect("outside of callbacks");
}

/// What a reader finds.
fn value(cell: &Cell) -> Option<u64> {
    let thread = register();
    let guard = thread.read_lock();
    cell.load(&guard).map(|found| found.get().value())
}

#[test]
fn references_count() {
    alone(|| {
        let counts = Counts::new();
        let first: RcuArc<Counted> = RcuArc::new(counts.make(1));
        let second = first.clone();
        let other = RcuArc::from(counts.make(2));
        assert!(first.ptr_eq(&second) && !first.ptr_eq(&other));
        assert_eq!((first.references(), other.references()), (Some(2), Some(1)));
        drop(first);
        flush();
        assert_eq!((second.value(), counts.dropped()), (1, 0));
        let raw = second.into_raw();
        // SAFETY: given up just now.
        let second = unsafe { RcuArc::<Counted>::from_raw(raw) };
        assert_eq!((second.value(), second.references()), (1, Some(1)));
        drop((second, other));
        flush();
        assert_eq!((counts.made(), counts.dropped()), (2, 2));
    });
}

#[test]
fn cells_hold_a_reference() {
    alone(|| {
        let counts = Counts::new();
        let (empty, default) = (Cell::empty(), Cell::default());
        assert_eq!((value(&empty), value(&default)), (None, None));
        assert_says(&format!("{empty:?}"), &[NAME]);

        let cell = Cell::new(counts.make(1));
        assert_eq!(value(&cell), Some(1));
        let one = cell.swap(counts.make(2)).expect("a value was there");
        assert_eq!((one.value(), one.references()), (1, Some(1)));
        // What came out may go in elsewhere, more than once.
        let other = Cell::from(one.clone());
        let two = cell.swap(one.clone()).expect("a value was there");
        assert_eq!((value(&cell), value(&other), one.references()), (Some(1), Some(1), Some(3)));
        assert_eq!(two.value(), 2);
        cell.store(two);
        assert_eq!((value(&cell), one.references()), (Some(2), Some(2)));
        drop(other);
        assert_eq!(one.references(), Some(1));
        let two = cell.take().expect("a value was there");
        assert_eq!((value(&cell), two.references()), (None, Some(1)));
        assert!(cell.take().is_none() && cell.into_inner().is_none());
        assert_eq!(Cell::from(two).into_inner().expect("just put there").value(), 2);
        drop(one);
        flush();
        assert_eq!((counts.made(), counts.dropped()), (2, 2));
    });
}

/// The section alone keeps the value: no reference is left, and the cell is gone.
#[test]
fn a_section_keeps_what_it_found() {
    alone(|| {
        let counts = Counts::new();
        let cell = Cell::new(counts.make(1));
        let thread = register();
        let guard = thread.read_lock();
        let found = cell.load(&guard).expect("it was put there");
        drop(cell);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Waits for grace periods as others do: the section is not over.
                let retired = Counts::new();
                drop(RcuArc::<Counted>::new(retired.make(0)));
                assert_eq!(retired.dropped(), 0);
            });
        });
        assert!(found.upgrade().is_none(), "the last reference is gone, and zero is final");
        assert_eq!((found.value(), counts.dropped()), (1, 0));
        drop(guard);
        drop(thread);
        flush();
        assert_eq!(counts.dropped(), 1);
    });
}

#[test]
fn an_upgrade_outlives_the_section() {
    alone(|| {
        let counts = Counts::new();
        let cell = Cell::new(counts.make(1));
        let thread = register();
        let guard = thread.read_lock();
        let found = cell.load(&guard).expect("it was put there");
        let kept = found.upgrade().expect("the cell still has its reference");
        assert!(found.is(&kept) && !found.is(&RcuArc::new(counts.make(2))));
        let again = cell.load_full(&guard).expect("still there");
        assert_eq!(kept.references(), Some(3));
        cell.store(counts.make(3));
        assert_eq!(cell.load_full(&guard).expect("the new one").value(), 3);
        assert!(found.upgrade().is_some(), "others have references");
        drop(guard);
        drop(thread);
        flush();
        assert_eq!((kept.value(), again.value(), counts.dropped()), (1, 1, 1));
        drop((kept, again, cell));
        flush();
        assert_eq!((counts.made(), counts.dropped()), (3, 3));
    });
}

#[test]
fn exchanging_what_was_found() {
    alone(|| {
        let counts = Counts::new();
        let cell = Cell::empty();
        let thread = register();
        let guard = thread.read_lock();
        let one = RcuArc::new(counts.make(1));
        assert!(cell.compare_exchange(None, Some(one.clone()), &guard).expect("it was empty").is_none());
        let refused = cell.compare_exchange(None, Some(RcuArc::new(counts.make(2))), &guard).expect_err("not empty");
        assert!(refused.current.is_some_and(|current| current.is(&one)));
        let two = refused.new.expect("comes back");
        let before = cell.compare_exchange(refused.current, Some(two), &guard).expect("as it was found");
        assert!(before.is_some_and(|before| before.ptr_eq(&one)));
        let before = cell.update(&guard, |current| counts.make(current.map_or(0, Counted::value) + 10));
        assert_eq!(before.expect("two").value(), 2);
        let current = cell.load(&guard);
        assert_eq!(current.map(|current| current.value()), Some(12));
        assert_eq!(cell.compare_exchange(current, None, &guard).expect("unchanged").expect("twelve").value(), 12);
        assert!(cell.load_full(&guard).is_none());
        drop(guard);
        drop((thread, one));
        flush();
        assert_eq!((counts.made(), counts.dropped()), (3, 3));
    });
}

/// Values in an `Rcu` may hold counted ones; dropping them on a worker retires again.
#[test]
fn counted_values_inside_others() {
    alone(|| {
        struct Node(#[allow(dead_code, reason = "dropped with it")] Counted, Option<RcuArc<Node>>);

        let counts = Counts::new();
        let last = RcuArc::new(Node(counts.make(0), None));
        let chain = (1..50).fold(last.clone(), |next, number| RcuArc::new(Node(counts.make(number), Some(next))));
        let pointer = rcu::Rcu::new(chain);
        let thread = register();
        let guard = thread.read_lock();
        let kept = RcuArc::clone(pointer.load(&guard).expect("just put there"));
        drop(guard);
        drop(thread);
        drop(pointer.take());
        flush();
        assert_eq!(counts.dropped(), 0);
        drop(kept);
        until("the chain is gone but for its end", || counts.dropped() == 49);
        assert!(last.1.is_none());
        drop(last);
        flush();
        assert_eq!((counts.made(), counts.dropped()), (50, 50));
    });
}

#[test]
fn a_panicking_drop_is_reported_and_nothing_is_lost() {
    alone(|| {
        struct Bomb(#[allow(dead_code, reason = "dropped with it")] Counted);

        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("as the test wants it");
            }
        }

        let counts = Counts::new();
        let cell = RcuArcCell::new(Bomb(counts.make(1)));
        cell.store(Bomb(counts.make(2)));
        drop(cell);
        flush();
        assert_eq!(counts.dropped(), 2);
    });
}

/// Readers find, keep, give back; updaters replace, put back what others put there, and drop.
#[test]
fn everything_at_once() {
    alone(|| {
        const ROUNDS: u64 = 20_000;

        let counts = Counts::new();
        let cells = [(); 2].map(|()| Cell::new(counts.make(0)));
        let over = AtomicBool::new(false);
        let upgrades = [AtomicUsize::new(0), AtomicUsize::new(0)];
        thread::scope(|scope| {
            for reader in 0..2 {
                let (cells, over, upgrades) = (&cells, &over, &upgrades);
                scope.spawn(move || {
                    let mut thread = register();
                    let mut random = Random::new(reader);
                    let mut kept: Vec<RcuArc<Counted>> = Vec::new();
                    while !over.load(Ordering::Acquire) {
                        let guard = thread.read_lock();
                        let found = cells[random.below(2) as usize].load(&guard);
                        random.dawdle();
                        if let Some(found) = found {
                            let arc = found.upgrade();
                            upgrades[usize::from(arc.is_some())].fetch_add(1, Ordering::Relaxed);
                            kept.extend(arc);
                            let _ = found.value();
                        }
                        drop(guard);
                        kept.iter().for_each(|arc| assert!(arc.value() <= 2 * ROUNDS));
                        if kept.len() > 3 {
                            kept.swap_remove(random.below(4) as usize);
                        }
                        thread.quiescent_state();
                    }
                });
            }
            let updaters = [10, 11].map(|stream| {
                let (cells, counts) = (&cells, &counts);
                scope.spawn(move || {
                    let thread = register();
                    let mut thread = Some(thread);
                    let mut random = Random::new(stream);
                    for round in 1..=ROUNDS {
                        let mut registered = thread.take().expect("put back below");
                        let [one, other] = [0, 1].map(|cell| &cells[(cell + random.below(2) as usize) % 2]);
                        match random.below(5) {
                            0 => one.store(counts.make(round)),
                            1 => drop(one.take()),
                            2 => {
                                if let Some(moved) = one.take() {
                                    other.store(moved);
                                }
                            }
                            3 => {
                                let guard = registered.read_lock();
                                if let Some(shared) = one.load_full(&guard) {
                                    other.store(shared);
                                }
                            }
                            _ => {
                                let guard = registered.read_lock();
                                drop(one.update(&guard, |was| counts.make(was.map_or(round, Counted::value))));
                            }
                        }
                        registered.quiescent_state();
                        thread = Some(registered);
                    }
                })
            });
            let _ended = RaisedAtEnd(&over);
            updaters.into_iter().for_each(|updater| updater.join().expect("no panic"));
        });
        println!("upgrades failed and done: {upgrades:?}");
        drop(cells);
        flush();
        assert_eq!(counts.made(), counts.dropped());
    });
}

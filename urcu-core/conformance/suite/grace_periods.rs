//! A grace period waits for every section that was open when it began, and for no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use urcu_conformance::seed::Random;
use urcu_conformance::{Count, Gate, RaisedAtEnd, Shelf, until};

use super::cast::{Inside, Updater, Way, alone, join, leaked_shelf, named, register, registered};
use crate::{TRAITS, rcu};

/// All the ways to wait for a grace period.
fn waits() -> [fn(); 6] {
    [
        rcu::synchronize,
        || register().synchronize(),
        || register().offline().synchronize(),
        // SAFETY: the calling thread has no section and holds no references.
        || unsafe { rcu::raw::synchronize() },
        || assert_eq!(rcu::Rcu::<u8>::new(1).take().expect("a value").synchronize_and_into_inner(), 1),
        || assert_eq!(rcu::Rcu::<u8>::new(2).take().expect("a value").synchronize_with(&mut register()), 2),
    ]
}

#[test]
fn it_waits_for_an_old_section() {
    alone(|| {
        for way in Way::ALL {
            for wait in waits() {
                let shelf = leaked_shelf();
                let inside = Inside::using(shelf, way);
                let updater = Updater::calling(move || {
                    let old = shelf.replace();
                    wait();
                    old.reclaim();
                });
                updater.assert_waiting();
                inside.leave();
                updater.finish();
            }
        }
        assert_eq!(registered(), 0);
    });
}

#[test]
fn it_waits_for_every_one_of_many() {
    alone(|| {
        let shelf = leaked_shelf();
        let mut random = Random::new(1);
        let mut inside: Vec<_> = (0..10).map(|at| Inside::using(shelf, Way::ALL[at % 4])).collect();
        let updater = Updater::calling(|| {
            let old = shelf.replace();
            rcu::synchronize();
            old.reclaim();
        });
        while !inside.is_empty() {
            updater.assert_waiting();
            inside.swap_remove(random.below(inside.len() as u64) as usize).leave();
        }
        updater.finish();
    });
}

#[test]
fn it_does_not_wait_for_a_later_section() {
    alone(|| {
        let old = Inside::enter();
        // Registered before the grace period begins, inside a section after it has.
        let (poised, enter) = (Arc::new(Count::new()), Arc::new(Gate::new()));
        let (inside, leave) = (Arc::new(Count::new()), Arc::new(Gate::new()));
        let registered_before = [(); 3].map(|()| {
            let [poised, inside] = [&poised, &inside].map(Arc::clone);
            let [enter, leave] = [&enter, &leave].map(Arc::clone);
            named("later", move || {
                let mut thread = register();
                drop(thread.read_lock());
                thread.while_offline(|| {
                    poised.arrive();
                    enter.wait();
                });
                let guard = thread.read_lock();
                inside.arrive();
                leave.wait();
                drop(guard);
            })
        });
        poised.wait_for(registered_before.len());
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        enter.open();
        inside.wait_for(registered_before.len());
        let registered_after: Vec<_> = Way::ALL.into_iter().map(Inside::enter_by).collect();
        updater.assert_waiting();
        old.leave();
        updater.finish();
        leave.open();
        registered_before.into_iter().for_each(join);
        registered_after.into_iter().for_each(Inside::leave);
    });
}

#[test]
fn the_next_one_waits_for_what_this_one_did_not() {
    alone(|| {
        let old = Inside::enter();
        let first = Updater::start_and_publish();
        first.assert_waiting();
        let later = Inside::enter();
        // Called when a grace period is running that began before `later`: it must not be served by that.
        let second = Updater::start();
        second.assert_waiting();
        old.leave();
        first.finish();
        second.assert_waiting();
        later.leave();
        second.finish();
    });
}

#[test]
fn readers_that_never_pause_do_not_starve_it() {
    alone(|| {
        let stop = AtomicBool::new(false);
        let started = AtomicUsize::new(0);
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut thread = register();
                    while !stop.load(Ordering::Acquire) {
                        let outer = thread.read_lock();
                        drop(thread.read_lock());
                        drop(outer);
                        thread.quiescent_state();
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            until("the readers run", || started.load(Ordering::Relaxed) > 3);
            for _ in 0..50 {
                rcu::synchronize();
            }
        });
    });
}

#[test]
fn it_needs_no_reader_and_no_registration() {
    alone(|| {
        assert_eq!(registered(), 0);
        waits().into_iter().for_each(|wait| wait());
        rcu::synchronize();
        // A registered thread that has never entered a section.
        let mut thread = register();
        thread.synchronize();
        let mut offline = thread.offline();
        offline.synchronize();
        rcu::synchronize();
        drop(offline);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn updaters_behind_one_section_all_return() {
    alone(|| {
        for round in 0..5 {
            let inside = Inside::enter_by(Way::ALL[round % 4]);
            let updaters: Vec<_> = (0..16)
                .map(|at| {
                    let wait = waits()[at % waits().len()];
                    Updater::calling(wait)
                })
                .collect();
            updaters.iter().for_each(Updater::assert_waiting);
            inside.leave();
            updaters.into_iter().for_each(Updater::finish);
        }
    });
}

#[test]
fn each_of_many_updaters_gets_its_own_promise() {
    alone(|| {
        const ROUNDS: usize = 30;
        let shelf = Shelf::new();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for stream in 0..3 {
                let (shelf, stop) = (&shelf, &stop);
                scope.spawn(move || {
                    let mut random = Random::new(stream);
                    let mut thread = register();
                    while !stop.load(Ordering::Acquire) {
                        let guard = thread.read_lock();
                        let object = shelf.look();
                        random.dawdle();
                        object.check();
                        drop(guard);
                        thread.quiescent_state();
                    }
                });
            }
            let _stop = RaisedAtEnd(&stop);
            thread::scope(|scope| {
                for at in 0..12 {
                    let shelf = &shelf;
                    scope.spawn(move || {
                        for round in 0..ROUNDS {
                            let old = shelf.replace();
                            waits()[(at + round) % waits().len()]();
                            old.reclaim();
                        }
                    });
                }
            });
        });
        assert_eq!(registered(), 0);
    });
}

#[test]
fn registered_updaters_do_not_wait_for_each_other() {
    alone(|| {
        // In the flavor with quiescent states each of them is online until it waits.
        let arrived = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut thread = register();
                    arrived.fetch_add(1, Ordering::Relaxed);
                    thread.while_offline(|| until("all are there", || arrived.load(Ordering::Relaxed) == 8));
                    for _ in 0..50 {
                        drop(thread.read_lock());
                        thread.synchronize();
                        assert!(!rcu::raw::read_ongoing() || TRAITS.quiescent_states);
                    }
                });
            }
        });
    });
}

//! An updater that sleeps wakes up, whatever ends the section and whatever happens to the mark that asks for it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use urcu_conformance::seed::Random;
use urcu_conformance::{Gate, c_thread, libc, signal, task, until};

use super::cast::{Inside, Updater, Way, alone, join, named, on_a_thread, register, register_raw};
use crate::{TRAITS, rcu};

/// The end of what an updater waits for, on the thread that it waits for.
type End = fn(rcu::Thread, rcu::Guard<'static>);

#[test]
fn every_kind_of_end_wakes_it() {
    alone(|| {
        let ends: [End; 5] = [
            |thread, guard| {
                drop(guard);
                drop(thread);
            },
            |thread, guard| {
                let inner = thread.read_lock();
                drop(guard);
                drop(inner);
                drop(thread.offline().online());
            },
            |mut thread, guard| {
                drop(guard);
                thread.quiescent_state();
                thread.synchronize();
            },
            |mut thread, guard| {
                drop(guard);
                thread.while_offline(|| ());
            },
            |thread, guard| {
                drop(guard);
                mem::forget(thread.offline());
            },
        ];
        rcu::set_report_hook(|_| ());
        for end in ends {
            let (entered, leave) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
            let reader = {
                let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
                named("reader", move || {
                    let thread = register();
                    let guard = rcu::read_lock();
                    entered.open();
                    leave.wait();
                    end(thread, guard);
                })
            };
            entered.wait();
            let updaters = [Updater::start(), Updater::start()];
            updaters.iter().for_each(Updater::assert_waiting);
            leave.open();
            updaters.into_iter().for_each(Updater::finish);
            join(reader);
        }
    });
}

#[test]
fn sections_of_any_length() {
    alone(|| {
        // From "not even asleep" to "has slept several times".
        let mut random = Random::new(0);
        for round in 0..60 {
            let inside = Inside::enter_by(Way::ALL[round % 4]);
            let updater = Updater::start();
            match random.below(3) {
                0 => {}
                1 => (0..random.below(20_000)).for_each(|_| std::hint::spin_loop()),
                _ => updater.assert_waiting(),
            }
            assert!(!updater.has_returned());
            inside.leave();
            updater.finish();
        }
    });
}

#[test]
fn nested_sections_that_wipe_out_the_mark() {
    alone(|| {
        // While the updater goes to sleep, the reader stores to its word all the time. Then it leaves, and does
        // nothing any more that could wake anybody.
        let mut random = Random::new(0);
        let mut thread = register();
        for _ in 0..30 {
            let outer = rcu::read_lock();
            let updater = Updater::start();
            let storms = random.below(200_000);
            for _ in 0..storms {
                let inner = (thread.read_lock(), thread.read_lock());
                drop(inner);
            }
            assert!(!updater.has_returned(), "a grace period ended inside a section");
            drop(outer);
            thread.quiescent_state();
            if TRAITS.quiescent_states || storms.is_multiple_of(2) {
                thread.while_offline(|| updater.finish());
            } else {
                updater.finish();
            }
        }
    });
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

/// A handler that holds its thread up, at whatever instruction it was.
fn hold_up() {
    INTERRUPTED.store(true, Ordering::Release);
    while !MAY_GO_ON.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_mark_that_is_lost_costs_no_more_than_a_bounded_sleep() {
    alone(|| {
        // The reader is interrupted somewhere in a nested lock or unlock, or in a quiescent state: often between its load
        // and its store of the word. Then the updater marks the word and goes to sleep. When the reader goes on, its
        // store wipes the mark out, and nothing it does later wakes anybody.
        const SIGNAL: i32 = libc::SIGUSR2;
        signal::handle(SIGNAL, hold_up);
        for _ in 0..80 {
            INTERRUPTED.store(false, Ordering::Release);
            MAY_GO_ON.store(false, Ordering::Release);
            let (tids, tid) = mpsc::channel();
            let (leave, told) = mpsc::channel::<()>();
            let reader = named("reader", move || {
                let mut thread = register();
                let outer = rcu::read_lock();
                let outer = if TRAITS.quiescent_states {
                    drop(outer);
                    None
                } else {
                    Some(outer)
                };
                tids.send(task::id()).expect("the test waits");
                while !INTERRUPTED.load(Ordering::Acquire) {
                    if TRAITS.quiescent_states {
                        thread.quiescent_state();
                    } else {
                        drop((thread.read_lock(), thread.read_lock()));
                    }
                }
                drop(outer);
                thread.quiescent_state();
                thread.while_offline(|| {
                    let _ = told.recv();
                });
            });
            let tid = tid.recv().expect("the reader runs");
            assert!(signal::send(tid, SIGNAL));
            until("the reader is interrupted", || INTERRUPTED.load(Ordering::Acquire));
            let updater = Updater::start();
            updater.assert_waiting();
            MAY_GO_ON.store(true, Ordering::Release);
            updater.finish();
            drop(leave);
            join(reader);
        }
    });
}

#[test]
fn updaters_that_wait_for_their_turn_wake_as_well() {
    alone(|| {
        for _ in 0..20 {
            let inside = Inside::enter();
            let leader = Updater::start();
            leader.assert_waiting();
            // These sleep behind the first one, not behind the reader.
            let others: Vec<_> = (0..4).map(|_| Updater::start()).collect();
            others.iter().for_each(Updater::assert_waiting);
            inside.leave();
            leader.finish();
            others.into_iter().for_each(Updater::finish);
        }
    });
}

#[test]
fn the_end_of_the_thread_wakes_it() {
    alone(|| {
        rcu::set_report_hook(|_| ());
        for end in [0, 1, 2] {
            let (entered, leave) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
            let reader = {
                let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
                c_thread::start(move || {
                    register_raw();
                    // SAFETY: registered and online; unlocked below, or ended with the thread.
                    unsafe { rcu::raw::read_lock() };
                    entered.open();
                    leave.wait();
                    if end == 0 {
                        return;
                    }
                    if end == 1 {
                        // SAFETY: locked above.
                        unsafe { rcu::raw::read_unlock() };
                    }
                    c_thread::exit_without_destructors();
                })
            };
            entered.wait();
            let updater = Updater::start();
            updater.assert_waiting();
            leave.open();
            reader.join();
            updater.finish();
        }
        // Nothing is left behind that holds up later ones.
        on_a_thread(rcu::synchronize);
    });
}

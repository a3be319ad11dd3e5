//! Registration: one per thread, at any time, without waiting for anybody.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seed::Random;
use urcu_conformance::{Gate, RaisedAtEnd, Shelf, c_thread, until};

use super::cast::{
    Inside, NAME, Updater, Way, alone, in_section, join, named, on_a_thread, register, register_raw, registered,
};
use crate::{TRAITS, rcu};

#[test]
fn it_lasts_as_long_as_its_value() {
    alone(|| {
        for _ in 0..3 {
            assert_eq!(registered(), 0);
            let thread = register();
            assert_eq!(registered(), 1);
            assert!(format!("{thread:?}").contains(NAME));
            drop(thread);
        }
        let offline = register().offline();
        assert_eq!(registered(), 1);
        drop(offline);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn there_is_one_per_thread() {
    alone(|| {
        let thread = register();
        let error = rcu::register().expect_err("registered already");
        assert!(matches!(error, rcu::RegisterError::AlreadyRegistered { .. }), "{error:?}");
        assert_says(&error.to_string(), &[NAME, "already registered"]);
        // Others are not concerned, and failing has not ended it.
        on_a_thread(|| drop(register()));
        drop(thread.read_lock());
        let offline = thread.offline();
        assert!(rcu::register().is_err());
        drop(offline);
        drop(register());
        assert_eq!(registered(), 0);
    });
}

#[test]
fn the_raw_tier_registers_the_same() {
    alone(|| {
        rcu::raw::register_thread().expect("not registered yet");
        assert_eq!(registered(), 1);
        let again = rcu::raw::register_thread();
        if TRAITS.registers_itself {
            assert_eq!(again, Ok(()));
        } else {
            assert!(matches!(again, Err(rcu::RegisterError::AlreadyRegistered { .. })), "{again:?}");
        }
        assert_eq!(registered(), 1);
        drop(rcu::read_lock());
        if TRAITS.registers_itself {
            // A registration that came about by itself can be taken over.
            let thread = register();
            assert!(rcu::register().is_err());
            drop(thread);
        } else {
            assert!(rcu::register().is_err());
            // SAFETY: no `Thread` and no section.
            unsafe { rcu::raw::unregister_thread() };
        }
        assert_eq!(registered(), 0);
        // SAFETY: not registered: nothing happens.
        unsafe { rcu::raw::unregister_thread() };
        drop(register());
        assert_eq!(registered(), 0);
    });
}

#[test]
fn reading_registers_or_is_refused() {
    alone(|| {
        if TRAITS.registers_itself {
            drop(rcu::read_lock());
            drop(rcu::read_lock());
            assert_eq!(registered(), 1);
            let thread = register();
            assert_eq!(registered(), 1);
            drop(thread);
            assert_eq!(registered(), 0);
            drop(rcu::read_lock());
            assert_eq!(registered(), 1);
        } else {
            let advice = format!("{}::register()", NAME.replace('-', "_"));
            let refused = on_a_thread(|| message_of(rcu::read_lock));
            assert_says(&refused, &[NAME, "'guest'", "not registered", &advice]);
            drop(register());
            assert_says(&message_of(rcu::read_lock), &[NAME, "not registered", &advice]);
            if !TRAITS.quiescent_states || cfg!(debug_assertions) {
                // SAFETY: panics.
                let refused = on_a_thread(|| message_of(|| unsafe { rcu::raw::read_lock() }));
                assert_says(&refused, &[NAME]);
            }
            assert_eq!(registered(), 0);
        }
    });
}

#[test]
fn it_does_not_wait_for_a_grace_period() {
    alone(|| {
        let inside = Inside::enter();
        let updater = Updater::start();
        updater.assert_waiting();
        for round in 0..200 {
            let way = Way::ALL[round % 4];
            on_a_thread(move || in_section(way, || ()));
        }
        // Many at the same time, too.
        let (all, leave) = (Arc::new(Barrier::new(101)), Arc::new(Gate::new()));
        let threads: Vec<_> = (0..100)
            .map(|_| {
                let (all, leave) = (Arc::clone(&all), Arc::clone(&leave));
                named("newcomer", move || {
                    let mut thread = register();
                    drop(thread.read_lock());
                    thread.while_offline(|| {
                        all.wait();
                        leave.wait();
                    });
                })
            })
            .collect();
        all.wait();
        assert_eq!(registered(), 101);
        updater.assert_waiting();
        leave.open();
        threads.into_iter().for_each(join);
        updater.assert_waiting();
        inside.leave();
        updater.finish();
        assert_eq!(registered(), 0);
    });
}

#[test]
fn storms_of_it_while_grace_periods_run() {
    alone(|| {
        const PERIODS: usize = 150;
        let shelf: &'static Shelf = super::cast::leaked_shelf();
        let (stop, came) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            for stream in 0..6 {
                let (stop, came) = (&stop, &came);
                scope.spawn(move || {
                    let mut random = Random::new(stream);
                    while !stop.load(Ordering::Acquire) {
                        one_life(shelf, &mut random);
                        came.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            thread::scope(|updaters| {
                for stream in 10..12 {
                    updaters.spawn(move || {
                        let mut random = Random::new(stream);
                        for _ in 0..PERIODS {
                            let old = shelf.replace();
                            rcu::synchronize();
                            old.reclaim();
                            random.dawdle();
                        }
                    });
                }
            });
            until("threads have come and gone", || came.load(Ordering::Relaxed) > 50);
        });
        assert_eq!(registered(), 0);
        rcu::synchronize();
    });
}

/// Registers, reads for a while, and goes, in one of several manners.
fn one_life(shelf: &'static Shelf, random: &mut Random) {
    let mut read = |times: u64, thread: Option<&rcu::Thread>| {
        for _ in 0..times {
            let guards = thread.map_or_else(|| Err(rcu::read_lock()), |thread| Ok(thread.read_lock()));
            let object = shelf.look();
            random.dawdle();
            object.check();
            drop(guards);
        }
    };
    match read_plan() {
        0 => {
            let mut thread = register();
            read(3, Some(&thread));
            thread.quiescent_state();
            read(2, None);
        }
        1 => {
            let thread = register();
            read(1, None);
            let thread = thread.offline().online();
            read(1, Some(&thread));
        }
        2 => in_section(Way::Raw, || shelf.look().check()),
        3 => {
            // Ends without a word.
            on_a_thread(move || {
                register_raw();
                let guard = rcu::read_lock();
                shelf.look().check();
                drop(guard);
            });
        }
        _ => {
            let life = move || in_section(Way::Vtable, || shelf.look().check());
            c_thread::start(life).join();
        }
    }
}

/// The next manner, in turn.
fn read_plan() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Threads of their own are expensive, so they come seldom.
    match NEXT.fetch_add(1, Ordering::Relaxed) % 16 {
        15 => 4,
        14 => 3,
        turn => turn % 3,
    }
}

#[test]
fn init_may_be_called_any_number_of_times() {
    alone(|| {
        assert_eq!(registered(), 0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    rcu::init().expect("this machine has what the flavor needs");
                    rcu::raw::init().expect("again");
                });
            }
        });
        assert_eq!(registered(), 0);
        drop(register());
        rcu::init().expect("afterwards");
    });
}

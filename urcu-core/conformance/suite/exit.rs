//! Threads that end without a word: their registration ends, a section that is still open is closed and reported.

use std::mem;
use std::panic::Location;
use std::sync::{Arc, mpsc};

use urcu_conformance::panics::assert_says;
use urcu_conformance::{Gate, c_thread, task};

use super::cast::{
    Inside, NAME, Updater, Way, alone, assert_still_works, in_section, join, named, on_a_thread, process, register,
    registered, remember, reports,
};
use crate::{TRAITS, rcu};

#[test]
fn a_leaked_registration_ends_with_its_thread() {
    alone(|| {
        rcu::set_report_hook(remember);
        on_a_thread(|| mem::forget(register()));
        assert_eq!(registered(), 0);
        on_a_thread(|| mem::forget(register().offline()));
        assert_eq!(registered(), 0);
        on_a_thread(|| rcu::raw::register_thread().expect("not registered yet"));
        assert_eq!(registered(), 0);
        on_a_thread(|| {
            let thread = register();
            drop(thread.read_lock());
            drop(rcu::read_lock());
            mem::forget(thread);
        });
        assert_eq!(registered(), 0);
        c_thread::start(|| {
            // SAFETY: any thread.
            assert_eq!(unsafe { (rcu::vtable().register_thread)() }, 0);
        })
        .join();
        assert_eq!(registered(), 0);
        if TRAITS.registers_itself {
            on_a_thread(|| drop(rcu::read_lock()));
            assert_eq!(registered(), 0);
        }
        assert!(reports().is_empty(), "nobody was inside a section");
        rcu::synchronize();
    });
}

#[test]
fn thousands_of_threads_leave_nothing() {
    alone(|| {
        for round in 0..3_000 {
            on_a_thread(move || match round % 3 {
                0 => mem::forget(register()),
                1 => in_section(Way::ALL[round % 4], || ()),
                _ => {
                    let thread = register();
                    drop(rcu::read_lock());
                    mem::forget(thread);
                }
            });
        }
        assert_eq!(registered(), 0);
    });
}

#[test]
fn a_section_ends_with_its_thread_and_is_reported_once() {
    alone(|| {
        rcu::set_report_hook(remember);
        let (entered, leave) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let (tids, tid) = mpsc::channel();
        let reader = {
            let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
            named("forgetful", move || {
                mem::forget(register());
                tids.send(task::id()).expect("the test waits");
                let site = Location::caller().line();
                let first = rcu::read_lock();
                let second = rcu::read_lock();
                mem::forget((first, second));
                entered.open();
                leave.wait();
                site
            })
        };
        entered.wait();
        let updater = Updater::start();
        updater.assert_waiting();
        leave.open();
        join(reader);
        updater.finish();
        rcu::synchronize();
        assert_eq!(registered(), 0);
        let reports = reports();
        let [report] = reports.as_slice() else {
            panic!("{} reports: {reports:?}", reports.len());
        };
        match report {
            rcu::Report::ThreadEndedInSection { flavor, tid: reported, name, nesting, entered_at, .. } => {
                assert_eq!(*flavor, NAME);
                assert_eq!(*reported, tid.recv().expect("sent before"));
                assert_eq!(name.as_deref(), Some("forgetful"));
                assert_eq!(*nesting, 2);
                assert_eq!(entered_at.is_some(), cfg!(debug_assertions));
                if let Some(site) = entered_at {
                    assert!(site.file().ends_with("exit.rs"), "{site}");
                }
            }
            other => panic!("another report: {other:?}"),
        }
        assert_says(&report.to_string(), &[NAME, "forgetful", "nesting 2"]);
    });
}

#[test]
fn all_ways_to_end_inside_a_section() {
    alone(|| {
        rcu::set_report_hook(remember);
        for round in 0..20 {
            on_a_thread(|| {
                mem::forget(register());
                mem::forget(rcu::read_lock());
            });
            if !TRAITS.quiescent_states {
                on_a_thread(|| {
                    let thread = register();
                    mem::forget(thread.read_lock());
                    mem::forget(thread);
                });
                c_thread::start(|| {
                    rcu::raw::register_thread().expect("not registered yet");
                    // SAFETY: registered; never unlocked, which is what is tested.
                    unsafe { rcu::raw::read_lock() };
                })
                .join();
            }
            let expected = if TRAITS.quiescent_states { 1 } else { 3 };
            assert_eq!(reports().len(), expected, "in round {round}");
            assert_eq!(registered(), 0);
            rcu::synchronize();
        }
        assert_still_works();
    });
}

#[test]
fn a_thread_that_vanishes_inside_a_section_is_reported_once() {
    alone(|| {
        rcu::set_report_hook(remember);
        let vanish = || {
            mem::forget(register());
            mem::forget(rcu::read_lock());
            c_thread::exit_without_destructors();
        };
        c_thread::start(vanish).join();
        assert_eq!(registered(), 1);
        // Nobody has looked for it yet. The first updater that waits for it finds out.
        assert!(reports().is_empty());
        let updaters = [(); 4].map(|()| Updater::start());
        updaters.into_iter().for_each(Updater::finish);
        assert_eq!(reports().len(), 1);
        assert_eq!(registered(), 0);
        rcu::synchronize();
        assert!(reports().is_empty());
        assert_still_works();
    });
}

#[test]
fn threads_that_vanish_outside_sections_leave_no_slots() {
    alone(|| {
        for _ in 0..500 {
            let vanish = || {
                let mut thread = register();
                drop(thread.read_lock());
                thread.quiescent_state();
                mem::forget(thread.offline());
                c_thread::exit_without_destructors();
            };
            c_thread::start(vanish).join();
        }
        // Cleaned up when there is no free slot, so some may be there still.
        assert!(registered() <= 64, "{} slots in use by threads that are gone", registered());
        let mut thread = register();
        thread.synchronize();
    });
}

#[test]
fn the_first_hook_prints_one_line() {
    let outcome = process().run(|| {
        for _ in 0..3 {
            on_a_thread(|| {
                mem::forget(register());
                mem::forget(rcu::read_lock());
            });
        }
        rcu::synchronize();
    });
    let _ = outcome.succeeded().said_in_lines(3, "ended inside a read-side critical section").said(&[NAME, "guest"]);
}

#[test]
fn hooks_replace_each_other_and_may_panic() {
    alone(|| {
        fn panics(_: &rcu::Report) {
            panic!("in the hook");
        }
        rcu::set_report_hook(panics);
        on_a_thread(|| {
            mem::forget(register());
            mem::forget(rcu::read_lock());
        });
        assert_eq!(registered(), 0);
        assert_eq!(rcu::set_report_hook(remember) as usize, panics as *const () as usize);
        on_a_thread(|| {
            mem::forget(register());
            mem::forget(rcu::read_lock());
        });
        assert_eq!(reports().len(), 1);
        assert_still_works();
    });
}

#[test]
fn a_process_ends_with_readers_and_updaters_in_it() {
    // The body's end is `exit`: it must not wait for anybody.
    alone(|| {
        mem::forget(Inside::enter());
        let updater = Updater::start();
        updater.assert_waiting();
        mem::forget(updater);
        mem::forget(register());
        mem::forget(rcu::read_lock());
    });
}

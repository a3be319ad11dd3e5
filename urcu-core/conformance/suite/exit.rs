//! Threads that end without a word: their registration ends. A section that is still open is reported, and closed if
//! nobody can be using its references any more.

use std::mem;
use std::panic::catch_unwind;
use std::sync::{Arc, mpsc};

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::{Gate, c_thread, forked, leak, libc, task, until};

use super::cast::{
    Inside, NAME, Updater, Way, alone, assert_still_works, in_section, join, leaked_shelf, named, on_a_thread, process,
    register, register_raw, registered, remember, reports,
};
use crate::{TRAITS, rcu};

#[test]
fn a_registration_ends_with_its_thread() {
    alone(|| {
        rcu::set_report_hook(remember);
        let lives: [fn(); 4] = [
            || register_raw(),
            || {
                register_raw();
                drop(rcu::read_lock());
                // SAFETY: registered and online; unlocked below.
                unsafe { rcu::raw::read_lock() };
                // SAFETY: locked above.
                unsafe { rcu::raw::read_unlock() };
            },
            || {
                // SAFETY: any thread.
                assert_eq!(unsafe { (rcu::vtable().register_thread)() }, 0);
            },
            || {
                if TRAITS.registers_itself {
                    drop(rcu::read_lock());
                }
            },
        ];
        for life in lives {
            on_a_thread(life);
            assert_eq!(registered(), 0);
            c_thread::start(life).join();
            assert_eq!(registered(), 0);
        }
        assert!(reports().is_empty(), "nobody was inside a section");
        rcu::synchronize();
    });
}

#[test]
fn a_leaked_registration_holds_nobody_up_once_its_thread_has_ended() {
    alone(|| {
        rcu::set_report_hook(remember);
        for _ in 0..1_000 {
            on_a_thread(|| {
                let thread = register();
                drop(thread.read_lock());
                drop(rcu::read_lock());
                mem::forget(thread.offline());
            });
        }
        // Cleaned up when there is no free slot, since a late destructor may still know the leaked value.
        assert!(registered() <= 64, "{} slots in use by threads that are gone", registered());
        rcu::synchronize();
        assert!(reports().is_empty(), "nobody was inside a section");
        assert_still_works();
    });
}

#[test]
fn a_registration_that_is_leaked_online() {
    alone(|| {
        rcu::set_report_hook(remember);
        on_a_thread(|| {
            let thread = register();
            drop(thread.read_lock());
            mem::forget(thread);
        });
        if TRAITS.quiescent_states {
            // Its guards leave no trace. Whether one was leaked with it cannot be known.
            let [rcu::Report::ThreadEndedInSection { ended: false, .. }] = reports()[..] else {
                panic!("not reported as a section that cannot end");
            };
            assert_never_ends();
        } else {
            assert!(reports().is_empty());
            assert_still_works();
        }
    });
}

#[test]
fn thousands_of_threads_leave_nothing() {
    alone(|| {
        for round in 0..3_000 {
            on_a_thread(move || match round % 3 {
                0 => register_raw(),
                1 => in_section(Way::ALL[round % 4], || ()),
                _ => {
                    register_raw();
                    drop(rcu::read_lock());
                }
            });
        }
        assert_eq!(registered(), 0);
    });
}

/// The one report there is.
#[track_caller]
fn the_report() -> rcu::Report {
    let mut reports = reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports.remove(0)
}

/// No grace period can end any more: whoever waits for one is told so, again and again, and nothing else is affected.
#[track_caller]
fn assert_never_ends() {
    for round in 0..3 {
        let told = on_a_thread(|| message_of(rcu::synchronize));
        assert_says(&told, &[NAME, "no grace period can end any more", "leaked"]);
        let updaters = [(); 3].map(|()| Updater::calling(|| drop(message_of(rcu::synchronize))));
        updaters.into_iter().for_each(Updater::finish);
        // Through the table nobody may panic.
        assert!(!rcu::vtable().synchronize_if_allowed());
        rcu::defer(|| ());
        assert_eq!(rcu::barrier(), Err(rcu::BarrierError::Stuck { flavor: NAME }));
        assert_eq!(rcu::vtable().wait_for_retired(), Err(rcu::BarrierError::Stuck { flavor: NAME }));
        on_a_thread(move || in_section(Way::ALL[round], || ()));
    }
}

#[test]
fn a_section_behind_a_leaked_guard_stays_open() {
    alone(|| {
        rcu::set_report_hook(remember);
        let shelf = leaked_shelf();
        let (entered, leave) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let (tids, tid) = mpsc::channel();
        let reader = {
            let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
            named("forgetful", move || {
                register_raw();
                tids.send(task::id()).expect("the test waits");
                // The references go on living with the guard.
                let guard: &'static rcu::Guard<'_> = leak(Box::new(rcu::read_lock()));
                let object = shelf.look();
                mem::forget(rcu::read_lock());
                assert_eq!(guard.domain(), rcu::vtable().domain());
                entered.open();
                leave.wait();
                object
            })
        };
        entered.wait();
        let updater = Updater::calling(move || {
            let old = shelf.replace();
            // It was waiting when the thread ended.
            let told = message_of(rcu::synchronize);
            assert_says(&told, &[NAME, "no grace period can end any more"]);
            assert!(!old.is_reclaimed());
        });
        updater.assert_waiting();
        leave.open();
        let object = join(reader);
        updater.finish();
        assert_never_ends();
        object.check();
        assert_eq!(registered(), 1);
        let report = the_report();
        match &report {
            rcu::Report::ThreadEndedInSection { flavor, tid: reported, name, nesting, entered_at, ended } => {
                assert_eq!((*flavor, *nesting, *ended), (NAME, 2, false));
                assert_eq!(*reported, tid.recv().expect("sent before"));
                assert_eq!(name.as_deref(), Some("forgetful"));
                assert_eq!(entered_at.is_some(), cfg!(debug_assertions));
                assert!(entered_at.is_none_or(|site| site.file().ends_with("exit.rs")));
            }
            other => panic!("another report: {other:?}"),
        }
        assert_says(&report.to_string(), &[NAME, "forgetful", "nesting 2", "leaked"]);
    });
}

/// A section of the raw tier, never unlocked.
fn enter_for_ever() {
    register_raw();
    // SAFETY: registered and online. Never unlocked, which is what is tested: the thread's end is the section's.
    unsafe { rcu::raw::read_lock() };
    // SAFETY: as above.
    unsafe { rcu::raw::read_lock() };
}

#[test]
fn a_section_of_the_raw_tier_ends_with_its_thread() {
    alone(|| {
        rcu::set_report_hook(remember);
        let (entered, leave) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let (tids, tid) = mpsc::channel();
        let reader = {
            let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
            named("forgetful", move || {
                enter_for_ever();
                tids.send(task::id()).expect("the test waits");
                entered.open();
                leave.wait();
            })
        };
        entered.wait();
        let updaters = [Updater::start(), Updater::start()];
        updaters.iter().for_each(Updater::assert_waiting);
        leave.open();
        join(reader);
        updaters.into_iter().for_each(Updater::finish);
        assert_eq!(registered(), 0);
        assert_still_works();
        if TRAITS.quiescent_states {
            // There, such a section leaves no trace.
            return assert!(reports().is_empty());
        }
        let report = the_report();
        match &report {
            rcu::Report::ThreadEndedInSection { flavor, tid: reported, name, nesting, entered_at, ended } => {
                assert_eq!((*flavor, *nesting, *ended), (NAME, 2, true));
                assert_eq!(*reported, tid.recv().expect("sent before"));
                assert_eq!(name.as_deref(), Some("forgetful"));
                assert_eq!(entered_at.is_some(), cfg!(debug_assertions));
            }
            other => panic!("another report: {other:?}"),
        }
        assert_says(&report.to_string(), &[NAME, "forgetful", "nesting 2", "has been ended"]);
    });
}

#[test]
fn a_guard_leaked_inside_a_section_of_the_raw_tier_keeps_it_open() {
    alone(|| {
        rcu::set_report_hook(remember);
        on_a_thread(|| {
            enter_for_ever();
            mem::forget(rcu::read_lock());
        });
        assert!(matches!(the_report(), rcu::Report::ThreadEndedInSection { ended: false, .. }));
        assert_never_ends();
    });
}

#[test]
fn every_end_inside_a_section_is_reported_once() {
    alone(|| {
        rcu::set_report_hook(remember);
        for round in 1..20 {
            on_a_thread(enter_for_ever);
            c_thread::start(enter_for_ever).join();
            c_thread::start(|| {
                // A guard that has come and gone makes no difference.
                register_raw();
                drop(rcu::read_lock());
                enter_for_ever_again();
            })
            .join();
            assert_eq!(reports().len(), if TRAITS.quiescent_states { 0 } else { 3 }, "in round {round}");
            assert_eq!(registered(), 0);
            rcu::synchronize();
        }
        assert_still_works();
    });
}

/// The same on a thread that is registered already.
fn enter_for_ever_again() {
    // SAFETY: registered and online. Never unlocked, which is what is tested.
    unsafe { rcu::raw::read_lock() };
}

#[test]
fn a_thread_that_vanishes_is_found_by_whoever_waits_for_it() {
    alone(|| {
        rcu::set_report_hook(remember);
        let vanish = || {
            enter_for_ever();
            c_thread::exit_without_destructors();
        };
        c_thread::start(vanish).join();
        assert_eq!(registered(), 1);
        assert!(reports().is_empty());
        let updaters = [(); 4].map(|()| Updater::start());
        updaters.into_iter().for_each(Updater::finish);
        assert_eq!(reports().len(), usize::from(!TRAITS.quiescent_states));
        assert_eq!(registered(), 0);
        assert_still_works();
        assert!(reports().is_empty());

        // The same with a guard, whose section stays open.
        let vanish = || {
            register_raw();
            mem::forget(rcu::read_lock());
            c_thread::exit_without_destructors();
        };
        c_thread::start(vanish).join();
        assert_never_ends();
        assert!(matches!(the_report(), rcu::Report::ThreadEndedInSection { ended: false, nesting: 1, .. }));
    });
}

#[test]
fn a_first_thread_that_vanishes_before_its_process() {
    alone(|| {
        // It stays in the kernel's tables until the process ends. In a forked child, since here it is the test program's.
        forked::run(|| {
            let survive = || {
                let first = i32::try_from(std::process::id()).expect("ids are positive");
                until("the first thread has ended", || task::state(first) == Some('Z'));
                rcu::synchronize();
                assert_eq!(registered(), 0);
                assert_still_works();
            };
            named("survivor", move || {
                let survived = catch_unwind(survive).is_ok();
                // SAFETY: takes a plain integer.
                unsafe { libc::_exit(i32::from(!survived)) }
            });
            enter_for_ever();
            c_thread::exit_without_destructors();
        });
    });
}

#[test]
fn threads_that_vanish_outside_sections_leave_no_slots() {
    alone(|| {
        rcu::set_report_hook(remember);
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
        assert!(reports().is_empty());
    });
}

#[test]
fn the_first_hook_prints_one_line() {
    let outcome = process().run(|| {
        for _ in 0..3 {
            on_a_thread(|| {
                register_raw();
                mem::forget(rcu::read_lock());
            });
        }
        message_of(rcu::synchronize);
    });
    let _ = outcome.succeeded().said_in_lines(3, "ended inside a read-side critical section").said(&[NAME, "guest"]);
}

#[test]
fn hooks_replace_each_other_and_may_panic() {
    alone(|| {
        fn panics(_: &rcu::Report) {
            panic!("in the hook");
        }
        let vanish = || {
            register_raw();
            mem::forget(rcu::read_lock());
        };
        rcu::set_report_hook(panics);
        on_a_thread(vanish);
        assert_eq!(rcu::set_report_hook(remember) as usize, panics as *const () as usize);
        on_a_thread(vanish);
        assert_eq!(reports().len(), 1);
        assert_never_ends();
        on_a_thread(|| drop(register()));
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

//! Threads that register with a flavor through its function table.

use urcu_conformance::panics::message_of;
use urcu_core::{DynThread, RegisterError};

use super::cast::{NAME, Updater, alone, on_a_thread, register, register_raw, registered};
use crate::{TRAITS, rcu};

fn enlist() -> DynThread {
    rcu::vtable().register().expect("a thread that is not registered yet")
}

#[test]
fn registration_ends_with_the_value() {
    alone(|| {
        for _ in 0..3 {
            let thread = enlist();
            assert_eq!(registered(), 1);
            assert_eq!(thread.flavor().name(), NAME);
            assert!(format!("{thread:?}").contains(NAME));
            drop(thread);
            assert_eq!(registered(), 0);
        }
    });
}

#[test]
fn there_is_one_registration_of_whatever_kind() {
    alone(|| {
        let twice = |way: &str| {
            let error = rcu::vtable().register().expect_err(way);
            assert_eq!(error, RegisterError::AlreadyRegistered { flavor: NAME }, "{way}");
            assert!(rcu::vtable().register_if_needed().expect(way).is_none(), "{way}");
        };
        let thread = enlist();
        twice("beside a `DynThread`");
        assert!(rcu::register().is_err());
        drop(thread);
        let thread = register();
        twice("beside a `Thread`");
        drop(thread);
        // Raw registrations have no owner; a flavor that registers by itself takes them over, as its `Thread` does.
        if !TRAITS.registers_itself {
            on_a_thread(|| {
                register_raw();
                let error = rcu::vtable().register().expect_err("beside a raw registration");
                assert_eq!(error, RegisterError::AlreadyRegistered { flavor: NAME });
                // SAFETY: outside every section, and no `Thread` stands for it.
                unsafe { rcu::raw::unregister_thread() };
            });
        }
        assert_eq!(registered(), 0);
        let needed = rcu::vtable().register_if_needed().expect("not registered");
        assert!(needed.is_some());
        drop(needed);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn its_sections_hold_updaters_up() {
    alone(|| {
        let mut thread = enlist();
        let guard = thread.pin();
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        let inner = thread.pin();
        drop(guard);
        updater.assert_waiting();
        drop(inner);
        thread.quiescent_state();
        updater.finish();
    });
}

#[test]
fn offline_it_holds_nobody_up() {
    alone(|| {
        let mut thread = enlist();
        let flavor = thread.flavor();
        thread.while_offline(|| {
            rcu::synchronize();
            if TRAITS.quiescent_states {
                assert!(message_of(|| drop(flavor.pin())).contains("not online"));
            }
        });
        drop(thread.pin());
        thread.synchronize();
        drop(thread.pin());
    });
}

#[test]
fn what_must_not_happen_inside_a_section_is_refused() {
    alone(|| {
        let mut thread = enlist();
        for guard in [0, 1] {
            // Whoever has made it.
            let _pinned = (guard == 0).then(|| rcu::vtable().pin());
            let _free = (guard == 1).then(rcu::read_lock);
            for what in [
                message_of(|| thread.quiescent_state()),
                message_of(|| thread.while_offline(|| ())),
                message_of(|| thread.synchronize()),
            ] {
                assert!(what.contains(NAME) && what.contains("inside a read-side critical section"), "{what}");
            }
        }
        thread.synchronize();
    });
}

#[test]
fn a_guard_outlives_the_registration() {
    alone(|| {
        on_a_thread(|| {
            let thread = enlist();
            let guard = thread.pin();
            drop(thread);
            let updater = Updater::start();
            updater.assert_waiting();
            drop(guard);
            updater.finish();
            if TRAITS.quiescent_states {
                assert_eq!(registered(), 0);
            }
        });
        assert_eq!(registered(), 0);
    });
}

#[test]
fn the_end_of_the_thread_ends_it() {
    alone(|| {
        on_a_thread(|| {
            thread_local! {
                static LATE: std::cell::RefCell<Option<DynThread>> = const { std::cell::RefCell::new(None) };
            }
            LATE.set(Some(enlist()));
        });
        assert_eq!(registered(), 0);
    });
}

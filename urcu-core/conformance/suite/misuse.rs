//! Broken rules that types cannot see: a panic with a clear message, never a hang, and everything goes on afterwards.
//!
//! Registration, nesting and offline rules are tested with their subjects.

use std::mem;

use urcu_conformance::libc;
use urcu_conformance::panics::{assert_says, message_of};

use super::cast::{
    NAME, Updater, alone, assert_still_works, leaked_shelf, on_a_thread, process, register, register_raw, registered,
    remember, reports,
};
use crate::{TRAITS, rcu};

const INSIDE: &str = "inside a read-side critical section";

#[test]
fn waiting_inside_a_section() {
    alone(|| {
        on_a_thread(|| {
            let mut thread = register();
            let guard = rcu::read_lock();
            // SAFETY: panics.
            let raw = message_of(|| unsafe { rcu::raw::synchronize() });
            let free = message_of(rcu::synchronize);
            let method = message_of(|| thread.synchronize());
            let value = |number| rcu::Rcu::<u8>::new(number).take().expect("a value");
            let retired = message_of(|| value(1).synchronize_and_into_inner());
            let retired_with = message_of(|| value(2).synchronize_with(&mut thread));
            for message in [raw, free, method, retired, retired_with] {
                assert_says(&message, &[NAME, "'guest'", "waits for a grace period", INSIDE]);
                if cfg!(debug_assertions) {
                    // Both sites: the panic's own, and where the section began.
                    assert_says(&message, &["misuse.rs"]);
                }
            }
            drop(guard);
            thread.synchronize();
        });
        assert_still_works();
    });
}

#[test]
fn waiting_offline_inside_a_section() {
    alone(|| {
        // An `Offline` does not borrow the guards of the free `read_lock()` either.
        let mut offline = register().offline();
        if TRAITS.quiescent_states {
            message_of(rcu::read_lock);
            offline.synchronize();
        } else {
            let guard = rcu::read_lock();
            assert_says(&message_of(|| offline.synchronize()), &[NAME, INSIDE]);
            drop(guard);
            offline.synchronize();
        }
        drop(offline);
        assert_still_works();
    });
}

#[test]
fn waiting_inside_a_section_of_the_raw_tier() {
    if TRAITS.quiescent_states {
        // There, sections of the raw tier leave no trace, and waiting in one is a matter of `unsafe`.
        return;
    }
    alone(|| {
        rcu::raw::register_thread().expect("not registered yet");
        // SAFETY: registered, and unlocked below.
        unsafe { rcu::raw::read_lock() };
        assert_says(&message_of(rcu::synchronize), &[NAME, INSIDE]);
        // SAFETY: panics.
        assert_says(&message_of(|| unsafe { rcu::raw::synchronize() }), &[NAME, INSIDE]);
        // SAFETY: panics.
        assert_says(&message_of(|| unsafe { rcu::raw::unregister_thread() }), &[NAME, INSIDE, "unregistered"]);
        assert_says(&message_of(rcu::raw::fork_before), &[NAME, INSIDE, "forks"]);
        // SAFETY: locked above.
        unsafe { rcu::raw::read_unlock() };
        // SAFETY: no section and no `Thread`.
        unsafe { rcu::raw::synchronize() };
        assert_eq!(registered(), 1);
        assert_still_works();
    });
}

#[test]
fn ending_the_registration_inside_a_section() {
    alone(|| {
        rcu::set_report_hook(remember);
        on_a_thread(|| {
            register_raw();
            let guard = rcu::read_lock();
            // SAFETY: panics.
            let refused = message_of(|| unsafe { rcu::raw::unregister_thread() });
            assert_says(&refused, &[NAME, "'guest'", "unregistered", INSIDE]);
            // The section is as good as before, and so is the registration.
            assert_eq!(registered(), 1);
            let nested = rcu::read_lock();
            drop(guard);
            assert!(rcu::raw::read_ongoing());
            drop(nested);
            // SAFETY: no section, and no `Thread`.
            unsafe { rcu::raw::unregister_thread() };
            assert_eq!(registered(), 0);
        });
        assert!(reports().is_empty());
        assert_still_works();
    });
}

#[test]
fn a_guard_that_borrows_nothing_outlives_the_registration() {
    alone(|| {
        rcu::set_report_hook(remember);
        let shelf = leaked_shelf();
        on_a_thread(move || {
            let thread = register();
            let guards = [rcu::read_lock(), rcu::read_lock()];
            let object = shelf.look();
            drop(thread);
            // It still protects.
            let updater = Updater::calling(move || {
                let old = shelf.replace();
                rcu::synchronize();
                old.reclaim();
            });
            for guard in guards {
                updater.assert_waiting();
                object.check();
                assert_says(&message_of(rcu::synchronize), &[NAME, INSIDE]);
                drop(guard);
            }
            updater.finish();
            // Now nothing holds anybody up; where a section needs a registration, there is none or the old one.
            on_a_thread(rcu::synchronize);
            assert_eq!(registered(), usize::from(!TRAITS.quiescent_states));
            // A new one can take its place, once.
            let thread = register();
            assert!(rcu::register().is_err());
            assert_eq!(registered(), 1);
            drop(thread.read_lock());
            drop(thread);
            assert_eq!(registered(), 0);
        });
        // One that is never taken over ends with its thread.
        on_a_thread(|| {
            let thread = register();
            let guard = rcu::read_lock();
            drop(thread);
            drop(guard);
        });
        assert_eq!(registered(), 0);
        assert!(reports().is_empty());
        assert_still_works();
    });
}

#[test]
fn a_panic_that_unwinds_through_registration_and_section() {
    alone(|| {
        rcu::set_report_hook(remember);
        on_a_thread(|| {
            // The guard is older in the frame, so the `Thread` is dropped first: no second panic, which would abort.
            let kept = message_of(|| {
                let guard;
                let _thread = register();
                guard = rcu::read_lock();
                if guard.domain() == rcu::vtable().domain() {
                    panic!("the first panic");
                }
            });
            assert_eq!(kept, "the first panic");
            assert_eq!(registered(), usize::from(!TRAITS.quiescent_states));
        });
        assert_eq!(registered(), 0);
        assert!(reports().is_empty(), "the guard was dropped by the unwinding");
        assert_still_works();
    });
}

#[test]
fn forking_inside_a_section() {
    alone(|| {
        let _thread = register();
        let guard = rcu::read_lock();
        assert_says(&message_of(rcu::raw::fork_before), &[NAME, INSIDE, "forks"]);
        drop(guard);
    });
    alone_again(|| {
        rcu::raw::fork_before();
        // SAFETY: follows `fork_before`; the fork itself is left out, as if it had failed.
        unsafe { rcu::raw::fork_after_parent() };
        assert_still_works();
    });
}

/// A second body in one test.
fn alone_again<B: FnOnce()>(body: B) {
    let _ = process().role("again").run(body).succeeded();
}

#[test]
fn unlock_without_lock() {
    alone(|| {
        // SAFETY: not matched by a lock, which is what is tested: documented to panic or to do nothing.
        let unlock = || unsafe { rcu::raw::read_unlock() };
        let unlock_is_noticed = cfg!(debug_assertions) && !TRAITS.quiescent_states;
        let broken = || {
            if unlock_is_noticed {
                assert_says(&message_of(unlock), &[NAME, "read_unlock without read_lock"]);
            } else {
                unlock();
            }
        };
        // Not registered.
        (0..3).for_each(|_| broken());
        let mut thread = register();
        (0..3).for_each(|_| broken());
        // No debt and no credit: one lock is one section, one unlock ends it.
        let guard = thread.read_lock();
        assert!(rcu::raw::read_ongoing());
        drop(guard);
        assert_eq!(rcu::raw::read_ongoing(), TRAITS.quiescent_states);
        broken();
        thread.synchronize();
        thread.while_offline(assert_still_works);
        drop(thread);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn misuse_through_the_table_ends_the_process_with_a_message() {
    let waits_inside = process().role("wait").run(|| {
        mem::forget(register());
        let _guard = rcu::read_lock();
        // SAFETY: inside a section, which is what is tested: documented to end the process.
        unsafe { (rcu::vtable().synchronize)() };
    });
    let _ = waits_inside.ended_by(libc::SIGABRT).said(&[NAME, "waits for a grace period", INSIDE]);

    let forks_inside = process().role("fork").run(|| {
        mem::forget(register());
        let _guard = rcu::read_lock();
        // SAFETY: inside a section, which is what is tested: documented to end the process.
        unsafe { (rcu::vtable().fork_before)() };
    });
    let _ = forks_inside.ended_by(libc::SIGABRT).said(&[NAME, "forks", INSIDE]);

    if !TRAITS.registers_itself && (!TRAITS.quiescent_states || cfg!(debug_assertions)) {
        let reads_unregistered = process().role("read").run(|| {
            // SAFETY: not registered, which is what is tested: documented to end the process.
            unsafe { (rcu::vtable().read_lock)() };
        });
        let _ = reads_unregistered.ended_by(libc::SIGABRT).said(&[NAME, "registered"]);
    }
}

//! Sections nest, end in any order, and never wrap.

use std::mem;

use urcu_conformance::panics::{assert_says, message_of};

use super::cast::{NAME, Updater, alone, register};
use crate::{TRAITS, rcu};

/// The deepest nesting.
const LIMIT: usize = 65_535;

#[test]
fn guards_end_in_any_order() {
    alone(|| {
        let mut thread = register();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut guards = [Some(thread.read_lock()), Some(rcu::read_lock()), Some(thread.read_lock())];
            let updater = Updater::start_and_publish();
            for index in order {
                updater.assert_waiting();
                assert!(rcu::raw::read_ongoing());
                guards[index] = None;
            }
            drop(guards);
            thread.quiescent_state();
            updater.finish();
        }
    });
}

#[test]
fn an_inner_end_does_not_end_the_section() {
    alone(|| {
        let mut thread = register();
        let outer = thread.read_lock();
        for depth in [1, 2, 100] {
            let inner: Vec<_> = (0..depth).map(|_| thread.read_lock()).collect();
            drop(inner);
        }
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        drop(outer);
        thread.quiescent_state();
        updater.finish();
    });
}

#[test]
fn nesting_stops_at_its_limit() {
    alone(|| {
        let mut thread = register();
        if TRAITS.quiescent_states {
            // Nothing is counted but guards that borrow nothing, and those in 32 bits.
            for _ in 0..LIMIT + 5_000 {
                mem::forget(thread.read_lock());
                mem::forget(rcu::read_lock());
            }
            assert_says(&message_of(|| thread.synchronize()), &[NAME, "inside a read-side critical section"]);
            mem::forget(thread);
            return;
        }
        for _ in 0..LIMIT {
            mem::forget(thread.read_lock());
        }
        // Again and again: a refused section leaves nothing behind.
        for _ in 0..10 {
            assert_says(&message_of(|| mem::forget(thread.read_lock())), &[NAME, "65535"]);
            assert_says(&message_of(|| mem::forget(rcu::read_lock())), &[NAME, "65535"]);
            // SAFETY: panics, so there is nothing to match.
            assert_says(&message_of(|| unsafe { rcu::raw::read_lock() }), &[NAME, "65535"]);
        }
        let updater = Updater::start();
        updater.assert_waiting();
        for _ in 0..LIMIT {
            assert!(rcu::raw::read_ongoing());
            // SAFETY: ends one of the sections whose guards were leaked.
            unsafe { rcu::raw::read_unlock() };
        }
        assert!(!rcu::raw::read_ongoing());
        updater.finish();
        thread.synchronize();
    });
}

#[test]
fn a_panic_inside_ends_the_section() {
    alone(|| {
        let mut thread = register();
        for _ in 0..3 {
            message_of(|| {
                let _outer = thread.read_lock();
                let _free = rcu::read_lock();
                let _inner = thread.read_lock();
                panic!("inside");
            });
            thread.synchronize();
        }
        assert_eq!(rcu::raw::read_ongoing(), TRAITS.quiescent_states);
    });
}

#[test]
fn a_guard_names_its_domain() {
    alone(|| {
        let thread = register();
        assert_eq!(thread.read_lock().domain(), rcu::vtable().domain());
        assert_eq!(rcu::read_lock().domain(), rcu::FLAVOR.domain());
        assert!(format!("{:?}", rcu::read_lock()).contains(NAME));
    });
}

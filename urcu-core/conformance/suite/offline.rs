//! Online, offline and quiescent states. In flavors that count sections these cost nothing and change nothing, so the
//! same source runs with all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, mpsc};

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::{Count, Gate};

use super::cast::{NAME, Updater, Way, alone, in_section, join, named, on_a_thread, register, registered};
use crate::{TRAITS, rcu};

#[test]
fn offline_threads_hold_nobody_up() {
    alone(|| {
        let (there, leave) = (Arc::new(Count::new()), Arc::new(Gate::new()));
        let waiting = |wait: fn(&Gate, rcu::Thread)| {
            let (there, leave) = (Arc::clone(&there), Arc::clone(&leave));
            named("offline", move || {
                let thread = register();
                there.arrive();
                wait(&leave, thread);
            })
        };
        let threads = [
            waiting(|leave, thread| {
                let offline = thread.offline();
                leave.wait();
                drop(offline.online());
            }),
            waiting(|leave, mut thread| thread.while_offline(|| leave.wait())),
            waiting(|leave, thread| {
                let offline = thread.offline();
                leave.wait();
                drop(offline);
            }),
            waiting(|leave, thread| {
                // SAFETY: the thread holds no references and does not read before it is online again.
                unsafe { rcu::raw::thread_offline() };
                leave.wait();
                // SAFETY: no `Offline` is in use.
                unsafe { rcu::raw::thread_online() };
                drop(thread);
            }),
        ];
        there.wait_for(threads.len());
        assert_eq!(registered(), threads.len());
        for _ in 0..20 {
            rcu::synchronize();
        }
        leave.open();
        threads.into_iter().for_each(join);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn a_thread_that_comes_online_is_waited_for_again() {
    alone(|| {
        let thread = register().offline().online();
        let guard = thread.read_lock();
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        drop(guard);
        drop(thread.offline().online());
        updater.finish();
    });
}

#[test]
fn coming_online_by_an_unwinding_panic() {
    alone(|| {
        let mut thread = register();
        message_of(|| thread.while_offline(|| panic!("while offline")));
        let guard = thread.read_lock();
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        drop(guard);
        assert_eq!(thread.while_offline(|| 7), 7);
        updater.finish();
    });
}

#[test]
fn an_online_thread_that_announces_nothing() {
    alone(|| {
        // Registered, has read, is outside every section now.
        let mut thread = register();
        drop(thread.read_lock());
        let updater = Updater::start_and_publish();
        if TRAITS.quiescent_states {
            updater.assert_waiting();
            // A section is no quiescent state.
            drop(thread.read_lock());
            drop(rcu::read_lock());
            updater.assert_waiting();
            thread.quiescent_state();
        }
        updater.finish();
        // The same by the raw tier.
        let updater = Updater::start_and_publish();
        if TRAITS.quiescent_states {
            updater.assert_waiting();
            // SAFETY: this thread holds no references.
            unsafe { rcu::raw::quiescent_state() };
        }
        updater.finish();
    });
}

#[test]
fn a_quiescent_state_counts_for_what_came_before_only() {
    alone(|| {
        let mut thread = register();
        for _ in 0..20 {
            thread.quiescent_state();
        }
        let guard = thread.read_lock();
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        drop(guard);
        thread.quiescent_state();
        updater.finish();
    });
}

#[test]
fn waiting_is_a_quiescent_state() {
    alone(|| {
        // Both are online when they begin to wait, and nobody waits while they meet.
        let meet = Arc::new(Barrier::new(2));
        let threads = [(); 2].map(|()| {
            let meet = Arc::clone(&meet);
            named("online", move || {
                let mut thread = register();
                for _ in 0..50 {
                    thread.while_offline(|| meet.wait());
                    drop(thread.read_lock());
                    meet.wait();
                    thread.synchronize();
                }
            })
        });
        threads.into_iter().for_each(join);
    });
}

#[test]
fn offline_rules_are_checked_where_guards_borrow_nothing() {
    if !TRAITS.quiescent_states {
        return;
    }
    alone(|| {
        let mut thread = register();
        let guard = rcu::read_lock();
        let inside = "inside a read-side critical section";
        assert_says(&message_of(|| thread.quiescent_state()), &[NAME, "quiescent state", inside]);
        assert_says(&message_of(|| thread.while_offline(|| ())), &[NAME, "offline", inside]);
        assert_says(&message_of(|| thread.synchronize()), &[NAME, "grace period", inside]);
        // Still protected by it all.
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        drop(guard);
        thread.quiescent_state();
        updater.finish();
        drop(thread);

        on_a_thread(|| {
            let thread = register();
            let guard = rcu::read_lock();
            assert_says(&message_of(|| thread.offline()), &[NAME, "offline", inside]);
            drop(guard);
        });

        on_a_thread(|| {
            let mut thread = register();
            let refused = thread.while_offline(|| message_of(rcu::read_lock));
            assert_says(&refused, &[NAME, "'guest'", "is offline"]);
            let offline = thread.offline();
            assert_says(&message_of(rcu::read_lock), &[NAME, "'guest'", "is offline"]);
            assert!(!rcu::raw::read_ongoing());
            let thread = offline.online();
            assert!(rcu::raw::read_ongoing());
            drop(rcu::read_lock());
            drop(thread);
            // SAFETY: panics.
            assert_says(&message_of(|| unsafe { rcu::raw::thread_online() }), &[NAME, "'guest'", "not registered"]);
        });

        let thread = register();
        assert_says(&message_of(rcu::synchronize), &[NAME, "online", "Thread::synchronize"]);
        let retired = rcu::Rcu::<u8>::new(1).take().expect("a value");
        assert_says(&message_of(|| retired.synchronize_and_into_inner()), &[NAME, "online", "Thread::synchronize"]);
        drop(thread);
    });
}

#[test]
fn elsewhere_nothing_of_it_keeps_a_thread_from_reading() {
    if TRAITS.quiescent_states {
        return;
    }
    alone(|| {
        let mut thread = register();
        thread.while_offline(|| drop(rcu::read_lock()));
        let offline = thread.offline();
        drop(rcu::read_lock());
        let guard = rcu::read_lock();
        let mut thread = offline.online();
        thread.quiescent_state();
        let updater = Updater::start();
        updater.assert_waiting();
        drop(guard);
        updater.finish();
        // Without registration, too.
        drop(thread);
        // SAFETY: nothing in this flavor.
        unsafe { rcu::raw::thread_online() };
        // SAFETY: nothing in this flavor.
        unsafe { rcu::raw::thread_offline() };
        // SAFETY: nothing in this flavor.
        unsafe { rcu::raw::quiescent_state() };
        assert_eq!(registered(), 0);
    });
}

#[test]
fn read_ongoing_tells() {
    alone(|| {
        assert!(!rcu::raw::read_ongoing());
        for way in Way::ALL {
            on_a_thread(move || {
                in_section(way, || assert!(rcu::raw::read_ongoing()));
                // Itself registered or not, outside.
                assert!(!rcu::raw::read_ongoing());
            });
        }
        let thread = register();
        assert_eq!(rcu::raw::read_ongoing(), TRAITS.quiescent_states);
        let (one, other) = (thread.read_lock(), rcu::read_lock());
        assert!(rcu::raw::read_ongoing());
        drop(one);
        assert!(rcu::raw::read_ongoing());
        drop(other);
        assert_eq!(rcu::raw::read_ongoing(), TRAITS.quiescent_states);
        let offline = thread.offline();
        assert!(!rcu::raw::read_ongoing());
        drop(offline);
    });
}

#[test]
fn a_panic_while_waiting_leaves_the_others_alone() {
    alone(|| {
        let (told, order) = mpsc::channel::<()>();
        let thread = named("panics", move || {
            let mut thread = register();
            let ended = catch_unwind(AssertUnwindSafe(|| {
                thread.while_offline(|| {
                    let _ = order.recv();
                    panic!("while offline");
                })
            }));
            assert!(ended.is_err());
            assert_eq!(rcu::raw::read_ongoing(), TRAITS.quiescent_states);
        });
        rcu::synchronize();
        drop(told);
        join(thread);
        rcu::synchronize();
        assert_eq!(registered(), 0);
    });
}

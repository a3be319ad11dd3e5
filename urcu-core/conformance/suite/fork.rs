//! Forks: with the hooks parent and child go on; without them some flavors repair the child and the others say so;
//! before `exec` nothing is needed.

use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use urcu_conformance::forked::{self, Forked};
use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seed::Random;
use urcu_conformance::{Gate, RaisedAtEnd, leak, task, until, watchdog};

use super::cast::{
    Bystander, Inside, NAME, Updater, Way, alone, assert_still_works, join, leaked_shelf, named, on_a_thread, process,
    register, register_raw, registered,
};
use crate::{TRAITS, rcu};

/// Forks with the hooks around it. The caller is outside every section, and offline.
fn fork(child: impl FnOnce()) -> Forked {
    rcu::raw::fork_before();
    let forked = forked::start(|| {
        // SAFETY: follows `fork_before`, on the child's only thread.
        unsafe { rcu::raw::fork_after_child() };
        child();
    });
    // SAFETY: follows `fork_before`.
    unsafe { rcu::raw::fork_after_parent() };
    forked
}

/// Two bodies of one test: on a thread that is registered (and offline), and on one that is not.
fn with_and_without_registration<B: Fn(Option<rcu::Offline>)>(body: B) {
    let process = process().of_test::<B>();
    let _ = process.clone().role("registered").run(|| body(Some(register().offline()))).succeeded();
    let _ = process.role("unregistered").run(|| body(None)).succeeded();
}

#[test]
fn parent_and_child_go_on() {
    with_and_without_registration(|own| {
        let shelf = leaked_shelf();
        let inside = Way::ALL.map(|way| Inside::using(shelf, way));
        let expected = usize::from(own.is_some());
        assert_eq!(registered(), 4 + expected);
        let child = fork(|| {
            // The parent's readers do not exist here.
            assert_eq!(registered(), expected);
            for _ in 0..3 {
                rcu::synchronize();
                shelf.replace().reclaim();
            }
            assert_still_works();
        });
        // Here they do.
        assert_eq!(registered(), 4 + expected);
        let updater = Updater::calling(|| {
            let old = shelf.replace();
            rcu::synchronize();
            old.reclaim();
        });
        updater.assert_waiting();
        inside.into_iter().for_each(Inside::leave);
        updater.finish();
        assert_still_works();
        child.succeeded();
        drop(own);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn the_forking_threads_registration_goes_on_in_the_child() {
    alone(|| {
        let inside = Bystander::enter();
        let mut own = Some(register().offline());
        let child = fork(|| {
            let mut thread = own.take().expect("registered before the fork").online();
            let guard = thread.read_lock();
            let updater = Updater::start_and_publish();
            updater.assert_waiting();
            drop(guard);
            thread.quiescent_state();
            updater.finish();
            thread.synchronize();
            assert!(rcu::register().is_err());
            drop(thread);
            assert_eq!(registered(), 0);
            drop(register());
        });
        child.succeeded();
        inside.leave();
        assert_eq!(registered(), 1);
        drop(own);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn children_of_children() {
    with_and_without_registration(|_own| {
        let inside = Bystander::enter();
        let child = fork(|| {
            let theirs = Inside::enter();
            let grandchild = fork(|| {
                rcu::synchronize();
                assert_still_works();
            });
            let updater = Updater::start();
            updater.assert_waiting();
            theirs.leave();
            updater.finish();
            grandchild.succeeded();
        });
        child.succeeded();
        inside.leave();
        rcu::synchronize();
    });
}

#[test]
fn threads_that_the_child_makes_unregister_there() {
    alone(|| {
        let inside = [(); 3].map(|()| Inside::enter());
        let child = fork(|| {
            for way in Way::ALL {
                on_a_thread(move || super::cast::in_section(way, || assert_eq!(registered(), 1)));
                on_a_thread(register_raw);
                assert_eq!(registered(), 0);
            }
        });
        child.succeeded();
        inside.into_iter().for_each(Inside::leave);
        assert_eq!(registered(), 0);
    });
}

#[test]
fn forks_in_the_middle_of_everything() {
    alone(|| {
        let stop = AtomicBool::new(false);
        let shelf = leaked_shelf();
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            for stream in 0..3 {
                let stop = &stop;
                scope.spawn(move || {
                    let mut random = Random::new(stream);
                    while !stop.load(Ordering::Acquire) {
                        let mut thread = register();
                        for _ in 0..random.below(50) {
                            let guard = thread.read_lock();
                            let object = shelf.look();
                            random.dawdle();
                            object.check();
                            drop(guard);
                            thread.quiescent_state();
                        }
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        let old = shelf.replace();
                        rcu::synchronize();
                        old.reclaim();
                    }
                });
            }
            for _ in 0..25 {
                let child = fork(|| {
                    assert_eq!(registered(), 0);
                    rcu::synchronize();
                    let thread = register();
                    drop(thread.read_lock());
                    drop(thread);
                    on_a_thread(rcu::synchronize);
                });
                child.succeeded();
            }
        });
        assert_eq!(registered(), 0);
    });
}

#[test]
fn the_hooks_keep_grace_periods_out() {
    alone(|| {
        // A running one is waited for.
        let inside = Inside::enter();
        let updater = Updater::start();
        updater.assert_waiting();
        let forking = Updater::calling(|| fork(rcu::synchronize).succeeded());
        forking.assert_waiting();
        inside.leave();
        updater.finish();
        forking.finish();
        // A new one waits.
        rcu::raw::fork_before();
        let updaters = [Updater::start(), Updater::start()];
        updaters.iter().for_each(Updater::assert_waiting);
        // Reading and registering do not.
        on_a_thread(|| drop(register().read_lock()));
        // SAFETY: follows `fork_before`.
        unsafe { rcu::raw::fork_after_parent() };
        updaters.into_iter().for_each(Updater::finish);
    });
}

#[test]
fn the_hooks_of_the_table_are_the_same() {
    alone(|| {
        let inside = Bystander::enter();
        // SAFETY: outside every section.
        unsafe { (rcu::vtable().fork_before)() };
        let child = forked::start(|| {
            // SAFETY: follows the first hook, on the child's only thread.
            unsafe { (rcu::vtable().fork_after_child)() };
            assert_eq!(registered(), 0);
            rcu::synchronize();
        });
        // SAFETY: follows the first hook.
        unsafe { (rcu::vtable().fork_after_parent)() };
        child.succeeded();
        let inside = inside.or_enter();
        let updater = Updater::start();
        updater.assert_waiting();
        inside.leave();
        updater.finish();
    });
}

#[test]
fn a_forking_thread_that_is_online_does_not_hang() {
    // It waits for the running grace period, which must not wait for it. So it is offline meanwhile, or refused.
    let with_a_running_grace_period = || {
        let updater = Updater::start();
        if TRAITS.quiescent_states {
            updater.assert_waiting();
        }
        match catch_unwind(rcu::raw::fork_before) {
            // SAFETY: follows `fork_before`.
            Ok(()) => unsafe { rcu::raw::fork_after_parent() },
            Err(refused) => {
                assert!(TRAITS.quiescent_states, "refused where nobody is online");
                assert_says(refused.downcast_ref::<String>().expect("a text"), &[NAME, "online"]);
            }
        }
        updater
    };
    let of_a_thread_value = || {
        let thread = register();
        let updater = with_a_running_grace_period();
        drop(thread);
        updater.finish();
    };
    let _ = process().role("face").run(of_a_thread_value).succeeded();
    let of_the_raw_tier = || {
        register_raw();
        let updater = with_a_running_grace_period();
        // SAFETY: no section, no references.
        unsafe { rcu::raw::unregister_thread() };
        updater.finish();
    };
    let _ = process().role("raw").run(of_the_raw_tier).succeeded();
}

/// Forks without hooks, from a thread that is not registered, while others are inside sections and wait. In the child,
/// `first_step` is repaired or refused.
fn fork_without_hooks(first_step: fn()) {
    let inside = Inside::enter();
    let updater = Updater::start();
    updater.assert_waiting();
    let child = forked::start(|| {
        if TRAITS.registers_itself {
            first_step();
            assert_eq!(registered(), 0);
            assert_still_works();
        } else {
            assert_says(&message_of(first_step), &[NAME, "fork hooks were not called", "raw::fork_before()"]);
        }
    });
    child.succeeded();
    inside.leave();
    updater.finish();
}

/// Where nothing checks that the hooks are called, calling them is a documented duty.
const HOOKS_ARE_CHECKED: bool = TRAITS.registers_itself || cfg!(debug_assertions);

#[test]
fn without_hooks_the_child_is_repaired_or_told() {
    if HOOKS_ARE_CHECKED {
        let _ = process().run(|| fork_without_hooks(rcu::synchronize)).succeeded();
    }
}

#[test]
fn without_hooks_registering_first_hides_nothing() {
    let reads_first = || {
        if let Ok(thread) = rcu::register() {
            drop(thread.read_lock());
            drop(thread);
        }
        rcu::synchronize();
    };
    if HOOKS_ARE_CHECKED {
        let _ = process().run(|| fork_without_hooks(reads_first)).succeeded();
    }
}

#[test]
fn without_hooks_a_new_thread_of_the_child_is_repaired_or_told() {
    if HOOKS_ARE_CHECKED {
        let body = || fork_without_hooks(|| on_a_thread(rcu::synchronize));
        let _ = process().run(body).succeeded();
    }
}

#[test]
fn without_hooks_new_threads_that_read_first_hide_nothing() {
    let read_first = || {
        on_a_thread(|| drop(register().read_lock()));
        on_a_thread(rcu::synchronize);
    };
    if HOOKS_ARE_CHECKED {
        let _ = process().run(|| fork_without_hooks(read_first)).succeeded();
    }
}

#[test]
fn without_hooks_a_registered_thread_is_repaired_or_told() {
    if !HOOKS_ARE_CHECKED {
        return;
    }
    let body = || {
        let inside = Inside::enter();
        let thread = register().offline();
        let child = forked::start(|| {
            if TRAITS.registers_itself {
                drop(rcu::read_lock());
                rcu::synchronize();
                assert_eq!(registered(), 1);
                let guard = rcu::read_lock();
                let updater = Updater::start();
                updater.assert_waiting();
                drop(guard);
                updater.finish();
            } else {
                assert_says(&message_of(rcu::synchronize), &[NAME, "fork hooks were not called"]);
            }
        });
        child.succeeded();
        drop(thread);
        inside.leave();
    };
    let _ = process().run(body).succeeded();
}

#[test]
fn a_process_that_forks_before_it_reads_needs_no_hooks() {
    alone(|| {
        rcu::init().expect("this machine has what the flavor needs");
        forked::run(|| {
            assert_still_works();
            drop(register());
            rcu::synchronize();
            // And so on, with its own readers.
            let inside = Bystander::enter();
            fork(rcu::synchronize).succeeded();
            inside.leave();
        });
        assert_still_works();
    });
}

#[test]
fn before_exec_nothing_is_needed() {
    alone(|| {
        let inside = Inside::enter();
        let updater = Updater::start();
        updater.assert_waiting();
        let thread = register();
        let guard = thread.read_lock();
        assert!(Command::new("true").status().expect("a program to run").success());
        let mut command = Command::new("true");
        // SAFETY: does nothing; it makes the library fork instead of using a faster call.
        unsafe { command.pre_exec(|| Ok(())) };
        assert!(command.status().expect("a program to run").success());
        assert!(!updater.has_returned());
        drop(guard);
        drop(thread);
        inside.leave();
        updater.finish();
    });
}

/// One that knows nothing of RCU forks while another thread is between its hooks.
#[test]
fn a_fork_beside_another_threads_hooks_leaves_a_child_that_works() {
    if !TRAITS.registers_itself {
        return;
    }
    alone(|| {
        let (held, is_held) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let other = named("other", move || {
            rcu::raw::fork_before();
            held.send(()).expect("the test waits for this");
            let _ = released.recv();
            // SAFETY: follows `fork_before`.
            unsafe { rcu::raw::fork_after_parent() };
        });
        is_held.recv().expect("it gets there");
        forked::run(assert_still_works);
        release.send(()).expect("it waits for this");
        join(other);
        assert_still_works();
    });
}

/// Nobody waits in the child for what was polled for before: its end has to come by itself.
#[test]
fn a_grace_period_that_is_polled_for_ends_in_the_child() {
    fn ends(cookie: u64) {
        watchdog::end_by_alarm(watchdog::patient(Duration::from_secs(120)));
        until("the grace period has ended", || rcu::raw::poll(cookie));
    }
    alone(|| {
        // The worker has something else to do until the fork waits for it, so the parent's does not get to what is polled for.
        let go_on: &'static Gate = leak(Box::new(Gate::new()));
        let (began, has_begun) = mpsc::channel();
        rcu::defer(move || {
            began.send(()).expect("the test waits for this");
            go_on.wait();
        });
        has_begun.recv().expect("the worker runs it");
        let cookie = rcu::raw::start_poll();
        let forks = Updater::calling(move || fork(|| ends(cookie)).succeeded());
        forks.assert_waiting();
        go_on.open();
        forks.finish();
        if TRAITS.registers_itself {
            let inside = Bystander::enter();
            let cookie = rcu::raw::start_poll();
            forked::run(|| ends(cookie));
            inside.leave();
        }
    });
}

/// Where counters are looked at, inside a section that a grace period waits for, which a fork waits for.
#[test]
fn a_fork_that_waits_for_a_section_does_not_keep_it_from_its_end() {
    alone(|| {
        let (entered, is_inside) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let reader = named("reader", move || {
            let thread = register();
            let guard = thread.read_lock();
            entered.send(()).expect("the test waits for this");
            may_go_on.recv().expect("it will be told");
            let _ = rcu::stats();
            drop(guard);
        });
        is_inside.recv().expect("it gets there");
        let updater = Updater::start();
        updater.assert_waiting();
        let forks = Updater::calling(|| fork(rcu::synchronize).succeeded());
        forks.assert_waiting();
        go_on.send(()).expect("it waits for this");
        forks.finish();
        updater.finish();
        join(reader);
    });
}

/// On one processor whoever gives the turn back is the one that runs, and may take it again before anybody else does.
#[test]
fn a_thread_that_forks_is_not_passed_over() {
    const HOOKS: u64 = 150;
    static STOP: AtomicBool = AtomicBool::new(false);
    alone(|| {
        task::stay_here();
        let mut others: Vec<_> = (0..3)
            .map(|_| {
                named("updater", || {
                    while !STOP.load(Ordering::Relaxed) {
                        rcu::synchronize();
                    }
                })
            })
            .collect();
        // Sections in which grace periods sleep.
        others.extend((0..2).map(|_| {
            named("reader", || {
                let mut thread = register();
                while !STOP.load(Ordering::Relaxed) {
                    let guard = thread.read_lock();
                    thread::sleep(Duration::from_millis(1));
                    drop(guard);
                    thread.quiescent_state();
                }
            })
        }));
        let mut passed_by = 0;
        for _ in 0..HOOKS {
            let before = rcu::stats().grace_periods;
            rcu::raw::fork_before();
            passed_by += rcu::stats().grace_periods - before;
            // SAFETY: follows `fork_before`.
            unsafe { rcu::raw::fork_after_parent() };
            // Others take turns, too.
            until("a grace period has begun", || rcu::stats().grace_periods > before);
        }
        STOP.store(true, Ordering::Relaxed);
        others.into_iter().for_each(join);
        // A few, since who has waited long enough goes on.
        assert!(passed_by <= 10 * HOOKS, "{passed_by} grace periods went before {HOOKS} forks");
    });
}

//! `membarrier(2)` there, switched off, required, forbidden: for the flavors that use it. Included beside the suite.

use std::env;
use std::sync::mpsc;

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::{OwnProcess, libc, note, seccomp};
use urcu_core::Flavor as _;

use crate::suite::cast::{
    Inside, NAME, Updater, assert_still_works, join, named, on_a_thread, register, register_raw, registered,
};
use crate::{TRAITS, rcu};

const VARIABLE: &str = "URCU_MEMBARRIER";

fn on_full_fences() -> bool {
    rcu::Flavor::runs_on_full_fences()
}

/// Forbids the call, where filters can be installed at all.
fn forbid() -> bool {
    seccomp::refuse_membarrier()
        .inspect_err(|error| note(&format!("not tested, since no filter can be installed: {error}")))
        .is_ok()
}

/// Sections and grace periods, with some readers and updaters at once.
fn assert_works() {
    assert_still_works();
    let inside = [(); 3].map(|()| Inside::enter());
    let updaters = [(); 4].map(|()| Updater::start());
    updaters.iter().for_each(Updater::assert_waiting);
    inside.into_iter().for_each(Inside::leave);
    updaters.into_iter().for_each(Updater::finish);
}

#[test]
fn it_is_used_where_it_is_there() {
    let body = || {
        let works = seccomp::membarrier_works();
        if !works {
            note("the kernel has no membarrier(PRIVATE_EXPEDITED): only the fallback is tested");
        }
        rcu::init().expect("not required");
        assert_eq!(on_full_fences(), !works);
        assert_works();
    };
    let _ = OwnProcess::new().run(body).succeeded();
    // Values that mean nothing.
    for (role, value) in [("maybe", "maybe"), ("empty", ""), ("case", "OFF"), ("tail", "off ")] {
        let body = || {
            rcu::init().expect("not required");
            assert_eq!(on_full_fences(), !seccomp::membarrier_works());
        };
        let _ = OwnProcess::new().role(role).env(VARIABLE, value).run(body).succeeded();
    }
}

#[test]
fn it_can_be_switched_off() {
    let body = || {
        rcu::init().expect("nothing is required");
        assert!(on_full_fences());
        assert_works();
    };
    let _ = OwnProcess::new().env(VARIABLE, "off").run(body).succeeded();
    let first_use = || {
        drop(register().read_lock());
        assert!(on_full_fences());
        assert_works();
    };
    let _ = OwnProcess::new().role("by the first use").env(VARIABLE, "off").run(first_use).succeeded();
}

#[test]
fn later_changes_of_the_environment_come_too_late() {
    let body = || {
        // SAFETY: no other thread of this process reads the environment now.
        unsafe { env::set_var(VARIABLE, "off") };
        rcu::init().expect("not required");
        assert_eq!(on_full_fences(), !seccomp::membarrier_works());
    };
    let _ = OwnProcess::new().run(body).succeeded();
}

#[test]
fn it_can_be_required() {
    let body = || match rcu::init() {
        Ok(()) => {
            assert!(seccomp::membarrier_works() && !on_full_fences());
            assert_works();
        }
        Err(error) => {
            assert!(!seccomp::membarrier_works(), "{error}");
            assert!(matches!(error, rcu::InitError::MembarrierMissing { .. }));
        }
    };
    let _ = OwnProcess::new().env(VARIABLE, "require").run(body).succeeded();
}

#[test]
fn forbidden_by_a_filter_it_is_replaced() {
    let body = || {
        if forbid() {
            rcu::init().expect("not required");
            assert!(on_full_fences());
            assert_works();
        }
    };
    let _ = OwnProcess::new().run(body).succeeded();
}

#[test]
fn forbidden_and_required_it_is_an_error() {
    let body = || {
        if !forbid() {
            return;
        }
        let missing = rcu::InitError::MembarrierMissing { errno: libc::EPERM };
        for _ in 0..2 {
            assert_eq!(rcu::init(), Err(missing));
            assert_eq!(rcu::raw::init(), Err(missing));
            let error = rcu::register().expect_err("required");
            assert_eq!(error, rcu::RegisterError::Init(missing));
            assert_says(&error.to_string(), &["membarrier", "URCU_MEMBARRIER=require"]);
            assert_eq!(rcu::raw::register_thread(), Err(rcu::RegisterError::Init(missing)));
            // SAFETY: any thread.
            assert_eq!(unsafe { (rcu::vtable().register_thread)() }, -libc::ENOSYS);
            let told = message_of(rcu::read_lock);
            if TRAITS.registers_itself {
                assert_says(&told, &[NAME, "cannot register", "URCU_MEMBARRIER=require"]);
            } else {
                assert_says(&told, &[NAME, "not registered"]);
            }
        }
        // Nothing is half done.
        assert_eq!(registered(), 0);
        rcu::synchronize();
    };
    let _ = OwnProcess::new().env(VARIABLE, "require").run(body).succeeded();
}

#[test]
fn a_filter_that_comes_later_is_noticed() {
    let body = || {
        rcu::init().expect("not required");
        if on_full_fences() {
            return;
        }
        // Two threads from before the filter, which does not reach them: one to wait for, one to wait.
        let (leave, told) = mpsc::channel::<()>();
        let reader = named("reader", move || {
            register_raw();
            // SAFETY: no references, and no section before the end.
            unsafe { rcu::raw::thread_offline() };
            let _ = told.recv();
        });
        let (order, orders) = mpsc::channel::<mpsc::Sender<()>>();
        let updater = named("updater", move || {
            for done in orders {
                rcu::synchronize();
                let _ = done.send(());
            }
        });
        urcu_conformance::until("the reader is registered", || registered() == 1);
        if forbid() {
            // Going on without the barrier would be unsound. Each caller is told, and nobody hangs.
            for _ in 0..3 {
                assert_says(&on_a_thread(|| message_of(rcu::synchronize)), &["membarrier", "failed"]);
                let (done, wait) = mpsc::channel();
                order.send(done).expect("the updater lives");
                wait.recv().expect("the updater lives");
            }
        }
        drop((leave, order));
        join(reader);
        join(updater);
    };
    let _ = OwnProcess::new().run(body).succeeded();
}

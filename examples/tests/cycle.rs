//! Two flavors that wait for each other: nothing can resolve that, but it does not go unseen.
//!
//! Alone in its program, because its threads stay.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use rcu::Report;
use structure_conformance::within_limit;

static SEEN: Mutex<Option<Sender<(&'static str, String)>>> = Mutex::new(None);

fn hook(report: &Report) {
    if let Report::GracePeriodStalled { flavor, name, .. } = report {
        let sender = SEEN.lock().expect("nobody panics with it");
        // Who looks has seen enough when it has gone.
        let _ = sender.as_ref().map(|sender| sender.send((flavor, name.clone().unwrap_or_default())));
    }
}

#[test]
fn a_cycle_of_two_flavors_is_reported_from_both_sides() {
    within_limit("a_cycle_of_two_flavors_is_reported_from_both_sides", || {
        let (sender, reports) = channel();
        *SEEN.lock().expect("nobody panics with it") = Some(sender);
        rcu::set_report_hook(hook);
        for limit in [rcu::set_stall_limit, urcu_bp::set_stall_limit] {
            limit(Some(Duration::from_millis(20)));
        }
        let inside = Arc::new(Barrier::new(2));
        let here = Arc::clone(&inside);
        let _never_ends = thread::Builder::new().name("in-bp".into()).spawn(move || {
            let _section = urcu_bp::read_lock();
            here.wait();
            rcu::synchronize();
        });
        let _never_ends = thread::Builder::new().name("in-membarrier".into()).spawn(move || {
            let registered = rcu::register().expect("a new thread");
            let _section = registered.read_lock();
            inside.wait();
            urcu_bp::synchronize();
        });
        let mut missing = vec![("urcu-bp", "in-bp"), ("urcu-membarrier", "in-membarrier")];
        while !missing.is_empty() {
            let (flavor, thread) = reports.recv().expect("the hook keeps the other end");
            assert!([("urcu-bp", "in-bp"), ("urcu-membarrier", "in-membarrier")].contains(&(flavor, &thread)));
            missing.retain(|report| *report != (flavor, thread.as_str()));
        }
    });
}

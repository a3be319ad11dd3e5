//! Beyond the flavor's hard limit whoever retires waits: never with the list's lock, for which readers wait in their sections.
#![cfg(not(urcu_loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use cds_list::{Doubly, RcuList, Updater};
use structure_conformance::{Gate, Mb, Tested, Thread, within_limit};

/// More than the limit, and than a few blocks of calls.
const ELEMENTS: usize = 5000;

/// Runs `remove`, which takes out nearly everything, beside a section that waits for the lock meanwhile.
fn beside_a_section_that_waits(remove: impl FnOnce(&mut Updater<'_, String, Doubly>) + Send) {
    let list = RcuList::from_values(Mb::vtable(), (0..ELEMENTS).map(|number| number.to_string()));
    let inside = Gate::new();
    let mut updater = list.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            let thread = Thread::<Mb>::register().expect("a thread of its own");
            let guard = thread.read_lock();
            inside.open();
            list.lock().push_back(String::new());
            drop(guard);
        });
        // Its section does not end before it has had the lock, wherever it is on its way there.
        inside.wait();
        let _ = catch_unwind(AssertUnwindSafe(|| remove(&mut updater)));
        drop(updater);
    });
}

#[test]
fn nothing_is_retired_under_the_lock() {
    let limits = urcu_mb::limits();
    urcu_mb::set_limits(urcu_mb::Limits { soft_items: 8, hard_items: 64, ..limits });
    within_limit("nothing_is_retired_under_the_lock", || {
        beside_a_section_that_waits(|updater| updater.clear());
        beside_a_section_that_waits(|updater| updater.retain(|text| text.len() == 1));
        beside_a_section_that_waits(|updater| updater.retain(|text| text == "4999" && panic!("the last")));
        beside_a_section_that_waits(|updater| {
            let _ = updater.detach_if(|text| text != "4999" || panic!("the last"));
        });
    });
    urcu_mb::set_limits(limits);
}

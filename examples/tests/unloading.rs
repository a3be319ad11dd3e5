//! A thread has read through an object that is closed before the thread ends: its exit destructor is code of that object.
//!
//! Alone in its program, in which nothing else keeps the object: nothing is deferred, so it has no worker.

use std::fs;
use std::sync::Barrier;
use std::thread;

use libloading::Library;
use structure_conformance::within_limit;
use urcu_example_interface::{Plugin, accept, shared_object};

fn is_mapped() -> bool {
    let maps = fs::read_to_string("/proc/self/maps").expect("the system tells");
    maps.lines().any(|line| line.contains(" r-xp ") && line.contains("liburcu_example_tracer"))
}

#[test]
fn a_reader_outlives_the_closing_of_its_flavor() {
    within_limit("a_reader_outlives_the_closing_of_its_flavor", || {
        assert!(!is_mapped());
        let (has_read, is_closed) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let path = shared_object("urcu-example-tracer").expect("built beside this program");
            // SAFETY: our own; its constructors are those of the standard library and of bp.
            let library = unsafe { Library::new(path) }.expect("a shared object");
            let plugin: &'static Plugin = {
                // SAFETY: the type that the plug-in's source gives this name.
                let entry = unsafe { library.get::<extern "C" fn() -> *const Plugin>(b"urcu_example_tracer") };
                // SAFETY: a static, and all that is done with it is done while it must be mapped.
                unsafe { accept(entry.expect("exported")()) }.expect("of this build")
            };
            let (has_read, is_closed) = (&has_read, &is_closed);
            scope.spawn(move || {
                // A section of the plug-in's flavor: from here on this thread is one of its readers.
                // SAFETY: no precondition.
                assert!(unsafe { (plugin.table)() }.is_null(), "not open");
                has_read.wait();
                is_closed.wait();
            });
            has_read.wait();
            library.close().expect("loaded above");
            let stays = is_mapped();
            is_closed.wait();
            assert!(stays, "a reader was left whose exit destructor had gone");
        });
        assert!(is_mapped());
    });
}

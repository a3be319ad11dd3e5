//! A table whose flavor's grace periods cannot end any more: what needs none goes on, and nobody hangs.

use std::ptr::NonNull;
use std::thread;

use cds_lfht::raw::{Node, Options, ResizeError, Table};
use structure_conformance::{Bp, OwnProcess, Tested};

#[test]
fn a_resize_that_has_to_wait_for_ever_is_an_error() {
    let body = || {
        let flavor = Bp::vtable();
        let table = Table::new(flavor, Options::new().initial(256).auto_resize(false)).expect("memory");
        thread::spawn(|| std::mem::forget(flavor.pin())).join().expect("no panic");
        assert_eq!(table.resize(64), Err(ResizeError::Stuck));
        let node = NonNull::from(Box::leak(Box::new(Node::new())));
        let _section = flavor.pin();
        assert_eq!(table.resize(64), Err(ResizeError::InsideSection));
        // SAFETY: inside a section; a fresh node.
        unsafe { table.add(7, node) };
        // SAFETY: inside a section.
        assert_eq!(unsafe { table.lookup(7, |_| true) }.node(), Some(node));
    };
    let _ = OwnProcess::new().run(body).succeeded();
}

//! What stacks and their parts show; a batch that does not wait.
#![cfg(not(urcu_loom))]

use cds_lfstack::raw::{LfsNode, LfsStack, WfsNode, WfsStack, WouldBlock};
use cds_lfstack::{LfStack, LockedStack, SerialWfStack, WfStack};
use structure_conformance::{Mb, Tested};

#[test]
fn stacks_tell_whether_they_are_empty() {
    let stack = LfStack::new(Mb::vtable());
    assert!(format!("{stack:?}").starts_with("Stack { empty: true, "));
    stack.push(1);
    assert!(format!("{stack:?}").starts_with("Stack { empty: false, "));
    let batch = stack.pop_all();
    assert_eq!(format!("{batch:?}"), "Batch { empty: false, .. }");
    drop(batch);
    assert_eq!(format!("{:?}", stack.pop_all()), "Batch { empty: true, .. }");
    assert_eq!(format!("{:?}", LockedStack::<u32>::default()), "LockedStack { .. }");
    assert_eq!(format!("{:?}", LfsStack::new()), "LfsStack { empty: true }");
    assert_eq!(format!("{:?}", WfsStack::new()), "WfsStack { empty: true }");
    assert!(format!("{:?}", LfsNode::new()).starts_with("LfsNode { next: "));
    assert!(format!("{:?}", WfsNode::new()).starts_with("WfsNode { next: "));
    assert_eq!(WouldBlock.to_string(), "a push is half done, or another operation came first");
}

#[test]
fn a_batch_is_emptied_without_waiting() {
    let stack = WfStack::new(Mb::vtable());
    (0..3).for_each(|value| {
        stack.push(value);
    });
    let mut batch = stack.pop_all();
    assert_eq!(batch.try_next(), Ok(Some(2)));
    assert_eq!(batch.try_next(), Ok(Some(1)));
    assert_eq!(batch.try_next(), Ok(Some(0)));
    assert_eq!(batch.try_next(), Ok(None));
}

#[test]
fn a_serial_stack_is_made_at_run_time_too() {
    let stack = SerialWfStack::new();
    stack.push("a".to_owned());
    assert!(format!("{stack:?}").contains("Serial { turn: "), "{stack:?}");
    assert_eq!(stack.pop_all().collect::<Vec<_>>(), ["a"]);
}

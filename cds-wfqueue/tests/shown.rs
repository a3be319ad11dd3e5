//! What queues, their two ends and their errors show; operations of the raw tier that nothing else needs.
#![cfg(not(urcu_loom))]

use std::collections::HashSet;
use std::ptr::NonNull;

use cds_wfqueue::raw::wfcqueue::{self, Head, Node, Tail};
use cds_wfqueue::{
    BoundedQueue, Disconnected, LfQueue, LockedQueue, RecvTimeoutError, SegmentQueue, TryRecvError, WfcQueue,
    WouldBlock,
};
use structure_conformance::{Mb, Tested};

#[test]
fn queues_show_what_they_know_without_waiting() {
    let bounded = BoundedQueue::new(2);
    bounded.enqueue(1).expect("room");
    assert_eq!(format!("{bounded:?}"), "BoundedQueue { capacity: 2, len: 1 }");
    bounded.enqueue(2).expect("room");
    let full = bounded.enqueue(3).expect_err("no room");
    assert_eq!(format!("{full:?}"), "Full(..)");
    let lock_free = LfQueue::<u32>::new(Mb::vtable());
    assert_eq!(lock_free.flavor().name(), Mb::vtable().name());
    assert_eq!(format!("{lock_free:?}"), format!("LfQueue {{ flavor: {:?}, .. }}", Mb::vtable().name()));
    assert_eq!(format!("{:?}", LockedQueue::<u32>::default()), "LockedQueue { .. }");
    assert_eq!(format!("{:?}", SegmentQueue::<u32>::default()), "SegmentQueue { .. }");
    assert_eq!(format!("{:?}", WfcQueue::<u32>::default()), "WfcQueue { is_empty: true, .. }");
}

#[test]
fn a_locked_queue_with_room_is_a_queue() {
    let queue = LockedQueue::with_capacity(1);
    (0..5).for_each(|value| {
        queue.enqueue(value);
    });
    assert_eq!((queue.dequeue(), queue.dequeue()), (Some(0), Some(1)));
}

#[test]
fn both_ends_show_whether_the_other_is_there() {
    let (producer, consumer) = WfcQueue::<u32>::new().split();
    assert_eq!(format!("{producer:?}"), "Producer { is_abandoned: false, .. }");
    assert_eq!(format!("{consumer:?}"), "Consumer { is_disconnected: false, .. }");
    drop(producer);
    assert_eq!(format!("{consumer:?}"), "Consumer { is_disconnected: true, .. }");
    let (mut producer, consumer) = WfcQueue::<u32>::new().split();
    drop(consumer);
    assert_eq!(format!("{producer:?}"), "Producer { is_abandoned: true, .. }");
    let rejected = producer.enqueue(1).expect_err("nobody is there");
    assert_eq!((format!("{rejected:?}"), rejected.to_string()), ("Rejected(..)".into(), "the consumer is gone".into()));
}

#[test]
fn errors_say_what_is_wrong() {
    assert_eq!(RecvTimeoutError::Disconnected.to_string(), Disconnected.to_string());
    assert_eq!(TryRecvError::Disconnected.to_string(), Disconnected.to_string());
    assert_eq!(TryRecvError::WouldBlock.to_string(), WouldBlock.to_string());
    let said = [
        RecvTimeoutError::Timeout.to_string(),
        TryRecvError::Empty.to_string(),
        Disconnected.to_string(),
        WouldBlock.to_string(),
    ];
    assert_eq!(said.iter().collect::<HashSet<_>>().len(), said.len());
}

/// Nodes that were linked beforehand are enqueued at once, in their order.
#[test]
fn a_chain_is_enqueued_as_it_is() {
    let mut head = Head::new();
    let mut tail = Tail::default();
    let nodes: [Node; 3] = Default::default();
    let [first, second, third] = nodes.each_ref().map(NonNull::from);
    // SAFETY: two locals that nobody uses yet.
    unsafe { wfcqueue::init(&raw mut head, &raw mut tail) };
    // SAFETY: the test's own nodes, which are in no queue.
    unsafe { wfcqueue::link(first, second) };
    // SAFETY: as above.
    unsafe { wfcqueue::link(second, third) };
    // SAFETY: linked, and they live as long as the queue.
    let was_in_use = unsafe { wfcqueue::enqueue_chain(&head, &tail, first, third) };
    assert!(!was_in_use && !wfcqueue::empty(&head, &tail));
    for node in [first, second, third] {
        // SAFETY: this thread is the only one.
        assert_eq!(unsafe { wfcqueue::dequeue_locked(&head, &tail) }, Some(node));
    }
    assert!(wfcqueue::empty(&head, &tail));
    // SAFETY: empty, and used by nobody.
    unsafe { wfcqueue::destroy(&raw mut head, &raw mut tail) };
}

//! Every operation against `VecDeque`, by one thread.

#![cfg(not(urcu_loom))]

mod common;

use std::collections::VecDeque;

use cds_wfqueue::raw::wfcqueue::{self, State};
use cds_wfqueue::{BoundedQueue, Full, LfQueue, LockedQueue, SegmentQueue, Spliced, WfcQueue, WouldBlock};
use common::{Fifo, RawLf, RawWfc, WfcItem};
use proptest::prelude::*;
use structure_conformance::{Bp, Tested, Thread};

#[derive(Clone, Debug)]
enum Op {
    Enqueue(u16),
    Dequeue(u16),
    TryDequeue,
    DequeueMut,
    IsEmpty,
    /// Takes so many from a drain.
    Drain(u16),
    /// Everything, to the end of the other queue.
    Splice,
    TrySplice,
    Swap,
    TakeAll,
    First,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (1..600_u16).prop_map(Op::Enqueue),
        5 => (1..600_u16).prop_map(Op::Dequeue),
        2 => Just(Op::TryDequeue),
        2 => Just(Op::DequeueMut),
        2 => Just(Op::IsEmpty),
        1 => (0..400_u16).prop_map(Op::Drain),
        2 => Just(Op::Splice),
        1 => Just(Op::TrySplice),
        1 => Just(Op::Swap),
        1 => Just(Op::TakeAll),
        1 => Just(Op::First),
    ];
    proptest::collection::vec(op, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn wfc_queue(ops in ops()) {
        let (mut queue, mut other) = (WfcQueue::new(), WfcQueue::new());
        let (mut model, mut other_model) = (VecDeque::new(), VecDeque::new());
        let mut next = 0_u64;
        for op in ops {
            match op {
                Op::Enqueue(count) => {
                    let mut enqueuer = queue.enqueuer();
                    for _ in 0..count {
                        if next.is_multiple_of(3) { queue.enqueue(next) } else { enqueuer.enqueue(next) }
                        model.push_back(next);
                        next += 1;
                    }
                }
                Op::Dequeue(count) => (0..count).for_each(|_| assert_eq!(queue.dequeue(), model.pop_front())),
                Op::TryDequeue | Op::First => assert_eq!(queue.try_dequeue(), Ok(model.pop_front())),
                Op::DequeueMut => assert_eq!(queue.dequeue_mut(), model.pop_front()),
                Op::IsEmpty => assert_eq!(queue.is_empty(), model.is_empty()),
                Op::Drain(count) => {
                    let most = usize::from(count).min(model.len());
                    assert!(queue.drain().take(usize::from(count)).eq(model.drain(..most)));
                }
                Op::Splice | Op::TrySplice => {
                    let expected = match (model.is_empty(), other_model.is_empty()) {
                        (true, _) => Spliced::SrcEmpty,
                        (_, true) => Spliced::DestEmpty,
                        _ => Spliced::DestNonEmpty,
                    };
                    let spliced = if matches!(op, Op::Splice) {
                        other.splice_from(&queue)
                    } else {
                        other.try_splice_from(&queue).expect("nobody else is there")
                    };
                    assert_eq!(spliced, expected);
                    other_model.append(&mut model);
                }
                Op::Swap => {
                    std::mem::swap(&mut queue, &mut other);
                    std::mem::swap(&mut model, &mut other_model);
                }
                Op::TakeAll => assert!(queue.take_all().into_iter().eq(model.drain(..))),
            }
        }
        assert!(queue.into_iter().eq(model));
        assert!(other.into_iter().eq(other_model));
    }

    #[test]
    fn segment_queue(ops in ops()) {
        let mut queue = SegmentQueue::new();
        let mut model = VecDeque::new();
        let mut next = 0_u64;
        for op in ops {
            match op {
                Op::Enqueue(count) => {
                    for _ in 0..count {
                        queue.enqueue(next);
                        model.push_back(next);
                        next += 1;
                    }
                }
                Op::Dequeue(count) => (0..count).for_each(|_| assert_eq!(queue.dequeue(), model.pop_front())),
                Op::DequeueMut => assert_eq!(queue.dequeue_mut(), model.pop_front()),
                Op::IsEmpty => assert_eq!(queue.is_empty(), model.is_empty()),
                Op::Drain(count) => {
                    let most = usize::from(count).min(model.len());
                    assert!(queue.drain().take(usize::from(count)).eq(model.drain(..most)));
                }
                Op::Swap => {
                    queue = queue.into_iter().collect();
                    queue.extend([next]);
                    model.push_back(next);
                    next += 1;
                }
                _ => assert_eq!(queue.try_dequeue(), Ok(model.pop_front())),
            }
        }
        assert!(queue.into_iter().eq(model));
    }

    #[test]
    fn locked_queue(ops in ops()) {
        let mut queue = LockedQueue::new();
        let mut model = VecDeque::new();
        let mut next = 0_u64;
        for op in ops {
            match op {
                Op::Enqueue(count) => {
                    let values = next..next + u64::from(count);
                    next = values.end;
                    model.extend(values.clone());
                    match count % 3 {
                        0 => values.for_each(|value| queue.enqueue(value)),
                        1 => queue.enqueue_all(values),
                        _ => (&queue).extend(values),
                    }
                }
                Op::Dequeue(count) => (0..count).for_each(|_| assert_eq!(queue.dequeue(), model.pop_front())),
                Op::TryDequeue | Op::First => assert_eq!(queue.len(), model.len()),
                Op::DequeueMut => assert_eq!(queue.dequeue_mut(), model.pop_front()),
                Op::IsEmpty => assert_eq!(queue.is_empty(), model.is_empty()),
                Op::Swap => {
                    queue = queue.into_iter().collect();
                    queue.extend([next]);
                    model.push_back(next);
                    next += 1;
                }
                _ => assert!(queue.take_all().eq(model.drain(..))),
            }
        }
        assert!(queue.into_iter().eq(model));
    }

    #[test]
    fn bounded_queue(ops in ops(), room in 1..700_usize) {
        let mut queue = BoundedQueue::new(room);
        let capacity = queue.capacity();
        assert_eq!(capacity, room.max(2).next_power_of_two());
        let mut model = VecDeque::new();
        let mut next = 0_u64;
        for op in ops {
            match op {
                Op::Enqueue(count) => {
                    for _ in 0..count {
                        let has_room = model.len() < capacity;
                        assert_eq!(queue.enqueue(next), if has_room { Ok(()) } else { Err(Full(next)) });
                        if has_room {
                            model.push_back(next);
                        }
                        next += 1;
                    }
                }
                Op::Dequeue(count) | Op::Drain(count) => {
                    (0..count).for_each(|_| assert_eq!(queue.dequeue(), model.pop_front()));
                }
                Op::DequeueMut | Op::Swap => assert_eq!(queue.dequeue_mut(), model.pop_front()),
                _ => {
                    assert_eq!(queue.len(), model.len());
                    assert_eq!((queue.is_empty(), queue.is_full()), (model.is_empty(), model.len() == capacity));
                }
            }
        }
        assert!(queue.into_iter().eq(model));
    }

    #[test]
    fn lf_queue(ops in ops()) {
        let mut queue = LfQueue::new(Bp::vtable());
        let mut model = VecDeque::new();
        let mut next = 0_u64;
        let guard = || urcu_core::read_lock::<Bp>();
        for op in ops {
            match op {
                Op::Enqueue(count) => {
                    for _ in 0..count {
                        queue.enqueue(next, &guard());
                        model.push_back(next);
                        next += 1;
                    }
                }
                Op::Dequeue(count) | Op::Drain(count) => {
                    (0..count).for_each(|_| assert_eq!(queue.dequeue(&guard()), model.pop_front()));
                }
                Op::DequeueMut | Op::Swap => assert_eq!(queue.dequeue_mut(), model.pop_front()),
                _ => assert_eq!(queue.is_empty(&guard()), model.is_empty()),
            }
        }
        assert!(queue.into_iter().eq(model));
    }

    #[test]
    fn raw_lfqueue(ops in ops()) {
        let thread = Thread::<structure_conformance::Mb>::register().expect("a thread of its own");
        let queue = RawLf::<structure_conformance::Mb>::fresh();
        let mut model = VecDeque::new();
        let mut next = 0_u64;
        for op in ops {
            match op {
                Op::Enqueue(count) => {
                    for _ in 0..count {
                        queue.enqueue(&thread, next);
                        model.push_back(next);
                        next += 1;
                    }
                }
                Op::Dequeue(count) => {
                    (0..count).for_each(|_| assert_eq!(queue.dequeue(&thread), model.pop_front()));
                }
                _ => assert_eq!(queue.dequeue(&thread), model.pop_front()),
            }
        }
        while let Some(value) = queue.dequeue(&thread) {
            assert_eq!(Some(value), model.pop_front());
        }
        assert!(model.is_empty());
    }

    #[test]
    fn raw_wfcqueue(ops in ops()) {
        let (mut queue, mut other) = (RawWfc::new(), RawWfc::new());
        let (mut model, mut other_model) = (VecDeque::new(), VecDeque::new());
        let mut next = 0_u64;
        for op in ops {
            let (head, tail) = queue.ends();
            match op {
                Op::Enqueue(count) => {
                    for _ in 0..count {
                        assert_eq!(queue.put(next), !model.is_empty());
                        model.push_back(next);
                        next += 1;
                    }
                }
                Op::Dequeue(count) => {
                    for _ in 0..count {
                        // SAFETY: one thread.
                        let taken = unsafe { wfcqueue::dequeue_with_state_nonblocking(head, tail) }.expect("one thread");
                        // SAFETY: dequeued.
                        let value = taken.map(|(node, state)| (unsafe { WfcItem::unbox(node) }, state));
                        let state = if model.len() == 1 { State::Last } else { State::More };
                        assert_eq!(value, model.pop_front().map(|value| (value, state)));
                    }
                }
                Op::IsEmpty => assert_eq!(wfcqueue::empty(head, tail), model.is_empty()),
                Op::Splice => {
                    let expected = match (model.is_empty(), other_model.is_empty()) {
                        (true, _) => Spliced::SrcEmpty,
                        (_, true) => Spliced::DestEmpty,
                        _ => Spliced::DestNonEmpty,
                    };
                    // SAFETY: one thread, different queues.
                    assert_eq!(unsafe { wfcqueue::splice_blocking(other.ends(), queue.ends()) }, expected);
                    other_model.append(&mut model);
                }
                Op::First => {
                    // SAFETY: one thread.
                    let first = unsafe { wfcqueue::first_nonblocking(head, tail) }.expect("one thread");
                    // SAFETY: in the queue.
                    assert_eq!(first.map(|node| unsafe { WfcItem::value(node) }), model.front().copied());
                    // SAFETY: one thread.
                    let second = first.and_then(|node| unsafe { wfcqueue::next_nonblocking(tail, node) }.expect("one thread"));
                    // SAFETY: in the queue.
                    assert_eq!(second.map(|node| unsafe { WfcItem::value(node) }), model.get(1).copied());
                    // SAFETY: one thread.
                    let all = unsafe { wfcqueue::iter(head, tail) };
                    // SAFETY: in the queue.
                    assert!(all.map(|node| unsafe { WfcItem::value(node) }).eq(model.iter().copied()));
                }
                Op::Swap => {
                    std::mem::swap(&mut queue, &mut other);
                    std::mem::swap(&mut model, &mut other_model);
                }
                _ => assert_eq!(queue.take(), model.pop_front()),
            }
        }
        while let Some(value) = queue.take() {
            assert_eq!(Some(value), model.pop_front());
        }
        assert!(model.is_empty());
    }
}

#[test]
fn nonblocking_calls_say_so_when_another_thread_has_the_lock() {
    let (wfc, segments) = (WfcQueue::from_iter([1, 2]), SegmentQueue::from_iter([1, 2]));
    let (mut one, mut two) = (wfc.drain(), segments.drain());
    assert_eq!((one.next(), two.next()), (Some(1), Some(1)));
    assert_eq!((wfc.try_dequeue(), segments.try_dequeue()), (Err(WouldBlock), Err(WouldBlock)));
    assert_eq!(WfcQueue::new().try_splice_from(&wfc), Err(WouldBlock));
    drop((one, two));
    assert_eq!((wfc.try_dequeue(), segments.try_dequeue()), (Ok(Some(2)), Ok(Some(2))));
}

#[test]
fn a_queue_that_is_not_empty_is_not_destroyed() {
    use cds_wfqueue::raw::lfqueue;
    let guard = urcu_core::read_lock::<Bp>();
    let mut queue = Box::<lfqueue::Queue>::new_uninit();
    // SAFETY: stays in its box.
    unsafe { lfqueue::init(queue.as_mut_ptr(), Bp::vtable().call_rcu) };
    // SAFETY: initialised.
    let queue = unsafe { queue.assume_init() };
    let mut nodes = [lfqueue::Node::new(), lfqueue::Node::new()];
    for node in &mut nodes {
        // SAFETY: inside a section; the nodes stay until they are dequeued.
        unsafe { lfqueue::enqueue(&queue, std::ptr::NonNull::from(node)) };
    }
    for left in [2, 1] {
        // SAFETY: nobody else uses it.
        assert_eq!(unsafe { lfqueue::destroy(&queue) }, Err(lfqueue::NotEmpty), "{left} left");
        // SAFETY: inside a section.
        assert!(unsafe { lfqueue::dequeue(&queue) }.is_some());
    }
    drop(guard);
    // SAFETY: nobody else uses it, and it is not used any more.
    assert_eq!(unsafe { lfqueue::destroy(&queue) }, Ok(()));
    // The nodes are on this stack: sections may still look at them.
    assert!(Bp::vtable().synchronize_if_allowed());
}

#[test]
#[should_panic(expected = "a guard of urcu-bp")]
fn a_guard_of_another_flavor_is_refused() {
    LfQueue::new(structure_conformance::Mb::vtable()).enqueue(1, &urcu_core::read_lock::<Bp>());
}

#[test]
#[should_panic(expected = "a queue without room")]
fn a_queue_without_room_is_refused() {
    BoundedQueue::<u8>::new(0);
}

#[test]
#[should_panic(expected = "spliced into itself")]
fn a_queue_is_not_spliced_into_itself() {
    let queue = WfcQueue::from_iter([1]);
    queue.splice_from(&queue);
}

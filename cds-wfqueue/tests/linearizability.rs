//! Recorded histories of every queue have an order that explains them.

#![cfg(not(urcu_loom))]

mod common;

use cds_wfqueue::{BoundedQueue, LfQueue, LockedQueue, SegmentQueue, WfcQueue};
use common::{Fifo, RawLf, RawWfc};
use std::collections::VecDeque;

use structure_conformance::linearizability::{Model, Queue, QueueOp, QueueRet, Rounds};
use structure_conformance::{Tested, Thread, on_every_flavor};

/// How many rounds, and values that are there before: so that rounds begin near the end of a segment, too.
const ROUNDS: u64 = 300;

/// What a queue says of its being empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    /// Yes is true at some moment of the call, no is a hint.
    Yes,
    /// Either is true at some moment of the call.
    YesAndNo,
}

fn check<F: Tested, Q: Fifo<F>>(says: Says, before: u64) {
    // More than there can be: the queue is empty afterwards.
    let closing = vec![QueueOp::Dequeue; 13];
    Rounds::<Queue>::new(ROUNDS).closing(closing).run::<F, Q>(
        |random| {
            let queue = Q::fresh();
            std::thread::scope(|scope| {
                let passed = random.below(before + 1);
                let queue = &queue;
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("a thread of its own");
                    for value in 0..passed {
                        queue.enqueue(&thread, value);
                        assert_eq!(queue.dequeue(&thread), Some(value));
                    }
                });
            });
            (Queue::default(), queue)
        },
        |choice| match choice.random.below(8) {
            0 if says != Says::Nothing => QueueOp::IsEmpty,
            0..4 => QueueOp::Dequeue,
            _ => QueueOp::Enqueue(choice.value()),
        },
        |queue, thread, op| match *op {
            QueueOp::Enqueue(value) => {
                queue.enqueue(thread, value);
                QueueRet::Done
            }
            QueueOp::IsEmpty => match queue.is_empty(thread) {
                false if says == Says::Yes => QueueRet::Hint,
                is_empty => QueueRet::WasEmpty(is_empty),
            },
            _ => QueueRet::One(queue.dequeue(thread)),
        },
    );
}

on_every_flavor! {
    fn lf_queue<F>() {
        check::<F, LfQueue<u64>>(Says::Yes, 250);
    }

    fn raw_lfqueue<F>() {
        check::<F, RawLf<F>>(Says::Nothing, 2);
    }
}

#[test]
fn wfc_queue() {
    check::<structure_conformance::Bp, WfcQueue<u64>>(Says::YesAndNo, 0);
}

#[test]
fn segment_queue() {
    check::<structure_conformance::Bp, SegmentQueue<u64>>(Says::YesAndNo, 250);
}

#[test]
fn locked_queue() {
    check::<structure_conformance::Bp, LockedQueue<u64>>(Says::YesAndNo, 20);
}

/// Never full: a history has fewer values than there is room.
#[test]
fn bounded_queue() {
    check::<structure_conformance::Bp, BoundedQueue<u64>>(Says::YesAndNo, 20);
}

#[test]
fn raw_wfcqueue() {
    check::<structure_conformance::Bp, RawWfc>(Says::YesAndNo, 0);
}

/// With what enqueue and splice return.
#[test]
fn wfc_queue_with_splices() {
    Rounds::<Queue>::new(2 * ROUNDS).closing([QueueOp::Drain]).run::<structure_conformance::Bp, _>(
        |_| (Queue::default(), RawWfc::new()),
        |choice| match choice.random.below(8) {
            0 => QueueOp::Drain,
            1 => QueueOp::IsEmpty,
            2..4 => QueueOp::Dequeue,
            _ => QueueOp::EnqueueTelling(choice.value()),
        },
        |queue, thread, op| match *op {
            QueueOp::EnqueueTelling(value) => QueueRet::WasEmpty(!queue.put(value)),
            QueueOp::IsEmpty => QueueRet::WasEmpty(Fifo::is_empty(queue, thread)),
            QueueOp::Drain => {
                let own = RawWfc::new();
                // SAFETY: different queues, and everybody takes the lock.
                unsafe { cds_wfqueue::raw::wfcqueue::splice_locked(own.ends(), queue.ends()) };
                QueueRet::All(std::iter::from_fn(|| own.take()).collect())
            }
            _ => QueueRet::One(queue.take()),
        },
    );
}

/// First in, first out, with room for two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct RoomForTwo(VecDeque<u64>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum RingOp {
    /// Returns whether there was room.
    Enqueue(u64),
    Dequeue,
    IsEmpty,
    IsFull,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RingRet {
    Said(bool),
    Got(Option<u64>),
}

impl Model for RoomForTwo {
    type Op = RingOp;
    type Ret = RingRet;

    fn apply(&mut self, op: &RingOp) -> RingRet {
        match *op {
            RingOp::Enqueue(_) if self.0.len() == 2 => RingRet::Said(false),
            RingOp::Enqueue(value) => {
                self.0.push_back(value);
                RingRet::Said(true)
            }
            RingOp::Dequeue => RingRet::Got(self.0.pop_front()),
            RingOp::IsEmpty => RingRet::Said(self.0.is_empty()),
            RingOp::IsFull => RingRet::Said(self.0.len() == 2),
        }
    }
}

/// What it says of its being full or empty was true at some moment of the call.
#[test]
fn bounded_queue_that_is_full_and_empty() {
    Rounds::<RoomForTwo>::new(3 * ROUNDS).closing(vec![RingOp::Dequeue; 3]).run::<structure_conformance::Bp, _>(
        |random| {
            let queue = BoundedQueue::new(2);
            for value in 0..random.below(5) {
                assert_eq!((queue.enqueue(value), queue.dequeue()), (Ok(()), Some(value)));
            }
            (RoomForTwo::default(), queue)
        },
        |choice| match choice.random.below(8) {
            0 => RingOp::IsEmpty,
            1 => RingOp::IsFull,
            2..4 => RingOp::Dequeue,
            _ => RingOp::Enqueue(choice.value()),
        },
        |queue, _, op| match *op {
            RingOp::Enqueue(value) => RingRet::Said(queue.enqueue(value).is_ok()),
            RingOp::Dequeue => RingRet::Got(queue.dequeue()),
            RingOp::IsEmpty => RingRet::Said(queue.is_empty()),
            RingOp::IsFull => RingRet::Said(queue.is_full()),
        },
    );
}

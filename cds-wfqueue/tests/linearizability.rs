//! Recorded histories of every queue have an order that explains them.

#![cfg(not(urcu_loom))]

mod common;

use cds_wfqueue::{LfQueue, SegmentQueue, WfcQueue};
use common::{Fifo, RawLf, RawWfc};
use structure_conformance::linearizability::{Queue, QueueOp, QueueRet, Rounds};
use structure_conformance::{Tested, Thread, on_every_flavor};

/// How many rounds, and values that are there before: so that rounds begin near the end of a segment, too.
const ROUNDS: u64 = 300;

fn check<F: Tested, Q: Fifo<F>>(knows_whether_empty: bool, before: u64) {
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
            0 if knows_whether_empty => QueueOp::IsEmpty,
            0..4 => QueueOp::Dequeue,
            _ => QueueOp::Enqueue(choice.value()),
        },
        |queue, thread, op| match *op {
            QueueOp::Enqueue(value) => {
                queue.enqueue(thread, value);
                QueueRet::Done
            }
            QueueOp::IsEmpty => QueueRet::WasEmpty(queue.is_empty(thread)),
            _ => QueueRet::One(queue.dequeue(thread)),
        },
    );
}

on_every_flavor! {
    fn lf_queue<F>() {
        check::<F, LfQueue<u64>>(true, 250);
    }

    fn raw_lfqueue<F>() {
        check::<F, RawLf<F>>(false, 2);
    }
}

#[test]
fn wfc_queue() {
    check::<structure_conformance::Bp, WfcQueue<u64>>(true, 0);
}

#[test]
fn segment_queue() {
    check::<structure_conformance::Bp, SegmentQueue<u64>>(true, 250);
}

#[test]
fn raw_wfcqueue() {
    check::<structure_conformance::Bp, RawWfc>(true, 0);
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

//! Everything that may run together does, under every flavor: nothing is lost, nothing comes twice, each producer's values come in
//! their order.

#![cfg(not(urcu_loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use cds_wfqueue::raw::wfcqueue::{self, BareHead, Tail};
use cds_wfqueue::{BoundedQueue, LfQueue, LockedQueue, SegmentQueue, Spliced, WfcQueue};
use common::{Fifo, RawLf, RawWfc, WfcItem};
use structure_conformance::{Tested, Thread, on_every_flavor, within_limit};
use urcu_conformance::seed::Random;

const PRODUCERS: u64 = 3;
const CONSUMERS: u64 = 2;
const EACH: u64 = 6_000;

fn value(producer: u64, number: u64) -> u64 {
    producer << 32 | number
}

/// What one consumer has got, or several that exclude each other.
#[derive(Default)]
struct Seen {
    next: [u64; PRODUCERS as usize],
    count: u64,
}

impl Seen {
    /// Later values of a producer come later; with one consumer none is missing.
    fn see(&mut self, value: u64, alone: bool) {
        let (producer, number) = ((value >> 32) as usize, value & 0xFFFF_FFFF);
        let next = &mut self.next[producer];
        assert!(number >= *next, "producer {producer}: {number} came after {}", *next - 1);
        assert!(!alone || number == *next, "producer {producer}: {number} came instead of {next}");
        *next = number + 1;
        self.count += 1;
    }
}

/// All pairs of enqueue, dequeue and `is_empty`.
fn many_to_many<F: Tested, Q: Fifo<F>>(consumers: u64) {
    let queue = Q::fresh();
    let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
    let total = PRODUCERS * EACH;
    thread::scope(|scope| {
        let (queue, sum, count) = (&queue, &sum, &count);
        for producer in 0..PRODUCERS {
            scope.spawn(move || {
                let mut thread = Thread::<F>::register().expect("a thread of its own");
                let mut random = Random::new(producer);
                for number in 0..EACH {
                    queue.enqueue(&thread, value(producer, number));
                    if random.once_in(64) {
                        random.dawdle();
                        queue.is_empty(&thread);
                        thread.quiescent_state();
                    }
                }
            });
        }
        for consumer in 0..consumers {
            scope.spawn(move || {
                let mut thread = Thread::<F>::register().expect("a thread of its own");
                let mut random = Random::new(100 + consumer);
                let mut seen = Seen::default();
                while count.load(Ordering::Relaxed) < total {
                    if let Some(value) = queue.dequeue(&thread) {
                        seen.see(value, consumers == 1);
                        sum.fetch_add(value, Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                        if random.once_in(256) {
                            random.dawdle();
                        }
                    } else {
                        thread.while_offline(thread::yield_now);
                    }
                    thread.quiescent_state();
                }
            });
        }
    });
    let expected: u64 = (0..PRODUCERS).map(|producer| (producer << 32) * EACH + EACH * (EACH - 1) / 2).sum();
    assert_eq!((count.into_inner(), sum.into_inner()), (total, expected));
    let thread = Thread::<F>::register().expect("not registered yet");
    assert_eq!(queue.dequeue(&thread), None);
}

/// Consumers that never rest find a producer in the middle of writing a value most of the time, and skip its slot when that takes
/// too long: the value still comes, once, whole and in order.
fn slow_values<F: Tested>() {
    const WORDS: usize = 2048;
    const EACH: u64 = 400;
    let queue = LfQueue::<[u64; WORDS]>::new(F::vtable());
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        let (queue, count) = (&queue, &count);
        for producer in 0..2 {
            scope.spawn(move || {
                let mut thread = Thread::<F>::register().expect("a thread of its own");
                for number in 0..EACH {
                    queue.enqueue([value(producer, number); WORDS], &thread.read_lock());
                    thread.quiescent_state();
                }
            });
        }
        for _ in 0..CONSUMERS {
            scope.spawn(move || {
                let mut thread = Thread::<F>::register().expect("a thread of its own");
                let mut seen = Seen::default();
                while count.load(Ordering::Relaxed) < 2 * EACH {
                    if let Some(words) = queue.dequeue(&thread.read_lock()) {
                        assert!(words.iter().all(|word| *word == words[0]), "a value that was not whole");
                        seen.see(words[0], false);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    thread.quiescent_state();
                }
            });
        }
    });
    let thread = Thread::<F>::register().expect("not registered yet");
    assert_eq!(count.into_inner(), 2 * EACH);
    assert!(queue.dequeue(&thread.read_lock()).is_none());
}

on_every_flavor! {
    fn lf_queue<F>() {
        many_to_many::<F, LfQueue<u64>>(CONSUMERS);
        many_to_many::<F, LfQueue<u64>>(1);
    }

    fn raw_lfqueue<F>() {
        many_to_many::<F, RawLf<F>>(CONSUMERS);
        many_to_many::<F, RawLf<F>>(1);
    }

    fn raw_wfcqueue<F>() {
        many_to_many::<F, RawWfc>(CONSUMERS);
        many_to_many::<F, RawWfc>(1);
    }

    fn wfc_queue<F>() {
        many_to_many::<F, WfcQueue<u64>>(CONSUMERS);
    }

    fn segment_queue<F>() {
        many_to_many::<F, SegmentQueue<u64>>(CONSUMERS);
        many_to_many::<F, SegmentQueue<u64>>(1);
    }

    fn locked_queue<F>() {
        many_to_many::<F, LockedQueue<u64>>(CONSUMERS);
    }

    /// Full and empty all the time.
    fn bounded_queue<F>() {
        many_to_many::<F, BoundedQueue<u64>>(CONSUMERS);
        many_to_many::<F, BoundedQueue<u64>>(1);
    }

    fn values_that_take_long_to_write<F>() {
        slow_values::<F>();
    }

    /// The order within each producer survives when several queues of different flavors share threads.
    fn retired_segments_wait_for_sections<F>() {
        let queue = LfQueue::new(F::vtable());
        let counts = structure_conformance::Counts::new();
        let thread = Thread::<F>::register().expect("not registered yet");
        let guard = thread.read_lock();
        // Many segments are left inside this section.
        for round in 0..5_000 {
            queue.enqueue(counts.make(round), &guard);
            assert_eq!(queue.dequeue(&guard).map(|value| value.value()), Some(round));
        }
        drop(guard);
        drop(queue);
        assert_eq!((counts.made(), counts.dropped()), (5_000, 5_000));
    }
}

/// Regression: a producer that had found a segment full waited for another one to install the next, also when the segment after that was
/// full exactly, and nobody was left to do so.
#[test]
fn a_segment_that_is_exactly_full_does_not_stop_its_producers() {
    within_limit("a_segment_that_is_exactly_full_does_not_stop_its_producers", || {
        for round in 0..200_u64 {
            let queue = SegmentQueue::new();
            thread::scope(|scope| {
                for producer in 0..3 {
                    let queue = &queue;
                    scope.spawn(move || {
                        // A multiple of the slots, more or less.
                        for number in 0..248 * 4 + round % 7 {
                            queue.enqueue((producer, number));
                        }
                    });
                }
            });
            assert_eq!(queue.into_iter().count() as u64, 3 * (248 * 4 + round % 7));
        }
    });
}

/// Enqueue, dequeue under the lock, splices from one queue by two threads at a time, and iteration under the lock.
#[test]
fn raw_wfcqueue_with_splices_and_iteration() {
    within_limit("raw_wfcqueue_with_splices_and_iteration", || {
        let queue = RawWfc::new();
        let total = PRODUCERS * EACH;
        let (count, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        let got = |value: u64| {
            sum.fetch_add(value, Ordering::Relaxed);
            count.fetch_add(1, Ordering::Relaxed);
        };
        thread::scope(|scope| {
            let (queue, count, got) = (&queue, &count, &got);
            for producer in 0..PRODUCERS {
                scope.spawn(move || {
                    let mut random = Random::new(producer);
                    for number in 0..EACH {
                        queue.put(value(producer, number));
                        random.dawdle();
                    }
                });
            }
            // One dequeues and iterates, under the lock; one splices under the lock.
            scope.spawn(move || {
                while count.load(Ordering::Relaxed) < total {
                    if let Some(value) = queue.take() {
                        got(value);
                    }
                    let (head, tail) = queue.ends();
                    wfcqueue::dequeue_lock(head);
                    let mut seen = Seen::default();
                    // SAFETY: under the lock.
                    for node in unsafe { wfcqueue::iter(head, tail) }.take(20) {
                        // SAFETY: in the queue, as long as the lock is held.
                        seen.see(unsafe { WfcItem::value(node) }, false);
                    }
                    // SAFETY: taken above.
                    unsafe { wfcqueue::dequeue_unlock(head) };
                }
            });
            scope.spawn(move || {
                while count.load(Ordering::Relaxed) < total {
                    let (mut head, mut tail) = (BareHead::new(), Tail::new());
                    // SAFETY: both stay where they are during this turn.
                    unsafe { wfcqueue::init(&raw mut head, &raw mut tail) };
                    // SAFETY: everybody takes the lock.
                    let spliced = unsafe { wfcqueue::splice_locked((&head, &tail), queue.ends()) };
                    let mut seen = Seen::default();
                    loop {
                        // SAFETY: this thread's own queue.
                        match unsafe { wfcqueue::dequeue_nonblocking(&head, &tail) } {
                            Ok(Some(node)) => {
                                // SAFETY: dequeued.
                                let value = unsafe { WfcItem::unbox(node) };
                                seen.see(value, false);
                                got(value);
                            }
                            Ok(None) => break,
                            Err(wfcqueue::WouldBlock) => thread::yield_now(),
                        }
                    }
                    assert_eq!(seen.count == 0, spliced == Spliced::SrcEmpty);
                    thread::yield_now();
                }
            });
        });
        let expected: u64 = (0..PRODUCERS).map(|producer| (producer << 32) * EACH + EACH * (EACH - 1) / 2).sum();
        assert_eq!(sum.into_inner(), expected);
    });
}

/// Two splices from one queue exclude each other as little as enqueues do.
#[test]
fn raw_wfcqueue_splices_from_one_queue_together() {
    within_limit("raw_wfcqueue_splices_from_one_queue_together", || {
        let queue = RawWfc::new();
        let (count, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let total = PRODUCERS * EACH;
        thread::scope(|scope| {
            let (queue, count, over) = (&queue, &count, &over);
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| {
                    scope.spawn(move || {
                        (0..EACH).for_each(|number| {
                            queue.put(value(producer, number));
                        })
                    })
                })
                .collect();
            for splicer in 0..2 {
                scope.spawn(move || {
                    let own = RawWfc::new();
                    loop {
                        let last = over.load(Ordering::Acquire);
                        let spliced = if splicer == 0 {
                            // SAFETY: nobody dequeues from the source or iterates over it.
                            Ok(unsafe { wfcqueue::splice_blocking(own.ends(), queue.ends()) })
                        } else {
                            // SAFETY: as above.
                            unsafe { wfcqueue::splice_nonblocking(own.ends(), queue.ends()) }
                        };
                        let mut seen = Seen::default();
                        while let Some(value) = own.take() {
                            seen.see(value, false);
                        }
                        count.fetch_add(seen.count, Ordering::Relaxed);
                        if last && spliced == Ok(Spliced::SrcEmpty) {
                            break;
                        }
                    }
                });
            }
            producers.into_iter().for_each(|producer| producer.join().expect("no panics"));
            over.store(true, Ordering::Release);
        });
        assert_eq!(count.into_inner(), total);
    });
}

/// Two queues that are spliced into each other all the time lose nothing.
#[test]
fn queues_spliced_into_each_other() {
    within_limit("queues_spliced_into_each_other", || {
        let queues = [WfcQueue::new(), WfcQueue::new()];
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (queues, over) = (&queues, &over);
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| {
                    scope.spawn(move || {
                        let mut enqueuers = [queues[0].enqueuer(), queues[1].enqueuer()];
                        (0..EACH).for_each(|number| enqueuers[number as usize % 2].enqueue((producer, number)));
                    })
                })
                .collect();
            for from in 0..2 {
                scope.spawn(move || {
                    let mut random = Random::new(from as u64);
                    while !over.load(Ordering::Relaxed) {
                        if random.once_in(2) {
                            queues[1 - from].splice_from(&queues[from]);
                        } else {
                            let _ = queues[1 - from].try_splice_from(&queues[from]);
                        }
                        if let Some(value) = queues[from].dequeue() {
                            queues[from].enqueue(value);
                        }
                        random.dawdle();
                    }
                });
            }
            producers.into_iter().for_each(|producer| producer.join().expect("no panics"));
            over.store(true, Ordering::Relaxed);
        });
        let mut all: Vec<_> = queues.into_iter().flatten().collect();
        all.sort_unstable();
        let expected: Vec<_> =
            (0..PRODUCERS).flat_map(|producer| (0..EACH).map(move |number| (producer, number))).collect();
        assert!(all == expected);
    });
}

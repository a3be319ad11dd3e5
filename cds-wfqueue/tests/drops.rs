//! Each value is dropped once, whatever happens.

#![cfg(not(urcu_loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cds_wfqueue::{BoundedQueue, LfQueue, LockedQueue, Rejected, SegmentQueue, WfcQueue};
use structure_conformance::{Bp, Counts, Tested};

fn guard() -> urcu_core::Guard<'static, Bp> {
    urcu_core::read_lock::<Bp>()
}

#[test]
fn what_remains_is_dropped_with_the_queue() {
    for (put, taken) in [(0, 0), (1, 0), (1, 1), (700, 0), (700, 248), (700, 249), (700, 600), (496, 496)] {
        let counts = Counts::new();
        let (wfc, segments, lf) = (WfcQueue::new(), SegmentQueue::new(), LfQueue::new(Bp::vtable()));
        let (locked, bounded) = (LockedQueue::new(), BoundedQueue::new(700));
        for value in 0..put {
            wfc.enqueue(counts.make(value));
            segments.enqueue(counts.make(value));
            lf.enqueue(counts.make(value), &guard());
            locked.enqueue(counts.make(value));
            bounded.enqueue(counts.make(value)).expect("there is room");
        }
        for value in 0..taken {
            assert_eq!(wfc.dequeue().map(|it| it.value()), Some(value));
            assert_eq!(segments.dequeue().map(|it| it.value()), Some(value));
            assert_eq!(lf.dequeue(&guard()).map(|it| it.value()), Some(value));
            assert_eq!(locked.dequeue().map(|it| it.value()), Some(value));
            assert_eq!(bounded.dequeue().map(|it| it.value()), Some(value));
        }
        assert_eq!(counts.dropped() as u64, 5 * taken);
        drop((wfc, segments, lf, locked, bounded));
        assert_eq!((counts.made() as u64, counts.dropped() as u64), (5 * put, 5 * put));
    }
}

#[test]
fn an_iterator_that_is_left_drops_the_rest() {
    let counts = Counts::new();
    let wfc: WfcQueue<_> = (0..600).map(|value| counts.make(value)).collect();
    let segments: SegmentQueue<_> = (0..600).map(|value| counts.make(value)).collect();
    assert_eq!(wfc.into_iter().take(10).count() + segments.into_iter().take(300).count(), 310);
    assert_eq!((counts.made(), counts.dropped()), (1200, 1200));
}

/// Panics when it is dropped, if it is told to.
struct Fragile(Arc<AtomicUsize>, bool);

impl Drop for Fragile {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!self.1, "dropped on purpose");
    }
}

#[test]
fn a_drop_that_panics_does_not_keep_the_rest_from_being_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let values = || (0..500).map(|number| Fragile(Arc::clone(&dropped), number == 100));
    let lf = LfQueue::new(Bp::vtable());
    values().for_each(|value| lf.enqueue(value, &guard()));
    let (wfc, segments) = (values().collect::<WfcQueue<_>>(), values().collect::<SegmentQueue<_>>());
    let (locked, bounded) = (values().collect::<LockedQueue<_>>(), BoundedQueue::new(500));
    values().for_each(|value| bounded.enqueue(value).expect("there is room"));
    for (index, result) in [
        catch_unwind(AssertUnwindSafe(|| drop(lf))),
        catch_unwind(AssertUnwindSafe(|| drop(wfc))),
        catch_unwind(AssertUnwindSafe(|| drop(segments))),
        catch_unwind(AssertUnwindSafe(|| drop(locked))),
        catch_unwind(AssertUnwindSafe(|| drop(bounded))),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(result.is_err(), "{index}: the panic goes on");
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 2500);
}

#[test]
fn what_a_full_queue_refuses_comes_back() {
    let counts = Counts::new();
    let queue = BoundedQueue::new(2);
    for value in 0..2 {
        assert!(queue.enqueue(counts.make(value)).is_ok());
    }
    let Err(full) = queue.enqueue(counts.make(2)) else { panic!("there is no room") };
    assert_eq!((full.to_string(), full.0.value(), counts.dropped()), ("the queue is full".into(), 2, 0));
    drop((full, queue));
    assert_eq!((counts.made(), counts.dropped()), (3, 3));
}

#[test]
fn what_the_consumer_leaves_is_dropped() {
    let counts = Counts::new();
    let (mut producer, consumer) = SegmentQueue::new().split();
    for value in 0..300 {
        assert!(producer.enqueue(counts.make(value)).is_ok());
    }
    drop(consumer);
    assert_eq!(counts.dropped(), 300);
    assert!(producer.is_abandoned());
    let Err(Rejected(value)) = producer.enqueue(counts.make(7)) else { panic!("the consumer is gone") };
    assert_eq!(value.value(), 7);
    drop((value, producer));
    assert_eq!((counts.made(), counts.dropped()), (301, 301));
}

#[test]
fn values_that_producers_put_while_the_consumer_leaves_are_dropped_with_the_queue() {
    let counts = Counts::new();
    for _ in 0..50 {
        let (producer, mut consumer) = WfcQueue::new().split();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (mut producer, counts) = (producer.clone(), &counts);
                scope.spawn(move || (0..200).all(|value| producer.enqueue(counts.make(value)).is_ok()));
            }
            consumer.dequeue();
            drop(consumer);
        });
        drop(producer);
        assert_eq!(counts.made(), counts.dropped());
    }
}

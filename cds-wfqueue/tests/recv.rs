//! Consumers that sleep: they are woken, in time, and at the end.

#![cfg(not(urcu_loom))]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cds_wfqueue::{
    Consumer, Disconnected, Producer, Queue, RecvTimeoutError, SegmentQueue, TryRecvError, Value, WfcQueue,
};
use structure_conformance::within_limit;
use urcu_conformance::seed::Random;

fn both(
    test: &'static str,
    wfc: impl FnOnce((Producer<WfcQueue<u64>>, Consumer<WfcQueue<u64>>)),
    segments: impl FnOnce((Producer<SegmentQueue<u64>>, Consumer<SegmentQueue<u64>>)),
) {
    within_limit(test, || {
        wfc(WfcQueue::new().split());
        segments(SegmentQueue::new().split());
    });
}

/// Every value is awaited by a consumer that may have fallen asleep, and the next one is sent only when it has arrived: one lost
/// wake-up stops the test.
fn ping_pong<Q: Queue>((mut producer, mut consumer): (Producer<Q>, Consumer<Q>))
where
    Producer<Q>: Send,
    Consumer<Q>: Send,
    Value<Q>: From<u64> + Into<u64>,
{
    let arrived = AtomicU64::new(0);
    thread::scope(|scope| {
        let arrived = &arrived;
        scope.spawn(move || {
            for expected in 1..=20_000_u64 {
                let value: u64 = consumer.recv().expect("the producer is there").into();
                assert_eq!(value, expected);
                arrived.store(value, Ordering::Release);
            }
            assert!(matches!(consumer.recv(), Err(Disconnected)));
        });
        let mut random = Random::new(1);
        for value in 1..=20_000_u64 {
            assert!(producer.enqueue(value.into()).is_ok());
            while arrived.load(Ordering::Acquire) != value {
                std::hint::spin_loop();
                if random.once_in(64) {
                    thread::yield_now();
                }
            }
            // Now and then long enough for the consumer to sleep.
            if value % 500 == 0 {
                thread::park_timeout(Duration::from_micros(random.below(400)));
            }
        }
        drop(producer);
    });
}

#[test]
fn no_wake_up_is_lost() {
    both("no_wake_up_is_lost", ping_pong, ping_pong);
}

/// Several producers, which pause at random, and end.
fn many<Q: Queue>((producer, consumer): (Producer<Q>, Consumer<Q>))
where
    Producer<Q>: Send,
    Value<Q>: From<u64> + Into<u64>,
{
    const EACH: u64 = 5_000;
    thread::scope(|scope| {
        for index in 0..3 {
            let mut producer = producer.clone();
            scope.spawn(move || {
                let mut random = Random::new(index);
                for number in 0..EACH {
                    assert!(producer.enqueue((index << 32 | number).into()).is_ok());
                    random.dawdle();
                    if random.once_in(1000) {
                        thread::park_timeout(Duration::from_micros(200));
                    }
                }
            });
        }
        drop(producer);
        let mut next = [0; 3];
        for value in consumer {
            let value: u64 = value.into();
            let expected = &mut next[(value >> 32) as usize];
            assert_eq!(value & 0xFFFF_FFFF, *expected);
            *expected += 1;
        }
        assert_eq!(next, [EACH; 3]);
    });
}

#[test]
fn a_receiver_gets_everything_and_then_the_end() {
    both("a_receiver_gets_everything_and_then_the_end", many, many);
}

fn deadlines<Q: Queue>((mut producer, mut consumer): (Producer<Q>, Consumer<Q>))
where
    Value<Q>: From<u64> + Into<u64> + PartialEq + std::fmt::Debug,
{
    assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(consumer.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    let start = Instant::now();
    assert_eq!(consumer.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(producer.enqueue(1.into()).is_ok());
    assert_eq!(consumer.recv_deadline(Instant::now()).map(Into::into), Ok(1));
    assert!(producer.enqueue(2.into()).is_ok());
    drop(producer);
    assert!(consumer.is_disconnected());
    assert_eq!(consumer.try_recv().map(Into::into), Ok(2));
    assert_eq!(consumer.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(consumer.recv_timeout(Duration::from_secs(1000)), Err(RecvTimeoutError::Disconnected));
    assert_eq!(consumer.recv(), Err(Disconnected));
}

#[test]
fn deadlines_pass_and_ends_are_seen() {
    both("deadlines_pass_and_ends_are_seen", deadlines, deadlines);
}

#[test]
fn the_last_producer_wakes_a_consumer_that_sleeps() {
    within_limit("the_last_producer_wakes_a_consumer_that_sleeps", || {
        for _ in 0..200 {
            let (producer, mut consumer) = WfcQueue::<u64>::new().split();
            thread::scope(|scope| {
                scope.spawn(move || assert_eq!(consumer.recv(), Err(Disconnected)));
                let other = producer.clone();
                scope.spawn(move || drop(other));
                scope.spawn(move || drop(producer));
            });
        }
    });
}

#[test]
fn ends_may_go_to_other_threads() {
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}
    sent::<Producer<WfcQueue<String>>>();
    sent::<Producer<SegmentQueue<String>>>();
    sent::<Consumer<WfcQueue<String>>>();
    sent::<Consumer<SegmentQueue<String>>>();
    sent::<cds_wfqueue::LfQueue<std::cell::Cell<u8>>>();
    shared::<cds_wfqueue::LfQueue<std::cell::Cell<u8>>>();
    shared::<WfcQueue<std::cell::Cell<u8>>>();
    shared::<SegmentQueue<std::cell::Cell<u8>>>();
    shared::<cds_wfqueue::LockedQueue<std::cell::Cell<u8>>>();
    shared::<cds_wfqueue::BoundedQueue<std::cell::Cell<u8>>>();
    sent::<cds_wfqueue::LockedQueue<std::cell::Cell<u8>>>();
    sent::<cds_wfqueue::BoundedQueue<std::cell::Cell<u8>>>();
}

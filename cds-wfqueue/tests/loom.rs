//! All interleavings of few operations, with preemptions bounded, under the memory model's own rules.
//!
//! Segments have two slots here, so that a third value needs another one. Values are cells that the model checker watches: a missing
//! happens-before edge between an enqueue and a dequeue is an error.

#![cfg(urcu_loom)]

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use cds_wfqueue::raw::wfcqueue::{BareHead, Tail};
use cds_wfqueue::raw::{lfqueue, wfcqueue};
use cds_wfqueue::{BoundedQueue, Disconnected, Full, LfQueue, SegmentQueue, Spliced, WfcQueue};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use structure_conformance::{Bp, Tested};
use urcu_core::{AnyGuard, DomainId, FlavorVtable};

#[path = "loom/orders.rs"]
mod orders;

/// With at most so many preemptions: what goes wrong does so with two in nearly all known cases.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// A number whose accesses are watched.
struct Watched(UnsafeCell<u64>);

// SAFETY: the model checker reports every race.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(value: u64) -> Self {
        let watched = Self(UnsafeCell::new(0));
        // SAFETY: not shared yet.
        watched.0.with_mut(|it| unsafe { *it = value });
        watched
    }

    fn value(&self) -> u64 {
        // SAFETY: the model checker reports a race.
        self.0.with_mut(|it| unsafe { *it })
    }
}

thread_local! {
    /// What the model has retired; threads of a model share a system thread.
    static RETIRED: RefCell<Vec<(unsafe extern "C" fn(*mut c_void), *mut c_void)>> = const { RefCell::new(Vec::new()) };
}

/// A flavor whose grace periods end with the model: memory is never used again in it.
fn flavor() -> &'static FlavorVtable {
    unsafe extern "C" fn keep(function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void, _: usize) {
        RETIRED.with_borrow_mut(|retired| retired.push((function, argument)));
    }
    static TABLE: OnceLock<FlavorVtable> = OnceLock::new();
    TABLE.get_or_init(|| {
        // SAFETY: plain data without a destructor; another function of the same kind takes one's place.
        let mut table = unsafe { ptr::read(Bp::vtable()) };
        table.defer_free = keep;
        table
    })
}

fn end_grace_period() {
    for (function, argument) in RETIRED.take() {
        // SAFETY: retired once, and all threads have ended.
        unsafe { function(argument) };
    }
}

/// A section that keeps everything.
struct Inside;

// SAFETY: nothing is freed before the model's threads have ended.
unsafe impl AnyGuard for Inside {
    fn domain(&self) -> DomainId {
        flavor().domain()
    }

    fn flavor_name(&self) -> &'static str {
        "model"
    }
}

const INSIDE: Inside = Inside;

// ---- wfcqueue ----

#[test]
fn wfcqueue_two_producers_and_a_consumer() {
    model(3, || {
        let queue = Arc::new(WfcQueue::new());
        let producers = [1, 2].map(|value| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.enqueue(Watched::new(value)))
        });
        let mut sum = 0;
        let mut count = 0;
        while count < 2 {
            if let Some(value) = queue.dequeue() {
                sum += value.value();
                count += 1;
            } else {
                thread::yield_now();
            }
        }
        assert_eq!(sum, 3);
        assert!(queue.dequeue().is_none() && queue.is_empty());
        producers.into_iter().for_each(|producer| producer.join().unwrap());
    });
}

/// The node that was dequeued is freed at once, or used again, while enqueues go on.
#[test]
fn wfcqueue_nodes_used_again_at_once() {
    model(3, || {
        let (mut producer, mut consumer) = WfcQueue::new().split();
        let other = thread::spawn(move || {
            for value in 1..=2 {
                assert!(producer.enqueue(Watched::new(value)).is_ok());
            }
        });
        let mut next = 1;
        while next <= 2 {
            match consumer.dequeue() {
                Some(value) => {
                    assert_eq!(value.value(), next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        other.join().unwrap();
        assert_eq!(consumer.try_recv().err(), Some(cds_wfqueue::TryRecvError::Disconnected));
    });
}

#[repr(C)]
struct Item {
    node: wfcqueue::Node,
    value: Watched,
}

struct RawQueue(Box<(BareHead, Tail)>);

impl RawQueue {
    fn new() -> Self {
        let mut ends = Box::new((BareHead::new(), Tail::new()));
        // SAFETY: stays in its box.
        unsafe { wfcqueue::init(&raw mut ends.0, &raw mut ends.1) };
        Self(ends)
    }

    fn ends(&self) -> (&BareHead, &Tail) {
        (&self.0.0, &self.0.1)
    }

    fn put(&self, value: u64) -> bool {
        let item = Box::leak(Box::new(Item { node: wfcqueue::Node::new(), value: Watched::new(value) }));
        // SAFETY: initialised and fresh.
        unsafe { wfcqueue::enqueue(&self.0.0, &self.0.1, NonNull::from(item).cast()) }
    }

    fn try_take(&self) -> Result<Option<u64>, wfcqueue::WouldBlock> {
        // SAFETY: each test has one consumer per queue.
        let node = unsafe { wfcqueue::dequeue_nonblocking(&self.0.0, &self.0.1) }?;
        // SAFETY: dequeued, and made by `put`.
        Ok(node.map(|node| unsafe { Box::from_raw(node.cast::<Item>().as_ptr()) }.value.value()))
    }

    fn take(&self) -> Option<u64> {
        // SAFETY: each test has one consumer per queue.
        let node = unsafe { wfcqueue::dequeue_blocking(&self.0.0, &self.0.1) }?;
        // SAFETY: dequeued, and made by `put`.
        Some(unsafe { Box::from_raw(node.cast::<Item>().as_ptr()) }.value.value())
    }
}

#[test]
fn wfcqueue_nonblocking_dequeues_restore_what_they_touch() {
    model(3, || {
        let queue = Arc::new(RawQueue::new());
        assert!(!queue.put(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(2))
        };
        let mut got = Vec::new();
        while got.len() < 2 {
            match queue.try_take() {
                Ok(Some(value)) => got.push(value),
                _ => thread::yield_now(),
            }
        }
        assert_eq!(got, [1, 2]);
        producer.join().unwrap();
        assert_eq!(queue.try_take(), Ok(None));
    });
}

#[test]
fn wfcqueue_splices_beside_enqueues() {
    model(3, || {
        let queue = Arc::new(RawQueue::new());
        queue.put(1);
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.put(2);
                queue.put(3);
            })
        };
        let own = RawQueue::new();
        // SAFETY: this thread is the only one that takes from either.
        let spliced = unsafe { wfcqueue::splice_blocking(own.ends(), queue.ends()) };
        assert_eq!(spliced, Spliced::DestEmpty);
        // SAFETY: as above.
        let _ = unsafe { wfcqueue::splice_nonblocking(own.ends(), queue.ends()) };
        let mut got: Vec<u64> = std::iter::from_fn(|| own.take()).collect();
        producer.join().unwrap();
        got.extend(std::iter::from_fn(|| queue.take()));
        assert_eq!(got, [1, 2, 3]);
    });
}

#[test]
fn wfcqueue_two_splices_from_one_queue() {
    model(2, || {
        let queue = Arc::new(RawQueue::new());
        queue.put(1);
        let splice = |queue: &RawQueue| {
            let own = RawQueue::new();
            // SAFETY: nobody dequeues from the source.
            let spliced = unsafe { wfcqueue::splice_blocking(own.ends(), queue.ends()) };
            let got: Vec<u64> = std::iter::from_fn(|| own.take()).collect();
            assert_eq!(got.is_empty(), spliced == Spliced::SrcEmpty);
            got
        };
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || splice(&queue))
        };
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(2))
        };
        let mut got = splice(&queue);
        got.extend(other.join().unwrap());
        producer.join().unwrap();
        got.extend(std::iter::from_fn(|| queue.take()));
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

// ---- segments ----

#[test]
fn segment_queue_two_producers_across_segments() {
    model(2, || {
        let queue = Arc::new(SegmentQueue::new());
        let producers = [10, 20].map(|first| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (1..=2).for_each(|number| queue.enqueue(Watched::new(first + number))))
        });
        let mut got = Vec::new();
        while got.len() < 4 {
            match queue.dequeue() {
                Some(value) => got.push(value.value()),
                None => thread::yield_now(),
            }
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        assert!(queue.dequeue().is_none() && queue.is_empty());
        for first in [10, 20] {
            assert!(got.iter().copied().filter(|value| value / 10 == first / 10).eq([first + 1, first + 2]));
        }
    });
}

/// Segments come back while the producer goes on: values of the last round are not taken for new ones.
#[test]
fn segment_queue_uses_segments_again() {
    model(1, || {
        let queue = Arc::new(SegmentQueue::new());
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (0..5).for_each(|number| queue.enqueue(Watched::new(number))))
        };
        let mut next = 0;
        while next < 5 {
            match queue.dequeue() {
                Some(value) => {
                    assert_eq!(value.value(), next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        producer.join().unwrap();
        assert!(queue.is_empty());
    });
}

#[test]
fn segment_queue_wakes_its_consumer() {
    model(2, || {
        let (mut producer, mut consumer) = SegmentQueue::new().split();
        let other = thread::spawn(move || {
            // The third one installs a segment.
            for value in 0..3 {
                assert!(producer.enqueue(Watched::new(value)).is_ok());
            }
        });
        for value in 0..3 {
            assert_eq!(consumer.recv().ok().map(|it| it.value()), Some(value));
        }
        assert!(matches!(consumer.recv(), Err(Disconnected)));
        other.join().unwrap();
    });
}

#[test]
fn wfc_queue_wakes_its_consumer() {
    model(2, || {
        let (mut producer, mut consumer) = WfcQueue::new().split();
        let other = thread::spawn(move || {
            for value in 0..2 {
                assert!(producer.enqueue(Watched::new(value)).is_ok());
            }
        });
        for value in 0..2 {
            assert_eq!(consumer.recv().ok().map(|it| it.value()), Some(value));
        }
        assert!(matches!(consumer.recv(), Err(Disconnected)));
        other.join().unwrap();
    });
}

// ---- a fixed array ----

#[test]
fn bounded_queue_two_producers_and_one_consumer() {
    model(2, || {
        let queue = Arc::new(BoundedQueue::new(2));
        let producers = [11, 21].map(|value| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert!(queue.enqueue(Watched::new(value)).is_ok()))
        });
        let mut got = Vec::new();
        while got.len() < 2 {
            match queue.dequeue() {
                Some(value) => got.push(value.value()),
                None => thread::yield_now(),
            }
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        assert!(queue.dequeue().is_none() && queue.is_empty());
        got.sort_unstable();
        assert_eq!(got, [11, 21]);
    });
}

/// Who has put a value finds one, also while another producer is half done with the slot before.
#[test]
fn bounded_queue_says_empty_only_of_an_empty_queue() {
    model(2, || {
        let queue = Arc::new(BoundedQueue::new(2));
        let one = |queue: &BoundedQueue<Watched>, value| {
            assert!(queue.enqueue(Watched::new(value)).is_ok());
            queue.dequeue().expect("there are no more dequeues than values").value()
        };
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || one(&queue, 1))
        };
        let mine = one(&queue, 2);
        assert_eq!(mine + other.join().unwrap(), 3);
    });
}

/// Round after round through the same two slots.
#[test]
fn bounded_queue_uses_slots_again() {
    model(3, || {
        let queue = Arc::new(BoundedQueue::new(2));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for number in 0..4 {
                    let mut value = Watched::new(number);
                    while let Err(Full(again)) = queue.enqueue(value) {
                        value = again;
                        thread::yield_now();
                    }
                }
            })
        };
        let mut next = 0;
        while next < 4 {
            match queue.dequeue() {
                Some(value) => {
                    assert_eq!(value.value(), next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        producer.join().unwrap();
        assert!(queue.is_empty());
    });
}

/// Full is said only of a queue that is; a value that is there is found by one of two consumers.
#[test]
fn bounded_queue_two_consumers_of_a_full_queue() {
    model(2, || {
        let queue = Arc::new(BoundedQueue::new(2));
        (1..=2).for_each(|value| assert!(queue.enqueue(Watched::new(value)).is_ok()));
        assert!(queue.enqueue(Watched::new(0)).is_err());
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let got = queue.dequeue().map(|value| value.value());
                // Its own place is free, whatever others do.
                assert!(queue.enqueue(Watched::new(3)).is_ok());
                got
            })
        };
        let mut got: Vec<u64> = (0..2).filter_map(|_| queue.dequeue()).map(|value| value.value()).collect();
        assert!(got.is_sorted());
        got.extend(other.join().unwrap());
        got.extend(std::iter::from_fn(|| queue.dequeue()).map(|value| value.value()));
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3]);
    });
}

// ---- lock-free ----

#[test]
fn lf_queue_two_producers_and_a_consumer_that_skips() {
    model(2, || {
        let queue = Arc::new(LfQueue::new(flavor()));
        let producers = [10, 20].map(|first| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (1..=2).for_each(|number| queue.enqueue(Watched::new(first + number), &INSIDE)))
        });
        let mut got = Vec::new();
        while got.len() < 2 {
            match queue.dequeue(&INSIDE) {
                Some(value) => got.push(value.value()),
                None => thread::yield_now(),
            }
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        got.extend(std::iter::from_fn(|| queue.dequeue(&INSIDE)).map(|value| value.value()));
        assert!(queue.is_empty(&INSIDE));
        for first in [10, 20] {
            assert!(got.iter().copied().filter(|value| value / 10 == first / 10).eq([first + 1, first + 2]));
        }
        drop(queue);
        end_grace_period();
    });
}

#[test]
fn lf_queue_two_consumers_leave_a_segment() {
    model(2, || {
        let queue = Arc::new(LfQueue::new(flavor()));
        (1..=3).for_each(|value| queue.enqueue(Watched::new(value), &INSIDE));
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let got = [queue.dequeue(&INSIDE), queue.dequeue(&INSIDE)];
                queue.enqueue(Watched::new(4), &INSIDE);
                got.into_iter().flatten().map(|value| value.value()).collect::<Vec<_>>()
            })
        };
        let mut got: Vec<u64> = (0..2).filter_map(|_| queue.dequeue(&INSIDE)).map(|value| value.value()).collect();
        got.extend(other.join().unwrap());
        got.extend(std::iter::from_fn(|| queue.dequeue(&INSIDE)).map(|value| value.value()));
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3, 4]);
        drop(queue);
        end_grace_period();
    });
}

#[repr(C)]
struct LfItem {
    node: lfqueue::Node,
    value: Watched,
}

/// The raw queue; dummies and nodes stay until the end of the model.
struct RawLf {
    queue: Box<lfqueue::Queue>,
}

impl RawLf {
    fn new() -> Self {
        let mut queue = Box::<lfqueue::Queue>::new_uninit();
        // SAFETY: stays in its box.
        unsafe { lfqueue::init(queue.as_mut_ptr(), flavor().call_rcu) };
        // SAFETY: initialised.
        Self { queue: unsafe { queue.assume_init() } }
    }

    fn put(&self, value: u64) {
        let item = Box::leak(Box::new(LfItem { node: lfqueue::Node::new(), value: Watched::new(value) }));
        // SAFETY: fresh; nothing is freed before the end.
        unsafe { lfqueue::enqueue(&self.queue, NonNull::from(item).cast()) };
    }

    fn take(&self) -> Option<u64> {
        unsafe extern "C" fn free(item: *mut c_void) {
            // SAFETY: dequeued once, and all threads have ended.
            drop(unsafe { Box::from_raw(item.cast::<LfItem>()) });
        }
        // SAFETY: dummies come out once, and go to the same flavor.
        let retire = |dummy| unsafe { lfqueue::Dummy::retire(dummy, flavor()) };
        // SAFETY: nothing is freed before the end.
        let node = unsafe { lfqueue::dequeue_with(&self.queue, retire) }?;
        let item = node.cast::<LfItem>().as_ptr();
        // SAFETY: dequeued by this call alone.
        let value = unsafe { (*item).value.value() };
        // SAFETY: freed at the end of the model.
        unsafe { (flavor().defer_free)(free, item.cast(), 0) };
        Some(value)
    }

    fn end(self) {
        // SAFETY: all threads have ended.
        assert_eq!(unsafe { lfqueue::destroy(&self.queue) }, Ok(()));
        end_grace_period();
    }
}

#[test]
fn lfqueue_enqueues_and_dequeues() {
    model(2, || {
        let queue = Arc::new(RawLf::new());
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.put(1);
                queue.put(2);
                queue.take()
            })
        };
        let mut got = vec![];
        got.extend(queue.take());
        queue.put(3);
        got.extend(queue.take());
        got.extend(other.join().unwrap());
        got.extend(std::iter::from_fn(|| queue.take()));
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3]);
        Arc::try_unwrap(queue).ok().expect("the other thread has ended").end();
    });
}

/// Each of them needs a dummy: two in a row may be left.
#[test]
fn lfqueue_dequeues_of_the_last_node() {
    model(3, || {
        let queue = Arc::new(RawLf::new());
        queue.put(1);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.take())
        };
        let got: Vec<u64> = queue.take().into_iter().chain(other.join().unwrap()).collect();
        assert_eq!(got, [1]);
        assert_eq!(queue.take(), None);
        queue.put(2);
        assert_eq!(queue.take(), Some(2));
        Arc::try_unwrap(queue).ok().expect("the other thread has ended").end();
    });
}

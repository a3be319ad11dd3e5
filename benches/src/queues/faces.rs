//! Queues with values in them: ours, and other crates'.

use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;
use std::sync::mpsc;

use cds_wfqueue::{BoundedQueue, Consumer, Enqueuer, LfQueue, LockedQueue, Producer, Queue, SegmentQueue, WfcQueue};
use parking_lot::Mutex;

use super::{MOST, Subject, Taken, Worker, opaque};

/// A queue as a thread sees it.
trait Ends {
    fn push(&mut self, value: u64);
    fn pop(&mut self) -> Option<u64>;

    fn drain(&mut self) -> Taken {
        let mut taken = Taken::default();
        while let Some(value) = self.pop() {
            taken.count += 1;
            taken.sum += value;
        }
        taken
    }

    fn between(&mut self) {}

    fn rest(&mut self, wait: &mut dyn FnMut()) {
        wait();
    }
}

/// The loops over it.
struct Looped<E>(E);

impl<E: Ends> Worker for Looped<E> {
    fn pairs(&mut self, mut count: u64, mut first: u64) -> Result<u64, String> {
        let mut sum = 0;
        while count != 0 {
            self.0.push(first);
            first += 1;
            sum += self.0.pop().ok_or("the queue was empty after an enqueue")?;
            count -= 1;
            opaque(&mut count);
        }
        Ok(sum)
    }

    fn put(&mut self, mut count: u64, mut first: u64) {
        while count != 0 {
            self.0.push(first);
            first += 1;
            count -= 1;
            opaque(&mut count);
        }
    }

    fn take(&mut self, most: u64) -> Taken {
        let mut taken = Taken::default();
        while taken.count != most {
            let Some(value) = self.0.pop() else { break };
            taken.count += 1;
            taken.sum += value;
        }
        taken
    }

    fn drain(&mut self) -> Taken {
        self.0.drain()
    }

    fn rest(&mut self, wait: &mut dyn FnMut()) {
        self.0.rest(wait);
    }

    fn between(&mut self) {
        self.0.between();
    }
}

fn sum_of(values: impl Iterator<Item = u64>) -> Taken {
    values.fold(Taken::default(), |taken, value| Taken { count: taken.count + 1, sum: taken.sum + value })
}

// ---- ours, shared by all threads ----

/// `WfcQueue`, any thread dequeues.
pub fn wfc_queue() -> Box<dyn Subject> {
    Box::new(WfcQueue::<u64>::new())
}

impl Subject for WfcQueue<u64> {
    fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped((self, self.enqueuer()))))
    }
}

impl Ends for (&WfcQueue<u64>, Enqueuer<'_, u64>) {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.1.enqueue(value);
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.0.dequeue()
    }

    fn drain(&mut self) -> Taken {
        sum_of(self.0.drain())
    }
}

/// `SegmentQueue`, any thread dequeues.
pub fn segment_queue() -> Box<dyn Subject> {
    Box::new(SegmentQueue::<u64>::new())
}

impl Subject for SegmentQueue<u64> {
    fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(self)))
    }
}

impl Ends for &SegmentQueue<u64> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.enqueue(value);
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.dequeue()
    }

    fn drain(&mut self) -> Taken {
        sum_of(SegmentQueue::drain(self))
    }
}

/// `LockedQueue`.
pub fn locked_queue() -> Box<dyn Subject> {
    Box::new(LockedQueue::<u64>::new())
}

impl Subject for LockedQueue<u64> {
    fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(self)))
    }
}

impl Ends for &LockedQueue<u64> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.enqueue(value);
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.dequeue()
    }

    fn drain(&mut self) -> Taken {
        sum_of(self.take_all())
    }
}

/// `BoundedQueue`, with room for every workload.
pub fn bounded_queue() -> Box<dyn Subject> {
    Box::new(BoundedQueue::<u64>::new(usize::try_from(MOST).unwrap_or(usize::MAX)))
}

impl Subject for BoundedQueue<u64> {
    fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(self)))
    }
}

impl Ends for &BoundedQueue<u64> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        self.enqueue(value).expect("a workload has exceeded its own limit");
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.dequeue()
    }
}

// ---- ours, taken apart ----

/// Producers, and the consumer until thread 0 takes it.
struct Split<Q: Queue> {
    producer: StdMutex<Producer<Q>>,
    consumer: StdMutex<Option<Consumer<Q>>>,
}

impl<Q: Queue> Split<Q> {
    fn new((producer, consumer): (Producer<Q>, Consumer<Q>)) -> Self {
        Self { producer: StdMutex::new(producer), consumer: StdMutex::new(Some(consumer)) }
    }
}

/// A thread's half, or both; gives the consumer back.
struct Halves<'s, Q: Queue> {
    producer: Producer<Q>,
    consumer: Option<Consumer<Q>>,
    home: &'s StdMutex<Option<Consumer<Q>>>,
}

impl<Q: Queue> Drop for Halves<'_, Q> {
    fn drop(&mut self) {
        if let (Some(consumer), Ok(mut home)) = (self.consumer.take(), self.home.lock()) {
            *home = Some(consumer);
        }
    }
}

/// `WfcQueue::split`.
pub fn wfc_split() -> Box<dyn Subject> {
    Box::new(Split::new(WfcQueue::<u64>::new().split()))
}

/// `SegmentQueue::split`.
pub fn segment_split() -> Box<dyn Subject> {
    Box::new(Split::new(SegmentQueue::<u64>::new().split()))
}

macro_rules! split {
    ($queue:ty) => {
        impl Subject for Split<$queue> {
            fn worker(&self, index: usize) -> Result<Box<dyn Worker + '_>, String> {
                let producer = self.producer.lock().map_err(|_| "a producer panicked")?.clone();
                let mut home = self.consumer.lock().map_err(|_| "a consumer panicked")?;
                let consumer = if index == 0 { home.take() } else { None };
                Ok(Box::new(Looped(Halves { producer, consumer, home: &self.consumer })))
            }
        }

        impl Ends for Halves<'_, $queue> {
            #[inline(always)]
            fn push(&mut self, value: u64) {
                let _ = self.producer.enqueue(value);
            }

            #[inline(always)]
            fn pop(&mut self) -> Option<u64> {
                self.consumer.as_mut()?.dequeue()
            }

            fn drain(&mut self) -> Taken {
                self.consumer.as_mut().map_or(Taken::default(), |consumer| sum_of(consumer.drain()))
            }
        }
    };
}

split!(WfcQueue<u64>);
split!(SegmentQueue<u64>);

// ---- ours, under a flavor ----

macro_rules! lf_queue {
    ($name:ident, $krate:ident, $init:expr) => {
        /// `LfQueue`, a section for each operation.
        pub mod $name {
            use super::*;

            struct Shared(LfQueue<u64>);

            /// The subject.
            ///
            /// # Panics
            /// When the flavor cannot be used here.
            pub fn subject() -> Box<dyn Subject> {
                $init.expect("the flavor can be used");
                Box::new(Shared(LfQueue::new($krate::vtable())))
            }

            impl Subject for Shared {
                fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
                    let thread = $krate::register().map_err(|error| error.to_string())?;
                    Ok(Box::new(Looped((&self.0, thread))))
                }
            }

            impl Ends for (&LfQueue<u64>, $krate::Thread) {
                #[inline(always)]
                fn push(&mut self, value: u64) {
                    self.0.enqueue(value, &self.1.read_lock());
                }

                #[inline(always)]
                fn pop(&mut self) -> Option<u64> {
                    self.0.dequeue(&self.1.read_lock())
                }

                fn rest(&mut self, wait: &mut dyn FnMut()) {
                    self.1.while_offline(wait);
                }

                fn between(&mut self) {
                    self.1.quiescent_state();
                }
            }
        }
    };
}

lf_queue!(lf_qsbr, urcu_qsbr, urcu_qsbr::init());
lf_queue!(lf_mb, urcu_mb, urcu_mb::init());
lf_queue!(lf_membarrier, urcu_membarrier, urcu_membarrier::init());
lf_queue!(lf_signal, urcu_signal, urcu_signal::init_signal(libc::SIGUSR2));
lf_queue!(lf_bp, urcu_bp, urcu_bp::init());

// ---- peers ----

macro_rules! shared_peer {
    ($function:ident, $doc:literal, $queue:ty, $new:expr, $push:expr, $pop:expr) => {
        #[doc = $doc]
        pub fn $function() -> Box<dyn Subject> {
            let queue: $queue = $new;
            Box::new(queue)
        }

        impl Subject for $queue {
            fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
                Ok(Box::new(Looped(self)))
            }
        }

        impl Ends for &$queue {
            #[inline(always)]
            fn push(&mut self, value: u64) {
                let push: fn(&$queue, u64) = $push;
                push(self, value);
            }

            #[inline(always)]
            fn pop(&mut self) -> Option<u64> {
                let pop: fn(&$queue) -> Option<u64> = $pop;
                pop(self)
            }
        }
    };
}

shared_peer!(
    seg_queue,
    "crossbeam's unbounded queue.",
    crossbeam_queue::SegQueue<u64>,
    crossbeam_queue::SegQueue::new(),
    |queue, value| queue.push(value),
    |queue| queue.pop()
);
shared_peer!(
    array_queue,
    "crossbeam's bounded queue, with room for every workload.",
    crossbeam_queue::ArrayQueue<u64>,
    crossbeam_queue::ArrayQueue::new(usize::try_from(MOST).unwrap_or(usize::MAX)),
    |queue, value| queue.push(value).expect("a workload has exceeded its own limit"),
    |queue| queue.pop()
);
shared_peer!(
    concurrent_queue,
    "smol's unbounded queue.",
    concurrent_queue::ConcurrentQueue<u64>,
    concurrent_queue::ConcurrentQueue::unbounded(),
    |queue, value| {
        let _ = queue.push(value);
    },
    |queue| queue.pop().ok()
);
shared_peer!(
    mutex_deque,
    "A `VecDeque` behind parking_lot's mutex.",
    Mutex<VecDeque<u64>>,
    Mutex::new(VecDeque::new()),
    |queue, value| queue.lock().push_back(value),
    |queue| queue.lock().pop_front()
);

/// The standard library's channel.
pub fn std_mpsc() -> Box<dyn Subject> {
    let (sender, receiver) = mpsc::channel();
    Box::new(Mpsc { sender, receiver: StdMutex::new(Some(receiver)) })
}

struct Mpsc {
    sender: mpsc::Sender<u64>,
    receiver: StdMutex<Option<mpsc::Receiver<u64>>>,
}

struct MpscHalves<'s> {
    sender: mpsc::Sender<u64>,
    receiver: Option<mpsc::Receiver<u64>>,
    home: &'s StdMutex<Option<mpsc::Receiver<u64>>>,
}

impl Drop for MpscHalves<'_> {
    fn drop(&mut self) {
        if let (Some(receiver), Ok(mut home)) = (self.receiver.take(), self.home.lock()) {
            *home = Some(receiver);
        }
    }
}

impl Subject for Mpsc {
    fn worker(&self, index: usize) -> Result<Box<dyn Worker + '_>, String> {
        let mut home = self.receiver.lock().map_err(|_| "a receiver panicked")?;
        let receiver = if index == 0 { home.take() } else { None };
        Ok(Box::new(Looped(MpscHalves { sender: self.sender.clone(), receiver, home: &self.receiver })))
    }
}

impl Ends for MpscHalves<'_> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        let _ = self.sender.send(value);
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        self.receiver.as_ref()?.try_recv().ok()
    }
}

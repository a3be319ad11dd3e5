//! Queues taken apart: producers, and a consumer that can sleep.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicBool, AtomicUsize, Ordering};
use urcu_core::{Backoff, Event};

use crate::lock::wait;
use crate::nodes::Producing;
use crate::raw::wfcqueue::WouldBlock;
use crate::segment_queue::SegmentQueue;
use crate::wfc_queue::WfcQueue;

mod sealed {
    use super::WouldBlock;

    pub trait Queue {
        type Value;
        /// What a producer keeps for itself.
        type Local: Default;

        /// Ends with, or begins with, a SeqCst operation that a consumer sees which then looks whether the queue is empty.
        fn put(&self, local: &mut Self::Local, value: Self::Value);

        /// # Safety
        ///
        /// One consumer at a time.
        unsafe fn take(&self) -> Option<Self::Value>;

        /// # Safety
        ///
        /// One consumer at a time.
        unsafe fn try_take(&self) -> Result<Option<Self::Value>, WouldBlock>;
    }
}

/// [`WfcQueue`] and [`SegmentQueue`]: what can be taken apart into [`Producer`]s and a [`Consumer`].
pub trait Queue: sealed::Queue {}

impl<Q: sealed::Queue> Queue for Q {}

/// What the queue holds.
pub type Value<Q> = <Q as sealed::Queue>::Value;

impl<T> sealed::Queue for WfcQueue<T> {
    type Value = T;
    type Local = Producing<T>;

    #[inline]
    fn put(&self, local: &mut Producing<T>, value: T) {
        self.enqueue_with(local, value);
    }

    #[inline]
    unsafe fn take(&self) -> Option<T> {
        // SAFETY: as promised.
        unsafe { self.dequeue_exclusive() }
    }

    #[inline]
    unsafe fn try_take(&self) -> Result<Option<T>, WouldBlock> {
        // SAFETY: as promised.
        unsafe { self.try_dequeue_exclusive() }
    }
}

impl<T> sealed::Queue for SegmentQueue<T> {
    type Value = T;
    type Local = ();

    #[inline]
    fn put(&self, (): &mut (), value: T) {
        self.enqueue(value);
    }

    #[inline]
    unsafe fn take(&self) -> Option<T> {
        // SAFETY: as promised.
        unsafe { self.dequeue_exclusive() }
    }

    #[inline]
    unsafe fn try_take(&self) -> Result<Option<T>, WouldBlock> {
        // SAFETY: as promised.
        unsafe { self.try_dequeue_exclusive() }
    }
}

impl<T> WfcQueue<T> {
    /// Takes the queue apart into a producer, which can be cloned, and the consumer.
    pub fn split(self) -> (Producer<Self>, Consumer<Self>) {
        split(self)
    }
}

impl<T> SegmentQueue<T> {
    /// Takes the queue apart into a producer, which can be cloned, and the consumer.
    pub fn split(self) -> (Producer<Self>, Consumer<Self>) {
        split(self)
    }
}

fn split<Q: Queue>(queue: Q) -> (Producer<Q>, Consumer<Q>) {
    let shared = Arc::new(Shared {
        queue,
        arrived: CachePadded(Event::new()),
        producers: AtomicUsize::new(1),
        abandoned: AtomicBool::new(false),
    });
    (Producer { shared: Arc::clone(&shared), local: Q::Local::default() }, Consumer { shared })
}

/// # Invariants
///
/// 1. There is at most one `Consumer`, and nothing else takes values out.
struct Shared<Q> {
    queue: Q,
    /// Something has been enqueued, or the last producer is gone. Producers only read it unless the consumer sleeps.
    arrived: CachePadded<Event>,
    producers: AtomicUsize,
    /// The consumer is gone.
    abandoned: AtomicBool,
}

/// Enqueues for one thread: [`WfcQueue::split`], [`SegmentQueue::split`].
///
/// Each thread has its own clone. When the last one is dropped the [`Consumer`] finds that out, after the last value.
pub struct Producer<Q: Queue> {
    shared: Arc<Shared<Q>>,
    local: Q::Local,
}

/// The one that dequeues: [`WfcQueue::split`], [`SegmentQueue::split`].
///
/// It takes no lock, since there is no other. Waiting is for threads outside of sections (QSBR: offline): a grace period would wait
/// for it.
///
/// ```
/// use cds_wfqueue::{Disconnected, WfcQueue};
///
/// let (producer, mut consumer) = WfcQueue::new().split();
/// let workers: Vec<_> = (0..2)
///     .map(|worker| {
///         let mut producer = producer.clone();
///         std::thread::spawn(move || (0..100).for_each(|number| producer.enqueue(worker * 100 + number).unwrap()))
///     })
///     .collect();
/// drop(producer);
/// let mut sum = 0;
/// while let Ok(number) = consumer.recv() {
///     sum += number;
/// }
/// assert_eq!(sum, (0..200).sum());
/// assert_eq!(consumer.recv(), Err(Disconnected));
/// workers.into_iter().for_each(|worker| worker.join().unwrap());
/// ```
pub struct Consumer<Q: Queue> {
    shared: Arc<Shared<Q>>,
}

/// The consumer is gone; here is the value that it did not get.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejected<T>(pub T);

/// The queue is empty, and all producers are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// None came in time.
    Timeout,
    /// The queue is empty, and all producers are gone.
    Disconnected,
}

/// Why there is no value now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// The queue is empty.
    Empty,
    /// An enqueue is half done.
    WouldBlock,
    /// The queue is empty, and all producers are gone.
    Disconnected,
}

impl<Q: Queue> Producer<Q> {
    /// Appends a value, and wakes the consumer if it sleeps. Progress as the queue's `enqueue`; a system call when the consumer has to
    /// be woken.
    ///
    /// # Errors
    ///
    /// [`Rejected`], with the value, when the consumer is gone. When it goes at the same time the value may be dropped with the queue.
    #[inline]
    pub fn enqueue(&mut self, value: Value<Q>) -> Result<(), Rejected<Value<Q>>> {
        // Relaxed: a courtesy, it may change at any time.
        if self.shared.abandoned.load(Ordering::Relaxed) {
            return Err(Rejected(value));
        }
        self.shared.queue.put(&mut self.local, value);
        // The put was SeqCst where the consumer looks. PAIR(queue-sleep)
        self.shared.arrived.wake_one_after_seq_cst();
        Ok(())
    }

    /// Whether the consumer is gone.
    pub fn is_abandoned(&self) -> bool {
        // Relaxed: as above.
        self.shared.abandoned.load(Ordering::Relaxed)
    }
}

impl<Q: Queue> Clone for Producer<Q> {
    fn clone(&self) -> Self {
        // Relaxed: this one keeps the number from becoming zero.
        self.shared.producers.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared), local: Q::Local::default() }
    }
}

impl<Q: Queue> Drop for Producer<Q> {
    fn drop(&mut self) {
        // Release: its values come before; read-modify-writes carry that on to the last one. PAIR(queue-disconnect)
        if self.shared.producers.fetch_sub(1, Ordering::Release) == 1 {
            self.shared.arrived.wake_all();
        }
    }
}

impl<Q: Queue> Consumer<Q> {
    /// Removes the first value; `None` if the queue is empty. Does not sleep, but waits for an enqueue that is half done.
    #[inline]
    pub fn dequeue(&mut self) -> Option<Value<Q>> {
        // SAFETY: invariant 1 of `Shared`.
        unsafe { self.shared.queue.take() }
    }

    /// Removes the first value, and says why if there is none. Waits for nobody.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<Value<Q>, TryRecvError> {
        let disconnected = self.is_disconnected();
        // SAFETY: invariant 1 of `Shared`.
        match unsafe { self.shared.queue.try_take() } {
            Ok(Some(value)) => Ok(value),
            Ok(None) if disconnected => Err(TryRecvError::Disconnected),
            Ok(None) => Err(TryRecvError::Empty),
            Err(WouldBlock) => Err(TryRecvError::WouldBlock),
        }
    }

    /// Removes the first value; sleeps until there is one.
    ///
    /// Outside of sections; QSBR: offline. Blocks.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] once the queue is empty and all producers are gone.
    #[inline]
    pub fn recv(&mut self) -> Result<Value<Q>, Disconnected> {
        if let Some(value) = self.dequeue() {
            return Ok(value);
        }
        let shared = Arc::clone(&self.shared);
        shared.arrived.wait(|| self.look())
    }

    /// As [`recv`](Self::recv), for about `timeout` at the longest: also when an enqueue is half done.
    ///
    /// # Errors
    ///
    /// See [`RecvTimeoutError`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Value<Q>, RecvTimeoutError> {
        if timeout.is_zero() {
            return answer(self.look_until(Instant::now()));
        }
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            // What no clock can show is no limit.
            None => self.recv().map_err(|Disconnected| RecvTimeoutError::Disconnected),
        }
    }

    /// As [`recv`](Self::recv), until about `deadline` at the latest: also when an enqueue is half done.
    ///
    /// # Errors
    ///
    /// See [`RecvTimeoutError`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<Value<Q>, RecvTimeoutError> {
        let shared = Arc::clone(&self.shared);
        answer(shared.arrived.wait_deadline(deadline, || self.look_until(deadline)))
    }

    /// As [`look`](Self::look), without waiting for a half done enqueue beyond `deadline`. Until then it does not sleep on the event:
    /// that enqueue's wake-up may have been before the second half.
    fn look_until(&mut self, deadline: Instant) -> Option<Result<Value<Q>, Disconnected>> {
        let disconnected = self.is_disconnected();
        let mut backoff = Backoff::brisk();
        loop {
            // SAFETY: invariant 1 of `Shared`.
            match unsafe { self.shared.queue.try_take() } {
                Ok(Some(value)) => return Some(Ok(value)),
                Ok(None) => return disconnected.then_some(Err(Disconnected)),
                Err(WouldBlock) if Instant::now() >= deadline => return None,
                Err(WouldBlock) => wait(&mut backoff),
            }
        }
    }

    /// What ends a wait.
    fn look(&mut self) -> Option<Result<Value<Q>, Disconnected>> {
        // First, so that an empty queue after that stays empty.
        let disconnected = self.is_disconnected();
        match self.dequeue() {
            Some(value) => Some(Ok(value)),
            None => disconnected.then_some(Err(Disconnected)),
        }
    }

    /// Whether all producers are gone; values may still be there.
    pub fn is_disconnected(&self) -> bool {
        // Acquire: all values of all producers, then. PAIR(queue-disconnect)
        self.shared.producers.load(Ordering::Acquire) == 0
    }

    /// Removes what is there, until the queue is empty. Does not sleep.
    pub fn drain(&mut self) -> impl Iterator<Item = Value<Q>> + '_ {
        core::iter::from_fn(|| self.dequeue())
    }
}

fn answer<T>(received: Option<Result<T, Disconnected>>) -> Result<T, RecvTimeoutError> {
    match received {
        Some(Ok(value)) => Ok(value),
        Some(Err(Disconnected)) => Err(RecvTimeoutError::Disconnected),
        None => Err(RecvTimeoutError::Timeout),
    }
}

/// Values as they come, until all producers are gone: [`Consumer::recv`] in a loop.
impl<Q: Queue> Iterator for Consumer<Q> {
    type Item = Value<Q>;

    fn next(&mut self) -> Option<Value<Q>> {
        self.recv().ok()
    }
}

impl<Q: Queue> Drop for Consumer<Q> {
    /// Drops what is in the queue, so that values which hold something back do not do so until the last producer is gone.
    fn drop(&mut self) {
        // Relaxed: advice. Producers that have not seen it yet put values there for the queue's own drop.
        self.shared.abandoned.store(true, Ordering::Relaxed);
        self.drain().for_each(drop);
    }
}

impl<Q: Queue> fmt::Debug for Producer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("is_abandoned", &self.is_abandoned()).finish_non_exhaustive()
    }
}

impl<Q: Queue> fmt::Debug for Consumer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("is_disconnected", &self.is_disconnected()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rejected(..)")
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the consumer is gone")
    }
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is empty, and all producers are gone")
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no value came in time"),
            Self::Disconnected => Disconnected.fmt(f),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::WouldBlock => WouldBlock.fmt(f),
            Self::Disconnected => Disconnected.fmt(f),
        }
    }
}

impl<T> core::error::Error for Rejected<T> {}
impl core::error::Error for Disconnected {}
impl core::error::Error for RecvTimeoutError {}
impl core::error::Error for TryRecvError {}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use std::thread;

    use super::*;

    /// A producer that has lost the processor half way stops nobody beyond the deadline, and what it was about to say is received as soon as
    /// it has.
    fn stalled<Q: Queue<Value = u64> + Sync + Send>(queue: Q, begin: fn(&Q, u64) -> Box<dyn FnOnce() + Send + '_>)
    where
        Q::Local: Send,
    {
        const SHORT: Duration = Duration::from_millis(20);
        let (mut producer, mut consumer) = split(queue);
        let shared = Arc::clone(&producer.shared);
        let finish = begin(&shared.queue, 1);
        assert_eq!(consumer.try_recv(), Err(TryRecvError::WouldBlock));
        assert_eq!(consumer.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        let start = Instant::now();
        assert_eq!(consumer.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= SHORT);
        // What is behind it waits.
        assert!(producer.enqueue(2).is_ok());
        assert_eq!(consumer.recv_deadline(Instant::now() + SHORT), Err(RecvTimeoutError::Timeout));
        thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            scope.spawn(move || {
                receiver.recv().expect("the test waits");
                finish();
            });
            sender.send(()).expect("the thread waits");
            // No wake-up comes with the second half.
            assert_eq!(consumer.recv_timeout(Duration::from_secs(3600)), Ok(1));
        });
        assert_eq!(consumer.recv(), Ok(2));
        let finish = begin(&shared.queue, 3);
        drop(producer);
        // Not the end: it is still there.
        assert_eq!(consumer.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        finish();
        assert_eq!(consumer.recv_timeout(SHORT), Ok(3));
        assert_eq!(consumer.recv_timeout(SHORT), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_producer_that_is_stalled_does_not_hold_up_a_deadline() {
        stalled(WfcQueue::new(), |queue, value| queue.begin_enqueue(value));
        stalled(SegmentQueue::new(), |queue, value| queue.begin_enqueue(value));
    }
}

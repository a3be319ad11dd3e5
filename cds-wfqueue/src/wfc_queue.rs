//! The queue with wait-free enqueue, of many producers and one consumer at a time.

use core::fmt;
use core::mem;

use urcu_core::sync::CachePadded;

use crate::lock::Held;
use crate::nodes::{Consuming, Offered, Producing};
use crate::raw::wfcqueue::{self as raw, Ends, Head, Spliced, WouldBlock};

/// A queue of many producers and one consumer at a time, whose enqueue is wait-free.
///
/// | | progress |
/// |---|---|
/// | [`enqueue`](Self::enqueue), [`Enqueuer::enqueue`] | wait-free, but for the allocator: one locked instruction |
/// | [`dequeue`](Self::dequeue) | waits for the lock, and for an enqueue that is between its two instructions |
/// | [`try_dequeue`](Self::try_dequeue) | wait-free |
/// | [`Consumer`](crate::Consumer), [`dequeue_mut`](Self::dequeue_mut) | as `dequeue`, without the lock |
/// | [`splice_from`](Self::splice_from) | constant time; waits like `dequeue` on the source |
/// | [`is_empty`](Self::is_empty) | wait-free |
///
/// FIFO: the order of the enqueues' swaps, linearizable. What was done before an enqueue happens before what follows the
/// value's dequeue. No sections, no flavor: the consumer that has dequeued a node is the last one who knows it.
///
/// A thin layer over [`raw::wfcqueue`](crate::raw::wfcqueue), whose table says what excludes what; here the lock, `&mut` or the type
/// [`Consumer`](crate::Consumer) take care of it. A value is in a node of its own. Nodes are used again: the consumer collects empty
/// ones and offers them, 32 or more at a time, to the producers that have an [`Enqueuer`] or are a
/// [`Producer`](crate::Producer). At most about 2,000 are kept, and 1,000 by each of those producers until it is dropped. That saves the
/// allocator's share, which is more than half of the costs on most machines.
///
/// [`SegmentQueue`](crate::SegmentQueue) is faster and gives up one thing: that an enqueue never waits for another one.
///
/// ```
/// use cds_wfqueue::WfcQueue;
///
/// let queue = WfcQueue::new();
/// std::thread::scope(|scope| {
///     for producer in 0..2 {
///         let queue = &queue;
///         scope.spawn(move || {
///             let mut enqueuer = queue.enqueuer();
///             (0..100).for_each(|number| enqueuer.enqueue((producer, number)));
///         });
///     }
/// });
/// let all: Vec<_> = queue.into_iter().collect();
/// assert!(all.iter().filter(|(producer, _)| *producer == 1).map(|(_, number)| *number).eq(0..100));
/// ```
pub struct WfcQueue<T> {
    /// In a box: nodes lead back to the head.
    ends: Box<Ends<Head>>,
    offered: CachePadded<Offered<T>>,
    /// Whoever is the consumer.
    collected: Consuming<T>,
}

impl<T> WfcQueue<T> {
    /// Empty.
    pub fn new() -> Self {
        let mut ends = Box::<Ends<Head>>::default();
        let (head, tail) = (&raw mut ends.head.0, &raw mut ends.tail.0);
        // SAFETY: valid, not in use, and the box keeps them where they are.
        unsafe { raw::init(head, tail) };
        Self { ends, offered: CachePadded(Offered::new()), collected: Consuming::new() }
    }

    /// Appends a value. Any context but signal handlers. Wait-free, but for the allocator.
    #[inline]
    pub fn enqueue(&self, value: T) {
        let node = Producing::fill_fresh(value);
        // SAFETY: fresh, and the queue's from now on.
        unsafe { raw::enqueue(&self.ends.head.0, &self.ends.tail.0, node) };
    }

    /// For a thread that enqueues often: what uses nodes again.
    pub fn enqueuer(&self) -> Enqueuer<'_, T> {
        Enqueuer { queue: self, nodes: Producing::new() }
    }

    /// [`enqueue`](Self::enqueue) with the nodes of one producer.
    #[inline]
    pub(crate) fn enqueue_with(&self, nodes: &mut Producing<T>, value: T) {
        let node = nodes.fill(value, &self.offered);
        // SAFETY: fresh or reset, and the queue's from now on.
        let before = unsafe { raw::enqueue_behind(&self.ends.tail.0, node) };
        nodes.has_enqueued(node, before, raw::is_head(&self.ends.head.0, before));
    }

    /// An enqueue that is stopped half way, until the returned function is called.
    #[cfg(all(test, not(urcu_loom)))]
    pub(crate) fn begin_enqueue(&self, value: T) -> Box<dyn FnOnce() + Send + '_> {
        // SAFETY: fresh; the function cannot outlive the queue.
        Box::new(unsafe { raw::begin_enqueue(&self.ends.tail.0, Producing::fill_fresh(value)) })
    }

    /// Removes the first value; `None` if the queue is empty. Waits for the lock, and for an enqueue that is half done.
    #[inline]
    pub fn dequeue(&self) -> Option<T> {
        let _held = self.hold();
        // SAFETY: under the lock.
        unsafe { self.dequeue_exclusive() }
    }

    /// As [`dequeue`](Self::dequeue), without waiting for anybody.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] when another thread dequeues, or an enqueue is half done.
    pub fn try_dequeue(&self) -> Result<Option<T>, WouldBlock> {
        let Some(_held) = self.ends.head.0.lock().try_hold() else { return Err(WouldBlock) };
        // SAFETY: under the lock.
        unsafe { self.try_dequeue_exclusive() }
    }

    /// As [`dequeue`](Self::dequeue), without the lock.
    #[inline]
    pub fn dequeue_mut(&mut self) -> Option<T> {
        // SAFETY: borrowed exclusively.
        unsafe { self.dequeue_exclusive() }
    }

    /// # Safety
    ///
    /// Nobody else dequeues or splices from the queue meanwhile.
    #[inline]
    pub(crate) unsafe fn dequeue_exclusive(&self) -> Option<T> {
        // SAFETY: as promised.
        let node = unsafe { raw::dequeue_blocking(&self.ends.head.0, &self.ends.tail.0) }?;
        // SAFETY: as promised; dequeued, and from a queue of `T`.
        Some(unsafe { self.collected.empty(node, &self.offered) })
    }

    /// # Safety
    ///
    /// As above.
    #[inline]
    pub(crate) unsafe fn try_dequeue_exclusive(&self) -> Result<Option<T>, WouldBlock> {
        // SAFETY: as promised.
        let node = unsafe { raw::dequeue_nonblocking(&self.ends.head.0, &self.ends.tail.0) }?;
        // SAFETY: as promised; dequeued, and from a queue of `T`.
        Ok(node.map(|node| unsafe { self.collected.empty(node, &self.offered) }))
    }

    /// Moves everything that is in `source` to the end of this queue, in constant time. Waits for `source`'s lock, and for its first
    /// enqueue when that is half done.
    ///
    /// Two queues may be spliced into each other at the same time: only the source's lock is held.
    ///
    /// # Panics
    ///
    /// When both are the same.
    pub fn splice_from(&self, source: &Self) -> Spliced {
        assert!(!core::ptr::eq(self, source), "a queue cannot be spliced into itself");
        let (dest, source) = (&*self.ends, &*source.ends);
        // SAFETY: not the same, and consumers hold the lock.
        unsafe { raw::splice_locked((&dest.head.0, &dest.tail.0), (&source.head.0, &source.tail.0)) }
    }

    /// As [`splice_from`](Self::splice_from), without waiting for anybody.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`], and nothing is moved, when another thread dequeues from `source`, or its first enqueue is half done.
    ///
    /// # Panics
    ///
    /// When both are the same.
    pub fn try_splice_from(&self, source: &Self) -> Result<Spliced, WouldBlock> {
        assert!(!core::ptr::eq(self, source), "a queue cannot be spliced into itself");
        let (dest, source) = (&*self.ends, &*source.ends);
        let Some(_held) = source.head.0.lock().try_hold() else { return Err(WouldBlock) };
        // SAFETY: not the same, and under the lock.
        unsafe { raw::splice_nonblocking((&dest.head.0, &dest.tail.0), (&source.head.0, &source.tail.0)) }
    }

    /// Takes everything that is there now, in constant time: what is enqueued later stays.
    pub fn take_all(&self) -> Self {
        let taken = Self::new();
        taken.splice_from(self);
        taken
    }

    /// Removes what is there, value by value, under the lock. Another thread's dequeue waits until the iterator is dropped.
    /// **The same thread's is a deadlock**, also from a value's `Drop`; leaking the iterator leaves the queue locked.
    pub fn drain(&self) -> Drain<'_, T> {
        Drain { _held: self.hold(), queue: self }
    }

    /// Whether the queue has no values: at some moment during the call. A half done enqueue counts. Wait-free.
    #[inline]
    pub fn is_empty(&self) -> bool {
        raw::empty(&self.ends.head.0, &self.ends.tail.0)
    }

    #[inline]
    fn hold(&self) -> Held<'_> {
        self.ends.head.0.hold()
    }
}

impl<T> Drop for WfcQueue<T> {
    /// Drops what is in it. If the drop of a value panics the rest is dropped all the same; a second panic ends the process.
    fn drop(&mut self) {
        struct Rest<'q, T>(&'q mut WfcQueue<T>);

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.0.dequeue_mut().is_some() {}
            }
        }

        let rest = Rest(self);
        while let Some(value) = rest.0.dequeue_mut() {
            drop(value);
        }
        mem::drop(rest);
    }
}

/// Enqueues for one thread, with nodes that the consumer has emptied: [`WfcQueue::enqueuer`].
#[derive(Debug)]
pub struct Enqueuer<'q, T> {
    queue: &'q WfcQueue<T>,
    nodes: Producing<T>,
}

impl<T> Enqueuer<'_, T> {
    /// Appends a value. Any context but signal handlers. Wait-free, but for the allocator when no node is there to be used again.
    #[inline]
    pub fn enqueue(&mut self, value: T) {
        self.queue.enqueue_with(&mut self.nodes, value);
    }
}

impl<T> Extend<T> for Enqueuer<'_, T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.enqueue(value));
    }
}

/// Removes what is there: [`WfcQueue::drain`]. Ends when the queue is empty.
///
/// What is not taken stays in the queue.
#[derive(Debug)]
#[must_use = "it removes what it is asked for"]
pub struct Drain<'q, T> {
    queue: &'q WfcQueue<T>,
    _held: Held<'q>,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        // SAFETY: under the lock.
        unsafe { self.queue.dequeue_exclusive() }
    }
}

/// The values of a queue, in order.
#[derive(Debug)]
pub struct IntoIter<T>(WfcQueue<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.dequeue_mut()
    }
}

impl<T> IntoIterator for WfcQueue<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> Extend<T> for WfcQueue<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.enqueue(value));
    }
}

impl<T> FromIterator<T> for WfcQueue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut queue = Self::new();
        queue.extend(values);
        queue
    }
}

impl<T> Default for WfcQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for WfcQueue<T> {
    /// Without the values: they cannot be looked at while others take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WfcQueue").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

// SAFETY: it owns its values, which then go to another thread; its nodes are its own.
unsafe impl<T: Send> Send for WfcQueue<T> {}
// SAFETY: values are moved in and out, never shared; the consumer's side is used under the lock, through `&mut`, or by the one
// `Consumer`.
unsafe impl<T: Send> Sync for WfcQueue<T> {}

//! A growing ring behind a lock.

use core::cell::UnsafeCell;
use core::{fmt, mem};
use std::collections::{VecDeque, vec_deque};

use urcu_core::Turn;
use urcu_core::sync::CachePadded;

/// A queue that blocks, of many producers and many consumers: a growing ring behind a lock.
///
/// The weaker contract beside [`LfQueue`](crate::LfQueue): whoever is stopped in the middle of an operation stops all others (they
/// spin, then yield, then look again at least every millisecond). For that it needs no sections, one locked
/// instruction per operation ([`Turn`]), and one place in memory. FIFO and linearizable; unbounded. An operation that has to make the ring larger moves what is in it.
///
/// | | progress |
/// |---|---|
/// | [`enqueue`](Self::enqueue), [`dequeue`](Self::dequeue), [`len`](Self::len), [`is_empty`](Self::is_empty) | wait for the lock |
/// | [`enqueue_all`](Self::enqueue_all), [`take_all`](Self::take_all) | the same, once for all values |
///
/// Not for signal handlers, nor between threads of different real-time priorities. A forked child must not use it if
/// another thread may have been inside at the fork.
///
/// What was done before an enqueue happens before what follows the value's dequeue.
///
/// ```
/// use cds_wfqueue::LockedQueue;
///
/// let queue = LockedQueue::new();
/// queue.enqueue(1);
/// queue.enqueue_all([2, 3]);
/// assert_eq!(queue.dequeue(), Some(1));
/// assert_eq!(queue.take_all().collect::<Vec<_>>(), [2, 3]);
/// ```
pub struct LockedQueue<T> {
    inner: CachePadded<Inner<T>>,
}

/// # Invariants
///
/// 1. `values` is touched by the holder of `turn` only, or by the owner.
/// 2. No code of `T` or of anybody else's but the allocator's runs during a turn.
struct Inner<T> {
    turn: Turn,
    values: UnsafeCell<VecDeque<T>>,
}

// SAFETY: invariant 1. Values are taken from any thread and given to any other, never shared by reference.
unsafe impl<T: Send> Sync for LockedQueue<T> {}

impl<T> LockedQueue<T> {
    /// An empty queue. Allocates nothing.
    pub const fn new() -> Self {
        Self::of(VecDeque::new())
    }

    /// An empty queue with room for `capacity` values.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::of(VecDeque::with_capacity(capacity))
    }

    const fn of(values: VecDeque<T>) -> Self {
        Self { inner: CachePadded(Inner { turn: Turn::new(), values: UnsafeCell::new(values) }) }
    }

    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let _turn = self.inner.turn.hold();
        // SAFETY: the turn is held (invariant 1).
        work(unsafe { &mut *self.inner.values.get() })
    }

    /// Appends a value. Blocks.
    #[inline]
    pub fn enqueue(&self, value: T) {
        self.with(|values| values.push_back(value));
    }

    /// Appends all values in one step: nobody else's come between them. Blocks.
    pub fn enqueue_all(&self, values: impl IntoIterator<Item = T>) {
        // Outside of the turn (invariant 2).
        let mut more: VecDeque<T> = values.into_iter().collect();
        if !more.is_empty() {
            self.with(|values| values.append(&mut more));
        }
    }

    /// Removes the first value; `None` if the queue is empty. Blocks.
    #[inline]
    pub fn dequeue(&self) -> Option<T> {
        self.with(VecDeque::pop_front)
    }

    /// Removes the first value, without the lock.
    #[inline]
    pub fn dequeue_mut(&mut self) -> Option<T> {
        self.inner.0.values.get_mut().pop_front()
    }

    /// Removes everything, in constant time, with the memory that it is in. Blocks.
    pub fn take_all(&self) -> vec_deque::IntoIter<T> {
        self.with(mem::take).into_iter()
    }

    /// How many values there are. Blocks.
    pub fn len(&self) -> usize {
        self.with(|values| values.len())
    }

    /// Whether there are none. Blocks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for LockedQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for LockedQueue<T> {
    /// Without the values, and without the lock, which its holder may be printing under.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedQueue").finish_non_exhaustive()
    }
}

impl<T> FromIterator<T> for LockedQueue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::of(values.into_iter().collect())
    }
}

impl<T> Extend<T> for LockedQueue<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.inner.0.values.get_mut().extend(values);
    }
}

impl<T> Extend<T> for &LockedQueue<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.enqueue_all(values);
    }
}

impl<T> IntoIterator for LockedQueue<T> {
    type Item = T;
    type IntoIter = vec_deque::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.inner.0.values.into_inner().into_iter()
    }
}

//! The fast queue of many producers and one consumer.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem;
use core::ptr;

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use urcu_core::{Absence, Backoff};

use crate::lock::{Held, RawLock, linger, make_way, wait};
use crate::raw::wfcqueue::WouldBlock;
use crate::segment::{Position, Segment};

/// The most empty segments that are kept for later.
const SPARES: usize = 64;

/// A queue of many producers and one consumer at a time, in arrays: the fast sibling of [`WfcQueue`](crate::WfcQueue).
///
/// | | progress | cost by design |
/// |---|---|---|
/// | [`enqueue`](Self::enqueue) | lock-free, but for one call in about 250, which installs the next array; others wait for it | one locked instruction |
/// | [`dequeue`](Self::dequeue) | waits for an enqueue that is half done and for the lock | two locked instructions, for the lock |
/// | [`Consumer`](crate::Consumer), `&mut self` | as above without the lock | no locked instruction |
///
/// FIFO: the order in which enqueues claim their slots, linearizable. No sections, no flavor: an array is empty only when each of its
/// producers is done with it, so the consumer may use it again at once. Up to 64 empty arrays of 4 KiB are kept.
///
/// # When to take which
///
/// A wait-free enqueue ([`WfcQueue`](crate::WfcQueue)) costs a node per value. Here a value costs a slot in an array, and the
/// consumer neither writes to what producers write nor frees anything; on the machines this was measured on, that is worth a factor
/// of two to three. The price: an enqueuer that loses the processor while it installs an array stops the other enqueuers until it
/// runs again, and one that always loses the race for a slot has no bound.
///
/// ```
/// use cds_wfqueue::SegmentQueue;
///
/// let queue = SegmentQueue::new();
/// std::thread::scope(|scope| {
///     for producer in 0..2 {
///         let queue = &queue;
///         scope.spawn(move || (0..100).for_each(|number| queue.enqueue((producer, number))));
///     }
/// });
/// let all: Vec<_> = queue.into_iter().collect();
/// assert_eq!(all.len(), 200);
/// assert!(all.iter().filter(|(producer, _)| *producer == 1).map(|(_, number)| *number).eq(0..100));
/// ```
pub struct SegmentQueue<T> {
    /// The slot that the next enqueue claims.
    tail: CachePadded<AtomicU64>,
    /// Whoever is the consumer.
    head: CachePadded<Head<T>>,
    spares: CachePadded<Spares<T>>,
}

/// # Invariants
///
/// 1. `at` is used by whoever holds the lock, has `&mut` or is the one [`Consumer`](crate::Consumer).
/// 2. The slots of `at`'s segment before it are empty, and their producers do not use them any more. So is what came before it.
struct Head<T> {
    at: UnsafeCell<Reading<T>>,
    lock: RawLock,
}

struct Reading<T> {
    position: Position<T>,
    /// What a filled slot's state is in this segment.
    filled: u32,
    /// A value has come out since the queue was last found empty.
    flowing: bool,
}

/// A stack of empty segments. Whoever is the consumer pushes; the producer that installs a segment pops, and there is one at a
/// time: so an address at the top that has not changed is the same segment, with the same one below.
struct Spares<T> {
    top: AtomicPtr<Segment<T>>,
    count: AtomicUsize,
}

/// Ends the process when it is dropped: around steps that others wait for.
struct AbortOnDrop;

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        std::process::abort();
    }
}

impl<T> SegmentQueue<T> {
    /// Empty, with one array.
    pub fn new() -> Self {
        let first = Position::first(Segment::allocate());
        Self {
            tail: CachePadded(AtomicU64::new(first.pack())),
            head: CachePadded(Head {
                at: UnsafeCell::new(Reading { position: first, filled: 1, flowing: false }),
                lock: RawLock::new(),
            }),
            spares: CachePadded(Spares { top: AtomicPtr::new(ptr::null_mut()), count: AtomicUsize::new(0) }),
        }
    }

    /// Appends a value. Inside and outside of sections; not in a signal handler that may have interrupted another enqueue, for which it
    /// would wait. Lock-free, unless it meets the end of an array: then it may wait for the enqueuer that was first there.
    ///
    /// What the caller did before happens before what follows the value's dequeue.
    #[inline]
    pub fn enqueue(&self, value: T) {
        let mut absence = Absence::new();
        // Relaxed: the claim acquires.
        let mut word = self.tail.load(Ordering::Relaxed);
        loop {
            let at = Position::<T>::unpack(word);
            if at.index > Segment::<T>::SLOTS {
                word = self.wait_for_segment();
                continue;
            }
            // Claims a slot. Acquire: the segment is initialised. SeqCst: either a consumer that is about to sleep finds this
            // claim, or the producer's wake-up finds that consumer. PAIR(segment-tail), PAIR(queue-sleep)
            if self.tail.compare_exchange_weak(word, word + 1, Ordering::SeqCst, Ordering::Relaxed).is_err() {
                absence.stay_away();
                word = self.tail.load(Ordering::Relaxed);
                continue;
            }
            if at.is_beyond() {
                // SAFETY: the one who claimed the index behind the last slot.
                unsafe { self.install(at.segment, value) };
                return;
            }
            // SAFETY: the segment is not reused before this slot has been filled and emptied.
            let slot = unsafe { at.slot() };
            // SAFETY: as above. Relaxed: changes only while nobody can claim anything there.
            let filled = unsafe { &(*at.segment).generation }.load(Ordering::Relaxed);
            // SAFETY: as above: the slot before is in the same segment.
            let crowded = at.index != 0 && unsafe { at.before().slot() }.state.load(Ordering::Relaxed) != filled;
            // SAFETY: claimed by this call alone.
            unsafe { slot.write(value) };
            // Release: the value; and the last access to this segment. PAIR(slot)
            slot.state.store(filled, Ordering::Release);
            if crowded {
                make_way();
            }
            return;
        }
    }

    /// An enqueue that is stopped half way, until the returned function is called.
    #[cfg(all(test, not(urcu_loom)))]
    pub(crate) fn begin_enqueue(&self, value: T) -> Box<dyn FnOnce() + Send + '_>
    where
        T: Send,
    {
        let word = self.tail.fetch_add(1, Ordering::SeqCst);
        assert!(!Position::<T>::unpack(word).is_beyond());
        Box::new(move || {
            let at = Position::<T>::unpack(word);
            // SAFETY: claimed, hence not used again before it has been filled and emptied.
            let slot = unsafe { at.slot() };
            // SAFETY: as above.
            let filled = unsafe { &(*at.segment).generation }.load(Ordering::Relaxed);
            // SAFETY: claimed by this call alone.
            unsafe { slot.write(value) };
            slot.state.store(filled, Ordering::Release);
        })
    }

    /// Puts a new segment behind `full`, with the value in its first slot.
    ///
    /// # Safety
    ///
    /// Called by the one enqueuer that claimed the index behind the last slot.
    #[cold]
    #[inline(never)]
    unsafe fn install(&self, full: *mut Segment<T>, value: T) {
        // Everybody else waits for what follows: it must not unwind.
        let whole = AbortOnDrop;
        let segment = self.spares.pop().unwrap_or_else(Segment::allocate);
        let first = Position::first(segment);
        // SAFETY: nobody else has the segment.
        let filled = unsafe { &(*segment).generation }.load(Ordering::Relaxed);
        // SAFETY: as above.
        let slot = unsafe { first.slot() };
        // SAFETY: as above.
        unsafe { slot.write(value) };
        // Relaxed: the consumer comes here by `next`, which publishes all of it.
        slot.state.store(filled, Ordering::Relaxed);
        // SAFETY: the consumer does not leave the full segment, nor give it away, before it finds this.
        let full = unsafe { &*full };
        // Release: the segment is initialised. The last access to the full one. PAIR(segment-next)
        full.next.store(segment, Ordering::Release);
        // Ends the waiting of others. Nobody else changes the tail meanwhile. Release: the segment is initialised.
        // PAIR(segment-tail)
        self.tail.store(Position { segment, index: 1 }.pack(), Ordering::Release);
        core::mem::forget(whole);
    }

    #[cold]
    #[inline(never)]
    fn wait_for_segment(&self) -> u64 {
        let mut backoff = Backoff::brisk();
        loop {
            // Relaxed: the claim acquires.
            let word = self.tail.load(Ordering::Relaxed);
            // The index behind the last slot can be claimed: whoever does installs.
            if Position::<T>::unpack(word).index <= Segment::<T>::SLOTS {
                return word;
            }
            wait(&mut backoff);
        }
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
        let Some(_held) = self.head.lock.try_hold() else { return Err(WouldBlock) };
        // SAFETY: under the lock.
        unsafe { self.try_dequeue_exclusive() }
    }

    /// As [`dequeue`](Self::dequeue), without the lock.
    #[inline]
    pub fn dequeue_mut(&mut self) -> Option<T> {
        // SAFETY: borrowed exclusively.
        unsafe { self.dequeue_exclusive() }
    }

    /// Removes what is there, value by value, under the lock. Another thread's dequeue waits until the iterator is dropped.
    /// **The same thread's is a deadlock**, so is [`is_empty`](Self::is_empty), also from a value's `Drop`; leaking the iterator leaves the queue locked.
    pub fn drain(&self) -> Drain<'_, T> {
        Drain { _held: self.hold(), queue: self }
    }

    /// Whether the queue has no values: at some moment during the call. A half done enqueue counts. Waits for the lock.
    pub fn is_empty(&self) -> bool {
        let _held = self.hold();
        // SAFETY: under the lock.
        unsafe { self.is_empty_exclusive() }
    }

    fn hold(&self) -> Held<'_> {
        self.head.lock.hold()
    }

    /// # Safety
    ///
    /// The caller is the consumer (invariant 1 of `Head`).
    #[inline]
    pub(crate) unsafe fn dequeue_exclusive(&self) -> Option<T> {
        // SAFETY: as promised.
        if let Some(value) = unsafe { self.take() } {
            return Some(value);
        }
        // SAFETY: as promised.
        unsafe { self.dequeue_slowly() }
    }

    /// # Safety
    ///
    /// As above.
    #[inline(never)]
    unsafe fn dequeue_slowly(&self) -> Option<T> {
        // SAFETY: as promised.
        if mem::take(&mut unsafe { &mut *self.head.at.get() }.flowing) {
            // A consumer that follows a producer at its heels takes its cache lines away for each value. It lets some of them
            // come instead; but not when nothing has come lately.
            linger();
            // SAFETY: as promised.
            if let Some(value) = unsafe { self.take() } {
                return Some(value);
            }
        }
        let mut backoff = Backoff::brisk();
        loop {
            // SAFETY: as promised.
            if unsafe { self.is_empty_exclusive() } {
                return None;
            }
            // SAFETY: as promised.
            if let Some(value) = unsafe { self.take() } {
                return Some(value);
            }
            wait(&mut backoff);
        }
    }

    /// # Safety
    ///
    /// The caller is the consumer (invariant 1 of `Head`).
    #[inline]
    pub(crate) unsafe fn try_dequeue_exclusive(&self) -> Result<Option<T>, WouldBlock> {
        // SAFETY: as promised.
        if let Some(value) = unsafe { self.take() } {
            return Ok(Some(value));
        }
        // SAFETY: as promised.
        if unsafe { self.is_empty_exclusive() } { Ok(None) } else { Err(WouldBlock) }
    }

    /// The value at the head, if it is there already.
    ///
    /// # Safety
    ///
    /// As above.
    #[inline]
    unsafe fn take(&self) -> Option<T> {
        // SAFETY: as promised.
        let at = unsafe { &mut *self.head.at.get() };
        // SAFETY: as promised.
        if at.position.is_beyond() && !unsafe { self.enter_next(at) } {
            return None;
        }
        // SAFETY: the head's segment is allocated.
        let slot = unsafe { at.position.slot() };
        if !slot.is(at.filled) {
            return None;
        }
        at.position.index += 1;
        at.flowing = true;
        // SAFETY: filled, and behind the head from now on.
        Some(unsafe { slot.read() })
    }

    /// Goes on to the next segment and puts the old one aside. False when there is none yet.
    ///
    /// # Safety
    ///
    /// As above, and the head is at the end of its segment.
    #[cold]
    #[inline(never)]
    unsafe fn enter_next(&self, at: &mut Reading<T>) -> bool {
        let old = at.position.segment;
        // Acquire: the segment is initialised, and whoever installed it has left the old one. PAIR(segment-next)
        // SAFETY: the head's segment is allocated.
        let next = unsafe { &(*old).next }.load(Ordering::Acquire);
        if next.is_null() {
            return false;
        }
        // SAFETY: allocated; only the consumer, which is the caller, puts it aside. Relaxed: changes in the same way.
        let filled = unsafe { &(*next).generation }.load(Ordering::Relaxed);
        *at = Reading { position: Position::first(next), filled, ..*at };
        // SAFETY: invariant 2 of `Head`: emptied, and all its producers, the one that installed `next` included, have left.
        unsafe { self.spares.push(old) };
        true
    }

    /// # Safety
    ///
    /// The caller is the consumer (invariant 1 of `Head`).
    unsafe fn is_empty_exclusive(&self) -> bool {
        // SAFETY: as promised.
        let at = unsafe { &*self.head.at.get() }.position;
        // Relaxed: only compared. Equal: nobody has claimed the slot at the head. A consumer that is going to sleep comes here
        // behind its fence. PAIR(queue-sleep)
        self.tail.load(Ordering::Relaxed) == at.pack()
    }
}

impl<T> Spares<T> {
    /// Keeps a segment, or frees it.
    ///
    /// # Safety
    ///
    /// Nobody uses the segment, and all of its slots were filled in its generation. The caller is the consumer.
    unsafe fn push(&self, segment: *mut Segment<T>) {
        // Relaxed: a limit that need not be exact.
        if self.count.load(Ordering::Relaxed) >= SPARES {
            // SAFETY: as promised.
            unsafe { Segment::free(segment) };
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        // SAFETY: allocated.
        let header = unsafe { &*segment };
        // Relaxed, all of it: published by the exchange. All slots have the old generation, so none is filled in the new one.
        let generation = header.generation.load(Ordering::Relaxed);
        header.generation.store(generation.wrapping_add(1), Ordering::Relaxed);
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            header.next.store(top, Ordering::Relaxed);
            // Release: the generation, the link, and that the values are taken. PAIR(spares)
            match self.top.compare_exchange_weak(top, segment, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => top = changed,
            }
        }
    }

    /// A segment that is ready for use. Called by one thread at a time.
    fn pop(&self) -> Option<*mut Segment<T>> {
        // Acquire: what `push` did. PAIR(spares)
        let mut top = self.top.load(Ordering::Acquire);
        loop {
            if top.is_null() {
                return None;
            }
            // SAFETY: only this thread takes segments out, so it is still there.
            let header = unsafe { &*top };
            let below = header.next.load(Ordering::Relaxed);
            // Relaxed: finds what was acquired, since nobody else takes it out. Acquire on failure: as above. PAIR(spares)
            match self.top.compare_exchange_weak(top, below, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    header.next.store(ptr::null_mut(), Ordering::Relaxed);
                    return Some(top);
                }
                Err(changed) => top = changed,
            }
        }
    }
}

impl<T> Drop for SegmentQueue<T> {
    /// Drops what is in it. If the drop of a value panics the rest is dropped all the same; a second panic ends the process.
    fn drop(&mut self) {
        struct Segments<'q, T>(&'q mut SegmentQueue<T>);

        impl<T> Drop for Segments<'_, T> {
            fn drop(&mut self) {
                // After a panic: the remaining values.
                while self.0.dequeue_mut().is_some() {}
                let mut segment = self.0.head.0.at.get_mut().position.segment;
                while let Some(spare) = self.0.spares.pop() {
                    // SAFETY: nobody uses the queue any more.
                    unsafe { Segment::free(spare) };
                }
                while !segment.is_null() {
                    // SAFETY: the queue's own, and nobody uses it any more.
                    let next = unsafe { &(*segment).next }.load(Ordering::Relaxed);
                    // SAFETY: as above.
                    unsafe { Segment::free(segment) };
                    segment = next;
                }
            }
        }

        let rest = Segments(self);
        if mem::needs_drop::<T>() {
            while let Some(value) = rest.0.dequeue_mut() {
                drop(value);
            }
        }
    }
}

/// Removes what is there: [`SegmentQueue::drain`]. Ends when the queue is empty.
///
/// What is not taken stays in the queue.
#[derive(Debug)]
#[must_use = "it removes what it is asked for"]
pub struct Drain<'q, T> {
    queue: &'q SegmentQueue<T>,
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
pub struct IntoIter<T>(SegmentQueue<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.dequeue_mut()
    }
}

impl<T> IntoIterator for SegmentQueue<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> Extend<T> for SegmentQueue<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.enqueue(value));
    }
}

impl<T> FromIterator<T> for SegmentQueue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut queue = Self::new();
        queue.extend(values);
        queue
    }
}

impl<T> Default for SegmentQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for SegmentQueue<T> {
    /// Without the values: they cannot be looked at while others take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentQueue").finish_non_exhaustive()
    }
}

// SAFETY: it owns its values, which then go to another thread; its pointers are its own.
unsafe impl<T: Send> Send for SegmentQueue<T> {}
// SAFETY: values are moved in and out, never shared; the consumer's side is used by one thread at a time (invariant 1 of `Head`).
unsafe impl<T: Send> Sync for SegmentQueue<T> {}

//! The queue over a fixed array.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::{self, MaybeUninit};

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicU64, Ordering, spin_loop};
use urcu_core::{Absence, Backoff};

use crate::lock::{linger, wait};

/// A queue of many producers and many consumers with room for a fixed number of values: it allocates once, and a producer that
/// finds it full is told so.
///
/// | | progress |
/// |---|---|
/// | [`enqueue`](Self::enqueue) | one locked instruction; waits for a dequeue of the same slot, one round earlier, that is half done |
/// | [`dequeue`](Self::dequeue) | one locked instruction; waits for an enqueue that is half done |
/// | [`len`](Self::len), [`is_empty`](Self::is_empty), [`is_full`](Self::is_full) | wait-free |
///
/// All of them run together with all of them. FIFO, linearizable. What was done before an enqueue happens before what follows the
/// value's dequeue, and what was done before a dequeue happens before what follows the enqueue that uses its slot again. No sections,
/// no flavor. Not for signal handlers that may have interrupted one of its operations.
///
/// # Algorithm
///
/// Positions count all enqueues, and all dequeues, since the beginning; 64 bits do not wrap. Position `p` has slot `p` modulo the
/// capacity, and each slot says whose turn it is (Vyukov's ring):
///
/// ```text
///   turn = p             free for the enqueue at p
///   turn = p + 1         full, for the dequeue at p
///   turn = p + capacity  free for the enqueue one round later
/// ```
///
/// - **E1** enqueue loads `tail` = p. **E2** the slot's turn is p: claims it, `tail` from p to p + 1: here the call takes effect.
///   **E3** writes the value, sets the turn to p + 1.
/// - **D1** dequeue loads `head` = p. **D2** the turn is p + 1: claims it, `head` from p to p + 1: here the call takes effect.
///   **D3** reads the value, sets the turn to p + capacity.
/// - **Empty**: after D1, with a turn of p, `tail` is loaded and is p, too.
/// - **Full**: after E1, with the turn of the round before, `head` is loaded and is p - capacity.
///
/// # Why it holds
///
/// *One owner per slot.* Turns of a slot only grow, and are set by who has claimed the position: p to p + 1 by the one whose
/// exchange E2 succeeded at p, p + 1 to p + capacity by the one whose D2 did. So E3 and D3 have the slot to themselves.
///
/// *Order of values.* The dequeue at p takes what the enqueue at p has put, and positions are given out in the order of the exchanges.
/// D2 has seen the turn that E3 stored, so it comes after E2 in the order of effects.
///
/// *Empty and full are true at a moment during the call.* All accesses to `head` and `tail` are SeqCst, so they have one order, in
/// which both only grow; head <= tail <= head + capacity at each point of it: D2 follows E2 of the same position, and E2 at p follows D2
/// at p - capacity, since each has acquired the turn that the other one's owner released (happens-before is part of that order). When
/// `tail` is found to be p after `head` was, then p <= head <= tail = p: empty. When `head` is found to be p - capacity after `tail` was
/// p, then p <= tail <= head + capacity = p: full.
///
/// *Happens-before.* E3 releases the turn, D2's look at it acquires; D3 releases it, the look of the enqueue one round later acquires.
/// PAIR(ring-turn)
///
/// A thread that loses an exchange [stays away](Absence) from the cache line for a few microseconds (ten to twenty at most, if it loses
/// again and again), which leaves it to the winner: with two threads that is several times faster than taking turns.
///
/// ```
/// use cds_wfqueue::{BoundedQueue, Full};
///
/// let queue = BoundedQueue::new(2);
/// assert_eq!(queue.enqueue("one"), Ok(()));
/// assert_eq!(queue.enqueue("two"), Ok(()));
/// assert_eq!(queue.enqueue("three"), Err(Full("three")));
/// assert_eq!(queue.dequeue(), Some("one"));
/// assert_eq!(queue.enqueue("three"), Ok(()));
/// assert!(queue.into_iter().eq(["two", "three"]));
/// ```
pub struct BoundedQueue<T> {
    tail: CachePadded<AtomicU64>,
    head: CachePadded<AtomicU64>,
    /// A power of two, at least two.
    slots: Box<[Slot<T>]>,
}

struct Slot<T> {
    turn: AtomicU64,
    /// Belongs to whoever has claimed the position that is this slot's turn.
    value: UnsafeCell<MaybeUninit<T>>,
    /// Lets the model checker see who accesses the value.
    #[cfg(urcu_loom)]
    watched: loom::cell::UnsafeCell<()>,
}

impl<T> Slot<T> {
    fn new(turn: u64) -> Self {
        Self {
            turn: AtomicU64::new(turn),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            #[cfg(urcu_loom)]
            watched: loom::cell::UnsafeCell::new(()),
        }
    }

    /// # Safety
    ///
    /// The caller has claimed the slot's turn, which is one to fill it.
    #[inline]
    unsafe fn write(&self, value: T) {
        #[cfg(urcu_loom)]
        self.watched.with_mut(|_| ());
        // SAFETY: nobody else accesses the value until the turn changes, as promised.
        unsafe { (*self.value.get()).write(value) };
    }

    /// # Safety
    ///
    /// The caller has claimed the slot's turn, which is one to empty it.
    #[inline]
    unsafe fn read(&self) -> T {
        #[cfg(urcu_loom)]
        self.watched.with_mut(|_| ());
        // SAFETY: nobody else accesses the value until the turn changes, as promised.
        let value = unsafe { &*self.value.get() };
        // SAFETY: filled, and emptied once, as promised.
        unsafe { value.assume_init_read() }
    }
}

/// There is no room: the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full")
    }
}

impl<T> core::error::Error for Full<T> {}

impl<T> BoundedQueue<T> {
    /// An empty queue with room for at least `capacity` values: the next power of two, two at least ([`capacity`](Self::capacity)).
    ///
    /// # Panics
    ///
    /// When `capacity` is zero, or more than addresses can count. (Memory that is not there aborts, as everywhere.)
    pub fn new(capacity: usize) -> Self {
        assert!(capacity != 0, "a queue without room");
        // Two at least: with one slot "full" and "free again" would be the same turn.
        let capacity = capacity.max(2).checked_next_power_of_two().expect("a capacity that addresses can count");
        Self {
            tail: CachePadded(AtomicU64::new(0)),
            head: CachePadded(AtomicU64::new(0)),
            slots: (0..capacity as u64).map(Slot::new).collect(),
        }
    }

    /// For how many values there is room.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are what counts")]
        let index = position as usize & (self.slots.len() - 1);
        // SAFETY: the number of slots is a power of two, so this is less.
        unsafe { self.slots.get_unchecked(index) }
    }

    /// Appends a value.
    ///
    /// # Errors
    ///
    /// [`Full`], with the value.
    #[inline]
    pub fn enqueue(&self, value: T) -> Result<(), Full<T>> {
        let mut absence = Absence::new();
        loop {
            // E1. SeqCst: see "Why it holds".
            let at = self.tail.load(Ordering::SeqCst);
            let slot = self.slot(at);
            // Acquire: the dequeue of the round before is done with the slot. PAIR(ring-turn)
            let turn = slot.turn.load(Ordering::Acquire);
            if turn != at {
                if self.is_full_at(at, turn) {
                    return Err(Full(value));
                }
                continue;
            }
            // E2. SeqCst: see "Why it holds".
            if self.tail.compare_exchange_weak(at, at + 1, Ordering::SeqCst, Ordering::Relaxed).is_err() {
                absence.stay_away();
                continue;
            }
            // E3.
            // SAFETY: claimed by this call, and it was its turn.
            unsafe { slot.write(value) };
            // Release: the value. PAIR(ring-turn)
            slot.turn.store(at + 1, Ordering::Release);
            return Ok(());
        }
    }

    /// It is not the turn of the enqueue at `at`: whether the queue is full. If not, another enqueue has been there, or the dequeue before
    /// was half done and has been waited for.
    #[cold]
    fn is_full_at(&self, at: u64, turn: u64) -> bool {
        if turn > at {
            spin_loop();
            return false;
        }
        // SeqCst: see "Why it holds".
        if self.head.load(Ordering::SeqCst) + self.slots.len() as u64 == at {
            return true;
        }
        self.wait_for(at, turn);
        false
    }

    /// Removes the first value; `None` if the queue is empty.
    #[inline]
    pub fn dequeue(&self) -> Option<T> {
        let mut absence = Absence::new();
        let mut follows = !cfg!(urcu_loom);
        loop {
            // D1. SeqCst: see "Why it holds".
            let at = self.head.load(Ordering::SeqCst);
            let slot = self.slot(at);
            // Acquire: the value. PAIR(ring-turn)
            let turn = slot.turn.load(Ordering::Acquire);
            if turn != at + 1 {
                if self.is_empty_at(at, turn, &mut follows) {
                    return None;
                }
                continue;
            }
            // D2. SeqCst: see "Why it holds".
            if self.head.compare_exchange_weak(at, at + 1, Ordering::SeqCst, Ordering::Relaxed).is_err() {
                absence.stay_away();
                continue;
            }
            // D3.
            // SAFETY: claimed by this call, and it was its turn.
            let value = unsafe { slot.read() };
            // Release: the value has been taken out. PAIR(ring-turn)
            slot.turn.store(at + self.slots.len() as u64, Ordering::Release);
            return Some(value);
        }
    }

    /// It is not the turn of the dequeue at `at`: whether the queue is empty. If not, another dequeue has been there, or the enqueue was half
    /// done and has been waited for.
    #[cold]
    fn is_empty_at(&self, at: u64, turn: u64, follows: &mut bool) -> bool {
        if turn > at {
            spin_loop();
            return false;
        }
        if mem::take(follows) {
            // A consumer that follows a producer at its heels takes its cache lines away for each value. It lets some of
            // them come instead.
            linger();
            return false;
        }
        // SeqCst: see "Why it holds".
        if self.tail.load(Ordering::SeqCst) == at {
            return true;
        }
        self.wait_for(at, turn);
        false
    }

    /// Waits for whoever is between its two steps at the slot of `at`: without that one's second step nothing changes here. It may
    /// have lost the processor to this thread, so this spins, then yields, then naps.
    fn wait_for(&self, at: u64, turn: u64) {
        let mut backoff = Backoff::brisk();
        // Relaxed: a hint; the caller looks again.
        while self.slot(at).turn.load(Ordering::Relaxed) == turn {
            wait(&mut backoff);
            if cfg!(urcu_loom) {
                return;
            }
        }
    }

    /// Removes the first value, without a locked instruction.
    #[inline]
    pub fn dequeue_mut(&mut self) -> Option<T> {
        // Relaxed, all of it: borrowed exclusively, hence no call is half done.
        let at = self.head.load(Ordering::Relaxed);
        if at == self.tail.load(Ordering::Relaxed) {
            return None;
        }
        self.head.store(at + 1, Ordering::Relaxed);
        let slot = self.slot(at);
        slot.turn.store(at + self.slots.len() as u64, Ordering::Relaxed);
        // SAFETY: between head and tail there are values, and this one has been passed now.
        Some(unsafe { slot.read() })
    }

    /// How many values there are: at some moment during the call, if nobody else used the queue meanwhile; otherwise near. Half done calls count.
    pub fn len(&self) -> usize {
        let head = self.head.load(Ordering::SeqCst);
        let tail = self.tail.load(Ordering::SeqCst);
        usize::try_from(tail - head).unwrap_or(usize::MAX).min(self.capacity())
    }

    /// Whether there are none: at some moment during the call. Wait-free.
    pub fn is_empty(&self) -> bool {
        // In this order, as in `dequeue`.
        let head = self.head.load(Ordering::SeqCst);
        self.tail.load(Ordering::SeqCst) == head
    }

    /// Whether there is no room: at some moment during the call. Wait-free.
    pub fn is_full(&self) -> bool {
        // In this order, as in `enqueue`.
        let tail = self.tail.load(Ordering::SeqCst);
        self.head.load(Ordering::SeqCst) + self.slots.len() as u64 == tail
    }
}

impl<T> Drop for BoundedQueue<T> {
    /// Drops what is in it. If the drop of a value panics the rest is dropped all the same; a second panic ends the process.
    fn drop(&mut self) {
        struct Rest<'q, T>(&'q mut BoundedQueue<T>);

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.0.dequeue_mut().is_some() {}
            }
        }

        if mem::needs_drop::<T>() {
            let rest = Rest(self);
            while let Some(value) = rest.0.dequeue_mut() {
                drop(value);
            }
        }
    }
}

/// The values of a queue, in order.
#[derive(Debug)]
pub struct IntoIter<T>(BoundedQueue<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.dequeue_mut()
    }
}

impl<T> IntoIterator for BoundedQueue<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> fmt::Debug for BoundedQueue<T> {
    /// Without the values: they cannot be looked at while others take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedQueue").field("capacity", &self.capacity()).field("len", &self.len()).finish()
    }
}

// SAFETY: it owns its values, which then go to another thread.
unsafe impl<T: Send> Send for BoundedQueue<T> {}
// SAFETY: values are moved in and out, never shared; a slot is accessed by one thread at a time ("One owner per slot").
unsafe impl<T: Send> Sync for BoundedQueue<T> {}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use structure_conformance::within_limit;

    use super::*;

    /// How often a thread has gone to sleep.
    fn sleeps(tid: i32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).expect("the thread lives");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse().ok()).expect("a number")
    }

    /// Runs `call`, which has to wait for a half done operation, on another thread; finishes that by `finish` when the thread has
    /// given the processor away several times.
    fn gives_the_processor_away<R: Send>(call: impl FnOnce() -> R + Send, finish: impl FnOnce()) -> R {
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let waiting = scope.spawn(move || {
                sender.send(urcu_core::sys::thread_id()).expect("the test waits");
                call()
            });
            let tid = receiver.recv().expect("the thread starts");
            let before = sleeps(tid);
            while sleeps(tid) < before + 5 {
                thread::yield_now();
            }
            finish();
            waiting.join().expect("no panic")
        })
    }

    /// Else a thread of higher priority waits for ever on the processor of the one that it waits for.
    #[test]
    fn who_waits_for_a_half_done_operation_does_not_keep_the_processor() {
        within_limit("who_waits_for_a_half_done_operation_does_not_keep_the_processor", || {
            let queue = BoundedQueue::new(2);
            // An enqueue between E2 and E3.
            let at = queue.tail.fetch_add(1, Ordering::SeqCst);
            let taken = gives_the_processor_away(
                || queue.dequeue(),
                || {
                    // SAFETY: claimed above.
                    unsafe { queue.slot(at).write(1) };
                    queue.slot(at).turn.store(at + 1, Ordering::Release);
                },
            );
            assert_eq!(taken, Some(1));
            assert!(queue.enqueue(2).is_ok() && queue.enqueue(3).is_ok());
            // A dequeue between D2 and D3, in a queue that is otherwise full.
            let at = queue.head.fetch_add(1, Ordering::SeqCst);
            let put = gives_the_processor_away(
                || queue.enqueue(4),
                || {
                    // SAFETY: claimed above.
                    assert_eq!(unsafe { queue.slot(at).read() }, 2);
                    queue.slot(at).turn.store(at + 2, Ordering::Release);
                },
            );
            assert!(put.is_ok());
            assert!(queue.into_iter().eq([3, 4]));
        });
    }
}

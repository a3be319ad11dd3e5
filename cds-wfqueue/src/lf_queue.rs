//! The lock-free queue of many producers and many consumers, under RCU.

use core::ffi::c_void;
use core::fmt;
use core::mem;

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicU64, Ordering, spin_loop};
use urcu_core::{Absence, AnyGuard, FlavorVtable};

use crate::lock::{linger, make_way};
use crate::segment::{Position, Segment, Slot};

/// A slot's states. They only grow.
const EMPTY: u32 = 0;
/// There is a value in it; it stays in this state when the value is taken.
const FULL: u32 = 1;
/// A consumer did not want to wait any longer: the producer has to take another slot.
const SKIPPED: u32 = 2;

/// How long a consumer waits for a producer that has claimed a slot before it skips the slot, in pauses: longer than it takes to
/// write the value, or else consumers that poll skip slot after slot.
const fn patience<T>() -> usize {
    if cfg!(urcu_loom) { 0 } else { 64 + size_of::<T>() / 64 }
}

/// A queue of many producers and many consumers, lock-free at both ends.
///
/// What the C library's `rculfqueue` is for; that one itself, with intrusive nodes, is [`raw::lfqueue`](crate::raw::lfqueue).
///
/// | | progress | context |
/// |---|---|---|
/// | [`enqueue`](Self::enqueue) | lock-free, but for the allocator once in about 250 calls | inside a section of the queue's flavor |
/// | [`dequeue`](Self::dequeue) | lock-free, but for the retiring of an array once in as many calls | inside a section of the queue's flavor |
/// | [`is_empty`](Self::is_empty) | wait-free | inside a section of the queue's flavor |
///
/// All of them run together with all of them. FIFO, linearizable. What was done before an enqueue happens before what follows the
/// value's dequeue.
///
/// # Design
///
/// A chain of arrays of 4 KiB, and two words that say where the ends are. An enqueue claims a slot by compare-and-swap, writes its
/// value there and declares the slot full. A dequeue finds the slot at the head full and claims it by
/// compare-and-swap. A producer that has claimed a slot and lost the processor does not stop consumers: one of them declares the
/// slot skipped, and the producer will take another one (Morrison and Afek 2013, Correia and Ramalhete 2016). Whoever loses
/// a race [stays away](urcu_core::Absence) for a few microseconds (ten to twenty at most), which leaves the cache lines to the winner.
///
/// An array that consumers have left is freed after a grace period: so nobody counts who still looks at it, and a section
/// is all that an operation needs besides its three locked instructions. Michael and Scott's list needs five, and an allocation,
/// for the same, and its nodes lie apart: several times slower on the machines where both were measured.
///
/// ```
/// use cds_wfqueue::LfQueue;
///
/// let queue = LfQueue::new(urcu_bp::vtable());
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             for number in 0..1000 {
///                 queue.enqueue(number, &urcu_bp::read_lock());
///                 assert!(queue.dequeue(&urcu_bp::read_lock()).is_some());
///             }
///         });
///     }
/// });
/// assert!(queue.is_empty(&urcu_bp::read_lock()));
/// ```
///
/// What it holds lives as long as its type says, whoever enqueues:
///
/// ```compile_fail,E0597
/// fn enqueue<'v>(queue: &cds_wfqueue::LfQueue<&'v str>, value: &'v str) {
///     queue.enqueue(value, &urcu_bp::read_lock());
/// }
/// let queue = cds_wfqueue::LfQueue::<&'static str>::new(urcu_bp::vtable());
/// {
///     let gone = String::from("gone");
///     enqueue(&queue, &gone);
/// }
/// queue.dequeue(&urcu_bp::read_lock());
/// ```
pub struct LfQueue<T> {
    /// # Invariants
    ///
    /// 1. Never behind `head`, and past a segment before that is retired.
    tail: CachePadded<AtomicU64>,
    /// # Invariants
    ///
    /// 2. The slots before it are claimed by consumers.
    head: CachePadded<AtomicU64>,
    flavor: &'static FlavorVtable,
    /// It owns values, and takes them in by reference: `fn(T)` makes it invariant.
    marker: core::marker::PhantomData<(T, fn(T))>,
}

impl<T> LfQueue<T> {
    /// Empty, for the sections of `flavor`.
    pub fn new(flavor: &'static FlavorVtable) -> Self {
        let first = Position::first(Segment::<T>::allocate()).pack();
        Self {
            tail: CachePadded(AtomicU64::new(first)),
            head: CachePadded(AtomicU64::new(first)),
            flavor,
            marker: core::marker::PhantomData,
        }
    }

    /// The flavor of the queue's sections.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.flavor
    }

    /// Appends a value. Lock-free.
    ///
    /// # Panics
    ///
    /// When `guard` is another flavor's.
    #[inline]
    #[cfg_attr(not(urcu_mutants), track_caller)]
    pub fn enqueue(&self, value: T, guard: &impl AnyGuard) {
        self.flavor.assert_guards(guard);
        let mut value = value;
        let mut absence = Absence::new();
        loop {
            // Acquire: the segment is initialised. PAIR(lf-ends)
            let word = self.tail.load(Ordering::Acquire);
            let at = Position::<T>::unpack(word);
            // Claims a slot. Relaxed: the load has acquired the segment, which is published by the one who put it here and, since
            // this is a read-modify-write, still is; the value is published by its slot.
            if !at.is_beyond()
                && self.tail.compare_exchange_weak(word, word + 1, Ordering::Relaxed, Ordering::Relaxed).is_err()
            {
                absence.stay_away();
                continue;
            }
            let rest = if at.is_beyond() {
                // SAFETY: inside a section, and invariant 1: not retired before this section began.
                unsafe { self.enqueue_behind(at, value) }
            } else {
                // SAFETY: as above.
                let crowded = at.index != 0 && unsafe { at.before().slot() }.state.load(Ordering::Relaxed) == EMPTY;
                // SAFETY: as above.
                let slot = unsafe { at.slot() };
                // SAFETY: as above; claimed by this call.
                let rest = unsafe { fill(slot, value) };
                if crowded {
                    make_way();
                }
                rest
            };
            match rest {
                Ok(()) => return,
                Err(again) => value = again,
            }
        }
    }

    /// Puts the value into the first slot of a new segment behind `at`'s, or gives it back when there is another one already.
    ///
    /// # Safety
    ///
    /// Inside a section that the segment was not retired before.
    #[cold]
    #[inline(never)]
    unsafe fn enqueue_behind(&self, at: Position<T>, value: T) -> Result<(), T> {
        // SAFETY: as promised.
        let full = unsafe { &*at.segment };
        // Acquire: the segment is initialised. PAIR(lf-next)
        let mut next = full.next.load(Ordering::Acquire);
        if !next.is_null() {
            self.advance_tail(at.segment, next);
            return Err(value);
        }
        next = Segment::allocate();
        // SAFETY: fresh and nobody else's.
        let slot = unsafe { Position::first(next).slot() };
        // SAFETY: as above.
        let filled = unsafe { fill(slot, value) };
        debug_assert!(filled.is_ok());
        // Release: the segment and the value in it. Acquire on failure: as above. PAIR(lf-next)
        let linked = full.next.compare_exchange(core::ptr::null_mut(), next, Ordering::Release, Ordering::Acquire);
        let rest = match linked {
            Ok(_) => Ok(()),
            Err(others) => {
                // SAFETY: filled above, and not published.
                let value = unsafe { slot.read() };
                // SAFETY: as above.
                unsafe { Segment::free(next) };
                next = others;
                Err(value)
            }
        };
        self.advance_tail(at.segment, next);
        rest
    }

    /// Makes invariant 1 true before anything depends on it: the tail is in `next` or further, not in `full` any more.
    fn advance_tail(&self, full: *mut Segment<T>, next: *mut Segment<T>) {
        // The first slot was filled before the segment was linked.
        let behind = Position { segment: next, index: 1 }.pack();
        // Relaxed: only compared. Whom this thread lets go on finds at least what is found here: that is coherence.
        let mut tail = self.tail.load(Ordering::Relaxed);
        while Position::<T>::unpack(tail).segment == full {
            // A failure is another thread that has moved the tail. Release: the segment is initialised. PAIR(lf-ends)
            match self.tail.compare_exchange_weak(tail, behind, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => tail = changed,
            }
        }
    }

    /// Removes the first value; `None` if the queue is empty. Lock-free.
    ///
    /// # Panics
    ///
    /// When `guard` is another flavor's.
    #[inline]
    #[cfg_attr(not(urcu_mutants), track_caller)]
    pub fn dequeue(&self, guard: &impl AnyGuard) -> Option<T> {
        self.flavor.assert_guards(guard);
        let mut absence = Absence::new();
        let mut follows = !cfg!(urcu_loom);
        loop {
            // Acquire: the segment is initialised, and how far the tail is. PAIR(lf-ends)
            let word = self.head.load(Ordering::Acquire);
            let at = Position::<T>::unpack(word);
            if at.is_beyond() {
                // SAFETY: inside a section, and found in the head: not retired before this section began.
                if unsafe { self.leave(word, at.segment) } {
                    continue;
                }
                return None;
            }
            // SAFETY: as above.
            let slot = unsafe { at.slot() };
            if slot.is(FULL) {
                // Claims the slot. The same word means the same slot: a segment does not come back within a section. So this
                // finds what the load has acquired. Release: as far as this thread knows the tail is there. PAIR(lf-ends)
                if self.head.compare_exchange(word, word + 1, Ordering::Release, Ordering::Relaxed).is_ok() {
                    // SAFETY: full, and claimed by this call alone.
                    return Some(unsafe { slot.read() });
                }
                absence.stay_away();
                continue;
            }
            if mem::take(&mut follows) {
                // A consumer that follows a producer at its heels takes its cache lines away for each value. It lets some of
                // them come instead.
                linger();
                continue;
            }
            // Never behind the head, by the Acquire there; so equal means that the queue was empty at this load. Relaxed: only
            // compared.
            if self.tail.load(Ordering::Relaxed) == word {
                return None;
            }
            // SAFETY: as above.
            if let Some(value) = unsafe { self.skip(word, slot) } {
                return Some(value);
            }
        }
    }

    /// A producer has claimed the slot at the head, `word`, and has not filled it: waits a little, then does without it. Some
    /// value if it came at last; none: look again.
    ///
    /// # Safety
    ///
    /// Inside a section in which this was found.
    #[cold]
    #[inline(never)]
    unsafe fn skip(&self, word: u64, slot: &Slot<T>) -> Option<T> {
        for _ in 0..patience::<T>() {
            // Relaxed: a hint. Looking at the head too would take its cache line away from those who do not wait.
            if slot.state.load(Ordering::Relaxed) != EMPTY {
                return None;
            }
            spin_loop();
        }
        // Claims the slot, as in `dequeue`. PAIR(lf-ends)
        if self.head.compare_exchange(word, word + 1, Ordering::Release, Ordering::Relaxed).is_err() {
            return None;
        }
        // Acquire: the value, if there is one. The producer's exchange is the other side. PAIR(slot)
        let state = slot.state.swap(SKIPPED, Ordering::Acquire);
        // SAFETY: full, and claimed by this call alone.
        (state == FULL).then(|| unsafe { slot.read() })
    }

    /// The head goes on to the next segment; the old one is retired. False when there is none: the queue was empty.
    ///
    /// # Safety
    ///
    /// Inside a section that the segment was not retired before.
    #[cold]
    #[inline(never)]
    unsafe fn leave(&self, word: u64, segment: *mut Segment<T>) -> bool {
        // SAFETY: as promised.
        let emptied = unsafe { &*segment };
        // Acquire: the segment is initialised. PAIR(lf-next)
        let next = emptied.next.load(Ordering::Acquire);
        if next.is_null() {
            return false;
        }
        // Invariant 1.
        self.advance_tail(segment, next);
        let first = Position::first(next).pack();
        // Release: the tail, and the new segment. Finds what was acquired, as in `dequeue`. PAIR(lf-ends)
        if self.head.compare_exchange(word, first, Ordering::Release, Ordering::Relaxed).is_ok() {
            unsafe extern "C" fn free<T>(segment: *mut c_void) {
                // SAFETY: the one call that owns the segment, after a grace period.
                unsafe { Segment::<T>::free(segment.cast()) };
            }
            // SAFETY: only frees: values are claimed, and taken by who has claimed them, inside of sections. Neither end leads
            // here any more, and this exchange has succeeded once.
            unsafe { (self.flavor.defer_free)(free::<T>, segment.cast(), Segment::<T>::SIZE) };
        }
        true
    }

    /// Whether the queue has no values: at some moment during the call. A half done enqueue counts once it has claimed a slot. Wait-free.
    ///
    /// `false` is a hint: a half done enqueue whose slot a consumer skips begins again, so the next [`dequeue`](Self::dequeue) may
    /// find nothing, although no value has been taken.
    ///
    /// # Panics
    ///
    /// When `guard` is another flavor's.
    #[cfg_attr(not(urcu_mutants), track_caller)]
    pub fn is_empty(&self, guard: &impl AnyGuard) -> bool {
        self.flavor.assert_guards(guard);
        // Acquire: the tail is never behind what is found here. PAIR(lf-ends)
        let word = self.head.load(Ordering::Acquire);
        // Relaxed: only compared. Equal also behind the last slot of a segment: whoever finds a successor there moves the tail first.
        self.tail.load(Ordering::Relaxed) == word
    }

    /// Removes the first value, without a section.
    #[inline]
    pub fn dequeue_mut(&mut self) -> Option<T> {
        loop {
            let at = Position::<T>::unpack(self.head.load(Ordering::Relaxed));
            if at.is_beyond() {
                // SAFETY: the head's segment is allocated.
                let next = unsafe { &(*at.segment).next }.load(Ordering::Relaxed);
                if next.is_null() {
                    return None;
                }
                self.head.store(Position::first(next).pack(), Ordering::Relaxed);
                // Every enqueue has ended, with the tail moved on.
                // SAFETY: borrowed exclusively: nobody else uses the segment, and it has been left.
                unsafe { Segment::free(at.segment) };
                continue;
            }
            // SAFETY: as above.
            let slot = unsafe { at.slot() };
            match slot.state.load(Ordering::Relaxed) {
                EMPTY => return None,
                state => {
                    self.head.store(Position { index: at.index + 1, ..at }.pack(), Ordering::Relaxed);
                    if state == FULL {
                        // SAFETY: full, and behind the head from now on.
                        return Some(unsafe { slot.read() });
                    }
                }
            }
        }
    }
}

/// Fills a slot, unless it has been skipped.
///
/// # Safety
///
/// Inside a section that the slot's segment was not retired before; the caller has claimed the slot for writing.
#[inline]
unsafe fn fill<T>(slot: &Slot<T>, value: T) -> Result<(), T> {
    // SAFETY: claimed by the caller. Consumers do not look at the value of a slot that is not full.
    unsafe { slot.write(value) };
    // Release: the value. An exchange, since a consumer may be skipping the slot. PAIR(slot)
    if slot.state.compare_exchange(EMPTY, FULL, Ordering::Release, Ordering::Relaxed).is_ok() {
        return Ok(());
    }
    // SAFETY: written above, and nobody takes it from a slot that was skipped.
    Err(unsafe { slot.read() })
}

impl<T> Drop for LfQueue<T> {
    /// Drops what is in it, at once: no grace period is needed, since nobody can be using it. If the drop of a value panics the rest
    /// is dropped all the same; a second panic ends the process.
    fn drop(&mut self) {
        struct Segments<'q, T>(&'q mut LfQueue<T>);

        impl<T> Drop for Segments<'_, T> {
            fn drop(&mut self) {
                while self.0.dequeue_mut().is_some() {}
                let last = Position::<T>::unpack(self.0.head.load(Ordering::Relaxed)).segment;
                // SAFETY: the only one left, and nobody uses the queue any more.
                unsafe { Segment::free(last) };
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

/// The values of a queue, in order.
#[derive(Debug)]
pub struct IntoIter<T>(LfQueue<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.0.dequeue_mut()
    }
}

impl<T> IntoIterator for LfQueue<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T> fmt::Debug for LfQueue<T> {
    /// Without the values: they cannot be looked at while others take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LfQueue").field("flavor", &self.flavor.name()).finish_non_exhaustive()
    }
}

// SAFETY: it owns its values, which then go to another thread; its pointers are its own.
unsafe impl<T: Send> Send for LfQueue<T> {}
// SAFETY: values are moved in and out, never shared.
unsafe impl<T: Send> Sync for LfQueue<T> {}

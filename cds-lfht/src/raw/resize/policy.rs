//! When a table is to grow or to shrink, and to which size.

use urcu_core::sync::modelled::Ordering;

use super::super::ground::Ground;
use super::super::table::Table;
use super::{CHUNK, Progress};

/// Tables up to this size fit into the first-level cache.
const CACHED: usize = 1 << 12;
/// Tables up to this size fit into the second-level cache.
const MIDDLE: usize = 1 << 17;
/// Growths from less than this go up to it: a piece of memory.
const FEWEST: usize = if cfg!(urcu_loom) { 2 } else { 64 };
/// Updates of a thread between two looks at the count, in large tables.
const INTERVAL: usize = 256;
/// Nodes that an insertion passes in a long chain.
const LONG: u32 = 4;

/// Nodes that a table of this size has at most, before it grows.
///
/// Small tables stay in the cache anyway, and can be emptier: what costs there is the branch that is not foreseen. In those that
/// the second-level cache holds, a bucket less costs less than another step in a chain. In large ones a step is a miss, but memory
/// counts: right after a growth there are 16/7 buckets for a node, 18 bytes.
#[inline]
fn capacity(size: usize) -> usize {
    if size < CACHED {
        size / 4
    } else if size <= MIDDLE {
        size
    } else {
        size / 8 * 7
    }
}

/// The size that a table grows to next.
///
/// New buckets are cheap while there are few nodes between them: so the steps are long as long as the memory does not matter.
#[inline]
pub(super) fn next_size(size: usize) -> usize {
    if size < FEWEST {
        FEWEST
    } else if size < CACHED {
        (size * 8).min(CACHED)
    } else if size < MIDDLE {
        (size * 4).min(MIDDLE)
    } else {
        size * 2
    }
}

/// Whether so few nodes are left that half the size is enough; far from what made the table grow to this size.
#[inline]
fn is_sparse(count: usize, size: usize) -> bool {
    let step = if size <= MIDDLE { 8 } else { 2 };
    count.saturating_mul(step) < capacity(size / 2)
}

impl<G: Ground> Table<G> {
    /// Counts a node that was added past `passed` others.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[inline]
    pub(in crate::raw) unsafe fn added(&self, passed: u32) {
        if let Some(counters) = &self.counters {
            let updates = counters.increment();
            if self.auto_resize && self.is_time_to_look(updates) {
                // SAFETY: inside a section.
                unsafe { self.review() };
            }
        } else if self.auto_resize && passed >= LONG {
            // SAFETY: inside a section.
            unsafe { self.met_long_chain() };
        }
    }

    /// Counts a node that was removed.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[inline]
    pub(in crate::raw) unsafe fn deleted(&self) {
        if let Some(counters) = &self.counters {
            let updates = counters.decrement();
            if self.auto_resize && self.is_time_to_look(updates) {
                // SAFETY: inside a section.
                unsafe { self.review() };
            }
        }
    }

    #[inline]
    fn is_time_to_look(&self, updates: u64) -> bool {
        // A quarter of what a small table may have. Relaxed: a rule of thumb.
        let interval = (self.size.load(Ordering::Relaxed) >> 4).clamp(1, INTERVAL);
        updates & (interval as u64 - 1) == 0
    }

    /// The size that would be right, or the next one on the way there.
    pub(super) fn wanted(&self) -> usize {
        let size = self.size.load(Ordering::Relaxed);
        let goal = self.resize.goal.load(Ordering::Relaxed);
        if goal != 0 {
            return goal;
        }
        if !self.auto_resize {
            return size;
        }
        let (many, few) = match &self.counters {
            Some(counters) => {
                let count = usize::try_from(counters.sum()).unwrap_or(0);
                (count > capacity(size), is_sparse(count, size))
            }
            None => (self.resize.long_chains.load(Ordering::Relaxed) > size >> 10, false),
        };
        if many && size < self.max {
            next_size(size).min(self.max)
        } else if few && size > self.min {
            size / 2
        } else {
            size
        }
    }

    /// Whether a growth has begun that should be further by now.
    fn is_late(&self) -> bool {
        let right = capacity(self.size.load(Ordering::Relaxed));
        let late = (right + right / 2).cast_signed() as i64;
        self.counters.as_ref().is_none_or(|counters| counters.sum() > late)
    }

    /// Looks whether the size is still right, and does something about it.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[cold]
    #[inline(never)]
    unsafe fn review(&self) {
        if !G::OWNED {
            // Nobody else does it. What cannot be done now is tried again by the next review.
            let _ = self.advance(self.wanted());
            return;
        }
        if self.growing.load(Ordering::Relaxed) != 0 {
            // Updates between two reviews must put in more buckets than they add nodes.
            for _ in 0..if self.is_late() { 1 + 8 * INTERVAL / CHUNK } else { 0 } {
                // SAFETY: inside a section.
                let _ = unsafe { self.sweep() };
            }
            return;
        }
        let size = self.size.load(Ordering::Relaxed);
        let wanted = self.wanted();
        if wanted > size {
            // SAFETY: inside a section.
            unsafe { self.grow_soon() };
        } else if wanted < size {
            self.request();
        }
    }

    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[cold]
    #[inline(never)]
    unsafe fn met_long_chain(&self) {
        if self.growing.load(Ordering::Relaxed) != 0 {
            // SAFETY: inside a section.
            let _ = unsafe { self.sweep() };
            return;
        }
        // Relaxed: a number.
        let met = self.resize.long_chains.fetch_add(1, Ordering::Relaxed) + 1;
        let size = self.size.load(Ordering::Relaxed);
        if met > size >> 10 && size < self.max {
            // SAFETY: inside a section.
            unsafe { self.grow_soon() };
        }
    }

    /// Begins a growth, unless somebody else is at it, and sees to it that it goes on.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    unsafe fn grow_soon(&self) {
        let Some(turn) = self.resize.turn.try_take() else { return };
        // SAFETY: inside a section.
        let begun = unsafe { self.begin_growth(&turn, self.max) };
        drop(turn);
        if matches!(begun, Progress::More | Progress::Grace) {
            self.request();
        }
        // Done: nothing is left to do. Failed: no memory; the table goes on with what it has.
    }

    /// Has the size looked at.
    fn request(&self) {
        G::request(self);
    }
}

//! How many nodes there are: counters that threads do not share.

use urcu_core::sync::modelled::{AtomicU64, Ordering};

#[cfg(not(urcu_loom))]
use crate::stripe::Striped;

/// Each of the first threads has a counter of its own, which it adds to without a locked instruction; the others share some.
///
/// A counter is one word with two numbers: nodes added minus nodes removed in the low bits (negative on a thread that removes
/// what others added), updates so far in the high bits.
///
/// # Invariant
///
/// A counter of a single thread is written by that thread alone, a shared one by read-modify-write operations only. So no
/// addition is lost, as long as all threads are of one process (the numbers of [`Striped`] are).
pub(super) struct Counters {
    #[cfg(not(urcu_loom))]
    stripes: Striped<AtomicU64>,
    #[cfg(urcu_loom)]
    one: AtomicU64,
}

/// An update, in the high bits of a counter.
const UPDATE: u64 = 1 << NET_BITS;
const NET_BITS: u32 = 40;

impl Counters {
    /// One more; how many updates the counter has seen (modulo 2^24).
    #[inline]
    pub(super) fn increment(&self) -> u64 {
        self.update(UPDATE + 1)
    }

    /// One less; as above.
    #[inline]
    pub(super) fn decrement(&self) -> u64 {
        self.update(UPDATE - 1)
    }

    /// So many more (or fewer, by wrapping), which are no updates.
    pub(super) fn count(&self, nodes: usize) {
        // Relaxed: a number.
        self.shared().fetch_add(nodes as u64 & (UPDATE - 1), Ordering::Relaxed);
    }

    #[inline]
    fn update(&self, by: u64) -> u64 {
        // Relaxed throughout: a number, which orders nothing.
        let after = if let Some(own) = self.own() {
            // Nobody else writes it: the invariant.
            let after = own.load(Ordering::Relaxed).wrapping_add(by);
            own.store(after, Ordering::Relaxed);
            after
        } else {
            self.shared().fetch_add(by, Ordering::Relaxed).wrapping_add(by)
        };
        // A negative sum borrows from the updates: at most one too few, which nobody minds.
        after >> NET_BITS
    }

    /// The sum. Exact when nobody updates, else about as wrong as there are updates under way.
    pub(super) fn sum(&self) -> i64 {
        self.all()
            .map(|counter| {
                let both = counter.load(Ordering::Relaxed).cast_signed();
                both << (u64::BITS - NET_BITS) >> (u64::BITS - NET_BITS)
            })
            .sum()
    }
}

#[cfg(not(urcu_loom))]
impl Counters {
    pub(super) fn new() -> Self {
        Self { stripes: Striped::new(|| AtomicU64::new(0)) }
    }

    #[inline]
    fn own(&self) -> Option<&AtomicU64> {
        self.stripes.own()
    }

    fn shared(&self) -> &AtomicU64 {
        self.stripes.near()
    }

    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        self.stripes.all()
    }
}

#[cfg(urcu_loom)]
impl Counters {
    pub(super) fn new() -> Self {
        Self { one: AtomicU64::new(0) }
    }

    fn own(&self) -> Option<&AtomicU64> {
        None
    }

    fn shared(&self) -> &AtomicU64 {
        &self.one
    }

    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        core::iter::once(&self.one)
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sums_of_signed_counts_and_numbers_of_updates() {
        let counters = Counters::new();
        assert_eq!(counters.sum(), 0);
        for _ in 0..3 {
            counters.decrement();
        }
        assert_eq!(counters.sum(), -3);
        let updates: Vec<u64> = (0..7).map(|_| counters.increment()).collect();
        // Three before; one too few while the sum is negative.
        assert_eq!(updates, [3, 4, 6, 7, 8, 9, 10]);
        assert_eq!(counters.sum(), 4);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| _ = counters.decrement()));
            }
        });
        assert_eq!(counters.sum(), 4 - 8000);
    }
}

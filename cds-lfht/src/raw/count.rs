//! How many nodes there are: counters that threads do not share.

use core::cell::Cell;

use urcu_core::sync::modelled::{AtomicU64, Ordering};
use urcu_core::sync::{self, CachePadded};
use urcu_core::sys;

/// A power of two of counters. Each thread uses one; with more threads than counters some share.
///
/// A counter is one word with two numbers, so that an update costs one locked instruction: nodes added minus nodes
/// removed in the low bits (negative on a thread that removes what others added), updates so far in the high bits.
pub(super) struct Counters {
    stripes: Box<[CachePadded<AtomicU64>]>,
}

/// An update, in the high bits of a counter.
const UPDATE: u64 = 1 << NET_BITS;
const NET_BITS: u32 = 40;

impl Counters {
    pub(super) fn new() -> Self {
        let count = if cfg!(urcu_loom) { 1 } else { sys::possible_cpus().next_power_of_two().min(64) };
        Self { stripes: (0..count).map(|_| CachePadded(AtomicU64::new(0))).collect() }
    }

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
        self.stripes[0].0.fetch_add(nodes as u64 & (UPDATE - 1), Ordering::Relaxed);
    }

    #[inline]
    fn update(&self, by: u64) -> u64 {
        let stripe = &self.stripes[stripe() & (self.stripes.len() - 1)];
        // Relaxed: a number, which orders nothing.
        let before = stripe.0.fetch_add(by, Ordering::Relaxed);
        // A negative sum borrows from the updates: at most one too few, which nobody minds.
        before.wrapping_add(by) >> NET_BITS
    }

    /// The sum. Exact when nobody updates, else about as wrong as there are updates under way.
    pub(super) fn sum(&self) -> i64 {
        self.stripes
            .iter()
            .map(|stripe| {
                let both = stripe.0.load(Ordering::Relaxed).cast_signed();
                both << (u64::BITS - NET_BITS) >> (u64::BITS - NET_BITS)
            })
            .sum()
    }
}

/// Threads take numbers in turn.
static NEXT: sync::AtomicUsize = sync::AtomicUsize::new(0);

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[inline]
fn stripe() -> usize {
    let stripe = STRIPE.get();
    if stripe == usize::MAX { take_stripe() } else { stripe }
}

#[cold]
fn take_stripe() -> usize {
    // Relaxed: any number will do.
    let stripe = NEXT.fetch_add(1, sync::Ordering::Relaxed) & (usize::MAX >> 1);
    STRIPE.set(stripe);
    stripe
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

//! What is in the tables and queues: values that notice when they are used after their end, and can be counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Counts the entries that it made and that still exist, whoever has them.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    live: AtomicI64,
    made: AtomicU64,
}

impl Ledger {
    /// Nothing was made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new entry.
    pub fn entry(&self, number: u64) -> Entry {
        self.0.live.fetch_add(1, Relaxed);
        self.0.made.fetch_add(1, Relaxed);
        Entry { number, seal: AtomicU64::new(!number), ledger: Self(Arc::clone(&self.0)) }
    }

    /// How many of its entries exist.
    pub fn live(&self) -> i64 {
        self.0.live.load(Relaxed)
    }

    /// How many it has made.
    pub fn made(&self) -> u64 {
        self.0.made.load(Relaxed)
    }
}

/// A number. Its memory belongs to whoever made it, its end to whoever retires it: these may be two libraries.
#[derive(Debug)]
pub struct Entry {
    number: u64,
    /// The number's complement, until the end. Atomic because a broken flavor would make it a race.
    seal: AtomicU64,
    ledger: Ledger,
}

impl Entry {
    /// The number.
    ///
    /// # Panics
    ///
    /// If the entry has been dropped: then a grace period was too short, or a section of the wrong flavor.
    pub fn number(&self) -> u64 {
        assert_eq!(self.seal.load(Relaxed), !self.number, "read after its end");
        self.number
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        assert_eq!(self.seal.swap(self.number, Relaxed), !self.number, "dropped twice");
        self.ledger.0.live.fetch_sub(1, Relaxed);
    }
}

//! Values that count themselves, and that are whole or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Numbers for the values of one run of a program, and how many of them live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    made: Arc<AtomicU64>,
    live: Arc<AtomicUsize>,
}

impl Values {
    /// A number that no other value of this run has.
    pub(crate) fn number(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn value(&self, number: u64) -> Value {
        self.live.fetch_add(1, Ordering::Relaxed);
        Value { number, mark: number ^ MARK, live: self.live.clone() }
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }
}

const MARK: u64 = 0x5a5a_1234_5a5a_1234;

/// A number twice; differently after the drop.
#[derive(Debug)]
pub(crate) struct Value {
    number: u64,
    mark: u64,
    live: Arc<AtomicUsize>,
}

impl Value {
    /// The number, of a value that has not been dropped.
    pub(crate) fn number(&self) -> u64 {
        assert_eq!(self.mark, self.number ^ MARK, "a value that has been dropped");
        self.number
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let _ = self.number();
        self.mark = 0;
        self.live.fetch_sub(1, Ordering::Release);
    }
}

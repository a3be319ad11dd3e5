//! A block that readers read, too: what is behind a lock or a counted pointer in the suites `read` and `reclaim`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::workload::{DEAD, LIVE};

/// The one field that is read, and the rest of a block.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Cell<const REST: usize> {
    value: AtomicU64,
    rest: [u64; REST],
}

impl<const REST: usize> Cell<REST> {
    /// All of it is written.
    #[inline(always)]
    pub fn filled() -> Self {
        Self { value: AtomicU64::new(LIVE), rest: std::array::from_fn(|word| word as u64) }
    }

    /// The field.
    #[inline(always)]
    pub fn live(&self) -> u64 {
        // Relaxed: what orders this read is the lock or the pointer's load before it.
        self.value.load(Ordering::Relaxed)
    }

    /// What a destructor does: looks at the contents.
    #[inline(always)]
    pub fn end(&self) {
        black_box(self.rest[0]);
        // Whoever reads it now reads something that has been freed.
        self.value.store(DEAD, Ordering::Relaxed);
    }
}

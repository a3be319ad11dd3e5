//! seize: hyaline with `membarrier` on the update side.

use std::sync::atomic::Ordering;

use ::seize::{Collector, Guard};

use super::Peer;
use crate::workload::{Looped, ReadSide, Slot, Subject, Worker, sum_of};

/// The adapter.
pub const PEER: Peer = Peer {
    name: "seize",
    nests: true,
    subject: || Box::new(Shared { collector: Collector::new(), slot: Slot::new() }),
};

struct Shared {
    collector: Collector,
    slot: Slot,
}

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side(self))))
    }
}

struct Side<'s>(&'s Shared);

impl ReadSide for Side<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        let guard = self.0.collector.enter();
        let node = guard.protect(self.0.slot.pointer(), Ordering::Acquire);
        // SAFETY: the slot is never null, and the guard keeps its node alive.
        unsafe { &*node }.read()
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        let outer = self.0.collector.enter();
        let sum = sum_of(length, || self.section());
        drop(outer);
        sum
    }
}

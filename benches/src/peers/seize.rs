//! seize: hyaline with `membarrier` on the update side.

use std::sync::atomic::Ordering;

use ::seize::{Collector, Guard, reclaim};

use super::Peer;
use crate::blocks::{Block, Contents, Dropping, Manner, Plain};
use crate::reclaim::{Each, Reclaimer, Updater};
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

impl Shared {
    fn retire<C: Contents>(&self) {
        let block = Box::into_raw(Box::new(Block::<(), C>::filled()));
        // SAFETY: nobody else has the block.
        unsafe { self.collector.retire(block, reclaim::boxed) };
    }
}

impl Reclaimer for Shared {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        Ok(match manner {
            Manner::Plain => Box::new(Each(|| self.retire::<Plain<8>>())),
            Manner::Reading => Box::new(Each(|| {
                let _guard = self.collector.enter();
                self.retire::<Plain<8>>();
            })),
            Manner::Dropping => Box::new(Each(|| self.retire::<Dropping<8>>())),
        })
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let _guard = self.collector.enter();
        inside();
        Ok(())
    }

    /// Nothing to call: the last partial batches are freed with the collector.
    fn settle(&self) -> Result<bool, String> {
        Ok(false)
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

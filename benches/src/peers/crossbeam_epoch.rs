//! crossbeam-epoch: epochs, a locked instruction per outermost pin.

use std::sync::atomic::Ordering;

use crossbeam_epoch::{self as epoch, Atomic, Guard, Owned};

use super::Peer;
use crate::blocks::{Block, Contents, Dropping, Manner, Plain};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{Looped, Node, ReadSide, Subject, Worker, sum_of};

/// The adapter.
pub const PEER: Peer =
    Peer { name: "crossbeam-epoch", nests: true, subject: || Box::new(Shared(Atomic::new(Node::live()))) };

struct Shared(Atomic<Node>);

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side(&self.0))))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer any more.
        let guard = unsafe { epoch::unprotected() };
        let node = self.0.load(Ordering::Relaxed, guard);
        // SAFETY: the pointer owns its node.
        drop(unsafe { node.into_owned() });
    }
}

impl Reclaimer for Shared {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        fn retire<C: Contents>() {
            let guard = epoch::pin();
            let block = Owned::new(Block::<(), C>::filled()).into_shared(&guard);
            // SAFETY: nobody else has the block.
            unsafe { guard.defer_destroy(block) };
        }
        Ok(match manner {
            // Each takes a guard anyway.
            Manner::Plain | Manner::Reading => Box::new(Each(retire::<Plain<8>>)),
            Manner::Dropping => Box::new(Each(retire::<Dropping<8>>)),
        })
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let _guard = epoch::pin();
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        // Each flush frees eight bags at most.
        for _ in 0..64 {
            epoch::pin().flush();
        }
        Ok(true)
    }
}

struct Side<'s>(&'s Atomic<Node>);

impl Side<'_> {
    #[inline(always)]
    fn read(&self, guard: &Guard) -> u64 {
        let node = self.0.load(Ordering::Acquire, guard);
        // SAFETY: the pointer is never null, and the guard keeps its node alive.
        unsafe { node.deref() }.read()
    }
}

impl ReadSide for Side<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        self.read(&epoch::pin())
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        let _outer = epoch::pin();
        sum_of(length, || self.section())
    }
}

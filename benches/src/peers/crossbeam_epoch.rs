//! crossbeam-epoch: epochs, a locked instruction per outermost pin.

use std::sync::atomic::Ordering;

use crossbeam_epoch::{self as epoch, Atomic, Guard};

use super::Peer;
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

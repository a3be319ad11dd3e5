//! kovan: hyaline-like batches, wait-free.

use std::sync::atomic::Ordering;

use ::kovan::{Atomic, Guard, RetiredNode, pin};

use super::Peer;
use crate::workload::{Looped, Node, ReadSide, Subject, Worker, sum_of};

/// The adapter.
pub const PEER: Peer = Peer {
    name: "kovan",
    nests: true,
    subject: || {
        let node = Box::new(KovanNode { _retired: RetiredNode::new(), node: Node::live() });
        Box::new(Shared(Atomic::new(Box::into_raw(node))))
    },
};

/// kovan's retired list goes through the first field of the nodes.
#[repr(C)]
struct KovanNode {
    _retired: RetiredNode,
    node: Node,
}

struct Shared(Atomic<KovanNode>);

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side(&self.0))))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let node = self.0.load(Ordering::Relaxed, &pin()).as_raw();
        // SAFETY: the pointer owns its node, and nobody else has the pointer any more.
        drop(unsafe { Box::from_raw(node) });
    }
}

struct Side<'s>(&'s Atomic<KovanNode>);

impl Side<'_> {
    #[inline(always)]
    fn read(&self, guard: &Guard) -> u64 {
        let node = self.0.load(Ordering::Acquire, guard);
        // SAFETY: the pointer is never null, and the guard keeps its node alive.
        unsafe { node.deref() }.node.read()
    }
}

impl ReadSide for Side<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        self.read(&pin())
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        let _outer = pin();
        sum_of(length, || self.section())
    }
}

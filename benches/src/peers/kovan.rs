//! kovan: hyaline-like batches, wait-free.

use std::sync::atomic::Ordering;

use ::kovan::{Atomic, Guard, RetiredNode, flush, pin, retire};

use super::Peer;
use crate::blocks::{BLOCK_SIZE, Block, Contents, Dropping, Manner, Plain};
use crate::reclaim::{Each, Reclaimer, Updater};
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

impl Reclaimer for Shared {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        fn one<C: Contents>() {
            let block = Box::new(Block { header: RetiredNode::new(), contents: C::filled() });
            // SAFETY: the header comes first, and nobody else has the block.
            unsafe { retire(Box::into_raw(block)) };
        }
        Ok(match manner {
            Manner::Plain => Box::new(Flushed(Each(one::<Plain<3>>))),
            Manner::Reading => Box::new(Flushed(Each(|| {
                let _guard = pin();
                one::<Plain<3>>();
            }))),
            Manner::Dropping => Box::new(Flushed(Each(one::<Dropping<3>>))),
        })
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let guard = pin();
        let _node = self.0.load(Ordering::Acquire, &guard);
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        flush();
        Ok(true)
    }
}

/// A thread that flushes when it ends, as its documentation advises.
struct Flushed<U>(U);

impl<U: Updater> Updater for Flushed<U> {
    fn retire(&mut self, blocks: u64) {
        self.0.retire(blocks);
    }
}

impl<U> Drop for Flushed<U> {
    fn drop(&mut self) {
        flush();
    }
}

const _: () = assert!(size_of::<Block<RetiredNode, Plain<3>>>() == BLOCK_SIZE);

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

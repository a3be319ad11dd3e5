//! sdd: epochs, with garbage kept per thread.

use std::sync::atomic::Ordering;

use ::sdd::{AtomicOwned, Guard, Owned};

use super::Peer;
use crate::blocks::{Block, Contents, Dropping, Manner, Plain};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{Looped, Node, ReadSide, Subject, Worker, sum_of};

/// The adapter.
pub const PEER: Peer = Peer { name: "sdd", nests: true, subject: || Box::new(Shared(AtomicOwned::new(Node::live()))) };

struct Shared(AtomicOwned<Node>);

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side(&self.0))))
    }
}

impl Reclaimer for Shared {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        // Two words of the block are sdd's. Guards are what makes it free something.
        fn retire<C: Contents>() {
            let _guard = Guard::new();
            drop(Owned::new(Block::<(), C>::filled()));
        }
        Ok(match manner {
            // Each takes a guard anyway.
            Manner::Plain | Manner::Reading => Box::new(Each(retire::<Plain<6>>)),
            Manner::Dropping => Box::new(Each(retire::<Dropping<6>>)),
        })
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let _guard = Guard::new();
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        for _ in 0..64 {
            Guard::new().accelerate();
        }
        Ok(true)
    }
}

struct Side<'s>(&'s AtomicOwned<Node>);

impl Side<'_> {
    #[inline(always)]
    fn read(&self, guard: &Guard) -> u64 {
        self.0.load(Ordering::Acquire, guard).as_ref().map_or(0, Node::read)
    }
}

impl ReadSide for Side<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        self.read(&Guard::new())
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        let _outer = Guard::new();
        sum_of(length, || self.section())
    }
}

//! haphazard: hazard pointers, one per thread, protecting one node at a time.

use std::hint::black_box;

use ::haphazard::{AtomicPtr, Domain, HazardPointer};

use super::Peer;
use crate::blocks::{Block, Contents, Dropping, Manner, Plain};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{Looped, Node, ReadSide, Subject, Worker};

/// The adapter. A hazard pointer is kept for the thread's life and reused, as its documentation
/// advises; protecting single pointers, it has no section to nest.
pub const PEER: Peer =
    Peer { name: "haphazard", nests: false, subject: || Box::new(Shared(AtomicPtr::from(Box::new(Node::live())))) };

struct Shared(AtomicPtr<Node>);

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side { pointer: &self.0, hazard: HazardPointer::new() })))
    }
}

impl Reclaimer for Shared {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        fn retire<C: Contents>() {
            let block = Box::into_raw(Box::new(Block::<(), C>::filled()));
            // SAFETY: nobody else has the block.
            unsafe { Domain::global().retire_ptr::<_, Box<_>>(block) };
        }
        Ok(match manner {
            Manner::Plain => Box::new(Each(retire::<Plain<8>>)),
            Manner::Reading => {
                let mut hazard = HazardPointer::new();
                Box::new(Each(move || {
                    black_box(self.0.safe_load(&mut hazard));
                    hazard.reset_protection();
                    retire::<Plain<8>>();
                }))
            }
            Manner::Dropping => Box::new(Each(retire::<Dropping<8>>)),
        })
    }

    /// Holds back the one node that it protects.
    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let mut hazard = HazardPointer::new();
        let _node = self.0.safe_load(&mut hazard);
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        Domain::global().eager_reclaim();
        Ok(true)
    }
}

struct Side<'s> {
    pointer: &'s AtomicPtr<Node>,
    hazard: HazardPointer<'static>,
}

impl ReadSide for Side<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        let value = self.pointer.safe_load(&mut self.hazard).map_or(0, Node::read);
        self.hazard.reset_protection();
        value
    }

    fn nested_sections(&mut self, _: u64) -> u64 {
        unreachable!("hazard pointers have no sections to nest")
    }
}

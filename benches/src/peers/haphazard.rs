//! haphazard: hazard pointers, one per thread, protecting one node at a time.

use ::haphazard::{AtomicPtr, HazardPointer};

use super::Peer;
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

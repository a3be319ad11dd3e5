//! arc-swap: a counted pointer whose readers borrow the count.

use std::sync::Arc;

use ::arc_swap::ArcSwap;

use super::Peer;
use super::cell::Cell;
use crate::blocks::{BLOCK_SIZE, Manner};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{LIVE, Looped, ReadSide, Subject, Worker, sum_of};

/// The adapter.
pub const PEER: Peer =
    Peer { name: "arc-swap", nests: true, subject: || Box::new(Shared(ArcSwap::from_pointee(Contents::filled()))) };

/// Two words of the block are the counts'.
type Contents = Cell<5>;

const _: () = assert!(size_of::<Contents>() + 2 * size_of::<usize>() == BLOCK_SIZE);

struct Shared(ArcSwap<Contents>);

impl Subject for Shared {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Side(&self.0))))
    }
}

impl Reclaimer for Shared {
    /// Replaces what the readers read; the old one is freed by whoever drops it last.
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        Ok(match manner {
            Manner::Plain => Box::new(Each(|| self.0.store(Arc::new(Contents::filled())))),
            Manner::Reading => Box::new(Each(|| {
                assert_eq!(self.0.load().live(), LIVE, "wrong answer");
                self.0.store(Arc::new(Contents::filled()));
            })),
            Manner::Dropping => Box::new(Each(|| {
                let old = self.0.swap(Arc::new(Contents::filled()));
                // In this case nobody reads.
                if let Some(old) = Arc::into_inner(old) {
                    old.end();
                }
            })),
        })
    }

    /// Holds back the one block that it borrows.
    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        let _borrowed = self.0.load();
        inside();
        Ok(())
    }

    /// Everything is freed at once, but for the last one, which is freed with the pointer.
    fn settle(&self) -> Result<bool, String> {
        Ok(false)
    }
}

struct Side<'s>(&'s ArcSwap<Contents>);

impl ReadSide for Side<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        self.0.load().live()
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        let _outer = self.0.load();
        sum_of(length, || self.section())
    }
}

//! A table whose buckets and nodes are in memory that outlives it: made, opened, put right.
//!
//! One process at a time updates such a table, through its own [`Table`]; others look things up, each through one of its own.
//! Every update is one compare-and-swap, so whoever dies leaves a list that readers walk as before, with at most:
//!
//! - a node that is marked as removed, and still in the list;
//! - buckets above the size, of a growth or a shrinking that was under way: in the list or half made;
//! - memory that nothing refers to any more, or not yet: the allocator's matter.
//!
//! [`Table::put_right`] takes out the first two, beside readers.

use core::ptr::NonNull;

use urcu_core::sync::modelled::Ordering;

use super::error::NewError;
use super::ground::Ground;
use super::lookup::{Start, load};
use super::table::{Options, Table, TableBox};
use super::update::{Side, set_flag};
use super::word::{Link, REMOVED, Word};

impl<G: Ground> Table<G> {
    /// A new, empty table in the ground's memory, all of which is null.
    ///
    /// # Errors
    ///
    /// [`NewError`].
    ///
    /// # Safety
    ///
    /// Nobody else uses the ground yet. The flavor's grace periods are those of all who will look things up.
    pub unsafe fn create(flavor: G::Flavor, options: Options, ground: G) -> Result<TableBox<G>, NewError> {
        let initial = options.initial.max(options.min);
        let table = Self::build(flavor, options, ground)?;
        table.buckets.ensure(0, initial).map_err(|_| NewError::OutOfMemory)?;
        // SAFETY: ensured above; nobody else has the table.
        unsafe { table.lay_out(initial) }.map_err(|_| NewError::OutOfMemory)?;
        // Relaxed: nobody else has the table.
        table.size.store(initial, Ordering::Relaxed);
        Ok(table)
    }

    /// A table over what is in the ground's memory already, for lookups; or for updates, once it was
    /// [put right](Self::put_right).
    ///
    /// # Errors
    ///
    /// [`NewError`].
    ///
    /// # Safety
    ///
    /// The table there was made with the same `min` and `max` in `options`; or the ground does not trust its links. The flavor's
    /// grace periods are those of all who use it.
    pub unsafe fn open(flavor: G::Flavor, options: Options, ground: G) -> Result<TableBox<G>, NewError> {
        Self::build(flavor, options, ground)
    }

    /// Takes out what somebody who died has left in the list: nodes that were removed, and buckets above the size, whose memory is
    /// given back after a grace period (by some later update; before that the table does not grow).
    ///
    /// Looks at every bucket above the size once, and at what is in the list once, whatever is there.
    ///
    /// # Errors
    ///
    /// What a link leads to cannot be, or the size is none.
    ///
    /// # Safety
    ///
    /// Nobody else updates the table, or can have begun to since the process that did died.
    pub unsafe fn put_right(&self) -> Result<(), G::Stop> {
        // Relaxed: written by the one updater.
        let size = self.size.load(Ordering::Relaxed);
        if !self.can_be_size(size) {
            return self.buckets.ground.nonsense();
        }
        let mut end = size;
        for (first, count) in self.buckets.pieces_above(size) {
            end = end.max(first + count);
            // The last one first: what does not fit into the mapping is not begun with.
            for index in (first..first + count).rev() {
                // SAFETY: the piece is there; in shared memory the space checks.
                let link = unsafe { self.buckets.at(index) }?;
                if load(link) != Word::FRESH {
                    // No section puts a bucket above the size in.
                    set_flag(link, REMOVED);
                }
            }
        }
        // SAFETY: nobody frees anything meanwhile: that is the updater's, which the caller is.
        unsafe { self.take_out_removed() }?;
        if end > size {
            // Sections that saw another size may still begin at these buckets, or stand on them.
            self.let_go(size, end);
        }
        Ok(())
    }

    /// Passes everything, and so takes out all that was removed: nodes and buckets.
    ///
    /// # Safety
    ///
    /// As [`put_right`](Self::put_right).
    unsafe fn take_out_removed(&self) -> Result<(), G::Stop> {
        let mut steps = self.buckets.ground.steps();
        loop {
            // SAFETY: every table has it.
            let link = unsafe { self.buckets.at(0) }?;
            let start = Start { link, word: load(link), order: 0 };
            // SAFETY: the caller reclaims nothing meanwhile. Nothing lies behind the largest hash, so this goes to the end.
            if unsafe { self.seek_from(start, usize::MAX, Side::Behind, &mut steps) }?.is_some() {
                return Ok(());
            }
        }
    }

    /// Where the table's bucket memory is: each piece, and how many buckets it has.
    ///
    /// # Errors
    ///
    /// A piece is where none can be.
    pub fn pieces(&self) -> impl Iterator<Item = Result<(NonNull<Link>, usize), G::Stop>> {
        self.buckets.pieces()
    }

    /// What the counters say is corrected to this number. For who has counted, and is alone with the table.
    pub fn set_count(&self, nodes: usize) {
        if let Some(counters) = &self.counters {
            let now = usize::try_from(counters.sum()).unwrap_or(0);
            counters.count(nodes.wrapping_sub(now));
        }
    }
}

//! The table: what it is made of, how it is made and how it ends.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;

use urcu_core::FlavorVtable;
use urcu_core::space::Process;
use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicUsize, Ordering};

use super::allocator::Allocator;
use super::buckets::{BucketMemory, Buckets};
use super::count::Counters;
use super::error::NewError;
use super::ground::Ground;
use super::lookup::sure;
use super::resize::Resize;
use super::split_order::order_of;
use super::word::{READY, Word};

/// How a table is made: the parameters of `cds_lfht_new`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Buckets to begin with. A power of two. Clamped to what `min` and `max` say.
    pub initial: usize,
    /// The least number of buckets: a power of two. Automatic resizing keeps at least so many, and the memory for them is one
    /// piece.
    pub min: usize,
    /// The greatest number of buckets: a power of two. `None`: as many as there is memory for.
    pub max: Option<usize>,
    /// Grow and shrink with the number of nodes, in the background.
    pub auto_resize: bool,
    /// Count the nodes. Needed to shrink automatically; without it the table grows when it meets long chains.
    pub accounting: bool,
    /// Where the buckets are. `None`: one mapping when there is a maximum of at most 2^32 and no allocator, else an allocation per
    /// doubling.
    pub memory: Option<BucketMemory>,
    /// Who allocates the buckets. `None`: Rust's global allocator, and the system where it is much. Not for tables in
    /// shared memory.
    pub allocator: Option<Allocator>,
}

impl Options {
    /// One bucket, no maximum, resized automatically, counting.
    pub const fn new() -> Self {
        Self { initial: 1, min: 1, max: None, auto_resize: true, accounting: true, memory: None, allocator: None }
    }

    /// Starts with `buckets`.
    #[must_use]
    pub const fn initial(self, buckets: usize) -> Self {
        Self { initial: buckets, ..self }
    }

    /// Never has fewer than `buckets`, unless [`Table::resize`] says so.
    #[must_use]
    pub const fn min(self, buckets: usize) -> Self {
        Self { min: buckets, ..self }
    }

    /// Never has more than `buckets`.
    #[must_use]
    pub const fn max(self, buckets: usize) -> Self {
        Self { max: Some(buckets), ..self }
    }

    /// Grows and shrinks by itself, or not.
    #[doc(alias = "CDS_LFHT_AUTO_RESIZE")]
    #[must_use]
    pub const fn auto_resize(self, yes: bool) -> Self {
        Self { auto_resize: yes, ..self }
    }

    /// Counts its nodes, or not.
    #[doc(alias = "CDS_LFHT_ACCOUNTING")]
    #[must_use]
    pub const fn accounting(self, yes: bool) -> Self {
        Self { accounting: yes, ..self }
    }

    /// Has its buckets in memory of this kind.
    #[must_use]
    pub const fn memory(self, memory: BucketMemory) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Has its buckets in memory of this allocator.
    #[doc(alias = "cds_lfht_new_with_flavor_alloc")]
    #[must_use]
    pub const fn allocator(self, allocator: Allocator) -> Self {
        Self { allocator: Some(allocator), ..self }
    }

    fn check(&self) -> Result<(), NewError> {
        for (parameter, value) in [("initial", self.initial), ("min", self.min)] {
            if value == 0 {
                return Err(NewError::Zero { parameter });
            }
            if !value.is_power_of_two() {
                return Err(NewError::NotPowerOfTwo { parameter, value });
            }
        }
        if let Some(max) = self.max {
            if max == 0 {
                return Err(NewError::Zero { parameter: "max" });
            }
            if !max.is_power_of_two() {
                return Err(NewError::NotPowerOfTwo { parameter: "max", value: max });
            }
            if self.min > max {
                return Err(NewError::MinAboveMax { min: self.min, max });
            }
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// A hash table of [`Node`](super::Node)s. See the [module](super).
///
/// # Invariants
///
/// 1. Buckets `0..size` have memory; so have those below a size that a section has seen, until it ends.
/// 2. A bucket that is `READY` is in the list, and stays there, not removed, as long as a section may start at it: one that has
///    seen a size above its index.
/// 3. The list is sorted: by hash, the low bits first, buckets before nodes with the same.
/// 4. Bucket 0 is the start of the list and is ready from the beginning.
/// 5. A link that has `REMOVED` never changes.
#[doc(alias = "cds_lfht")]
#[repr(C)]
pub struct Table<G: Ground = Process> {
    // What every operation reads and hardly anybody writes.
    /// Buckets in use, a power of two.
    pub(super) size: G::Size,
    /// The sizes that it grows from and to, added; 0 while it is not growing. Two powers of two, so both can be read off it.
    pub(super) growing: AtomicUsize,
    pub(super) buckets: Buckets<G>,
    pub(super) counters: Option<Counters>,
    pub(super) auto_resize: bool,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) flavor: G::Flavor,
    /// What resizing writes.
    pub(super) resize: CachePadded<Resize<G>>,
}

impl Table {
    /// A table of the flavor with this table of functions. Any thread, registered or not.
    ///
    /// # Errors
    ///
    /// [`NewError`] names the parameter that is wrong, or says that there is no memory.
    #[doc(alias = "cds_lfht_new")]
    #[doc(alias = "cds_lfht_new_flavor")]
    #[allow(clippy::new_ret_no_self, reason = "a table does not move: it comes in a box of its own")]
    pub fn new(flavor: &'static FlavorVtable, options: Options) -> Result<TableBox, NewError> {
        let table = Self::build(flavor, options, Process)?;
        // SAFETY: nobody else has it.
        sure(unsafe { table.lay_out(table.size()) });
        Ok(table)
    }

    /// The flavor it was made with.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.flavor
    }
}

impl<G: Ground> Table<G> {
    /// A table whose bucket memory is there, with nothing in it.
    pub(super) fn build(flavor: G::Flavor, options: Options, ground: G) -> Result<TableBox<G>, NewError> {
        options.check()?;
        let limit = options.max.unwrap_or(1 << (usize::BITS - 1));
        let memory = options.memory.unwrap_or(match options.max {
            Some(max) if max <= 1 << 32 && G::OWNED && options.allocator.is_none() => BucketMemory::Mmap,
            _ => BucketMemory::Order,
        });
        let initial = options.initial.clamp(options.min, limit);
        let table = Box::new(Self {
            size: ground.size(initial),
            growing: AtomicUsize::new(0),
            buckets: Buckets::new(ground, memory, options.allocator, options.min, options.max)?,
            counters: options.accounting.then(Counters::new),
            auto_resize: options.auto_resize,
            min: options.min,
            max: limit,
            flavor,
            resize: CachePadded(Resize::new(initial)),
        });
        if G::OWNED {
            table.buckets.ensure(0, initial).map_err(|_| NewError::OutOfMemory)?;
        }
        let table = Box::into_raw(table);
        // SAFETY: just leaked, and nobody else has it.
        unsafe { (*table).resize.0.set_table(table) };
        // SAFETY: a box is not null.
        Ok(TableBox { table: unsafe { NonNull::new_unchecked(table) } })
    }

    /// The number of buckets at the moment. Any context. Wait-free.
    pub fn size(&self) -> usize {
        // Relaxed: a number for the caller to look at.
        self.size.load(Ordering::Relaxed)
    }

    /// Puts all of so many buckets in place: the list goes from each to the one that follows it in split order.
    ///
    /// # Safety
    ///
    /// They have memory, and nobody else has the table.
    pub(super) unsafe fn lay_out(&self, size: usize) -> Result<(), G::Stop> {
        let order = order_of(size);
        for index in 0..size {
            let rank = if order == 0 { 0 } else { index.reverse_bits() >> (usize::BITS - order) };
            let next = if rank + 1 == size {
                Word::END
            } else {
                let next = (rank + 1).reverse_bits() >> (usize::BITS - order);
                // SAFETY: as promised.
                let link = unsafe { self.buckets.at(next) }?;
                self.buckets.word_to(link, next)
            };
            // SAFETY: as promised.
            let link = unsafe { self.buckets.at(index) }?;
            // Relaxed: nobody else has the table.
            link.store(next.with(READY).0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What it stands on.
    pub fn ground(&self) -> &G {
        &self.buckets.ground
    }
}

impl<G: Ground> fmt::Debug for Table<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("size", &self.size()).finish_non_exhaustive()
    }
}

// Nodes are the callers'; every operation that touches one is `unsafe` and says what is asked of it.
// SAFETY: all fields are atomics, constants, or under the turn.
unsafe impl<G: Ground> Send for Table<G> {}
// SAFETY: as above.
unsafe impl<G: Ground> Sync for Table<G> {}

/// Owns a [`Table`].
///
/// Dropping it frees the table, empty or not, and leaves its nodes to their owners: by then nobody may be using it. If a
/// resize is under way in the background, that one stops and frees it; since it may be looking at nodes in a section
/// that began before, the nodes that are left may be freed after a grace period, as if they had been removed.
pub struct TableBox<G: Ground = Process> {
    table: NonNull<Table<G>>,
}

// SAFETY: owns a `Table`, which is both.
unsafe impl<G: Ground> Send for TableBox<G> {}
// SAFETY: gives out shared references only.
unsafe impl<G: Ground> Sync for TableBox<G> {}

impl<G: Ground> Deref for TableBox<G> {
    type Target = Table<G>;

    #[inline]
    fn deref(&self) -> &Table<G> {
        // SAFETY: the owner keeps it alive.
        unsafe { self.table.as_ref() }
    }
}

impl<G: Ground> fmt::Debug for TableBox<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The table is not empty. Here it is again. C: `-EPERM`.
#[derive(Debug)]
pub struct NotEmpty(pub TableBox);

impl fmt::Display for NotEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table still has nodes")
    }
}

impl core::error::Error for NotEmpty {}

impl TableBox {
    /// Ends an empty table. Any thread, inside a section or not.
    ///
    /// Its memory is freed at once; or, if a resize is under way in the background, by the flavor's worker
    /// ([`FlavorVtable::wait_for_retired`] waits for that). Waits for other threads that are working on the table's size at
    /// this moment, never for a grace period. O(n) in the number of buckets.
    ///
    /// # Errors
    ///
    /// [`NotEmpty`], with the table.
    #[doc(alias = "cds_lfht_destroy")]
    pub fn destroy(self) -> Result<(), NotEmpty> {
        let is_empty = {
            // Levels are freed under the turn, so the buckets that are met here stay.
            let _turn = self.resize.turn.take();
            // SAFETY: owned, and so used by nobody but the resize, which removes no nodes.
            unsafe { self.first() }.node().is_none()
        };
        if is_empty { Ok(()) } else { Err(NotEmpty(self)) }
    }

    /// Gives up ownership.
    pub fn into_raw(self) -> NonNull<Table> {
        ManuallyDrop::new(self).table
    }

    /// Takes it back.
    ///
    /// # Safety
    ///
    /// `table` comes from [`into_raw`](Self::into_raw), once.
    pub unsafe fn from_raw(table: NonNull<Table>) -> Self {
        Self { table }
    }
}

impl<G: Ground> Drop for TableBox<G> {
    fn drop(&mut self) {
        if self.resize.dismiss() {
            // SAFETY: leaked in `new`; the owner goes, and the background has nothing to do with it.
            drop(unsafe { Box::from_raw(self.table.as_ptr()) });
        }
    }
}

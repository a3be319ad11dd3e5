//! A table: a power of two of buckets, and how far the move to the next one has got.
//!
//! # Which bits of a hash go where
//!
//! ```text
//!   63        56                                  base+16      base      bits    0
//!   +-----------+---------------------------------+--------------+--------+------+
//!   |    tag    |                                 |  word's bits |        index  |
//!   +-----------+---------------------------------+--------------+---------------+
//! ```
//!
//! The lowest `bits` bits are the index of the bucket. `base` is at most `bits`: so index and word together are the hash's
//! lowest `base + 16` bits, which is what a move to another table has to know. Only when a table grows beyond that the
//! entries' keys have to be hashed again, which is once in sixteen doublings. A table that begins small does so early: what is
//! hashed again when it has a thousand buckets, and is still in the cache, need not be when it has 65,536.

use core::mem;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc};

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicPtr, AtomicUsize, Ordering};

use super::bucket::Bucket;

/// Bits of the hash in a word.
const WINDOW: u32 = 16;

/// A table of so many bits is worth hashing keys again if that saves doing so before it has more than `LATE`.
const EARLY: core::ops::RangeInclusive<u32> = 10..=12;
const LATE: u32 = 20;

/// The tag of a hash: never zero.
#[inline]
pub(super) fn tag_of(hash: u64) -> u8 {
    // In this order: the compiler knows that there is nothing to be cut off.
    (hash >> 56).max(1) as u8
}

/// What readers need of a table, and how it is being left.
///
/// # Invariants
///
/// 1. `mask + 1` buckets follow at `buckets`, a power of two of them.
/// 2. `next` is set once. While it is null no bucket is migrated.
/// 3. Each bucket is migrated once, by who holds its lock, and counted in `progress.done` by that thread.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Table {
    mask: usize,
    buckets: NonNull<Bucket>,
    base: u32,
    /// Of the process that has begun to move entries here.
    pub(super) generation: u64,
    /// Where the entries are going.
    pub(super) next: AtomicPtr<Table>,
    pub(super) progress: CachePadded<Progress>,
}

/// How far the buckets are migrated.
#[derive(Debug)]
pub(super) struct Progress {
    /// The next bucket that somebody takes on; beyond the last one it starts again with the first, for what others
    /// took on and have not done.
    pub(super) taken: AtomicUsize,
    /// Buckets that are migrated.
    pub(super) done: AtomicUsize,
}

impl Table {
    /// A table with `1 << bits` empty buckets, for entries whose bits of the hash start at `base`; `None` when there is no
    /// memory.
    pub(super) fn new(bits: u32, base: u32) -> Option<Box<Self>> {
        debug_assert!(base <= bits);
        let count = 1_usize.checked_shl(bits)?;
        let buckets = memory::allocate(count)?;
        let progress = Progress { taken: AtomicUsize::new(0), done: AtomicUsize::new(0) };
        let next = AtomicPtr::new(ptr::null_mut());
        boxed(Self { mask: count - 1, buckets, base, generation: 0, next, progress: CachePadded(progress) })
    }

    /// The base for a table of `bits` that takes over from this one.
    pub(super) fn base_for(&self, bits: u32) -> u32 {
        if bits < self.base {
            // Known, since it is lower. Some room below, should it shrink on.
            bits.saturating_sub(WINDOW / 2)
        } else if bits > self.known() || (EARLY.contains(&bits) && self.known() < LATE) {
            // The keys are hashed again.
            bits
        } else {
            self.base
        }
    }

    /// How many low bits of an entry's hash its index and its word tell.
    #[inline]
    pub(super) fn known(&self) -> u32 {
        self.base + WINDOW
    }

    /// Where the bits in its entries' words begin.
    #[inline]
    pub(super) fn base(&self) -> u32 {
        self.base
    }

    /// Whether somebody has taken on the last bucket. A hint.
    #[inline]
    pub(super) fn are_all_taken(&self) -> bool {
        // Relaxed: a hint.
        self.progress.taken.load(Ordering::Relaxed) >= self.count()
    }

    /// Those bits.
    #[inline]
    pub(super) fn known_hash(&self, index: usize, bits: u16) -> u64 {
        // Where they overlap they agree.
        index as u64 | u64::from(bits) << self.base
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.mask + 1
    }

    #[inline]
    pub(super) fn bits(&self) -> u32 {
        self.count().trailing_zeros()
    }

    #[inline]
    pub(super) fn index_of(&self, hash: u64) -> usize {
        hash as usize & self.mask
    }

    /// The bits of a hash that a word of this table keeps.
    #[inline]
    pub(super) fn word_bits(&self, hash: u64) -> u16 {
        (hash >> self.base) as u16
    }

    /// A bucket by its number.
    #[inline]
    pub(super) fn bucket(&self, index: usize) -> &Bucket {
        assert!(index <= self.mask, "a bucket that is not there");
        // SAFETY: the index is that of a bucket. Invariant 1.
        let bucket = unsafe { self.buckets.add(index) };
        // SAFETY: it lives as long as the table.
        unsafe { bucket.as_ref() }
    }

    /// The bucket of a hash.
    #[inline]
    pub(super) fn bucket_of(&self, hash: u64) -> &Bucket {
        self.bucket(self.index_of(hash))
    }

    /// Whether a bucket is one of this table's.
    pub(super) fn has(&self, bucket: *const Bucket) -> bool {
        let first = self.buckets.as_ptr().addr();
        (first..first + self.count() * size_of::<Bucket>()).contains(&bucket.addr())
    }

    /// Whether all buckets are migrated.
    pub(super) fn is_empty(&self) -> bool {
        (0..self.count()).all(|index| self.bucket(index).meta().is_migrated())
    }

    /// Bytes that the table takes, without chained lines.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.count() * size_of::<Bucket>()
    }
}

/// A box, or `None` when there is no memory.
fn boxed(table: Table) -> Option<Box<Table>> {
    // SAFETY: not of size zero.
    let memory = NonNull::new(unsafe { alloc(Layout::new::<Table>()) })?.cast::<Table>();
    // SAFETY: memory for a table, which nobody else has.
    unsafe { memory.write(table) };
    // SAFETY: what a box of it would have been made of.
    Some(unsafe { Box::from_raw(memory.as_ptr()) })
}

impl Drop for Table {
    /// Frees the buckets; chained lines and entries are not the table's.
    fn drop(&mut self) {
        // SAFETY: `allocate` returned them for this count; the table is gone.
        unsafe { memory::free(self.buckets, self.count()) };
    }
}

// SAFETY: buckets are atomics.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// Memory of buckets: zeroed, and of huge pages when there are many.
#[cfg(not(urcu_loom))]
mod memory {
    use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};

    use urcu_core::sys::{HUGE_PAGE, advise_huge_pages, map_huge, unmap_huge};

    use super::{Bucket, NonNull, mem};

    /// From here on whole pages. Below, an allocator has memory that was used before, which costs less than the first touch of
    /// fresh pages.
    const LARGE: usize = 16 * HUGE_PAGE;

    pub(super) fn allocate(count: usize) -> Option<NonNull<Bucket>> {
        let layout = layout(count)?;
        if layout.size() >= LARGE {
            return map_huge(layout.size()).map(NonNull::cast);
        }
        if layout.size() < HUGE_PAGE {
            // SAFETY: not of size zero.
            let memory = unsafe { alloc_zeroed(layout) };
            // All zero is an empty bucket.
            return NonNull::new(memory.cast());
        }
        // SAFETY: not of size zero.
        let memory = NonNull::new(unsafe { alloc(layout) })?;
        // Before the first touch, if it is fresh: what is looked up at random wants few address translations.
        // SAFETY: whole huge pages, just allocated.
        unsafe { advise_huge_pages(memory.as_ptr().cast(), layout.size()) };
        // SAFETY: as above.
        unsafe { memory.write_bytes(0, layout.size()) };
        // As above.
        Some(memory.cast())
    }

    fn layout(count: usize) -> Option<Layout> {
        let layout = Layout::array::<Bucket>(count).ok()?;
        if layout.size() < HUGE_PAGE { Some(layout) } else { layout.align_to(HUGE_PAGE).ok() }
    }

    /// # Safety
    ///
    /// `buckets` comes from `allocate(count)`, and nothing refers to it.
    pub(super) unsafe fn free(buckets: NonNull<Bucket>, count: usize) {
        let bytes = count * mem::size_of::<Bucket>();
        if bytes >= LARGE {
            // SAFETY: mapped with this size.
            unsafe { unmap_huge(buckets.cast(), bytes) };
            return;
        }
        if let Some(layout) = layout(count) {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(buckets.as_ptr().cast(), layout) };
        }
    }
}

/// The model checker's atomics are made one by one.
#[cfg(urcu_loom)]
mod memory {
    use super::{Bucket, NonNull, mem, ptr};

    pub(super) fn allocate(count: usize) -> Option<NonNull<Bucket>> {
        let buckets: Box<[Bucket]> = (0..count).map(|_| Bucket::new()).collect();
        NonNull::new(Box::into_raw(buckets).cast())
    }

    /// # Safety
    ///
    /// `buckets` comes from `allocate(count)`, and nothing refers to it.
    pub(super) unsafe fn free(buckets: NonNull<Bucket>, count: usize) {
        let buckets = ptr::slice_from_raw_parts_mut(buckets.as_ptr(), count);
        let _ = mem::size_of::<Bucket>();
        // SAFETY: made from such a box.
        drop(unsafe { Box::from_raw(buckets) });
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn index_and_word_tell_the_low_bits_of_a_hash() {
        let hash = 0x0123_4567_89ab_cdef_u64;
        for (bits, base) in [(0, 0), (3, 0), (9, 0), (12, 5), (17, 17), (20, 17), (8, 8)] {
            let table = Table::new(bits, base).expect("memory");
            let known = table.known_hash(table.index_of(hash), table.word_bits(hash));
            assert_eq!(known, hash & ((1 << table.known()) - 1), "bits {bits}, base {base}");
        }
    }

    #[test]
    fn only_a_table_that_outgrows_the_known_bits_needs_hashing() {
        let mut table = Table::new(2, 0).expect("memory");
        for bits in (3..=16).filter(|bits| !EARLY.contains(bits)) {
            assert_eq!(table.base_for(bits), 0);
        }
        assert_eq!(table.base_for(17), 17);
        for bits in EARLY {
            assert_eq!(table.base_for(bits), bits, "early");
        }
        table = Table::new(10, 10).expect("memory");
        for bits in 11..=26 {
            assert_eq!(table.base_for(bits), 10);
        }
        table = Table::new(17, 17).expect("memory");
        assert_eq!(table.base_for(16), 8);
        assert_eq!(table.base_for(2), 0);
    }

    #[test]
    fn large_tables_are_empty_and_fill_whole_huge_pages() {
        for bits in [14, 15, 16] {
            // The second one may get memory that the first has written to.
            for _ in 0..2 {
                let table = Table::new(bits, 0).expect("memory");
                assert!((0..table.count()).all(|index| table.bucket(index).meta().occupied().is_empty()));
                let address = core::ptr::from_ref(table.bucket(0)).addr();
                assert!(bits < 15 || address.is_multiple_of(urcu_core::sys::HUGE_PAGE), "{address:x}");
                for index in 0..table.count() {
                    // SAFETY: nobody else has the table.
                    let mut locked = unsafe { table.bucket(index).lock_alone() };
                    locked.add(
                        1,
                        super::super::bucket::Word::entry(
                            super::super::slab::Handle(ptr::without_provenance_mut(16)),
                            1,
                        ),
                    );
                }
            }
        }
    }

    #[test]
    fn tags_are_never_zero() {
        assert_eq!(tag_of(0), 1);
        assert_eq!(tag_of(1 << 56), 1);
        assert_eq!(tag_of(u64::MAX), 255);
    }
}

//! The memory of the buckets: an array that grows and shrinks without moving.
//!
//! A bucket is one link, 8 bytes. Segments hold consecutive buckets; the segment of a bucket is found by one shift (and a
//! count of leading zeros), its address by one load from the table of segments.
//!
//! | kind | segments |
//! |---|---|
//! | [`BucketMemory::Order`] | one for the first buckets, then one per doubling |
//! | [`BucketMemory::Chunk`] | equal ones, at most 1024 |
//! | [`BucketMemory::Mmap`] | one: address space for the maximum, memory as it is touched |
//!
//! The table of segments holds *biased* pointers: where bucket 0 would be if the segment reached down to it.

use core::ptr::{self, NonNull};

use urcu_core::space::Process;
use urcu_core::sync::modelled::Ordering;
use urcu_core::sys;

use super::allocator::Allocator;
use super::error::NewError;
use super::ground::{self, Ground};
use super::split_order::level_of;
use super::word::{BucketTag, Link, SEGMENTS, Word};

/// Where the buckets of a table are.
#[doc(alias = "cds_lfht_mm_type")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketMemory {
    /// One allocation per doubling, of any size: the only kind for tables without a maximum.
    #[doc(alias = "cds_lfht_mm_order")]
    Order,
    /// Allocations of equal size, at least a 1024th of the maximum.
    #[doc(alias = "cds_lfht_mm_chunk")]
    Chunk,
    /// One mapping. Address space for the maximum is reserved at once; memory comes when it is used.
    #[doc(alias = "cds_lfht_mm_mmap")]
    Mmap,
}

/// The first segment of [`BucketMemory::Order`] has at least so many buckets, in memory of the process: a page.
const FIRST: usize = if cfg!(urcu_loom) { 1 } else { 512 };

/// What every search reads comes first.
#[repr(C)]
pub(super) struct Buckets<G: Ground = Process> {
    pub(super) ground: G,
    /// Biased pointers. Null where there is no segment.
    segments: G::Segments,
    shift: u32,
    logarithmic: bool,
    kind: BucketMemory,
    /// The caller's, unless one mapping has them all.
    allocator: Option<Allocator>,
    max: usize,
}

/// There is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

impl<G: Ground> Buckets<G> {
    /// Memory for tables of `min` to `max` buckets (powers of two), of which there are none yet.
    pub(super) fn new(
        ground: G,
        kind: BucketMemory,
        allocator: Option<Allocator>,
        min: usize,
        max: Option<usize>,
    ) -> Result<Self, NewError> {
        let limit = max.unwrap_or(1 << (usize::BITS - 1));
        let (count, shift, logarithmic) = match kind {
            BucketMemory::Order => {
                // Who keeps tables in a segment says alone how large its pieces are: they are part of a format.
                let first = if G::OWNED { FIRST.max(min) } else { min }.min(limit);
                let orders = limit.trailing_zeros() - first.trailing_zeros();
                (orders as usize + 1, first.trailing_zeros(), true)
            }
            BucketMemory::Chunk => {
                let max = max.ok_or(NewError::NeedsMax)?;
                let chunk = min.max(max / SEGMENTS).max(FIRST).min(max);
                (max / chunk, chunk.trailing_zeros(), false)
            }
            BucketMemory::Mmap => {
                max.ok_or(NewError::NeedsMax)?;
                (1, usize::BITS - 1, false)
            }
        };
        let segments = ground.segments(count);
        // A model's links are more than their bits.
        let allocator = allocator.filter(|_| G::OWNED && kind != BucketMemory::Mmap && !cfg!(urcu_loom));
        let this = Self { ground, segments, shift, logarithmic, kind, allocator, max: limit };
        if kind == BucketMemory::Mmap {
            this.allocate(0).map_err(|OutOfMemory| NewError::OutOfMemory)?;
        }
        Ok(this)
    }

    #[inline]
    fn segment_of(&self, index: usize) -> usize {
        let segment = index >> self.shift;
        // The bits of `segment`: a 1 behind them, and the processor need not be asked whether there are any.
        if self.logarithmic { (segment << 1 | 1).ilog2() as usize } else { segment }
    }

    /// The first bucket of a segment, and how many it has.
    fn extent(&self, segment: usize) -> (usize, usize) {
        match self.kind {
            BucketMemory::Order => match segment {
                0 => (0, 1 << self.shift),
                order => (1 << (self.shift as usize + order - 1), 1 << (self.shift as usize + order - 1)),
            },
            BucketMemory::Chunk => (segment << self.shift, 1 << self.shift),
            BucketMemory::Mmap => (0, self.max),
        }
    }

    /// The bucket `index`.
    ///
    /// # Errors
    ///
    /// Shared memory says that it is where nothing can be.
    ///
    /// # Safety
    ///
    /// Its memory is there: `index` is below a size that the table has, or had when the caller's section began; or the caller
    /// keeps it from being released. Any index, if the ground does not trust links.
    #[inline]
    pub(super) unsafe fn at(&self, index: usize) -> Result<&Link, G::Stop> {
        let segment = self.segment_of(index);
        let base = if G::OWNED {
            // SAFETY: an index below `limit` has its segment in the table, by its construction in `new`.
            unsafe { self.segments.get_unchecked(segment) }
        } else {
            match self.segments.get(segment) {
                Some(base) => base,
                None => return self.ground.nonsense(),
            }
        };
        // Relaxed: the caller knows of the bucket by an Acquire load of the size, of the growth, or of a link to it, all of
        // which were stored after this pointer. PAIR(lfht-size)
        let base = base.load(Ordering::Relaxed);
        if !G::OWNED && base.is_null() {
            return self.ground.nonsense();
        }
        // SAFETY: as promised.
        let link = unsafe { self.ground.resolve(base.wrapping_byte_sub(G::BIAS).wrapping_add(index)) }?;
        // SAFETY: as promised; the segment's memory contains the link, and consists of initialised links. In shared memory: all
        // of it can be seen as links.
        Ok(unsafe { link.as_ref() })
    }

    /// Whether the bucket `index` has memory.
    pub(super) fn is_there(&self, index: usize) -> bool {
        // Relaxed: written by callers of `ensure` and `release` only, one at a time.
        self.segments.get(self.segment_of(index)).is_some_and(|base| !base.load(Ordering::Relaxed).is_null())
    }

    /// The index of the bucket that `word`, reachable in this table, points to.
    pub(super) fn index_of(&self, word: Word) -> Result<usize, G::Stop> {
        let Some(base) = self.segments.get(word.segment()) else { return self.ground.nonsense() };
        // Relaxed: as in `at`.
        let base = base.load(Ordering::Relaxed).wrapping_byte_sub(G::BIAS);
        // Biased pointers may wrap, differences do not.
        Ok(word.bucket().addr().wrapping_sub(base.addr()) / size_of::<Link>())
    }

    /// The first bucket and the number of buckets of each piece of memory that begins at or above `size`.
    pub(super) fn pieces_above(&self, size: usize) -> impl Iterator<Item = (usize, usize)> {
        let segments = self.segments.iter().enumerate();
        // Relaxed: written by callers of `ensure` and `release` only, one at a time.
        let made = segments.filter(|(_, base)| !base.load(Ordering::Relaxed).is_null());
        made.map(|(segment, _)| self.extent(segment)).filter(move |&(first, _)| first >= size)
    }

    /// Each piece of memory, and how many buckets it has.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Result<(NonNull<Link>, usize), G::Stop>> {
        self.pieces_above(0).map(|(first, count)| {
            // SAFETY: made, and kept by the caller.
            let link = unsafe { self.at(first) }?;
            Ok((NonNull::from(link), count))
        })
    }

    /// A link to the bucket `index` at `link`.
    pub(super) fn word_to(&self, link: &Link, index: usize) -> Word {
        Word::to_bucket(self.ground.name(NonNull::from(link)), self.tag_of(index))
    }

    /// What links to the bucket `index` say about it.
    #[inline]
    pub(super) fn tag_of(&self, index: usize) -> BucketTag {
        BucketTag::new(index, self.segment_of(index))
    }

    /// Whether the links of these two buckets, and of those between them, are an array; and links to them say the same.
    #[inline]
    pub(super) fn are_together(&self, first: usize, last: usize) -> bool {
        self.segment_of(first) == self.segment_of(last) && level_of(first) == level_of(last)
    }

    /// Makes sure that there is memory for buckets `from..to`, all fresh unless they were there before.
    ///
    /// One caller at a time.
    pub(super) fn ensure(&self, from: usize, to: usize) -> Result<(), OutOfMemory> {
        let (first, last) = (self.segment_of(from), self.segment_of(to - 1));
        // The largest one first: if there is no room for all, that is where it shows.
        for segment in (first..=last).rev() {
            // Relaxed: written by callers of this only, one at a time.
            if self.segments[segment].load(Ordering::Relaxed).is_null()
                && let Err(OutOfMemory) = self.allocate(segment)
            {
                // What was made above it has not been used.
                for made in segment + 1..=last {
                    if self.extent(made).0 >= from {
                        // SAFETY: no bucket of it was ever part of the table.
                        unsafe { self.deallocate(made) };
                    }
                }
                return Err(OutOfMemory);
            }
            self.advise(segment, from, to);
        }
        Ok(())
    }

    /// Huge pages for the part of the mapping that is about to be used, if it has some.
    fn advise(&self, segment: usize, from: usize, to: usize) {
        if self.kind != BucketMemory::Mmap || !self.is_mapped(segment) {
            return;
        }
        let from = from.next_multiple_of(sys::HUGE_PAGE / size_of::<Link>());
        if from < to {
            // Relaxed: as in `ensure`.
            let start = self.segments[segment].load(Ordering::Relaxed).wrapping_add(from);
            // SAFETY: inside the mapping, and a multiple of huge pages from its start.
            unsafe { sys::advise_huge_pages(start.cast(), (to - from) * size_of::<Link>()) };
        }
    }

    fn is_mapped(&self, segment: usize) -> bool {
        G::OWNED && self.allocator.is_none() && ground::is_mapped(self.extent(segment).1)
    }

    fn allocate(&self, segment: usize) -> Result<(), OutOfMemory> {
        let (first, count) = self.extent(segment);
        let memory = match &self.allocator {
            Some(allocator) => allocator.allocate(count),
            None => self.ground.allocate(count, self.kind == BucketMemory::Mmap),
        };
        let memory = memory.ok_or(OutOfMemory)?;
        let base = self.ground.name(memory).wrapping_sub(first).wrapping_byte_add(G::BIAS);
        // Relaxed: published with the size or the growth. PAIR(lfht-size)
        self.segments[segment].store(base, Ordering::Relaxed);
        Ok(())
    }

    /// # Safety
    ///
    /// Nobody uses the segment's buckets, and nobody will.
    unsafe fn deallocate(&self, segment: usize) {
        let (first, count) = self.extent(segment);
        // Relaxed: one caller at a time.
        let base = self.segments[segment].swap(ptr::null_mut(), Ordering::Relaxed);
        if base.is_null() {
            return;
        }
        // SAFETY: named by `allocate`; a place that cannot be is left alone.
        let Ok(memory) = (unsafe { self.ground.resolve(base.wrapping_byte_sub(G::BIAS).wrapping_add(first)) }) else {
            return;
        };
        match &self.allocator {
            // SAFETY: as promised; allocated with the same count.
            Some(allocator) => unsafe { allocator.free(memory, count) },
            // SAFETY: as above.
            None => unsafe { self.ground.deallocate(memory, count) },
        }
    }

    /// Makes buckets `from..to` fresh again, and gives back what memory can be given back.
    ///
    /// # Safety
    ///
    /// Nobody uses these buckets, before `ensure` is called for them again. One caller at a time.
    pub(super) unsafe fn release(&self, from: usize, to: usize) {
        for segment in self.segment_of(from)..=self.segment_of(to - 1) {
            let (first, count) = self.extent(segment);
            if first >= from && first + count <= to {
                // SAFETY: as promised.
                unsafe { self.deallocate(segment) };
            } else {
                // SAFETY: as promised.
                unsafe { self.erase(segment, from.max(first), to.min(first + count)) };
            }
        }
    }

    /// # Safety
    ///
    /// As [`release`](Self::release); the buckets are part of `segment`.
    unsafe fn erase(&self, segment: usize, from: usize, to: usize) {
        if !self.is_there(from) {
            return;
        }
        let bytes = (to - from) * size_of::<Link>();
        // Relaxed: one caller at a time.
        let start = self.segments[segment].load(Ordering::Relaxed).wrapping_add(from);
        let page = sys::page_size();
        if self.is_mapped(segment) && start.addr().is_multiple_of(page) && bytes.is_multiple_of(page) {
            // SAFETY: inside the mapping, on page boundaries, used by nobody.
            if unsafe { sys::discard_pages(start.cast(), bytes) } {
                return;
            }
        }
        for index in from..to {
            // SAFETY: inside the segment, as promised.
            let Ok(link) = (unsafe { self.at(index) }) else { return };
            // Relaxed: whoever uses it next learns of it by the next growth. PAIR(lfht-size)
            link.store(Word::FRESH.0, Ordering::Relaxed);
        }
    }
}

impl<G: Ground> Drop for Buckets<G> {
    fn drop(&mut self) {
        for segment in 0..if G::OWNED { self.segments.len() } else { 0 } {
            // SAFETY: exclusively borrowed, and about to go.
            unsafe { self.deallocate(segment) };
        }
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    fn every_bucket_is_fresh_and_its_own(buckets: &Buckets, size: usize) {
        for index in 0..size {
            // SAFETY: ensured by the callers.
            let Ok(link) = unsafe { buckets.at(index) };
            assert_eq!(link.swap(Word::END.0, Ordering::Relaxed), Word::FRESH.0, "bucket {index}");
            assert_eq!(buckets.index_of(buckets.word_to(link, index)), Ok(index));
        }
    }

    #[test]
    fn buckets_have_places_of_their_own_in_every_kind_of_memory() {
        for kind in [BucketMemory::Order, BucketMemory::Chunk, BucketMemory::Mmap] {
            for max in [1, 8, 64, 4096, 1 << 19] {
                let buckets = Buckets::new(Process, kind, None, 1, Some(max)).unwrap();
                let mut size = 1;
                buckets.ensure(0, 1).unwrap();
                while size < max {
                    buckets.ensure(size, size * 2).unwrap();
                    size *= 2;
                }
                every_bucket_is_fresh_and_its_own(&buckets, max);
            }
        }
    }

    #[test]
    fn released_buckets_are_fresh_again() {
        for kind in [BucketMemory::Order, BucketMemory::Chunk, BucketMemory::Mmap] {
            let max = 1 << 19;
            let buckets = Buckets::new(Process, kind, None, 1, Some(max)).unwrap();
            buckets.ensure(0, max).unwrap();
            every_bucket_is_fresh_and_its_own(&buckets, max);
            let mut size = max;
            while size > 1 {
                // SAFETY: nobody else is there.
                unsafe { buckets.release(size / 2, size) };
                size /= 2;
            }
            // SAFETY: ensured above and not released.
            let Ok(first) = unsafe { buckets.at(0) };
            first.store(Word::FRESH.0, Ordering::Relaxed);
            buckets.ensure(0, max).unwrap();
            every_bucket_is_fresh_and_its_own(&buckets, max);
        }
    }

    #[test]
    fn memory_that_is_not_there_is_an_error_and_leaves_what_was_there() {
        let buckets = Buckets::new(Process, BucketMemory::Order, None, 1, None).unwrap();
        buckets.ensure(0, 128).unwrap();
        assert_eq!(buckets.ensure(128, 1 << 50), Err(OutOfMemory));
        every_bucket_is_fresh_and_its_own(&buckets, 128);
        buckets.ensure(128, 256).unwrap();
        assert!(matches!(
            Buckets::new(Process, BucketMemory::Mmap, None, 1, Some(1 << 50)),
            Err(NewError::OutOfMemory)
        ));
        assert!(matches!(Buckets::new(Process, BucketMemory::Mmap, None, 1, None), Err(NewError::NeedsMax)));
        assert!(matches!(Buckets::new(Process, BucketMemory::Chunk, None, 1, None), Err(NewError::NeedsMax)));
    }
}

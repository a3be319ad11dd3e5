//! A segment in the address space of this process.

use core::mem::{align_of, size_of};
use core::ptr::NonNull;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use urcu_core::sync::{AtomicU32, Ordering};

use crate::barrier::Barriers;
use crate::error::SegmentError;
use crate::layout::{CONTROL_PAGE, Control, DIRECTORY_PAGE, Directory, FIRST_RECORD_PAGE, Header, RecordPage};
use crate::offset::Offset;
use crate::roots::{ROOT_TABLE_BYTES, RootTable};
use crate::segment::Access;
use crate::sys;

/// # Invariants
///
/// 1. `base` is a mapping of `total` bytes, a multiple of `page`, readable as long as this lives.
/// 2. `total` is at least `data_start + data_bytes`; `data_start` is page `FIRST_RECORD_PAGE + record_pages`, and
///    `data_bytes` holds at least the table of roots. All of these were checked when the header was read, and are not read
///    from the segment again.
/// 3. Control and data are writable if and only if `access` is `Write`; the directory always is; a record page is if `access`
///    is `Write` or [`make_writable`](Self::make_writable) was called for it.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    total: usize,
    page: usize,
    record_pages: usize,
    data_start: usize,
    data_bytes: usize,
    access: Access,
    barriers: Barriers,
    creator: u64,
    /// The most that the directory has ever said.
    pages_seen: AtomicU32,
    file: OwnedFd,
}

// SAFETY: a mapping belongs to the process, not to a thread; what is in it are atomics or the business of who resolves.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a file whose header has been checked.
    pub(crate) fn new(file: OwnedFd, header: &Header, access: Access) -> Result<Self, SegmentError> {
        let size = |bytes: u64| usize::try_from(bytes).map_err(|_| SegmentError::BadSize);
        let barriers = Barriers::from_bits(header.barriers)
            .ok_or(SegmentError::NotASegment { why: "unknown kind of barriers" })?;
        if access == Access::Write {
            // An updater that finds out later could not go on.
            barriers.prepare()?;
        }
        let total = size(header.total_bytes)?;
        let base = sys::map(file.as_fd(), total).map_err(SegmentError::system("mapping the segment"))?;
        let mapping = Self {
            base,
            total,
            page: sys::page_size(),
            record_pages: header.record_pages as usize,
            data_start: size(header.data_start)?,
            data_bytes: size(header.data_bytes)?,
            access,
            barriers,
            creator: header.creator,
            pages_seen: AtomicU32::new(0),
            file,
        };
        match access {
            Access::Write => mapping.protect(CONTROL_PAGE * mapping.page, total - CONTROL_PAGE * mapping.page),
            Access::Read => mapping.protect(DIRECTORY_PAGE * mapping.page, mapping.page),
        }
        .map_err(SegmentError::system("making the segment writable"))?;
        Ok(mapping)
    }

    fn protect(&self, start: usize, bytes: usize) -> std::io::Result<()> {
        // SAFETY: callers give whole pages within the mapping (invariants 1 and 2).
        let at = unsafe { self.base.add(start) };
        // SAFETY: as above; pages only ever become writable.
        unsafe { sys::protect(at, bytes, true) }
    }

    /// A structure of the control area.
    ///
    /// # Safety
    ///
    /// `start` is the beginning of a page in front of the data, and `T` consists of atomics and fits into a page.
    unsafe fn control_at<T>(&self, start: usize) -> &T {
        debug_assert!(size_of::<T>() <= self.page && align_of::<T>() <= self.page);
        // SAFETY: within the mapping (invariants 1 and 2).
        let at = unsafe { self.base.add(start) };
        // SAFETY: mapped and readable as long as `self` lives, aligned to a page; atomics are valid whatever bits they hold,
        // and may change under a shared reference.
        unsafe { at.cast::<T>().as_ref() }
    }

    /// Page 1. To be stored to with `Access::Write` only.
    #[inline]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: page 1; made of atomics.
        unsafe { self.control_at(CONTROL_PAGE * self.page) }
    }

    /// Page 2.
    pub(crate) fn directory(&self) -> &Directory {
        // SAFETY: page 2; made of atomics.
        unsafe { self.control_at(DIRECTORY_PAGE * self.page) }
    }

    /// A record page, if there is one of that number. To be stored to if it has been made writable.
    #[inline]
    pub(crate) fn record_page(&self, index: usize) -> Option<&RecordPage> {
        // SAFETY: one of the record pages (checked), which lie in front of the data; made of atomics.
        (index < self.record_pages).then(|| unsafe { self.control_at((FIRST_RECORD_PAGE + index) * self.page) })
    }

    /// How many record pages have ever been used. Everybody can write the directory, so this process does not believe that there
    /// have become fewer.
    pub(crate) fn pages_used(&self) -> usize {
        // Acquire pairs with the claim. PAIR(pages-used)
        let told = self.directory().pages_used.load(Ordering::Acquire);
        // Relaxed: a number.
        let seen = self.pages_seen.load(Ordering::Relaxed);
        if told > seen && told as usize <= self.record_pages {
            self.pages_seen.fetch_max(told, Ordering::Relaxed);
        }
        (told.max(seen) as usize).min(self.record_pages)
    }

    pub(crate) fn record_pages(&self) -> usize {
        self.record_pages
    }

    /// Makes one record page writable.
    pub(crate) fn make_writable(&self, index: usize) -> std::io::Result<()> {
        assert!(index < self.record_pages, "a record page");
        if self.access == Access::Write {
            Ok(())
        } else {
            self.protect((FIRST_RECORD_PAGE + index) * self.page, self.page)
        }
    }

    /// To be stored to with `Access::Write` only.
    pub(crate) fn roots(&self) -> &RootTable {
        const { assert!(ROOT_TABLE_BYTES <= 4096) };
        // SAFETY: the first page of the data, which is there (invariant 2); made of atomics.
        unsafe { self.control_at(self.data_start) }
    }

    /// The address of `count` values of type `T` at `offset`, if they lie within the data and are aligned.
    #[inline]
    pub(crate) fn resolve<T>(&self, offset: Offset, count: usize) -> Option<NonNull<T>> {
        let bytes = size_of::<T>().checked_mul(count)?;
        let at = usize::try_from(offset.get()).ok()?;
        if at > self.data_bytes || bytes > self.data_bytes - at || !at.is_multiple_of(align_of::<T>()) {
            return None;
        }
        const { assert!(align_of::<T>() <= 4096, "the data is aligned to a page") };
        // SAFETY: within the mapping (just checked, and invariant 2).
        Some(unsafe { self.base.add(self.data_start + at) }.cast())
    }

    /// The opposite of `resolve`.
    pub(crate) fn offset_of(&self, address: *const ()) -> Option<Offset> {
        let start = self.base.addr().get() + self.data_start;
        let at = address.addr().checked_sub(start)?;
        (at < self.data_bytes).then(|| Offset::new(at as u64))
    }

    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }

    #[inline]
    pub(crate) fn barriers(&self) -> Barriers {
        self.barriers
    }

    pub(crate) fn creator(&self) -> u64 {
        self.creator
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.total
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our mapping; everything that refers to it borrows `self` (what `resolve` gives is its caller's promise).
        unsafe { sys::unmap(self.base, self.total) };
    }
}

//! Memory by the page, for what is large: zeroed, aligned to huge pages, and made of them where the kernel is willing.

use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

use super::unmap_pages;

/// The size of a huge page, on every processor that matters here, and the alignment of [`map_huge`] and [`reserve_pages`].
pub const HUGE_PAGE: usize = 1 << 21;

/// Fresh zeroed memory of `bytes` (a multiple of the page size), aligned to [`HUGE_PAGE`], or `None`.
fn map_aligned(bytes: usize, flags: c_int) -> Option<NonNull<c_void>> {
    let mapped = bytes.checked_add(HUGE_PAGE)?;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags);
    // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), mapped, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let before = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
    let pages = start.wrapping_byte_add(before);
    if before != 0 {
        // SAFETY: the head of the fresh mapping, which nobody uses.
        unsafe { unmap_pages(start, before) };
    }
    if before != HUGE_PAGE {
        // SAFETY: the tail of the fresh mapping, which nobody uses.
        unsafe { unmap_pages(pages.wrapping_byte_add(bytes), HUGE_PAGE - before) };
    }
    NonNull::new(pages)
}

/// Fresh zeroed memory of `bytes` rounded up to whole [`HUGE_PAGE`]s, aligned to one; `None` when the kernel refuses.
///
/// The kernel is advised to use huge pages (`madvise`), which saves most of the address translations of random accesses. It
/// may not follow; then these are ordinary pages.
pub fn map_huge(bytes: usize) -> Option<NonNull<u8>> {
    let bytes = bytes.checked_next_multiple_of(HUGE_PAGE)?;
    let pages = map_aligned(bytes, 0)?;
    // SAFETY: just mapped.
    unsafe { advise_huge_pages(pages.as_ptr(), bytes) };
    Some(pages.cast())
}

/// Gives back what [`map_huge`] returned.
///
/// # Safety
///
/// `pages` and `bytes` are those of one `map_huge` call, and nothing refers to the memory any more.
pub unsafe fn unmap_huge(pages: NonNull<u8>, bytes: usize) {
    let bytes = bytes.next_multiple_of(HUGE_PAGE);
    // SAFETY: what is left of the mapping that `map_huge` made.
    unsafe { unmap_pages(pages.as_ptr().cast::<c_void>(), bytes) };
}

/// Address space of `bytes` (a multiple of the page size), aligned to [`HUGE_PAGE`], or `None`. It reads as zero.
///
/// Nothing is set aside for it: pages come when they are touched first. So far more can be asked for than there is memory;
/// only what is touched counts.
pub fn reserve_pages(bytes: usize) -> Option<*mut c_void> {
    map_aligned(bytes, libc::MAP_NORESERVE).map(NonNull::as_ptr)
}

/// Asks for huge pages in a part of a mapping. Only advice.
///
/// # Safety
///
/// The range is mapped, and its start is a multiple of the page size.
pub unsafe fn advise_huge_pages(pages: *mut c_void, bytes: usize) {
    // SAFETY: the caller's mapping, whose contents stay as they are.
    unsafe { libc::madvise(pages, bytes, libc::MADV_HUGEPAGE) };
}

/// Brings the pages of a part of a mapping at once, which costs less than touching one after the other. Only advice: kernels
/// before 5.14 do nothing, and where there is no memory the first touch will say so.
///
/// # Safety
///
/// The range is mapped, readable and writable, and its start is a multiple of the page size.
pub unsafe fn populate_pages(pages: *mut c_void, bytes: usize) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the caller's mapping, whose contents stay as they are.
    unsafe { libc::madvise(pages, bytes, libc::MADV_POPULATE_WRITE) };
}

/// Gives the memory behind a part of a mapping back; what is read there next is zero.
///
/// # Safety
///
/// The range is mapped, private and anonymous, its start and length are multiples of the page size, and nobody uses it
/// meanwhile.
pub unsafe fn discard_pages(pages: *mut c_void, bytes: usize) -> bool {
    // SAFETY: the caller gives the contents up.
    unsafe { libc::madvise(pages, bytes, libc::MADV_DONTNEED) == 0 }
}

/// The size of an ordinary page.
pub fn page_size() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_zeroed_and_large_enough() {
        for bytes in [3, HUGE_PAGE, 3 * HUGE_PAGE + 1] {
            let pages = map_huge(bytes).expect("a few megabytes");
            assert_eq!(pages.addr().get() % HUGE_PAGE, 0);
            for offset in [0, bytes / 2, bytes - 1] {
                // SAFETY: within the mapping.
                let byte = unsafe { pages.add(offset) };
                // SAFETY: mapped, and nobody else has it.
                assert_eq!(unsafe { byte.read() }, 0);
                // SAFETY: as above.
                unsafe { byte.write(7) };
            }
            // SAFETY: mapped above with this size; no reference is left.
            unsafe { unmap_huge(pages, bytes) };
        }
    }

    #[test]
    fn reserved_memory_is_aligned_and_zero_after_it_was_discarded() {
        let bytes = 4 * HUGE_PAGE;
        let pages = reserve_pages(bytes).expect("a few megabytes");
        assert_eq!(pages.addr() % HUGE_PAGE, 0);
        // SAFETY: mapped above.
        unsafe { advise_huge_pages(pages, bytes) };
        let last = pages.cast::<u64>().wrapping_add(bytes / 8 - 1);
        // SAFETY: inside the mapping.
        unsafe { last.write(7) };
        // SAFETY: mapped above, used by nobody else.
        assert!(unsafe { discard_pages(pages, bytes) });
        // SAFETY: inside the mapping.
        assert_eq!(unsafe { last.read() }, 0);
        // SAFETY: what `reserve_pages` returned, used by nobody.
        unsafe { crate::sys::unmap_pages(pages, bytes) };
    }

    #[test]
    fn more_than_the_address_space_is_refused() {
        assert_eq!(reserve_pages(1 << 60), None);
        assert_eq!(reserve_pages(usize::MAX & !4095), None);
    }
}

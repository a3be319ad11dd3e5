//! Memory by the page, for what is large: zeroed, aligned to huge pages, and made of them where the kernel is willing.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use super::unmap_pages;

/// The size of a huge page, and the alignment of [`map_huge`].
pub const HUGE_PAGE: usize = 1 << 21;

/// Fresh zeroed memory of `bytes` rounded up to whole [`HUGE_PAGE`]s, aligned to one; `None` when the kernel refuses.
///
/// The kernel is advised to use huge pages (`madvise`), which saves most of the address translations of random accesses. It
/// may not follow; then these are ordinary pages.
pub fn map_huge(bytes: usize) -> Option<NonNull<u8>> {
    let bytes = bytes.checked_next_multiple_of(HUGE_PAGE)?;
    let reserved = bytes.checked_add(HUGE_PAGE)?;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), reserved, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let before = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
    let aligned = start.wrapping_byte_add(before);
    if before != 0 {
        // SAFETY: the part of the mapping above that lies before the aligned start; nothing refers to it.
        unsafe { unmap_pages(start, before) };
    }
    if before != HUGE_PAGE {
        // SAFETY: the part of the mapping above that lies behind the aligned end; nothing refers to it.
        unsafe { unmap_pages(aligned.wrapping_byte_add(bytes), HUGE_PAGE - before) };
    }
    // An error means ordinary pages.
    // SAFETY: advice about memory that was just mapped; it does not change the contents.
    let _ = unsafe { libc::madvise(aligned, bytes, libc::MADV_HUGEPAGE) };
    NonNull::new(aligned.cast())
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
}

//! Large zeroed memory, on huge pages where the kernel has some: what tables are made of.

use core::ffi::c_void;
use core::ptr;

/// What the kernel's huge pages are aligned to, on every processor that matters here.
const HUGE_PAGE: usize = 2 << 20;

/// Fresh zeroed memory of `bytes` (a multiple of the page size), aligned to 2 MiB, or `None`.
///
/// Nothing is set aside for it: pages come when they are touched first. So far more can be asked for than there is memory;
/// only what is touched counts.
pub fn reserve_pages(bytes: usize) -> Option<*mut c_void> {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    let mapped = bytes.checked_add(HUGE_PAGE)?;
    // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), mapped, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let before = start.addr().wrapping_neg() % HUGE_PAGE;
    let pages = start.wrapping_byte_add(before);
    if before != 0 {
        // SAFETY: the head of the fresh mapping, which nobody uses.
        unsafe { libc::munmap(start, before) };
    }
    let after = HUGE_PAGE - before;
    if after != 0 {
        // SAFETY: the tail of the fresh mapping, which nobody uses.
        unsafe { libc::munmap(pages.wrapping_byte_add(bytes), after) };
    }
    Some(pages)
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

//! What a slot holds.

use core::ptr;

use super::Bucket;
use crate::map::slab::{Handle, KIND};

pub(super) const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;
/// Marks a pointer to a line.
const LINK: usize = 1;

/// What a slot holds: a pointer to an entry and 16 bits of its hash, or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::map) struct Word(pub(super) *mut u8);

impl Word {
    /// A slot that is about to be filled; counts as a link, to keep it off the fast path of lookups.
    pub(super) const NOTHING: Self = Self(ptr::without_provenance_mut(LINK));

    /// A handle of an entry.
    #[inline]
    pub(in crate::map) fn entry(entry: Handle, bits: u16) -> Self {
        Self(entry.0.map_addr(|address| address | usize::from(bits) << ADDRESS_BITS))
    }

    #[inline]
    pub(super) fn link(line: *mut Bucket) -> Self {
        Self(line.cast::<u8>().map_addr(|address| address | LINK))
    }

    /// Whether it is no entry: a link to a line, or [`NOTHING`](Self::NOTHING).
    #[inline]
    pub(in crate::map) fn is_link(self) -> bool {
        self.0.addr() & LINK != 0
    }

    /// Whether it is neither an entry nor a link to a line.
    #[inline]
    pub(in crate::map) fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }

    /// The entry's address.
    #[inline]
    pub(in crate::map) fn pointer(self) -> *mut u8 {
        /// All other bits are not the address's.
        const BITS: usize = ADDRESS & !KIND;
        if cfg!(miri) {
            return self.0.map_addr(|address| address & BITS);
        }
        // The same. But `map_addr` adds a difference, which the compiler makes one instruction of only where it does not look
        // far: lookups would take four.
        ptr::with_exposed_provenance_mut(self.0.expose_provenance() & BITS)
    }

    /// The entry's handle.
    #[inline]
    pub(in crate::map) fn handle(self) -> Handle {
        Handle(self.0.map_addr(|address| address & ADDRESS))
    }

    /// The bits of the hash.
    #[inline]
    pub(in crate::map) fn bits(self) -> u16 {
        (self.0.addr() >> ADDRESS_BITS) as u16
    }

    /// The same entry with other bits.
    #[inline]
    pub(in crate::map) fn with_bits(self, bits: u16) -> Self {
        Self::entry(self.handle(), bits)
    }

    /// The line that a link points to.
    #[inline]
    pub(super) fn line_pointer(self) -> *mut Bucket {
        self.0.map_addr(|address| address & !LINK).cast()
    }

    /// The line that it links to.
    ///
    /// # Safety
    ///
    /// It is a link, and the line is not freed during `'l`.
    #[inline]
    pub(in crate::map) unsafe fn line<'l>(self) -> &'l Bucket {
        let line = self.line_pointer();
        // SAFETY: the caller promises that the line is alive.
        unsafe { &*line }
    }
}

/// Whether `entry` leaves the bits free that [`Word`] uses.
#[inline]
pub(in crate::map) fn fits(entry: Handle) -> bool {
    entry.0.addr() & !ADDRESS == 0 && entry.0.addr() & LINK == 0
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_keep_pointer_and_bits() {
        let word = Word::entry(Handle(ptr::without_provenance_mut(0x7fff_1234_567c)), 0xabcd);
        assert_eq!((word.pointer().addr(), word.bits(), word.is_link()), (0x7fff_1234_5678, 0xabcd, false));
        assert_eq!(word.handle().0.addr(), 0x7fff_1234_567c);
        assert_eq!(word.with_bits(1).bits(), 1);
    }
}

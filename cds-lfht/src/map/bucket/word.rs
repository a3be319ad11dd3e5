//! What a slot holds.

use core::ptr;

use super::Bucket;
use crate::map::slab::{Handle, KIND};

pub(super) const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;
/// Marks a pointer to a line.
const LINK: usize = 1;

/// Which of a link's 16 bits stands for a tag.
#[inline]
fn summary_bit(tag: u8) -> u32 {
    u32::from(tag & 0xf)
}

/// What a slot holds: a pointer to an entry and 16 bits of its hash; or a link, in a first line with a summary of the tags behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::map) struct Word(pub(super) *mut u8);

impl Word {
    /// A slot that is about to be filled; counts as a link behind which anything may be, to keep it off the fast path of lookups.
    pub(super) const NOTHING: Self = Self(ptr::without_provenance_mut(!ADDRESS | LINK));

    /// A handle of an entry.
    #[inline]
    pub(in crate::map) fn entry(entry: Handle, bits: u16) -> Self {
        Self(entry.0.map_addr(|address| address | usize::from(bits) << ADDRESS_BITS))
    }

    /// A link to a line, with nothing behind it yet.
    #[inline]
    pub(super) fn link(line: *mut Bucket) -> Self {
        if line.addr() & !ADDRESS != 0 {
            // As if there were no memory: in the middle of a move, where nothing can be undone.
            std::process::abort();
        }
        Self(line.cast::<u8>().map_addr(|address| address | LINK))
    }

    /// The same link with something behind it that has this tag.
    #[inline]
    pub(super) fn with_tag_behind(self, tag: u8) -> Self {
        Self(self.0.map_addr(|address| address | 1 << (ADDRESS_BITS + summary_bit(tag))))
    }

    /// Whether something with this tag may be behind it; if it is no link, too. To be asked of first lines only: those behind them are not
    /// told what is added.
    #[inline]
    pub(super) fn may_be_behind(self, tag: u8) -> bool {
        !self.is_link() || self.0.addr() >> (ADDRESS_BITS + summary_bit(tag)) & 1 != 0
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
        self.0.map_addr(|address| address & ADDRESS & !LINK).cast()
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

    #[test]
    fn links_tell_which_tags_are_not_behind_them() {
        let line = ptr::without_provenance_mut(0x7fff_1234_5680);
        let link = Word::link(line).with_tag_behind(0xf3).with_tag_behind(0x0f);
        assert!(link.is_link() && !link.is_nothing());
        assert_eq!(link.line_pointer(), line);
        for tag in 0..=255 {
            assert_eq!(link.may_be_behind(tag), [3, 15].contains(&(tag & 0xf)), "{tag:x}");
            assert!(Word::NOTHING.may_be_behind(tag));
            let entry = Word::entry(Handle(ptr::without_provenance_mut(0x7fff_1234_567c)), 0);
            assert!(entry.may_be_behind(tag));
        }
    }
}

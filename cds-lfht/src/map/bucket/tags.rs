//! The word of tags and state, and what is found in it.

use super::SLOTS;

pub(super) const LOCKED: u64 = 1 << 56;
pub(super) const CHAINED: u64 = 1 << 57;
pub(super) const MIGRATED: u64 = 1 << 58;

/// One in each tag.
pub(super) const ONES: u64 = 0x0001_0101_0101_0101;

/// A set of slots: one bit for each, `compare::DISTANCE` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::map) struct Slots(u64);

/// All tags of a line are compared at once, by vector instructions that every such processor has.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod compare {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_movemask_epi8};

    /// Bits from slot to slot in what [`equal`] returns.
    pub(super) const DISTANCE: u32 = 1;
    /// The bits of all slots.
    pub(super) const ALL: u64 = 0x7f;

    /// The first slots' bits, for the bytes that are the same.
    #[inline]
    pub(super) fn equal(one: u64, other: u64) -> u64 {
        // SAFETY: SSE2 is part of x86-64.
        u64::from(unsafe { equal_bytes(one, other) }) & ALL
    }

    /// Whether no tag is the same, and the state is zero: one comparison, for both together.
    #[inline]
    pub(super) fn is_without(meta: u64, tags: u64) -> bool {
        // The state's byte, and the eight behind it that neither has.
        const OTHERS: u32 = 0xff80;
        // SAFETY: SSE2 is part of x86-64.
        unsafe { equal_bytes(meta, tags) == OTHERS }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_bytes(one: u64, other: u64) -> u32 {
        let same = _mm_cmpeq_epi8(_mm_cvtsi64_si128(one.cast_signed()), _mm_cvtsi64_si128(other.cast_signed()));
        _mm_movemask_epi8(same).cast_unsigned()
    }
}

/// The same in a word.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod compare {
    pub(super) const DISTANCE: u32 = 8;
    /// The highest bit of each tag.
    pub(super) const ALL: u64 = 0x0080_8080_8080_8080;
    /// The other bits of each tag.
    const LOWS: u64 = ALL - super::ONES;

    #[inline]
    pub(super) fn equal(one: u64, other: u64) -> u64 {
        let differing = one ^ other;
        // The highest bit of a byte stays clear exactly if all its bits are: without a carry from byte to byte.
        let nonzero = ((differing & LOWS) + LOWS) | differing;
        !nonzero & ALL
    }

    /// Whether no tag is the same, and the state is zero.
    #[inline]
    pub(super) fn is_without(meta: u64, tags: u64) -> bool {
        meta >> 56 == 0 && equal(meta, tags) == 0
    }
}

impl Slots {
    #[inline]
    pub(in crate::map) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first one of a set that is not empty.
    #[inline]
    pub(super) fn first(self) -> usize {
        // The remainder changes nothing, but shows the compiler that there is such a slot.
        (self.0.trailing_zeros() / compare::DISTANCE) as usize % SLOTS
    }

    /// The first one, if there is one.
    #[inline]
    pub(in crate::map) fn lowest(self) -> Option<usize> {
        (self.0 != 0).then(|| (self.0.trailing_zeros() / compare::DISTANCE) as usize)
    }

    /// The others. Of none, none.
    #[inline]
    pub(in crate::map) fn without_lowest(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let slot = self.lowest()?;
        *self = self.without_lowest();
        Some(slot)
    }
}

/// The word of tags and state, as it was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::map) struct Meta(pub(super) u64);

impl Meta {
    /// The slots with this tag; zero: the slots with nothing.
    #[inline]
    pub(in crate::map) fn slots_with(self, tag: u8) -> Slots {
        Slots(compare::equal(self.0, u64::from(tag) * ONES))
    }

    /// The slots with something.
    #[inline]
    pub(in crate::map) fn occupied(self) -> Slots {
        Slots(!self.slots_with(0).0 & compare::ALL)
    }

    /// The slots that an entry can be put into.
    #[inline]
    pub(super) fn free(self) -> Slots {
        let free = self.slots_with(0);
        if self.is_chained() { Slots(free.0 & (compare::ALL >> compare::DISTANCE)) } else { free }
    }

    #[inline]
    pub(in crate::map) fn is_chained(self) -> bool {
        self.0 & CHAINED != 0
    }

    #[inline]
    pub(in crate::map) fn is_migrated(self) -> bool {
        self.0 & MIGRATED != 0
    }

    /// Whether there is nothing with this tag, in this line or beyond. Of a bucket that is locked, chained or migrated: `false`.
    #[inline]
    pub(in crate::map) fn is_without(self, tag: u8) -> bool {
        compare::is_without(self.0, u64::from(tag) * ONES)
    }

    #[inline]
    pub(super) fn tag(self, slot: usize) -> u8 {
        self.0.to_le_bytes()[slot]
    }

    #[inline]
    pub(super) fn with_tag(self, slot: usize, tag: u8) -> Self {
        let shift = 8 * slot;
        Self(self.0 & !(0xff << shift) | u64::from(tag) << shift)
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_exactly() {
        let meta = Meta(0).with_tag(0, 1).with_tag(1, 2).with_tag(2, 3).with_tag(5, 2).with_tag(6, 0x80);
        assert_eq!(meta.slots_with(2).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(meta.slots_with(0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(meta.slots_with(0x80).collect::<Vec<_>>(), [6]);
        assert_eq!(meta.occupied().collect::<Vec<_>>(), [0, 1, 2, 5, 6]);
        for one in 0..=255 {
            for other in 0..=255 {
                let meta = Meta(LOCKED | CHAINED).with_tag(3, one).with_tag(4, other);
                let slots: Vec<_> = meta.slots_with(7).collect();
                let expected: Vec<_> =
                    [(3, one), (4, other)].into_iter().filter(|it| it.1 == 7).map(|it| it.0).collect();
                assert_eq!(slots, expected);
            }
        }
    }
}

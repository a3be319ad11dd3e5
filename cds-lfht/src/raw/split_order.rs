//! Split order: buckets and nodes sorted by their bits in reverse. Pure functions.
//!
//! The bucket of a hash is its low bits. The list is sorted by the hash as if its bits were reversed, the lowest first: so the
//! nodes of one bucket lie together, and when the number of buckets doubles, each bucket's nodes are cut in two, at the
//! new bucket's index. Nothing moves.
//!
//! Nothing is reversed, either: the lowest bit in which two hashes differ says which is behind. A bucket lies where
//! its index would, taken as a hash: before all nodes with this hash.

/// Whether `hash` lies behind `other` in the list.
#[inline(always)]
pub(super) fn is_behind(hash: usize, other: usize) -> bool {
    let differing = hash ^ other;
    hash & differing & differing.wrapping_neg() != 0
}

/// The order of a table of `size` buckets, which is a power of two.
#[inline]
pub(super) fn order_of(size: usize) -> u32 {
    size.trailing_zeros()
}

/// The order of the smallest table that has bucket `index`.
#[inline]
pub(super) fn level_of(index: usize) -> u32 {
    usize::BITS - index.leading_zeros()
}

/// The bucket that `index`, not 0, was split off, and the order of the tables whose buckets the two shared.
#[inline]
pub(super) fn parent_of(index: usize) -> (usize, u32) {
    let order = level_of(index) - 1;
    (index & !(1 << order), order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_precede_their_children_and_share_their_first_bits() {
        for index in 1..4096_usize {
            let (parent, order) = parent_of(index);
            assert!(parent < index && index < 2 << order);
            assert!(is_behind(index, parent));
            assert_eq!(parent & ((1 << order) - 1), index & ((1 << order) - 1));
            assert_eq!(level_of(index), order + 1);
        }
        assert_eq!(level_of(0), 0);
        assert_eq!(order_of(1), 0);
        assert_eq!(order_of(1 << 20), 20);
    }

    #[test]
    fn the_order_is_that_of_reversed_hashes() {
        let mut hash = 1_usize;
        for _ in 0..2000 {
            let other = hash.rotate_left(7) ^ (hash & 0xFF);
            for (one, two) in [(hash, other), (hash, hash), (other, hash), (hash, hash ^ 1 << (other % 64)), (0, hash)]
            {
                assert_eq!(is_behind(one, two), one.reverse_bits() > two.reverse_bits(), "{one:#x} {two:#x}");
            }
            hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(3);
        }
    }

    #[test]
    fn a_bucket_is_an_interval() {
        let size = 16;
        let order = order_of(size);
        for hash in (0..usize::MAX - 0xFFFF_FFFF_FFFF).step_by(0x0123_4567_89AB_CDEF) {
            let bucket = hash & (size - 1);
            let reversed = hash.reverse_bits();
            let start = bucket.reverse_bits();
            assert!(start <= reversed && reversed - start < 1 << (usize::BITS - order));
        }
    }
}

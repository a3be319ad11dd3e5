//! Split order: buckets and nodes sorted by their bits in reverse. Pure functions.
//!
//! The bucket of a hash is its low bits. Reversed, they are the high ones: so in a list that is sorted by reversed hash the
//! nodes of one bucket lie together, and when the number of buckets doubles, each bucket's nodes are cut in two, at the
//! new bucket's reversed index. Nothing moves.

/// Where bucket `index` lies in the list: before all nodes with this reversed hash.
#[inline]
pub(super) fn reversed_index(index: usize) -> usize {
    index.reverse_bits()
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
            assert!(reversed_index(parent) < reversed_index(index));
            assert_eq!(parent & ((1 << order) - 1), index & ((1 << order) - 1));
            assert_eq!(level_of(index), order + 1);
        }
        assert_eq!(level_of(0), 0);
        assert_eq!(order_of(1), 0);
        assert_eq!(order_of(1 << 20), 20);
    }

    #[test]
    fn a_bucket_is_an_interval() {
        let size = 16;
        let order = order_of(size);
        for hash in (0..usize::MAX - 0xFFFF_FFFF_FFFF).step_by(0x0123_4567_89AB_CDEF) {
            let bucket = hash & (size - 1);
            let reversed = hash.reverse_bits();
            let start = reversed_index(bucket);
            assert!(start <= reversed && reversed - start < 1 << (usize::BITS - order));
        }
    }
}

//! How everything leaves a bucket: for two others, for others of any number, or because the map goes.

use urcu_core::sync::modelled::Ordering;

use super::tags::{MIGRATED, ONES};
use super::word::ADDRESS_BITS;
use super::{Bucket, Locked, Meta, Unlinked, Word};

impl Locked<'_> {
    /// Takes everything out of the chain, for who has the whole map for itself: the entries, and the chained lines, which are
    /// not looked at any more.
    pub(in crate::map) fn dismantle(mut self, mut each: impl FnMut(Word)) -> Unlinked {
        self.for_each(|_, word| each(word));
        let unlinked = self.chained_lines();
        self.meta = Meta(0);
        unlinked
    }

    /// Copies all entries to two buckets that are empty and that nobody else gets at: to the second those whose bits of the
    /// hash have this one set. Whether it could: not if the bucket is chained.
    #[inline]
    pub(in crate::map) fn split(&self, targets: [&Bucket; 2], bit: u32) -> bool {
        if self.meta.is_chained() {
            return false;
        }
        let tags = self.meta.0 & (ONES * 0xff);
        let mut seconds = 0;
        // Each entry keeps its slot, in one of the two lines; the other line's is null, as are those without an entry. Without a
        // branch: nobody could foresee it.
        for (slot, place) in self.first.slots.iter().enumerate() {
            // Acquire: as in `word`. PAIR(map-entry)
            let word = place.load(Ordering::Acquire);
            let tag = tags >> (8 * slot) & 0xff;
            let there = usize::from(tag != 0).wrapping_neg();
            let second = (word.addr() >> (ADDRESS_BITS + bit) & 1).wrapping_neg();
            seconds |= (second as u64 & 0xff) << (8 * slot);
            // Relaxed: whoever gets there has seen the tags. PAIR(map-entry)
            targets[0].slots[slot].store(word.map_addr(|address| address & there & !second), Ordering::Relaxed);
            targets[1].slots[slot].store(word.map_addr(|address| address & there & second), Ordering::Relaxed);
        }
        // Release: slots before tags. PAIR(map-entry)
        targets[0].meta.store(tags & !seconds, Ordering::Release);
        targets[1].meta.store(tags & seconds, Ordering::Release);
        true
    }

    /// Marks the bucket as migrated: all its entries can be found elsewhere. What is unlinked are its chained lines.
    #[inline]
    pub(in crate::map) fn migrated(mut self) -> Unlinked {
        let unlinked = self.chained_lines();
        // The drop publishes it: Release, so that who sees it sees where the entries went. PAIR(map-migrated)
        self.meta = Meta(MIGRATED);
        unlinked
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::super::lock::tests::MARK;
    use super::*;

    #[test]
    fn a_migrated_bucket_cannot_be_locked() {
        let bucket = Bucket::new();
        assert!(bucket.lock(MARK).expect("fresh").migrated().0.is_empty());
        assert!(bucket.lock(MARK).is_none());
        assert!(bucket.meta().is_migrated());
        assert_eq!(bucket.meta().occupied().count(), 0);
    }
}

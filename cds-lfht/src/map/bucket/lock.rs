//! The lock of a bucket, in its state: taken, waited for, taken over from a holder that does not exist.

use core::ptr;

use urcu_core::sync::modelled::Ordering;
use urcu_core::{Backoff, weaken};

use super::tags::{CHAINED, LOCKED, MIGRATED};
use super::{Bucket, Locked, Meta, Word};
use crate::map::held;

/// Of which process the thread is that has locked: the lowest bits of its [`Generation`](urcu_core::Generation).
const GENERATION: u64 = 0b1_1111 << 59;
/// In what the holder of a lock has of the state: it was taken from a holder that does not exist.
const INHERITED: u64 = 1 << 59;
/// What only the holder of a lock may take away.
pub(super) const HELD: u64 = LOCKED | GENERATION;

impl Bucket {
    /// Takes the lock if that can be done at once.
    #[inline]
    pub(in crate::map) fn lock_now(&self, mark: Mark) -> Option<Locked<'_>> {
        // Relaxed: the exchange decides.
        let meta = self.meta.load(Ordering::Relaxed);
        let is_locked = meta & (LOCKED | MIGRATED) == 0 && self.try_lock(meta, mark);
        is_locked.then(|| Locked { first: self, meta: Meta(meta) })
    }

    /// Takes the lock; `None` if the bucket is migrated, or becomes so meanwhile.
    #[inline]
    pub(in crate::map) fn lock(&self, mark: Mark) -> Option<Locked<'_>> {
        match self.lock_now(mark) {
            Some(locked) => Some(locked),
            None => self.lock_contended(mark),
        }
    }

    /// Takes the lock if it is free; `None` also if the bucket is migrated.
    #[inline]
    pub(in crate::map) fn lock_if_free(&self, mark: Mark) -> Option<Locked<'_>> {
        // Relaxed: the exchange decides.
        let meta = self.meta.load(Ordering::Relaxed);
        if meta & LOCKED != 0 {
            return self.inherit(meta, mark);
        }
        self.lock_now(mark)
    }

    /// Takes the lock from a holder that does not exist in this process; `None` if it may exist.
    #[cold]
    fn inherit(&self, meta: u64, mark: Mark) -> Option<Locked<'_>> {
        if weaken!("child-inherits-locks", mark.is_holder(meta) => true) {
            return None;
        }
        // Acquire: as in `try_lock`. PAIR(map-lock)
        self.meta.compare_exchange(meta, meta & !HELD | mark.0, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let mut locked = Locked { first: self, meta: Meta(meta & !HELD) };
        weaken!("child-mends-buckets", locked.mend() => ());
        locked.meta.0 |= INHERITED;
        Some(locked)
    }

    /// Forgets what is in it, and chained lines.
    pub(in crate::map) fn forget(&self) {
        // Release: as whenever a lock is given back. PAIR(map-lock)
        self.meta.store(0, Ordering::Release);
    }

    /// Takes the lock without a locked instruction, for a bucket that nobody else gets at.
    ///
    /// # Safety
    ///
    /// No other thread locks the bucket meanwhile.
    #[inline]
    pub(in crate::map) unsafe fn lock_alone(&self) -> Locked<'_> {
        // Relaxed: nobody else writes it.
        Locked { first: self, meta: Meta(self.meta.load(Ordering::Relaxed)) }
    }

    /// What [`lock_now`](Self::lock_now), [`Locked::find`] and [`Locked::add`] do when there is nothing in the way: the bucket is neither
    /// locked nor chained nor migrated, no entry has the tag, and the first free slot was never used.
    ///
    /// # Errors
    ///
    /// When there is something, nothing was added; the bucket may be locked.
    #[inline(always)]
    pub(in crate::map) fn add_first(&self, mark: Mark, tag: u8, word: Word) -> Result<(), Option<Locked<'_>>> {
        // Relaxed: the exchange decides.
        let meta = Meta(self.meta.load(Ordering::Relaxed));
        let free = meta.slots_with(0);
        if !meta.is_without(tag) || free.is_empty() || !self.try_lock(meta.0, mark) {
            return Err(None);
        }
        let slot = free.first();
        let place = &self.slots[slot];
        // Relaxed: only the holder of the lock writes it.
        if !place.load(Ordering::Relaxed).is_null() {
            return Err(Some(Locked { first: self, meta }));
        }
        // Release: the entry's contents come first. PAIR(map-entry)
        place.store(word.0, Ordering::Release);
        // Release: slots before tags, and all of it before the next holder. PAIR(map-entry), PAIR(map-lock)
        self.meta.store(meta.0 | u64::from(tag) << (8 * slot), Ordering::Release);
        Ok(())
    }

    #[inline]
    fn try_lock(&self, meta: u64, mark: Mark) -> bool {
        // Acquire pairs with the Release of the previous holder. PAIR(map-lock)
        self.meta.compare_exchange(meta, meta | mark.0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn lock_contended(&self, mark: Mark) -> Option<Locked<'_>> {
        let mut backoff = Backoff::brisk();
        loop {
            // Acquire: a migrated bucket's entries are found where they went. PAIR(map-migrated)
            let meta = self.meta.load(Ordering::Acquire);
            if meta & MIGRATED != 0 {
                return None;
            }
            if meta & LOCKED == 0 {
                if self.try_lock(meta, mark) {
                    return Some(Locked { first: self, meta: Meta(meta) });
                }
                continue;
            }
            if let Some(locked) = self.inherit(meta, mark) {
                return Some(locked);
            }
            held::check(|bucket| ptr::eq(bucket, self));
            wait(&mut backoff);
        }
    }
}

/// Waits for the holder of a lock, which runs nothing but comparisons.
#[cfg(not(urcu_loom))]
pub(in crate::map) fn wait(backoff: &mut Backoff) {
    if !backoff.snooze() {
        // The holder is not running. Yielding alone would keep it from running if our priority is higher.
        std::thread::sleep(core::time::Duration::from_micros(50));
    }
}

#[cfg(urcu_loom)]
pub(in crate::map) fn wait(_: &mut Backoff) {
    urcu_core::sync::modelled::spin_loop();
}

/// What a process marks a bucket with to lock it.
///
/// In a forked child, another mark tells that the holder is a thread of an ancestor, which does not exist. Only an ancestor 32
/// generations before is not told from the child itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::map) struct Mark(u64);

impl Mark {
    #[inline]
    pub(in crate::map) fn of_process(generation: u64) -> Self {
        Self(generation << GENERATION.trailing_zeros() | LOCKED)
    }

    fn is_holder(self, meta: u64) -> bool {
        meta & HELD == self.0
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        debug_assert!(self.meta.0 & HELD == 0, "nobody has asked whether it is inherited");
        // Release: slots before tags, and all of it before the next holder. PAIR(map-entry), PAIR(map-lock)
        self.first.meta.store(self.meta.0, Ordering::Release);
    }
}

impl Locked<'_> {
    /// Whether a thread of an ancestor held it when this process was forked: what it was moving is to be taken back. To be asked
    /// once, by whoever has taken a lock by other means than [`lock_now`](Bucket::lock_now).
    #[inline]
    pub(in crate::map) fn take_inherited(&mut self) -> bool {
        let is_inherited = self.meta.0 & INHERITED != 0;
        self.meta.0 &= !INHERITED;
        is_inherited
    }

    /// Ends what a holder had begun that was not forked along, as seen by lookups: they cope with each of its steps.
    fn mend(&mut self) {
        let mut line = self.first;
        loop {
            let mut meta = self.meta_of(line);
            for slot in meta.occupied() {
                let word = line.word(slot);
                if word.is_nothing() {
                    // The entry that was to come has not.
                    meta = meta.with_tag(slot, 0);
                } else if word.is_link() {
                    // What was here is in the next line.
                    meta = Meta(meta.with_tag(slot, 0).0 | CHAINED);
                }
            }
            self.set_meta(line, meta);
            let Some(next) = self.next_of(line, meta) else { return };
            line = next;
        }
    }
}

#[cfg(all(test, not(urcu_loom)))]
pub(super) mod tests {
    use super::super::tests::word;
    use super::super::{LAST, Word};
    use super::*;

    /// This process's.
    pub(in super::super) const MARK: Mark = Mark(LOCKED | 2 << 59);
    /// A parent's.
    const OTHER: Mark = Mark(LOCKED | 1 << 59);

    /// What a holder of `OTHER` leaves behind that stops in the middle of something.
    fn abandoned(bucket: &Bucket, work: impl FnOnce(&mut Locked<'_>)) {
        let mut locked = bucket.lock(OTHER).expect("not migrated");
        work(&mut locked);
        core::mem::forget(locked);
    }

    fn words(locked: &Locked<'_>) -> Vec<usize> {
        let mut words = Vec::new();
        locked.for_each(|_, word| words.push(usize::from(word.bits())));
        words.sort_unstable();
        words
    }

    #[test]
    fn a_lock_whose_holder_does_not_exist_is_taken_over_once() {
        let bucket = Bucket::new();
        bucket.lock(OTHER).expect("free").add(1, word(1));
        abandoned(&bucket, |_| {});
        assert!(bucket.lock_if_free(OTHER).is_none());
        let mut locked = bucket.lock_if_free(MARK).expect("nobody has it");
        assert!(locked.take_inherited() && !locked.take_inherited());
        assert_eq!(words(&locked), [1]);
        assert!(bucket.lock_if_free(MARK).is_none());
        drop(locked);
        assert_eq!(bucket.meta().0 & HELD, 0);
    }

    #[test]
    fn what_a_holder_had_begun_is_ended_or_undone() {
        // A slot that was used before, with its tag and not yet filled.
        let bucket = Bucket::new();
        {
            let mut locked = bucket.lock(OTHER).expect("free");
            locked.add(1, word(1));
            locked.add(2, word(2));
            let (place, _) = locked.find(1, |_| true).expect("added");
            assert!(locked.remove(place).0.is_empty());
        }
        abandoned(&bucket, |locked| {
            locked.add(3, word(3));
            bucket.slots[0].store(Word::NOTHING.0, Ordering::Relaxed);
        });
        let mut locked = bucket.lock(MARK).expect("nobody has it");
        assert!(locked.take_inherited());
        assert_eq!(words(&locked), [2]);
        assert!(locked.find(3, |_| true).is_none());
        // A link without the state that says so.
        (3..8).for_each(|number| assert!(!locked.add(number as u8, word(number))));
        locked.add(8, word(8));
        drop(locked);
        abandoned(&bucket, |locked| {
            locked.add(9, word(9));
            let meta = Meta(locked.meta.with_tag(LAST, 8).0 & !CHAINED);
            bucket.meta.store(meta.0 | OTHER.0, Ordering::Relaxed);
        });
        let mut locked = bucket.lock(MARK).expect("nobody has it");
        assert!(locked.take_inherited());
        assert!(words(&locked).starts_with(&[2, 3, 4, 5, 6, 7]));
        assert!(locked.find(8, |_| true).is_some());
        for line in locked.dismantle(|_| {}).0 {
            // SAFETY: unlinked, and there are no readers.
            drop(unsafe { Box::from_raw(line) });
        }
    }
}

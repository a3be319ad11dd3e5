//! Lines behind the first one, where a bucket has more entries than fit into it.

use urcu_core::sync::modelled::Ordering;
use urcu_core::weaken;

use super::tags::CHAINED;
use super::{Bucket, LAST, Locked, Meta, Word};

/// Lines that are not part of any chain any more; readers may still be in them.
#[must_use = "the lines are to be retired"]
#[derive(Debug, Default)]
pub(in crate::map) struct Unlinked(pub(in crate::map) Vec<*mut Bucket>);

impl Unlinked {
    /// Frees the lines.
    ///
    /// # Safety
    ///
    /// There are no readers.
    #[inline]
    pub(in crate::map) unsafe fn free(self) {
        for line in self.0 {
            // SAFETY: made by `Box::new`, unlinked, and nobody looks at it.
            drop(unsafe { Box::from_raw(line) });
        }
    }
}

impl<'l> Locked<'l> {
    #[inline]
    pub(super) fn next_of(&self, line: &'l Bucket, meta: Meta) -> Option<&'l Bucket> {
        // SAFETY: lines in a chain are unlinked by the holder of the lock only.
        if meta.is_chained() { unsafe { line.next() } } else { None }
    }

    #[cold]
    pub(super) fn add_to_chain(&mut self, tag: u8, word: Word) {
        let mut line = self.first;
        let mut meta = self.meta;
        if meta.is_chained() {
            // Before it is there: its tag, or what fills its slot, is stored by Release behind this. Invariant 6. Release: the next line's
            // contents, for who meets this link first. PAIR(map-entry)
            let link = weaken!("chain-is-summed-up", line.word(LAST).with_tag_behind(tag) => line.word(LAST));
            line.slots[LAST].store(link.0, Ordering::Release);
        }
        while let Some(next) = self.next_of(line, meta) {
            line = next;
            meta = self.meta_of(line);
            if let Some(slot) = meta.free().next() {
                self.fill(line, meta, slot, tag, word);
                return;
            }
        }
        let longer = Bucket::new();
        // Relaxed: the link publishes it.
        longer.slots[0].store(line.word(LAST).0, Ordering::Relaxed);
        longer.meta.store(Meta(0).with_tag(0, meta.tag(LAST)).0, Ordering::Relaxed);
        let link = Word::link(Box::into_raw(Box::new(longer)));
        // Of what moves, and of what is to come.
        let link = link.with_tag_behind(meta.tag(LAST)).with_tag_behind(tag);
        // Release: the new line's contents come first. Invariant 2. PAIR(map-entry)
        line.slots[LAST].store(link.0, Ordering::Release);
        self.set_meta(line, Meta(meta.with_tag(LAST, 0).0 | CHAINED));
        // Who has old tags follows the link, too: nothing is added behind it before everybody does. Invariant 5.
        self.show();
        // SAFETY: just made; unlinked by the holder of the lock only.
        let longer: &Bucket = unsafe { link.line() };
        self.fill(longer, self.meta_of(longer), 1, tag, word);
    }

    /// Unlinks empty lines from the end of the chain.
    pub(super) fn trim(&mut self, unlinked: &mut Unlinked) {
        loop {
            let (mut before, mut line) = (None, self.first);
            while let Some(next) = self.next_of(line, self.meta_of(line)) {
                before = Some(line);
                line = next;
            }
            let Some(before) = before else { return };
            if self.meta_of(line).occupied().next().is_some() {
                return;
            }
            // The link stays in the slot for the readers that have seen it to be one.
            let meta = self.meta_of(before);
            self.set_meta(before, Meta(meta.0 & !CHAINED));
            unlinked.0.push(before.word(LAST).line_pointer());
        }
    }

    #[inline]
    pub(super) fn chained_lines(&self) -> Unlinked {
        let mut unlinked = Unlinked::default();
        let (mut line, mut meta) = (self.first, self.meta);
        while let Some(next) = self.next_of(line, meta) {
            unlinked.0.push(line.word(LAST).line_pointer());
            line = next;
            meta = self.meta_of(line);
        }
        unlinked
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::super::SLOTS;
    use super::super::lock::tests::MARK;
    use super::super::tests::word;
    use super::*;

    #[test]
    fn the_first_line_tells_what_is_not_behind_it() {
        let bucket = Bucket::new();
        let mut locked = bucket.lock(MARK).expect("not migrated");
        // The seventh moves when the eighth comes; then one after the other, over three lines.
        let behind = |most: usize| (7..=most).map(|number| number & 0xf).collect::<Vec<_>>();
        for number in 1..=18 {
            locked.add(number as u8, word(number));
            for tag in 1..=255_u8 {
                let may_be = number > SLOTS && behind(number).contains(&usize::from(tag & 0xf));
                assert_eq!(bucket.may_be_beyond(locked.meta, tag), may_be, "{tag} of {number}");
            }
        }
        // What goes leaves its bit.
        let (place, _) = locked.find(18, |_| true).expect("added");
        // SAFETY: there are no readers.
        unsafe { locked.remove(place).free() };
        assert!(bucket.may_be_beyond(locked.meta, 18));
        // SAFETY: there are no readers.
        unsafe { locked.dismantle(|_| {}).free() };
    }

    #[test]
    fn a_chain_grows_and_shrinks() {
        let bucket = Bucket::new();
        let mut locked = bucket.lock(MARK).expect("not migrated");
        for number in 1..=40 {
            assert_eq!(locked.add(number as u8, word(number)), number > SLOTS);
        }
        let mut seen = Vec::new();
        locked.for_each(|tag, word| seen.push((usize::from(tag), usize::from(word.bits()))));
        seen.sort_unstable();
        assert_eq!(seen, (1..=40).map(|number| (number, number)).collect::<Vec<_>>());
        let mut lines = 0;
        for number in 1..=40 {
            let (place, found) = locked.find(number as u8, |_| true).expect("added");
            assert_eq!(found, word(number));
            let unlinked = locked.remove(place);
            lines += unlinked.0.len();
            for line in unlinked.0 {
                // SAFETY: unlinked, and there are no readers.
                drop(unsafe { Box::from_raw(line) });
            }
        }
        assert_eq!(lines, 6);
        drop(locked);
        assert_eq!(bucket.meta(), Meta(0));
    }
}

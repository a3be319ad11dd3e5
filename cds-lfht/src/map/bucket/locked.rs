//! What the holder of a lock does with the entries.

use core::ptr;

use urcu_core::sync::modelled::Ordering;

use super::lock::HELD;
use super::{Bucket, Meta, Unlinked, Word};
use crate::map::held::holding;

/// Where an entry is: a slot of a line in a chain that is locked.
#[derive(Clone, Copy, Debug)]
pub(in crate::map) struct Place<'l> {
    pub(super) line: &'l Bucket,
    pub(super) slot: usize,
}

/// A bucket whose lock is held.
#[derive(Debug)]
pub(in crate::map) struct Locked<'l> {
    pub(super) first: &'l Bucket,
    /// The first line's, without the lock; stored when the lock is given back. With [`INHERITED`] until somebody has asked.
    pub(super) meta: Meta,
}

impl<'l> Locked<'l> {
    #[inline]
    pub(super) fn meta_of(&self, line: &Bucket) -> Meta {
        // Relaxed: only the holder of the lock writes it.
        if ptr::eq(line, self.first) { self.meta } else { Meta(line.meta.load(Ordering::Relaxed)) }
    }

    #[inline]
    pub(super) fn set_meta(&mut self, line: &Bucket, meta: Meta) {
        if ptr::eq(line, self.first) {
            self.meta = meta;
        } else {
            // Release: slots before tags. PAIR(map-entry)
            line.meta.store(meta.0, Ordering::Release);
        }
    }

    /// The first place with this tag that satisfies `wanted`.
    #[inline]
    pub(in crate::map) fn find(&self, tag: u8, mut wanted: impl FnMut(Word) -> bool) -> Option<(Place<'l>, Word)> {
        let (mut line, mut meta) = (self.first, self.meta);
        loop {
            for slot in meta.slots_with(tag) {
                let word = line.word(slot);
                if holding(self.first, || wanted(word)) {
                    return Some((Place { line, slot }, word));
                }
            }
            line = self.next_of(line, meta)?;
            meta = self.meta_of(line);
        }
    }

    /// Everything in the chain.
    #[inline]
    pub(in crate::map) fn for_each(&self, mut each: impl FnMut(u8, Word)) {
        let (mut line, mut meta) = (self.first, self.meta);
        loop {
            for slot in meta.occupied() {
                each(meta.tag(slot), line.word(slot));
            }
            let Some(next) = self.next_of(line, meta) else { return };
            line = next;
            meta = self.meta_of(line);
        }
    }

    /// Puts another entry with the same hash into a place.
    #[inline]
    pub(in crate::map) fn replace(&mut self, place: Place<'l>, word: Word) {
        // Release: the entry's contents come first. PAIR(map-entry)
        place.line.slots[place.slot].store(word.0, Ordering::Release);
    }

    /// Adds an entry; whether the first line had no room.
    #[inline]
    pub(in crate::map) fn add(&mut self, tag: u8, word: Word) -> bool {
        let Some(slot) = self.meta.free().next() else {
            self.add_to_chain(tag, word);
            return true;
        };
        let place = &self.first.slots[slot];
        // Relaxed: only the holder of the lock writes it.
        if place.load(Ordering::Relaxed).is_null() {
            // As `fill` does it, without a call. Release: the entry's contents come first. PAIR(map-entry)
            place.store(word.0, Ordering::Release);
            self.meta = self.meta.with_tag(slot, tag);
        } else {
            self.fill(self.first, self.meta, slot, tag, word);
        }
        false
    }

    /// Puts an entry into a free slot of `line`, whose tags are `meta`. Invariant 5.
    #[inline(never)]
    pub(super) fn fill(&mut self, line: &Bucket, meta: Meta, slot: usize, tag: u8, word: Word) {
        let meta = meta.with_tag(slot, tag);
        let place = &line.slots[slot];
        // Relaxed: only the holder of the lock writes it.
        if place.load(Ordering::Relaxed).is_null() {
            // Release: the entry's contents come first. PAIR(map-entry)
            place.store(word.0, Ordering::Release);
            self.set_meta(line, meta);
            return;
        }
        // Release: who meets it, and so not what was there, sees what was done before that went. Published with the tag: what was
        // there may not be found by it, for it may be reclaimed already. PAIR(map-entry)
        place.store(Word::NOTHING.0, Ordering::Release);
        self.set_meta(line, meta);
        if ptr::eq(line, self.first) {
            self.show();
        }
        // Release: the entry's contents come first; and so does the tag, for whoever finds the entry. PAIR(map-entry)
        place.store(word.0, Ordering::Release);
    }

    /// Publishes the tags of the first line before the lock is given back; those of the others are.
    #[inline]
    pub(super) fn show(&self) {
        // Relaxed: only the holder of the lock takes the mark away.
        let mark = self.first.meta.load(Ordering::Relaxed) & HELD;
        // Release: slots before tags. PAIR(map-entry)
        self.first.meta.store(self.meta.0 | mark, Ordering::Release);
    }

    /// Whether there is something with this tag elsewhere, too.
    pub(in crate::map) fn has_another(&self, tag: u8, place: Place<'_>) -> bool {
        let (mut line, mut meta) = (self.first, self.meta);
        loop {
            if meta.slots_with(tag).any(|slot| slot != place.slot || !ptr::eq(line, place.line)) {
                return true;
            }
            let Some(next) = self.next_of(line, meta) else { return false };
            line = next;
            meta = self.meta_of(line);
        }
    }

    /// Removes the entry of a place.
    #[inline]
    pub(in crate::map) fn remove(&mut self, place: Place<'l>) -> Unlinked {
        let meta = self.meta_of(place.line).with_tag(place.slot, 0);
        self.set_meta(place.line, meta);
        let mut unlinked = Unlinked::default();
        if !ptr::eq(place.line, self.first) {
            self.trim(&mut unlinked);
        }
        unlinked
    }
}

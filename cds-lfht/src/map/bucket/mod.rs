//! A bucket: one cache line with seven entries, their tags, and a lock.
//!
//! ```text
//!   byte 0      6   7      8        16                     56       64
//!   +------------+-------+--------+--------+-- ... --+--------+
//!   | seven tags | state | slot 0 | slot 1 |         | slot 6 |
//!   +------------+-------+--------+--------+-- ... --+--------+
//!      the word `meta`      pointers with 16 bits of the hash above their 48 bits of address
//! ```
//!
//! A tag is eight bits of the hash, never zero; zero says that the slot holds nothing. A bucket that needs more than seven
//! entries is *chained*: slot 6 holds a pointer to another line of the same layout, marked as such by its lowest bit, and 16 bits that
//! say which tags are not behind it.
//!
//! # Invariants
//!
//! 1. `meta` is changed only by who holds the lock of the chain's first line (or has the line for itself), but for the lock
//!    bit, which whoever finds it clear may set.
//! 2. An entry stays in its slot until it is removed, with one exception: when a line becomes chained, the entry of slot 6 is
//!    first published in the new line and then overwritten by the link. Who finds the link where it expected the entry
//!    follows it.
//! 3. A slot is written before the tag that says so (Release, Acquire: PAIR(map-entry)). Removing clears the tag and leaves
//!    the slot. So a slot whose tag was ever seen is not null. A slot that is used again is emptied ([`Word::NOTHING`]) before
//!    its tag is published, and filled after that.
//! 4. A *migrated* bucket has no tags, and nothing in it is ever changed again.
//! 5. An entry appears to all lookups at once, whenever they have loaded the tags: in a slot that no lookup looks at, with the
//!    tag; in a slot that was used before, where a lookup may look because of an old tag, with the slot, after the tag was
//!    published; in a new line, after the line was published. Otherwise one lookup could find what the next one misses.
//! 6. The link in the first line has 16 bits that sum up the tags in all lines behind it. A bit is set before an entry that needs it is
//!    there, and stays as long as the chain does. A lookup loads the link after tags that did not fit, and need not go on if its bit is
//!    clear: either nothing with the tag was behind the line when the tags were loaded; or that chain has been cut since, and made
//!    again. Then all its lines were empty at some moment in between, so the key was missing at that moment; unless it has several
//!    entries, and another one came into the first line. (Who sees the new link sees that there may be duplicates, so the lookup
//!    asks for that behind it.) A slot that was chained and has no link any more says nothing: the lookup looks again.

mod chain;
mod leaving;
mod lock;
mod locked;
mod tags;
mod word;

use core::ptr;

use urcu_core::sync::modelled::{AtomicPtr, AtomicU64, Ordering};

pub(super) use chain::Unlinked;
pub(super) use lock::{Mark, wait};
pub(super) use locked::{Locked, Place};
pub(super) use tags::{Meta, Slots};
pub(super) use word::{Word, fits};

/// Entries in a line.
pub(super) const SLOTS: usize = 7;
/// The slot that links to the next line.
const LAST: usize = SLOTS - 1;

/// One cache line. All zero is an empty bucket.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Bucket {
    meta: AtomicU64,
    slots: [AtomicPtr<u8>; SLOTS],
}

impl Bucket {
    pub(super) fn new() -> Self {
        Self { meta: AtomicU64::new(0), slots: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())) }
    }

    /// Acquire: what was published before the tags that are seen here is seen, too. PAIR(map-entry)
    #[inline]
    pub(super) fn meta(&self) -> Meta {
        Meta(self.meta.load(Ordering::Acquire))
    }

    /// What is in a slot, whose tag may have changed since it was looked at.
    #[inline]
    pub(super) fn word(&self, slot: usize) -> Word {
        // Acquire: the entry may be newer than the tag; its contents are seen. PAIR(map-entry)
        Word(self.slots[slot].load(Ordering::Acquire))
    }

    /// Whether an entry with this tag, which was not in this first line of a chain when its word was `meta`, may be in the next lines or
    /// in another table. Invariant 6.
    #[inline]
    pub(super) fn may_be_beyond(&self, meta: Meta, tag: u8) -> bool {
        // The Acquire of `meta` keeps the link's load behind that of the tags. Who has found an entry behind the line has met its tag or its
        // slot by Acquire, and these were stored by Release behind its bit: whoever comes after that sees the bit. PAIR(map-entry)
        meta.is_migrated() || (meta.is_chained() && self.word(LAST).may_be_behind(tag))
    }

    /// The next line of a chain.
    ///
    /// # Safety
    ///
    /// The line was seen to be chained, and what was reachable then is not freed during `'l`.
    #[inline]
    pub(super) unsafe fn next<'l>(&self) -> Option<&'l Bucket> {
        let word = self.word(LAST);
        // No link any more: the next line was empty when it was unlinked, and what is in the slot is newer.
        let is_line = word.is_link() && !word.is_nothing();
        // SAFETY: a link that was reachable after `meta` was.
        is_line.then(|| unsafe { word.line() })
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;
    use crate::map::slab::Handle;

    /// An entry that is told by its number.
    pub(super) fn word(number: usize) -> Word {
        Word::entry(Handle(ptr::without_provenance_mut(number << 4)), number as u16)
    }

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(align_of::<Bucket>(), 64);
    }
}

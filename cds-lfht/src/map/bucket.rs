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
//! entries is *chained*: slot 6 holds a pointer to another line of the same layout, marked as such by its lowest bit.
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

use core::ptr;

use urcu_core::sync::modelled::{AtomicPtr, AtomicU64, Ordering};
use urcu_core::{Backoff, weaken};

use super::held::{self, holding};
use super::slab::{Handle, KIND};

/// Entries in a line.
pub(super) const SLOTS: usize = 7;
/// The slot that links to the next line.
const LAST: usize = SLOTS - 1;

const LOCKED: u64 = 1 << 56;
const CHAINED: u64 = 1 << 57;
const MIGRATED: u64 = 1 << 58;
/// Of which process the thread is that has locked: the lowest bits of its [`Generation`](urcu_core::Generation).
const GENERATION: u64 = 0b1_1111 << 59;
/// In what the holder of a lock has of the state: it was taken from a holder that does not exist.
const INHERITED: u64 = 1 << 59;
/// What only the holder of a lock may take away.
const HELD: u64 = LOCKED | GENERATION;

/// One in each tag.
const ONES: u64 = 0x0001_0101_0101_0101;

const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;
/// Marks a pointer to a line.
const LINK: usize = 1;

/// A set of slots: one bit for each, `compare::DISTANCE` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots(u64);

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
        unsafe { equal_bytes(one, other) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_bytes(one: u64, other: u64) -> u64 {
        let same = _mm_cmpeq_epi8(_mm_cvtsi64_si128(one.cast_signed()), _mm_cvtsi64_si128(other.cast_signed()));
        u64::from(_mm_movemask_epi8(same).cast_unsigned()) & ALL
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
}

impl Slots {
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first one of a set that is not empty.
    #[inline]
    fn first(self) -> usize {
        // The remainder changes nothing, but shows the compiler that there is such a slot.
        (self.0.trailing_zeros() / compare::DISTANCE) as usize % SLOTS
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() / compare::DISTANCE;
        self.0 &= self.0 - 1;
        Some(slot as usize)
    }
}

/// The word of tags and state, as it was at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta(u64);

impl Meta {
    /// The slots with this tag; zero: the slots with nothing.
    #[inline]
    pub(super) fn slots_with(self, tag: u8) -> Slots {
        Slots(compare::equal(self.0, u64::from(tag) * ONES))
    }

    /// The slots with something.
    #[inline]
    pub(super) fn occupied(self) -> Slots {
        Slots(!self.slots_with(0).0 & compare::ALL)
    }

    /// The slots that an entry can be put into.
    #[inline]
    fn free(self) -> Slots {
        let free = self.slots_with(0);
        if self.is_chained() { Slots(free.0 & (compare::ALL >> compare::DISTANCE)) } else { free }
    }

    #[inline]
    pub(super) fn is_chained(self) -> bool {
        self.0 & CHAINED != 0
    }

    #[inline]
    pub(super) fn is_migrated(self) -> bool {
        self.0 & MIGRATED != 0
    }

    /// Neither chained nor migrated: all there is to see is in this line.
    #[inline]
    pub(super) fn is_all(self) -> bool {
        self.0 & (CHAINED | MIGRATED) == 0
    }

    #[inline]
    fn tag(self, slot: usize) -> u8 {
        self.0.to_le_bytes()[slot]
    }

    #[inline]
    fn with_tag(self, slot: usize, tag: u8) -> Self {
        let shift = 8 * slot;
        Self(self.0 & !(0xff << shift) | u64::from(tag) << shift)
    }
}

/// What a slot holds: a pointer to an entry and 16 bits of its hash, or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(*mut u8);

impl Word {
    /// A slot that is about to be filled; counts as a link, to keep it off the fast path of lookups.
    const NOTHING: Self = Self(ptr::without_provenance_mut(LINK));

    /// A handle of an entry.
    #[inline]
    pub(super) fn entry(entry: Handle, bits: u16) -> Self {
        Self(entry.0.map_addr(|address| address | usize::from(bits) << ADDRESS_BITS))
    }

    #[inline]
    fn link(line: *mut Bucket) -> Self {
        Self(line.cast::<u8>().map_addr(|address| address | LINK))
    }

    /// Whether it is no entry: a link to a line, or [`NOTHING`](Self::NOTHING).
    #[inline]
    pub(super) fn is_link(self) -> bool {
        self.0.addr() & LINK != 0
    }

    /// Whether it is neither an entry nor a link to a line.
    #[inline]
    pub(super) fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }

    /// The entry's address.
    #[inline]
    pub(super) fn pointer(self) -> *mut u8 {
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
    pub(super) fn handle(self) -> Handle {
        Handle(self.0.map_addr(|address| address & ADDRESS))
    }

    /// The bits of the hash.
    #[inline]
    pub(super) fn bits(self) -> u16 {
        (self.0.addr() >> ADDRESS_BITS) as u16
    }

    /// The same entry with other bits.
    #[inline]
    pub(super) fn with_bits(self, bits: u16) -> Self {
        Self::entry(self.handle(), bits)
    }

    /// The line that a link points to.
    #[inline]
    fn line_pointer(self) -> *mut Bucket {
        self.0.map_addr(|address| address & !LINK).cast()
    }

    /// The line that it links to.
    ///
    /// # Safety
    ///
    /// It is a link, and the line is not freed during `'l`.
    #[inline]
    pub(super) unsafe fn line<'l>(self) -> &'l Bucket {
        let line = self.line_pointer();
        // SAFETY: the caller promises that the line is alive.
        unsafe { &*line }
    }
}

/// Whether `entry` leaves the bits free that [`Word`] uses.
#[inline]
pub(super) fn fits(entry: Handle) -> bool {
    entry.0.addr() & !ADDRESS == 0 && entry.0.addr() & LINK == 0
}

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

    /// Takes the lock if that can be done at once.
    #[inline]
    pub(super) fn lock_now(&self, mark: Mark) -> Option<Locked<'_>> {
        // Relaxed: the exchange decides.
        let meta = self.meta.load(Ordering::Relaxed);
        let is_locked = meta & (LOCKED | MIGRATED) == 0 && self.try_lock(meta, mark);
        is_locked.then(|| Locked { first: self, meta: Meta(meta) })
    }

    /// Takes the lock; `None` if the bucket is migrated, or becomes so meanwhile.
    #[inline]
    pub(super) fn lock(&self, mark: Mark) -> Option<Locked<'_>> {
        match self.lock_now(mark) {
            Some(locked) => Some(locked),
            None => self.lock_contended(mark),
        }
    }

    /// Takes the lock if it is free; `None` also if the bucket is migrated.
    #[inline]
    pub(super) fn lock_if_free(&self, mark: Mark) -> Option<Locked<'_>> {
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
    pub(super) fn forget(&self) {
        // Release: as whenever a lock is given back. PAIR(map-lock)
        self.meta.store(0, Ordering::Release);
    }

    /// Takes the lock without a locked instruction, for a bucket that nobody else gets at.
    ///
    /// # Safety
    ///
    /// No other thread locks the bucket meanwhile.
    #[inline]
    pub(super) unsafe fn lock_alone(&self) -> Locked<'_> {
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
    pub(super) fn add_first(&self, mark: Mark, tag: u8, word: Word) -> Result<(), Option<Locked<'_>>> {
        // Relaxed: the exchange decides.
        let meta = Meta(self.meta.load(Ordering::Relaxed));
        let free = meta.slots_with(0);
        if meta.0 & (LOCKED | CHAINED | MIGRATED) != 0
            || !meta.slots_with(tag).is_empty()
            || free.is_empty()
            || !self.try_lock(meta.0, mark)
        {
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
pub(super) fn wait(backoff: &mut Backoff) {
    if !backoff.snooze() {
        // The holder is not running. Yielding alone would keep it from running if our priority is higher.
        std::thread::sleep(core::time::Duration::from_micros(50));
    }
}

#[cfg(urcu_loom)]
pub(super) fn wait(_: &mut Backoff) {
    urcu_core::sync::modelled::spin_loop();
}

/// What a process marks a bucket with to lock it.
///
/// In a forked child, another mark tells that the holder is a thread of an ancestor, which does not exist. Only an ancestor 32
/// generations before is not told from the child itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    #[inline]
    pub(super) fn of_process(generation: u64) -> Self {
        Self(generation << GENERATION.trailing_zeros() | LOCKED)
    }

    fn is_holder(self, meta: u64) -> bool {
        meta & HELD == self.0
    }
}

/// Where an entry is: a slot of a line in a chain that is locked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'l> {
    line: &'l Bucket,
    slot: usize,
}

/// A bucket whose lock is held.
#[derive(Debug)]
pub(super) struct Locked<'l> {
    first: &'l Bucket,
    /// The first line's, without the lock; stored when the lock is given back. With [`INHERITED`] until somebody has asked.
    meta: Meta,
}

/// Lines that are not part of any chain any more; readers may still be in them.
#[must_use = "the lines are to be retired"]
#[derive(Debug, Default)]
pub(super) struct Unlinked(pub(super) Vec<*mut Bucket>);

impl Unlinked {
    /// Frees the lines.
    ///
    /// # Safety
    ///
    /// There are no readers.
    #[inline]
    pub(super) unsafe fn free(self) {
        for line in self.0 {
            // SAFETY: made by `Box::new`, unlinked, and nobody looks at it.
            drop(unsafe { Box::from_raw(line) });
        }
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

impl<'l> Locked<'l> {
    #[inline]
    fn meta_of(&self, line: &Bucket) -> Meta {
        // Relaxed: only the holder of the lock writes it.
        if ptr::eq(line, self.first) { self.meta } else { Meta(line.meta.load(Ordering::Relaxed)) }
    }

    #[inline]
    fn set_meta(&mut self, line: &Bucket, meta: Meta) {
        if ptr::eq(line, self.first) {
            self.meta = meta;
        } else {
            // Release: slots before tags. PAIR(map-entry)
            line.meta.store(meta.0, Ordering::Release);
        }
    }

    #[inline]
    fn next_of(&self, line: &'l Bucket, meta: Meta) -> Option<&'l Bucket> {
        // SAFETY: lines in a chain are unlinked by the holder of the lock only.
        if meta.is_chained() { unsafe { line.next() } } else { None }
    }

    /// The first place with this tag that satisfies `wanted`.
    #[inline]
    pub(super) fn find(&self, tag: u8, mut wanted: impl FnMut(Word) -> bool) -> Option<(Place<'l>, Word)> {
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

    /// Whether a thread of an ancestor held it when this process was forked: what it was moving is to be taken back. To be asked
    /// once, by whoever has taken a lock by other means than [`lock_now`](Bucket::lock_now).
    #[inline]
    pub(super) fn take_inherited(&mut self) -> bool {
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

    /// Everything in the chain.
    #[inline]
    pub(super) fn for_each(&self, mut each: impl FnMut(u8, Word)) {
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
    pub(super) fn replace(&mut self, place: Place<'l>, word: Word) {
        // Release: the entry's contents come first. PAIR(map-entry)
        place.line.slots[place.slot].store(word.0, Ordering::Release);
    }

    /// Adds an entry; whether the first line had no room.
    #[inline]
    pub(super) fn add(&mut self, tag: u8, word: Word) -> bool {
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
    fn fill(&mut self, line: &Bucket, meta: Meta, slot: usize, tag: u8, word: Word) {
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
    fn show(&self) {
        // Relaxed: only the holder of the lock takes the mark away.
        let mark = self.first.meta.load(Ordering::Relaxed) & HELD;
        // Release: slots before tags. PAIR(map-entry)
        self.first.meta.store(self.meta.0 | mark, Ordering::Release);
    }

    #[cold]
    fn add_to_chain(&mut self, tag: u8, word: Word) {
        let mut line = self.first;
        let mut meta = self.meta;
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
        // Release: the new line's contents come first. Invariant 2. PAIR(map-entry)
        line.slots[LAST].store(link.0, Ordering::Release);
        self.set_meta(line, Meta(meta.with_tag(LAST, 0).0 | CHAINED));
        // Who has old tags follows the link, too: nothing is added behind it before everybody does. Invariant 5.
        self.show();
        // SAFETY: just made; unlinked by the holder of the lock only.
        let longer: &Bucket = unsafe { link.line() };
        self.fill(longer, self.meta_of(longer), 1, tag, word);
    }

    /// Whether there is something with this tag elsewhere, too.
    pub(super) fn has_another(&self, tag: u8, place: Place<'_>) -> bool {
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
    pub(super) fn remove(&mut self, place: Place<'l>) -> Unlinked {
        let meta = self.meta_of(place.line).with_tag(place.slot, 0);
        self.set_meta(place.line, meta);
        let mut unlinked = Unlinked::default();
        if !ptr::eq(place.line, self.first) {
            self.trim(&mut unlinked);
        }
        unlinked
    }

    /// Unlinks empty lines from the end of the chain.
    fn trim(&mut self, unlinked: &mut Unlinked) {
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

    /// Takes everything out of the chain, for who has the whole map for itself: the entries, and the chained lines, which are
    /// not looked at any more.
    pub(super) fn dismantle(mut self, mut each: impl FnMut(Word)) -> Unlinked {
        self.for_each(|_, word| each(word));
        let unlinked = self.chained_lines();
        self.meta = Meta(0);
        unlinked
    }

    #[inline]
    fn chained_lines(&self) -> Unlinked {
        let mut unlinked = Unlinked::default();
        let (mut line, mut meta) = (self.first, self.meta);
        while let Some(next) = self.next_of(line, meta) {
            unlinked.0.push(line.word(LAST).line_pointer());
            line = next;
            meta = self.meta_of(line);
        }
        unlinked
    }

    /// Copies all entries to two buckets that are empty and that nobody else gets at: to the second those whose bits of the
    /// hash have this one set. Whether it could: not if the bucket is chained.
    #[inline]
    pub(super) fn split(&self, targets: [&Bucket; 2], bit: u32) -> bool {
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
    pub(super) fn migrated(mut self) -> Unlinked {
        let unlinked = self.chained_lines();
        // The drop publishes it: Release, so that who sees it sees where the entries went. PAIR(map-migrated)
        self.meta = Meta(MIGRATED);
        unlinked
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    /// This process's.
    const MARK: Mark = Mark(LOCKED | 2 << 59);
    /// A parent's.
    const OTHER: Mark = Mark(LOCKED | 1 << 59);

    fn word(number: usize) -> Word {
        Word::entry(Handle(ptr::without_provenance_mut(number << 4)), number as u16)
    }

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(align_of::<Bucket>(), 64);
    }

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

    #[test]
    fn words_keep_pointer_and_bits() {
        let word = Word::entry(Handle(ptr::without_provenance_mut(0x7fff_1234_567c)), 0xabcd);
        assert_eq!((word.pointer().addr(), word.bits(), word.is_link()), (0x7fff_1234_5678, 0xabcd, false));
        assert_eq!(word.handle().0.addr(), 0x7fff_1234_567c);
        assert_eq!(word.with_bits(1).bits(), 1);
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

    #[test]
    fn a_migrated_bucket_cannot_be_locked() {
        let bucket = Bucket::new();
        assert!(bucket.lock(MARK).expect("fresh").migrated().0.is_empty());
        assert!(bucket.lock(MARK).is_none());
        assert!(bucket.meta().is_migrated());
        assert_eq!(bucket.meta().occupied().count(), 0);
    }

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

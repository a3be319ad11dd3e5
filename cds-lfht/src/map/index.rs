//! From a hash to entries: the map without keys and values.
//!
//! Entries are opaque here. Who calls says which entry it means by a function over entries, which runs under a bucket's lock
//! in updates and without one in lookups.

use core::ops::ControlFlow;

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use urcu_core::{DomainId, FlavorVtable, Generation, weaken};

use super::bucket::{Bucket, Locked, Mark, Meta, Place, Slots, Unlinked, Word};
use super::nodes::{Fresh, Nodes};
use super::resize::is_due;
use super::table::{Table, tag_of};

/// The map's tables and entries.
#[derive(Debug)]
pub(super) struct Index<T> {
    /// The table where everybody begins. Never null; freed after a grace period when it is replaced.
    pub(super) current: AtomicPtr<Table>,
    pub(super) nodes: Nodes<T>,
    /// The flavor's, here for the lookups.
    pub(super) domain: DomainId,
    /// What locks are marked with.
    pub(super) generation: Generation,
    /// Whether there may be equal keys.
    duplicates: AtomicBool,
    /// Removals of entries that left others with their tag behind, once there may be equal keys; counted before such an entry
    /// goes.
    removals: Box<[AtomicU64; REMOVALS]>,
    pub(super) resizing: CachePadded<Resizing>,
}

/// How many numbers of removals there are: a lookup looks at one of them.
const REMOVALS: usize = if cfg!(urcu_loom) { 1 } else { 32 };

/// What only those look at who begin or end a move to another table.
#[derive(Debug)]
pub(super) struct Resizing {
    /// Somebody is making a table: a thread of the process with this generation. Zero: nobody is.
    pub(super) busy: AtomicU64,
    /// The table does not get smaller by itself than `1 << least_bits`.
    pub(super) least_bits: AtomicU32,
    /// Moves to smaller tables since `shrunk_at`.
    pub(super) shrunk: AtomicU32,
    /// A grace period that was asked for after the first of them.
    pub(super) shrunk_at: AtomicU64,
}

/// What became of an entry that was to be added.
#[derive(Debug)]
pub(super) enum Added<'g, 'm, T> {
    /// It is there now.
    New(&'g T),
    /// It is there now, in the place of this one.
    InPlaceOf(&'g T, &'g T),
    /// This one is there.
    Occupied(&'g T, Fresh<'m, T>),
}

/// What to do when there is such an entry already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfPresent {
    Replace,
    Keep,
}

impl<T> Index<T> {
    pub(super) fn new(flavor: &'static FlavorVtable, bits: u32) -> Option<Self> {
        let table = Box::into_raw(Table::new(bits, bits.saturating_sub(8))?);
        let resizing = Resizing {
            busy: AtomicU64::new(0),
            least_bits: AtomicU32::new(bits),
            shrunk: AtomicU32::new(0),
            shrunk_at: AtomicU64::new(0),
        };
        Some(Self {
            current: AtomicPtr::new(table),
            nodes: Nodes::new(flavor),
            domain: flavor.domain(),
            generation: Generation::new(),
            duplicates: AtomicBool::new(false),
            removals: Box::new(core::array::from_fn(|_| AtomicU64::new(0))),
            resizing: CachePadded(resizing),
        })
    }

    /// The table where a search begins.
    ///
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`, or has the map for itself.
    #[inline]
    pub(super) unsafe fn current<'g>(&self) -> &'g Table {
        // Acquire: its fields are seen, and what was migrated to it. PAIR(map-table)
        let table = self.current.load(Ordering::Acquire);
        // SAFETY: never null, and freed a grace period after it was replaced.
        unsafe { &*table }
    }

    /// The table that a migrated bucket's entries went to.
    ///
    /// # Safety
    ///
    /// As for [`current`](Self::current); a bucket of `table` was seen to be migrated.
    pub(super) unsafe fn after<'g>(&self, table: &Table) -> &'g Table {
        // Acquire: its fields are seen. PAIR(map-next)
        let next = table.next.load(Ordering::Acquire);
        debug_assert!(!next.is_null());
        // SAFETY: set before the first bucket is migrated, and freed after this one.
        unsafe { &*next }
    }

    /// An entry with this hash that is wanted. Wait-free.
    ///
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`.
    #[inline(always)]
    pub(super) unsafe fn find<'g>(&'g self, hash: u64, wanted: impl FnMut(&'g T) -> bool) -> Option<&'g T> {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        let bucket = table.bucket_of(hash);
        let meta = bucket.meta();
        // How many lookups the processor has under way at once is decided by how few instructions they are. Exact, even if there are equal
        // keys: the tags are those of one moment.
        if meta.is_without(tag_of(hash)) {
            return None;
        }
        // SAFETY: as promised.
        unsafe { self.find_in((table, bucket, meta), hash, wanted) }
    }

    /// The same in a bucket whose word of tags has been loaded.
    ///
    /// # Safety
    ///
    /// As there; the table was come by, and the tags were loaded, in this section.
    #[inline(always)]
    unsafe fn find_in<'g>(
        &'g self,
        (table, bucket, meta): (&'g Table, &'g Bucket, Meta),
        hash: u64,
        mut wanted: impl FnMut(&'g T) -> bool,
    ) -> Option<&'g T> {
        let tag = tag_of(hash);
        let mut slots = meta.slots_with(tag);
        while let Some(slot) = slots.lowest() {
            let word = bucket.word(slot);
            if word.is_link() {
                // The entry has gone to another line since the tags were looked at, or is about to come.
                // SAFETY: as promised.
                return unsafe { self.find_beyond(table, hash, wanted) };
            }
            // SAFETY: an entry that was reachable inside this section.
            let entry = unsafe { entry_of(word) };
            if wanted(entry) {
                return Some(entry);
            }
            slots = slots.without_lowest();
        }
        // With duplicates the summary is not enough: see invariant 6 of buckets.
        let is_missing = !bucket.may_be_beyond(meta, tag)
            && weaken!("summary-is-for-single-entries", !self.may_have_duplicates() => true);
        if is_missing {
            return None;
        }
        // SAFETY: as promised.
        unsafe { self.find_beyond(table, hash, wanted) }
    }

    /// The same where it is not all in one line, or where a key may have several entries.
    ///
    /// Then what was looked at may have gone while another entry of the same key came where the lookup had been. So it is no
    /// answer that nothing was found, if an entry has gone meanwhile that may have left another one behind.
    ///
    /// Say that a key has an entry at every moment, and that a walk finds none. Of the entries that the key has when the walk
    /// loads the first tags, look at the one that goes last. It has gone before the walk was there, so the walk has seen what was
    /// stored after its removal was counted. And the number was loaded before it was counted: otherwise what that removal left
    /// behind would have been among the entries that the key had when the tags were loaded, and goes later. So the number is
    /// another one now.
    #[cold]
    #[inline(never)]
    unsafe fn find_beyond<'g>(
        &'g self,
        table: &'g Table,
        hash: u64,
        mut wanted: impl FnMut(&'g T) -> bool,
    ) -> Option<&'g T> {
        loop {
            // Acquire: what came before the removals that are counted is there when the tags are loaded. PAIR(map-removals)
            let removals = self.removals_of(hash).load(Ordering::Acquire);
            // SAFETY: as promised.
            let mut walk = unsafe { Walk::with_tag(self, table, hash) };
            let found = walk.find(|&word| {
                // SAFETY: an entry that was reachable inside this section.
                wanted(unsafe { entry_of(word) })
            });
            if let Some(word) = found {
                // SAFETY: as above.
                return Some(unsafe { entry_of(word) });
            }
            // Relaxed: who has met the traces of a removal sees that it was counted, because those are loaded with Acquire.
            let is_missing = !self.may_have_duplicates() || self.removals_of(hash).load(Ordering::Relaxed) == removals;
            if weaken!("lookup-looks-again", is_missing => true) {
                return None;
            }
        }
    }

    /// Whether a key may have several entries.
    #[inline]
    pub(super) fn may_have_duplicates(&self) -> bool {
        // Relaxed: who has met the traces of one sees it, because those are loaded with Acquire.
        self.duplicates.load(Ordering::Relaxed)
    }

    #[inline]
    fn removals_of(&self, hash: u64) -> &AtomicU64 {
        &self.removals[(hash >> 32) as usize % REMOVALS]
    }

    /// Asks for the bucket of a hash that is about to be changed; it, and the table where it is looked for.
    ///
    /// # Safety
    ///
    /// As for [`find`](Self::find).
    #[inline]
    pub(super) unsafe fn announce(&self, hash: u64) -> (&Table, &Bucket) {
        // SAFETY: as promised.
        let table: &Table = unsafe { self.current() };
        let bucket = table.bucket_of(hash);
        prefetch(bucket);
        (table, bucket)
    }

    /// As many calls of [`find`](Self::find), interleaved.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    pub(super) unsafe fn find_many<'g, const N: usize>(
        &'g self,
        hashes: [u64; N],
        wanted: impl Fn(usize, &'g T) -> bool,
    ) -> [Option<&'g T>; N] {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        let buckets = hashes.map(|hash| {
            let bucket = table.bucket_of(hash);
            prefetch(bucket);
            bucket
        });
        for (bucket, hash) in buckets.iter().zip(hashes) {
            if let Some(slot) = bucket.meta().slots_with(tag_of(hash)).lowest() {
                prefetch(bucket.word(slot).pointer());
            }
        }
        core::array::from_fn(|number| {
            // The tags of now, as if it were called behind those before it.
            let place = (table, buckets[number], buckets[number].meta());
            // SAFETY: as promised.
            unsafe { self.find_in(place, hashes[number], |entry| wanted(number, entry)) }
        })
    }

    /// Bytes of tables and entries, without lines of chains.
    ///
    /// # Safety
    ///
    /// The caller is inside a section of the flavor.
    pub(super) unsafe fn memory(&self) -> usize {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        // Acquire: its fields are seen. PAIR(map-next)
        let next = table.next.load(Ordering::Acquire);
        // SAFETY: freed after `table`, if there is one.
        let next = unsafe { next.as_ref() }.map_or(0, Table::bytes);
        table.bytes() + next + self.nodes.bytes()
    }

    /// From now on there may be equal keys.
    pub(super) fn expect_duplicates(&self) {
        // Relaxed: it is published with the entry.
        if !self.duplicates.load(Ordering::Relaxed) {
            self.duplicates.store(true, Ordering::Relaxed);
        }
    }

    /// The table does not get smaller by itself than this; what was said before.
    pub(super) fn set_least_bits(&self, bits: u32) -> u32 {
        // Relaxed: a number.
        self.resizing.least_bits.swap(bits.max(super::resize::LEAST_BITS), Ordering::Relaxed)
    }

    /// What this process locks buckets with.
    #[inline]
    pub(super) fn mark(&self) -> Mark {
        Mark::of_process(self.generation.number())
    }

    /// Locks the bucket of a hash, wherever it is now.
    ///
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`.
    #[inline]
    unsafe fn lock<'g>(&'g self, hash: u64) -> (&'g Table, Locked<'g>) {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        let mark = self.mark();
        match table.bucket_of(hash).lock_now(mark) {
            Some(locked) => (table, locked),
            // SAFETY: as promised.
            None => unsafe { self.lock_slowly(table, hash, mark) },
        }
    }

    /// # Safety
    ///
    /// As for [`lock`](Self::lock); `table` is one that the caller came by inside the section.
    #[cold]
    #[inline(never)]
    unsafe fn lock_slowly<'g>(&'g self, mut table: &'g Table, hash: u64, mark: Mark) -> (&'g Table, Locked<'g>) {
        loop {
            if let Some(mut locked) = table.bucket_of(hash).lock(mark) {
                if locked.take_inherited() {
                    let taken_back = self.take_back(&locked, table, table.index_of(hash));
                    // SAFETY: unreachable.
                    unsafe { self.nodes.retire_lines(taken_back) };
                }
                return (table, locked);
            }
            // SAFETY: it is migrated.
            table = unsafe { self.after(table) };
        }
    }

    /// Adds an entry, or replaces or finds one that is `wanted`.
    ///
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`, and came by `table` inside it, with the hash's bucket. The
    /// entry that is replaced may be dropped on another thread.
    #[inline(always)]
    pub(super) unsafe fn add<'g>(
        &'g self,
        (table, bucket): (&'g Table, &'g Bucket),
        hash: u64,
        fresh: Fresh<'g, T>,
        if_present: IfPresent,
        wanted: impl FnMut(&'g T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Added<'g, 'g, T> {
        let word = Word::entry(fresh.handle(), table.word_bits(hash));
        match bucket.add_first(self.mark(), tag_of(hash), word) {
            Ok(()) => {
                let entry = fresh.pointer();
                let number = fresh.publish();
                if is_due(number) {
                    // SAFETY: inside the section.
                    unsafe { self.after_add(number, false, rehash) };
                }
                // SAFETY: reachable inside this section.
                Added::New(unsafe { &*entry })
            }
            Err(locked) => {
                let locked = locked.map(|locked| (table, locked));
                // SAFETY: as promised.
                unsafe { self.add_with_care(locked, hash, fresh, if_present, wanted, rehash) }
            }
        }
    }

    /// The same where something is in the way; the bucket may be locked already.
    ///
    /// # Safety
    ///
    /// As for [`add`](Self::add).
    #[inline(never)]
    unsafe fn add_with_care<'g>(
        &'g self,
        locked: Option<(&'g Table, Locked<'g>)>,
        hash: u64,
        fresh: Fresh<'g, T>,
        if_present: IfPresent,
        mut wanted: impl FnMut(&'g T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Added<'g, 'g, T> {
        let tag = tag_of(hash);
        let entry = fresh.pointer();
        // SAFETY: as promised.
        let (table, mut locked) = locked.unwrap_or_else(|| unsafe { self.lock(hash) });
        let word = Word::entry(fresh.handle(), table.word_bits(hash));
        // SAFETY: what is in a locked bucket is alive.
        let found = locked.find(tag, |word| wanted(unsafe { entry_of(word) }));
        let is_crowded = match found {
            Some((_, present)) if if_present == IfPresent::Keep => {
                drop(locked);
                // SAFETY: it was reachable inside this section.
                return Added::Occupied(unsafe { entry_of(present) }, fresh);
            }
            Some((place, present)) => {
                locked.replace(place, word);
                fresh.publish();
                drop(locked);
                // SAFETY: unreachable now, by this thread.
                let gone = unsafe { self.nodes.retire(present.handle()) };
                // SAFETY: inside the section.
                unsafe { self.after_replace(gone, rehash) };
                // SAFETY: both were reachable inside this section.
                return Added::InPlaceOf(unsafe { entry_of(present) }, unsafe { &*entry });
            }
            None => locked.add(tag, word),
        };
        drop(locked);
        let number = fresh.publish();
        // SAFETY: inside the section.
        unsafe { self.after_add(number, is_crowded, rehash) };
        // SAFETY: reachable inside this section.
        Added::New(unsafe { &*entry })
    }

    /// Adds an entry, whatever there is.
    ///
    /// # Safety
    ///
    /// As for [`add`](Self::add).
    pub(super) unsafe fn add_another<'g>(
        &'g self,
        hash: u64,
        fresh: Fresh<'g, T>,
        rehash: impl Fn(&T) -> u64,
    ) -> &'g T {
        // SAFETY: as promised.
        let place = unsafe { self.announce(hash) };
        // SAFETY: as promised; nothing is wanted.
        match unsafe { self.add(place, hash, fresh, IfPresent::Keep, |_| false, rehash) } {
            Added::New(entry) | Added::InPlaceOf(entry, _) | Added::Occupied(entry, _) => entry,
        }
    }

    /// Replaces the entry that is `wanted`; gives the new one back when there is none.
    ///
    /// # Safety
    ///
    /// As for [`add`](Self::add).
    pub(super) unsafe fn replace<'g>(
        &'g self,
        hash: u64,
        fresh: Fresh<'g, T>,
        mut wanted: impl FnMut(&'g T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Result<(&'g T, &'g T), Fresh<'g, T>> {
        // SAFETY: as promised.
        let (table, mut locked) = unsafe { self.lock(hash) };
        // SAFETY: what is in a locked bucket is alive.
        let found = locked.find(tag_of(hash), |word| wanted(unsafe { entry_of(word) }));
        let Some((place, present)) = found else {
            drop(locked);
            return Err(fresh);
        };
        let entry = fresh.pointer();
        locked.replace(place, Word::entry(fresh.handle(), table.word_bits(hash)));
        fresh.publish();
        drop(locked);
        // SAFETY: unreachable now, by this thread.
        let gone = unsafe { self.nodes.retire(present.handle()) };
        // SAFETY: inside the section.
        unsafe { self.after_replace(gone, rehash) };
        // SAFETY: both were reachable inside this section.
        Ok((unsafe { entry_of(present) }, unsafe { &*entry }))
    }

    /// Adds an entry for who has the map for itself, or replaces one that is the `same`; the old one.
    ///
    /// # Safety
    ///
    /// Nobody else is in the map.
    pub(super) unsafe fn insert_alone(
        &self,
        hash: u64,
        value: T,
        same: impl Fn(&T, &T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let fresh = self.nodes.fresh(value);
        // SAFETY: nobody else retires anything.
        let (table, mut locked) = unsafe { self.lock(hash) };
        let word = Word::entry(fresh.handle(), table.word_bits(hash));
        // SAFETY: what is in a bucket is alive.
        let found = locked.find(tag_of(hash), |word| same(unsafe { entry_of(word) }, &fresh));
        if let Some((place, present)) = found {
            fresh.publish();
            locked.replace(place, word);
            drop(locked);
            // SAFETY: unreachable now, and there are no readers.
            return Some(unsafe { self.nodes.take_now(present.handle()) });
        }
        let is_crowded = locked.add(tag_of(hash), word);
        drop(locked);
        let number = fresh.publish();
        // SAFETY: nobody else retires anything, and nothing that is retired here is used again.
        unsafe { self.after_add(number, is_crowded, rehash) };
        None
    }

    /// Takes everything out of the `number`th bucket of all tables there are; stops behind the last.
    pub(super) fn take_bucket(&mut self, number: usize, taken: &mut Vec<T>) -> ControlFlow<()> {
        let mut number = number;
        // Relaxed: `&mut self` comes after everything.
        let mut table = self.current.load(Ordering::Relaxed);
        // SAFETY: the current table and the one after it are alive.
        while let Some(there) = unsafe { table.as_ref() } {
            if number < there.count() {
                let Some(mut locked) = there.bucket(number).lock(self.mark()) else { break };
                if locked.take_inherited() {
                    // SAFETY: there are no readers.
                    unsafe { self.take_back(&locked, there, number).free() };
                }
                let unlinked = locked.dismantle(|word| {
                    // SAFETY: an entry of this map, which nobody else has.
                    taken.push(unsafe { self.nodes.take_now(word.handle()) });
                });
                // SAFETY: there are no readers.
                unsafe { unlinked.free() };
                break;
            }
            number -= there.count();
            table = there.next.load(Ordering::Relaxed);
        }
        if table.is_null() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Removes the first entry that is `wanted`.
    ///
    /// # Safety
    ///
    /// As for [`add`](Self::add).
    #[inline]
    pub(super) unsafe fn remove<'g>(
        &'g self,
        hash: u64,
        mut wanted: impl FnMut(&'g T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) -> Option<&'g T> {
        // SAFETY: as promised.
        let (_, mut locked) = unsafe { self.lock(hash) };
        // SAFETY: what is in a locked bucket is alive.
        let (place, present): (Place<'_>, Word) =
            locked.find(tag_of(hash), |word| wanted(unsafe { entry_of(word) }))?;
        if self.may_have_duplicates() && locked.has_another(tag_of(hash), place) {
            // Release: who sees the number sees what is left behind. Before the entry goes. PAIR(map-removals)
            weaken!("removal-is-counted", self.removals_of(hash).fetch_add(1, Ordering::Release) => 0);
        }
        let unlinked: Unlinked = locked.remove(place);
        drop(locked);
        // SAFETY: unreachable now.
        unsafe { self.nodes.retire_lines(unlinked) };
        // SAFETY: unreachable now, by this thread.
        let gone = unsafe { self.nodes.retire(present.handle()) };
        // SAFETY: inside the section.
        unsafe { self.after_remove(gone, rehash) };
        // SAFETY: it was reachable inside this section.
        Some(unsafe { entry_of(present) })
    }
}

/// Asks for a cache line.
#[inline]
pub(super) fn prefetch<T>(_address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, whatever the address; SSE is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(_address.cast());
    }
}

/// The entry of a word.
///
/// # Safety
///
/// It is one, and alive during `'g`.
#[inline]
pub(super) unsafe fn entry_of<'g, T>(word: Word) -> &'g T {
    // SAFETY: as promised.
    unsafe { &*word.pointer().cast::<T>() }
}

/// The entries of one hash (those with the same tag), or of one bucket, as they are met.
///
/// Each entry is met at most once; those that are there all the time are met. Wait-free: it goes along a chain, and from
/// table to table as long as the bucket is migrated.
#[derive(Debug)]
pub(super) struct Walk<'g> {
    line: &'g Bucket,
    slots: Slots,
    /// Whether there is another line when this one is done.
    is_chained: bool,
    tag: u8,
}

impl<'g> Walk<'g> {
    /// The words with the tag of this hash in its bucket.
    ///
    /// # Safety
    ///
    /// The caller stays inside a section of the flavor during `'g`; `table` is one that it came by inside it.
    pub(super) unsafe fn with_tag<T>(index: &Index<T>, mut table: &'g Table, hash: u64) -> Self {
        loop {
            let line = table.bucket_of(hash);
            let meta = line.meta();
            if !meta.is_migrated() {
                let tag = tag_of(hash);
                return Self { line, slots: meta.slots_with(tag), is_chained: meta.is_chained(), tag };
            }
            // SAFETY: as promised; it is migrated.
            table = unsafe { index.after(table) };
        }
    }

    /// All words of a bucket; `None` when it is migrated.
    ///
    /// # Safety
    ///
    /// As for [`with_tag`](Self::with_tag).
    pub(super) unsafe fn whole(table: &'g Table, index: usize) -> Option<Self> {
        let line = table.bucket(index);
        let meta = line.meta();
        let is_chained = meta.is_chained();
        (!meta.is_migrated()).then(|| Self { line, slots: meta.occupied(), is_chained, tag: 0 })
    }
}

impl Iterator for Walk<'_> {
    type Item = Word;

    #[inline]
    fn next(&mut self) -> Option<Word> {
        loop {
            if let Some(slot) = self.slots.next() {
                let word = self.line.word(slot);
                if !word.is_link() {
                    return Some(word);
                }
                // Its entry is in the next line, together with newer ones; or about to come.
                self.is_chained |= !word.is_nothing();
            }
            if self.slots.is_empty() {
                if !core::mem::take(&mut self.is_chained) {
                    return None;
                }
                // SAFETY: reachable inside the section.
                self.line = unsafe { self.line.next() }?;
                let meta = self.line.meta();
                self.is_chained = meta.is_chained();
                self.slots = if self.tag == 0 { meta.occupied() } else { meta.slots_with(self.tag) };
            }
        }
    }
}

impl<T> Drop for Index<T> {
    fn drop(&mut self) {
        self.tear_down();
    }
}

//! Moving to a larger or smaller table, a bucket at a time, beside everything else.
//!
//! Who adds or removes an entry while a move is under way takes on some buckets. The bucket's lock is held while its entries
//! are published in the new table and it is marked as migrated; nobody waits but for that lock, and readers not at all. So a
//! move ends when enough updates were made after it began, whoever is not running meanwhile: buckets that somebody took on
//! and did not do are taken on again. The move is over when the last bucket is done. Then the new table becomes the current
//! one, and the old one is retired.

use std::panic::{AssertUnwindSafe, catch_unwind};

use urcu_core::sync::modelled::Ordering;
use urcu_core::{Backoff, weaken};

use super::bucket::{Locked, Unlinked, Word, wait};
use super::held::{self, holding};
use super::index::{Index, prefetch};
use super::table::Table;

/// Entries per bucket, on the average, beyond which the table grows.
pub(super) const MOST_LOAD: usize = 4;
/// Buckets that an update takes on, some 20 to 80 microseconds. Many, and seldom: so few of all updates are slow ones, and threads seldom
/// meet at the count of what is taken.
const BATCH: usize = if cfg!(urcu_loom) { 8 } else { 1024 };
/// Of the updates of a thread every so manyth takes some on.
const PACE: usize = if cfg!(urcu_loom) { 1 } else { 32 };
/// The same when all are taken, and perhaps not all done.
const AGAIN_BATCH: usize = 8;
const AGAIN_PACE: usize = 8;
/// Buckets between what is fetched and what is migrated.
const AHEAD: usize = 8;
/// Updates by one thread between two looks at the number of entries.
const PERIOD: usize = 64;
/// The smallest table.
pub(super) const LEAST_BITS: u32 = 2;
/// Moves to smaller tables that one section can meet.
const MOST_SHRINKS: u32 = 16;

/// What a thread that takes part in a move has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Some buckets.
    Migrated,
    /// Nothing: so many buckets were done, or locked.
    Passed(usize),
    /// A bucket cannot be migrated, because hashing a key panics or there is no memory.
    Stuck,
}

/// What became of a wish for another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// A move is under way, from the table that was looked at.
    UnderWay,
    /// Somebody else was at it: look again.
    Later,
    /// There is no memory, or it has become smaller too often for one section.
    Refused,
}

/// The smallest table for so many entries.
pub(super) fn bits_for(entries: usize) -> u32 {
    let buckets = entries.div_ceil(MOST_LOAD).max(1);
    buckets.checked_next_power_of_two().map_or(usize::BITS - 1, usize::trailing_zeros).max(LEAST_BITS)
}

/// Whether there may be something to do at a thread's `number`th update. Not, if not, unless it found a crowded bucket.
#[inline]
pub(super) fn is_due(number: usize) -> bool {
    const { assert!(PERIOD.is_multiple_of(AGAIN_PACE)) };
    number.is_multiple_of(AGAIN_PACE)
}

impl<T> Index<T> {
    /// After the `number`th entry of this thread was added, to a bucket that was full if it is crowded now.
    ///
    /// # Safety
    ///
    /// The caller is inside a section of the flavor.
    pub(super) unsafe fn after_add(&self, number: usize, is_crowded: bool, rehash: impl Fn(&T) -> u64) {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        // Relaxed: who goes on loads it again.
        let is_leaving = !table.next.load(Ordering::Relaxed).is_null();
        if if is_leaving { self.has_work(table, number) } else { is_crowded || number.is_multiple_of(PERIOD) } {
            // SAFETY: as promised.
            unsafe { self.grow_or_help(table, is_leaving, rehash) };
        }
    }

    /// Whether a thread should take on buckets of `table` at its `number`th update.
    #[inline]
    fn has_work(&self, table: &Table, number: usize) -> bool {
        // The smaller one first: so most updates need not look at what others write.
        number.is_multiple_of(AGAIN_PACE) && (number.is_multiple_of(PACE) || table.are_all_taken())
    }

    /// # Safety
    ///
    /// As for `after_add`.
    #[inline(never)]
    unsafe fn grow_or_help(&self, table: &Table, is_leaving: bool, rehash: impl Fn(&T) -> u64) {
        if !is_leaving {
            let live = self.nodes.live();
            if live <= table.count() * MOST_LOAD || self.begin(table, bits_for(live)) != Begin::UnderWay {
                return;
            }
        }
        // SAFETY: as promised.
        unsafe { self.help(table, &rehash) };
    }

    /// After the `number`th entry of this thread was removed.
    ///
    /// # Safety
    ///
    /// The caller is inside a section of the flavor.
    #[inline]
    pub(super) unsafe fn after_remove(&self, number: usize, rehash: impl Fn(&T) -> u64) {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        // Relaxed: who goes on loads it again.
        let is_leaving = !table.next.load(Ordering::Relaxed).is_null();
        let is_due = number.is_multiple_of(PERIOD.min(table.count() / 4));
        if if is_leaving { self.has_work(table, number) } else { is_due } {
            // SAFETY: as promised.
            unsafe { self.shrink_or_help(table, is_leaving, rehash) };
        }
    }

    /// After an entry was replaced, the `number`th that this thread has retired. It takes part like a removal, because it counts
    /// like one: otherwise the numbers that something is done at could always fall on replacements.
    ///
    /// # Safety
    ///
    /// The caller is inside a section of the flavor.
    #[inline]
    pub(super) unsafe fn after_replace(&self, number: usize, rehash: impl Fn(&T) -> u64) {
        // SAFETY: as promised.
        let table = unsafe { self.current() };
        // Relaxed: who goes on loads it again.
        let is_leaving = !table.next.load(Ordering::Relaxed).is_null();
        if if is_leaving { self.has_work(table, number) } else { number.is_multiple_of(PERIOD) } {
            // SAFETY: as promised.
            unsafe { self.shrink_or_help(table, is_leaving, rehash) };
        }
    }

    /// # Safety
    ///
    /// As for `after_remove`.
    #[inline(never)]
    unsafe fn shrink_or_help(&self, table: &Table, is_leaving: bool, rehash: impl Fn(&T) -> u64) {
        if !is_leaving {
            // Relaxed: a number.
            let least = self.resizing.least_bits.load(Ordering::Relaxed);
            let live = self.nodes.live();
            // Twice the room that it needs: the next insertions do not make it grow again.
            let bits = bits_for(2 * live).max(least);
            if bits >= table.bits() || live * 2 > table.count() || self.begin(table, bits) != Begin::UnderWay {
                return;
            }
        }
        // SAFETY: as promised.
        unsafe { self.help(table, &rehash) };
    }

    /// Begins a move to a table of other size, unless one is under way.
    fn begin(&self, table: &Table, bits: u32) -> Begin {
        let resizing = &self.resizing;
        let generation = self.generation.number();
        // Relaxed: the exchange decides.
        let busy = resizing.busy.load(Ordering::Relaxed);
        // A thread of an ancestor, where this process was forked, does not come back.
        let is_free = busy != generation
            // Acquire pairs with the Release below: one at a time. PAIR(map-resizing)
            && resizing.busy.compare_exchange(busy, generation, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !is_free {
            return Begin::Later;
        }
        // Relaxed: written under `busy` only.
        let answer = if !table.next.load(Ordering::Relaxed).is_null() {
            Begin::UnderWay
        } else if !core::ptr::eq(self.current.load(Ordering::Relaxed), table) {
            Begin::Later
        } else if bits == table.bits() || (bits < table.bits() && !self.may_shrink()) {
            Begin::Refused
        } else if let Some(mut new) = Table::new(bits, table.base_for(bits)) {
            new.generation = generation;
            // Release: its fields come first. PAIR(map-next)
            table.next.store(Box::into_raw(new), Ordering::Release);
            Begin::UnderWay
        } else {
            Begin::Refused
        };
        // Release: the next one sees the table. PAIR(map-resizing)
        resizing.busy.store(0, Ordering::Release);
        answer
    }

    /// Whether readers may meet another smaller table. Called by the holder of `busy`.
    ///
    /// A reader goes from table to table as long as its bucket is migrated. Tables get larger no more than 64 times in a row;
    /// so this bounds its way.
    #[cfg(not(urcu_loom))]
    fn may_shrink(&self) -> bool {
        let flavor = self.nodes.flavor();
        let resizing = &self.resizing;
        // Relaxed: written under `busy` only.
        let shrunk = resizing.shrunk.load(Ordering::Relaxed);
        // SAFETY: takes a plain number.
        let has_elapsed = shrunk != 0 && unsafe { (flavor.poll)(resizing.shrunk_at.load(Ordering::Relaxed)) } != 0;
        let shrunk = if has_elapsed { 0 } else { shrunk };
        if shrunk == MOST_SHRINKS {
            return false;
        }
        if shrunk == 0 {
            // SAFETY: no precondition.
            let cookie = unsafe { (flavor.start_poll)() };
            resizing.shrunk_at.store(cookie, Ordering::Relaxed);
        }
        resizing.shrunk.store(shrunk + 1, Ordering::Relaxed);
        true
    }

    #[cfg(urcu_loom)]
    fn may_shrink(&self) -> bool {
        self.resizing.shrunk.fetch_add(1, Ordering::Relaxed) < MOST_SHRINKS
    }

    /// Takes on some buckets of `table`, which is being left.
    ///
    /// # Safety
    ///
    /// The caller is inside a section of the flavor since before it came by `table`.
    unsafe fn help(&self, table: &Table, rehash: &impl Fn(&T) -> u64) -> Progress {
        // SAFETY: as promised; set, since the table is being left.
        let new = unsafe { self.after(table) };
        let most = if table.are_all_taken() { AGAIN_BATCH } else { BATCH };
        let batch = most.min(table.count());
        // Relaxed: a bucket that two take on is migrated by one of them, under its lock.
        let first = table.progress.taken.fetch_add(batch, Ordering::Relaxed);
        let mut migrated = 0;
        let mut is_stuck = false;
        for number in first..first + batch {
            let ahead = (number + AHEAD) & (table.count() - 1);
            prefetch(table.bucket(ahead));
            if new.bits() == table.bits() + 1 {
                prefetch(new.bucket(ahead));
                prefetch(new.bucket(ahead + table.count()));
            }
            // SAFETY: as promised.
            match unsafe { self.migrate(table, new, number & (table.count() - 1), rehash) } {
                Ok(done) => migrated += usize::from(done),
                Err(Stuck) => is_stuck = true,
            }
        }
        if migrated != 0 {
            // AcqRel: what each thread has migrated happens before the end of the move. PAIR(map-done)
            let before = table.progress.done.fetch_add(migrated, Ordering::AcqRel);
            if before + migrated == table.count() {
                // SAFETY: all is migrated.
                unsafe { self.finish(table) };
            }
        } else if new.generation != self.generation.number()
            && !is_stuck
            && weaken!("child-ends-moves", table.is_empty() => false)
        {
            // What threads have migrated that were not forked along may not be counted.
            // SAFETY: all is migrated.
            unsafe { self.finish(table) };
        }
        match (is_stuck, migrated) {
            (true, _) => Progress::Stuck,
            (false, 0) => Progress::Passed(batch),
            (false, _) => Progress::Migrated,
        }
    }

    /// Moves the entries of one bucket; whether there was something left to do.
    ///
    /// # Safety
    ///
    /// As for `help`; `new` is where `table` is left for.
    unsafe fn migrate(
        &self,
        table: &Table,
        new: &Table,
        index: usize,
        rehash: &impl Fn(&T) -> u64,
    ) -> Result<bool, Stuck> {
        let bucket = table.bucket(index);
        if bucket.meta().is_migrated() {
            return Ok(false);
        }
        // Whoever holds it may not be running; the bucket will be taken on again.
        let mark = self.mark();
        let Some(mut locked) = bucket.lock_if_free(mark) else {
            return Ok(false);
        };
        if locked.take_inherited() {
            let taken_back = self.take_back(&locked, table, index);
            // SAFETY: unreachable.
            unsafe { self.nodes.retire_lines(taken_back) };
        }
        let put = |tag: u8, word: Word, hash: u64| {
            let target = new.bucket_of(hash);
            let mut locked_target = if new.bits() >= table.bits() {
                // SAFETY: all that belongs there comes from this bucket, which is locked; and who looks for it waits here.
                unsafe { target.lock_alone() }
            } else if let Some(mut target) = target.lock(mark) {
                // It is in no move.
                target.take_inherited();
                target
            } else {
                unreachable!("a table is not left before everything has come to it");
            };
            locked_target.add(tag, word.with_bits(new.word_bits(hash)));
        };
        let is_split = new.bits() == table.bits() + 1
            && new.bits() <= table.known()
            && new.base() == table.base()
            // The words' bits begin where they did, so they can stay; the one that tells the two buckets apart is among them. Nobody
            // gets at the two: see below.
            && locked.split([new.bucket(index), new.bucket(index + table.count())], table.bits() - table.base());
        if is_split {
        } else if new.known() <= table.known() {
            locked.for_each(|tag, word| put(tag, word, table.known_hash(index, word.bits())));
        } else {
            // User code, which may panic: before anything is changed.
            let mut moves = Vec::new();
            let mut count = 0;
            locked.for_each(|_, _| count += 1);
            if moves.try_reserve_exact(count).is_err() {
                return Err(Stuck);
            }
            let hashed = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: what is in a locked bucket is alive.
                let hash = |word| rehash(unsafe { super::index::entry_of(word) });
                holding(bucket, || locked.for_each(|tag, word| moves.push((tag, word, hash(word)))));
            }));
            if let Err(payload) = hashed {
                // Its message was printed by the panic hook.
                super::teardown::dispose(payload);
                return Err(Stuck);
            }
            let mask = table.count() as u64 - 1;
            for (tag, word, hash) in moves {
                // A key whose hash has changed goes where this bucket's entries go, too: nothing else is locked here.
                put(tag, word, hash & !mask | index as u64);
            }
        }
        let unlinked = locked.migrated();
        // SAFETY: who sees the bucket from now on sees that it is migrated.
        unsafe { self.nodes.retire_lines(unlinked) };
        Ok(true)
    }

    /// Takes back what a thread of an ancestor may have put into the next table, in the middle of migrating bucket `index` of `table`
    /// when this process was forked. The bucket was inherited and nothing was changed in it since. Lines that are not linked any
    /// more.
    #[cold]
    pub(super) fn take_back(&self, locked: &Locked<'_>, table: &Table, index: usize) -> Unlinked {
        let mut unlinked = Unlinked::default();
        weaken!("child-takes-back", () => return unlinked);
        // Acquire: its fields are seen. PAIR(map-next)
        let new = table.next.load(Ordering::Acquire);
        // SAFETY: alive as long as `table` is.
        let Some(new) = (unsafe { new.as_ref() }) else { return unlinked };
        if new.bits() > table.bits() {
            // All that is there comes from this bucket, which nobody has found migrated. Lines of chains are lost.
            for target in (index..new.count()).step_by(table.count()) {
                new.bucket(target).forget();
            }
            return unlinked;
        }
        let Some(mut target) = new.bucket(index & (new.count() - 1)).lock(self.mark()) else {
            unreachable!("a table is not left before everything has come to it");
        };
        target.take_inherited();
        locked.for_each(|tag, word| {
            while let Some((place, _)) = target.find(tag, |other| other.handle() == word.handle()) {
                unlinked.0.append(&mut target.remove(place).0);
            }
        });
        unlinked
    }

    /// Makes the table that `table` is left for the current one, unless that is done.
    ///
    /// # Safety
    ///
    /// All buckets of `table` are migrated. The caller is inside a section of the flavor since before it came by `table`.
    unsafe fn finish(&self, table: &Table) {
        // Relaxed: loaded before, with Acquire.
        let new = table.next.load(Ordering::Relaxed);
        let old = core::ptr::from_ref(table).cast_mut();
        // Release: what was migrated, which the count or the marks have brought here (PAIR(map-done), PAIR(map-migrated)), comes
        // first. PAIR(map-table)
        if let Ok(old) = self.current.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed) {
            // SAFETY: unreachable now for who enters a section; it was made by `Box::new`.
            unsafe { self.nodes.retire_table(old) };
        }
    }

    /// Moves to a table of `1 << bits` buckets and returns when that is done, or cannot be.
    ///
    /// # Safety
    ///
    /// The caller is inside a section of the flavor, and entered it for this.
    pub(super) unsafe fn resize_to(&self, is_wanted: impl Fn(u32) -> Option<u32>, rehash: &impl Fn(&T) -> u64) -> bool {
        let mut backoff = Backoff::brisk();
        // Buckets that were found done, or held by others, one after the other.
        let mut passed = 0;
        loop {
            // SAFETY: as promised.
            let table = unsafe { self.current() };
            // Relaxed: who goes on loads it again.
            if table.next.load(Ordering::Relaxed).is_null() {
                match is_wanted(table.bits()) {
                    None => return true,
                    Some(bits) => match self.begin(table, bits) {
                        Begin::UnderWay => {}
                        Begin::Later => wait(&mut backoff),
                        Begin::Refused => return false,
                    },
                }
                continue;
            }
            // SAFETY: as promised.
            match unsafe { self.help(table, rehash) } {
                Progress::Passed(batch) => {
                    passed += batch;
                    if passed >= table.count() {
                        passed = 0;
                        held::check(|bucket| table.has(bucket));
                        wait(&mut backoff);
                    }
                }
                Progress::Migrated => (passed, backoff) = (0, Backoff::brisk()),
                Progress::Stuck => return false,
            }
        }
    }
}

/// A key whose hash panics, or no memory.
#[derive(Debug)]
struct Stuck;

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_large_as_they_have_to_be() {
        assert_eq!(bits_for(0), LEAST_BITS);
        assert_eq!(bits_for(16), 2);
        assert_eq!(bits_for(17), 3);
        assert_eq!(bits_for(100_000), 15);
        assert_eq!(bits_for(4_000_000), 20);
        assert_eq!(bits_for(usize::MAX), 62);
    }
}

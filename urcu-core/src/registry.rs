//! The set of registered readers.
//!
//! Slots in chunks of doubling size, each chunk with a bitmap of the slots in use. Claiming a slot is one
//! compare-exchange on a bitmap word, giving it back is one more; chunks are never freed. So registration neither takes
//! a lock nor waits for a grace period, works inside a signal handler, and leaves nothing half-linked in a forked
//! child; and a scan runs over dense memory instead of a list, which lets the processor fetch ahead.
//!
//! Where the chunks live is the parameter `S`: process memory here, a shared segment for a flavor that spans processes.

use core::mem::size_of;

use crate::reader::Reader;
use crate::sync::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sys;
use crate::weaken;
use crate::word::WordLayout;

/// Slots per bitmap word.
const WORD_SLOTS: usize = u64::BITS as usize;
/// Chunk `k` has `64 << k` slots: four million in all, as many as Linux has thread ids.
const CHUNKS: usize = 16;

/// One chunk: the bitmap of slots in use, and the slots, 64 to a word of it.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    in_use: &'static [AtomicU64],
    readers: &'static [Reader],
}

impl Chunk {
    /// A chunk of these slots.
    ///
    /// # Panics
    ///
    /// Unless there are 64 slots to each word of the bitmap.
    pub const fn new(in_use: &'static [AtomicU64], readers: &'static [Reader]) -> Self {
        assert!(readers.len() == in_use.len() * WORD_SLOTS, "64 slots to a word of the bitmap");
        Self { in_use, readers }
    }
}

/// Where a registry keeps its chunks.
///
/// # Safety
///
/// `chunk(k)` returns either `None` or, from some moment on, always the same chunk of exactly `64 << k` slots, which
/// stays valid and in place for the rest of the process. `grow` and `chunk` are async-signal-safe.
pub unsafe trait Storage: Sync + 'static {
    /// Chunk `index`, if there is one yet.
    fn chunk(&'static self, index: usize) -> Option<Chunk>;

    /// Chunk `index`, made if there is none; `None` when memory is exhausted. Safe to call from several threads.
    fn grow(&'static self, index: usize) -> Option<Chunk>;
}

/// Chunks in this process: the first one inside the static itself, the others mapped on demand.
///
/// Mapped and not allocated, since a reader may register itself while it interrupts the allocator.
#[derive(Debug)]
pub struct ProcessMemory {
    first_in_use: [AtomicU64; 1],
    first: [Reader; WORD_SLOTS],
    mapped: [AtomicPtr<Reader>; CHUNKS],
}

impl ProcessMemory {
    /// Nothing mapped yet.
    pub const fn new() -> Self {
        Self {
            first_in_use: [AtomicU64::new(0)],
            first: [const { Reader::free() }; WORD_SLOTS],
            mapped: [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS],
        }
    }

    const fn slots(index: usize) -> usize {
        WORD_SLOTS << index
    }

    /// The slots come first in a mapped chunk (they have the larger alignment), then the bitmap.
    const fn bytes(index: usize) -> usize {
        Self::slots(index) * size_of::<Reader>() + (1 << index) * size_of::<AtomicU64>()
    }

    /// # Safety
    ///
    /// `readers` is a mapping of `bytes(index)` zeroed or initialised bytes that stays for ever.
    unsafe fn chunk_at(readers: *mut Reader, index: usize) -> Chunk {
        let slots = Self::slots(index);
        // SAFETY: within the mapping; a free `Reader` is all zeros (its fields are atomics, its invariant 3), pages
        // are aligned to more than 128 bytes, and the memory is never unmapped once published.
        let readers_slice = unsafe { core::slice::from_raw_parts(readers, slots) };
        // SAFETY: the bitmap lies right behind the slots, inside the same mapping.
        let in_use = unsafe { readers.add(slots) }.cast::<AtomicU64>();
        // SAFETY: as above; zeros are a valid bitmap of no slot in use.
        let in_use = unsafe { core::slice::from_raw_parts(in_use, 1 << index) };
        Chunk { in_use, readers: readers_slice }
    }
}

impl Default for ProcessMemory {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the first chunk is part of the static; a mapped one is published once by compare-exchange and never taken
// back; mmap and munmap are bare system calls.
unsafe impl Storage for ProcessMemory {
    fn chunk(&'static self, index: usize) -> Option<Chunk> {
        if index == 0 {
            return Some(Chunk { in_use: &self.first_in_use, readers: &self.first });
        }
        // Acquire pairs with the Release of the publication in `grow`. PAIR(chunk)
        let readers = self.mapped.get(index)?.load(Ordering::Acquire);
        // SAFETY: what is published is a mapping of this index's size.
        (!readers.is_null()).then(|| unsafe { Self::chunk_at(readers, index) })
    }

    fn grow(&'static self, index: usize) -> Option<Chunk> {
        if let Some(chunk) = self.chunk(index) {
            return Some(chunk);
        }
        let slot = self.mapped.get(index)?;
        let pages = sys::map_pages(Self::bytes(index))?;
        let published =
            // Release: the (zeroed) chunk before its address. PAIR(chunk)
            slot.compare_exchange(core::ptr::null_mut(), pages.cast(), Ordering::AcqRel, Ordering::Acquire);
        if published.is_err() {
            // SAFETY: our mapping lost the race and nobody has seen it.
            unsafe { sys::unmap_pages(pages, Self::bytes(index)) };
        }
        self.chunk(index)
    }
}

/// See the [module page](self).
#[derive(Debug)]
pub struct Registry<S = ProcessMemory> {
    storage: S,
    /// Slots of threads that are ending and leaked their `Thread`: free once the thread is gone.
    ending: AtomicU32,
    /// How many of them make a registration look for threads that are gone.
    reap_at: AtomicU32,
    /// The process in which a thread looks for threads that are gone, or 0. One is enough: looking takes system calls
    /// for each slot, and a crowd that registers at once would do it once for each of its members. A process and not
    /// a flag, since a forked child inherits it from a thread that it does not have.
    reaping: AtomicI32,
}

const REAP_AT_LEAST: u32 = 16;

impl Registry {
    /// An empty registry in process memory.
    pub const fn new() -> Self {
        Self {
            storage: ProcessMemory::new(),
            ending: AtomicU32::new(0),
            reap_at: AtomicU32::new(REAP_AT_LEAST),
            reaping: AtomicI32::new(0),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Storage> Registry<S> {
    /// A slot for the calling thread, its bit set; `None` when neither a slot nor memory is left.
    ///
    /// Async-signal-safe. Lock-free. The caller fills the record in and then issues a full fence before its first
    /// section: see [`Registry::for_each`].
    pub(crate) fn claim(&'static self, layout: WordLayout) -> Option<&'static Reader> {
        if self.ending.load(Ordering::Relaxed) >= self.reap_at.load(Ordering::Relaxed) {
            self.reap_ended_threads(layout, true);
            // Doubling, so that the work is spread over as many registrations.
            let left = self.ending.load(Ordering::Relaxed);
            self.reap_at.store((2 * left).max(REAP_AT_LEAST), Ordering::Relaxed);
        }
        for index in 0..CHUNKS {
            let chunk = match self.storage.chunk(index) {
                Some(chunk) => chunk,
                None if self.reap_ended_threads(layout, false) => return self.claim(layout),
                None => self.storage.grow(index)?,
            };
            for (at, in_use) in chunk.in_use.iter().enumerate() {
                let mut bits = in_use.load(Ordering::Relaxed);
                while bits != u64::MAX {
                    let bit = (!bits).trailing_zeros();
                    // Acquire pairs with the Release of `release`: the slot's last owner is done with it. PAIR(slot)
                    match in_use.compare_exchange_weak(bits, bits | 1 << bit, Ordering::Acquire, Ordering::Relaxed) {
                        Ok(_) => {
                            let position = at * WORD_SLOTS + bit as usize;
                            let reader = &chunk.readers[position];
                            let slot = ProcessMemory::slots(index) - WORD_SLOTS + position;
                            reader.set_slot(u32::try_from(slot).expect("at most 2^22 slots"));
                            return Some(reader);
                        }
                        Err(now) => bits = now,
                    }
                }
            }
        }
        None
    }

    /// Gives a slot back. `reader` must not be used as the caller's record any more.
    pub(crate) fn release(&'static self, reader: &Reader) {
        let slot = reader.slot() as usize + WORD_SLOTS;
        let index = (slot / WORD_SLOTS).ilog2() as usize;
        let position = slot - ProcessMemory::slots(index);
        if reader.is_ending() {
            self.ending.fetch_sub(1, Ordering::Relaxed);
        }
        reader.clear();
        let chunk = self.storage.chunk(index).expect("a slot in use lies in a chunk that exists");
        // Release: the record is cleared before the next owner claims it. PAIR(slot)
        chunk.in_use[position / WORD_SLOTS].fetch_and(!(1 << (position % WORD_SLOTS)), Ordering::Release);
    }

    /// Calls `visit` with every reader that might have entered a section before this call.
    ///
    /// The caller has a full fence between what it unlinked and this scan, the registering thread has one between
    /// claiming its slot and its first section. So either the scan sees the slot, or every section of that thread sees
    /// the unlinking and need not be seen. PAIR(register-scan)
    #[inline]
    pub fn for_each(&'static self, mut visit: impl FnMut(&'static Reader)) {
        self.find(|reader| {
            visit(reader);
            false
        });
    }

    /// The first reader, in slot order, for which `wanted` holds.
    #[inline]
    pub(crate) fn find(&'static self, mut wanted: impl FnMut(&'static Reader) -> bool) -> Option<&'static Reader> {
        for index in 0..weaken!("scan-every-chunk", CHUNKS => 1) {
            let chunk = self.storage.chunk(index)?;
            for (at, in_use) in chunk.in_use.iter().enumerate() {
                // Acquire pairs with the Release of `release`: a reader that is not found because it has gone read
                // whatever it read before. PAIR(slot)
                let mut bits = in_use.load(Ordering::Acquire);
                while bits != 0 {
                    let reader = &chunk.readers[at * WORD_SLOTS + bits.trailing_zeros() as usize];
                    bits &= bits - 1;
                    if weaken!("scan-every-slot", false => reader.slot() == 0) {
                        continue;
                    }
                    if wanted(reader) {
                        return Some(reader);
                    }
                }
            }
        }
        None
    }

    /// Keeps the slot of an ending thread until the thread is gone; it counts as free, and holds nothing up.
    pub(crate) fn leave_to_reaper(&'static self, reader: &Reader) {
        reader.set_ending();
        self.ending.fetch_add(1, Ordering::Relaxed);
    }

    /// How many readers are registered. A snapshot.
    pub fn len(&'static self) -> usize {
        let chunks = (0..CHUNKS).map_while(|index| self.storage.chunk(index));
        chunks
            .flat_map(|chunk| chunk.in_use)
            .map(|bits| bits.load(Ordering::Relaxed).count_ones() as usize)
            .sum::<usize>()
            - self.ending.load(Ordering::Relaxed) as usize
    }

    /// Whether nobody is registered. A snapshot.
    pub fn is_empty(&'static self) -> bool {
        self.len() == 0
    }

    /// Frees the slots of threads that are gone and did not give them back, outside sections only: threads that leaked
    /// their `Thread`, were ended by a bare exit system call, or read again in the very last round of destructors.
    /// Whether there were any; `false` at once while another thread is looking.
    ///
    /// Those that are known to be ending are looked at when there are many of them, the others before the registry
    /// grows, so that it grows to little more than twice what is needed.
    pub(crate) fn reap_ended_threads(&'static self, layout: WordLayout, only_ending: bool) -> bool {
        let process = sys::process_id();
        let other = self.reaping.load(Ordering::Relaxed);
        // Relaxed: two at once would be slow, not wrong; each slot is freed by whoever ends its ownership.
        let exchange = |from, to| self.reaping.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        if other == process || exchange(other, process).is_err() {
            return false;
        }
        let mut reaped = false;
        self.for_each(|reader| {
            let tid = reader.tid();
            let idle = layout.nesting(reader.word.load(Ordering::Acquire)) == 0;
            let candidate = !only_ending || reader.is_ending();
            if tid != 0
                && candidate
                && idle
                && reader.pid() == process
                && sys::thread_has_ended(tid)
                && reader.end_ownership(tid)
            {
                self.release(reader);
                reaped = true;
            }
        });
        self.reaping.store(0, Ordering::Relaxed);
        reaped
    }

    /// Frees every slot but `own`: what a forked child does with the threads it did not inherit.
    ///
    /// They stopped anywhere: one that had claimed its slot and nothing else has not noted yet which it is, one that was
    /// ending may be counted or not. So nothing that stands in the records is relied on.
    pub(crate) fn prune(&'static self, own: &'static Reader) {
        for chunk in (0..CHUNKS).map_while(|index| self.storage.chunk(index)) {
            for (in_use, readers) in chunk.in_use.iter().zip(chunk.readers.chunks(WORD_SLOTS)) {
                // Relaxed, as the store: there is one thread.
                let bits = in_use.load(Ordering::Relaxed);
                let mut left = 0;
                for (bit, reader) in readers.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0) {
                    if weaken!("child-prunes", !core::ptr::eq(reader, own) => false) {
                        reader.clear();
                    } else {
                        left |= 1 << bit;
                    }
                }
                in_use.store(left, Ordering::Relaxed);
            }
        }
        self.ending.store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> &'static Registry {
        Box::leak(Box::new(Registry::new()))
    }

    #[test]
    fn slots_are_claimed_lowest_first_and_come_back() {
        let registry = registry();
        let readers: Vec<_> = (0..1000).map(|_| registry.claim(WordLayout::new(16)).expect("memory")).collect();
        assert_eq!(registry.len(), 1000);
        for (expected, reader) in readers.iter().enumerate() {
            assert_eq!(reader.slot() as usize, expected);
        }
        registry.release(readers[700]);
        registry.release(readers[3]);
        assert_eq!(registry.len(), 998);
        assert_eq!(registry.claim(WordLayout::new(16)).expect("memory").slot(), 3);
        assert_eq!(registry.claim(WordLayout::new(16)).expect("memory").slot(), 700);
        let mut seen = 0;
        registry.for_each(|_| seen += 1);
        assert_eq!(seen, 1000);
    }

    #[test]
    fn concurrent_claims_never_share_a_slot() {
        let registry = registry();
        let claimed: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..500)
                            .map(|_| registry.claim(WordLayout::new(16)).expect("memory").slot())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        let distinct: std::collections::HashSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), distinct.len(), registry.len()), (2000, 2000, 2000));
    }

    #[test]
    fn one_thread_looks_for_the_gone_at_a_time() {
        let registry = registry();
        let layout = WordLayout::new(16);
        let gone = registry.claim(layout).expect("memory");
        gone.set_identity(i32::MAX, sys::process_id());
        registry.reaping.store(sys::process_id(), Ordering::Relaxed);
        assert!(!registry.reap_ended_threads(layout, false));
        // In a forked child: the mark of a thread that stayed behind.
        registry.reaping.store(i32::MAX, Ordering::Relaxed);
        assert!(registry.reap_ended_threads(layout, false));
        assert_eq!((registry.len(), registry.reaping.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_registry_whose_gone_are_looked_for_grows_at_once() {
        let registry = registry();
        let fill = || {
            let reader = registry.claim(WordLayout::new(16)).expect("memory");
            reader.set_identity(i32::MAX, sys::process_id());
            reader.slot() as usize
        };
        (0..WORD_SLOTS).for_each(|expected| assert_eq!(fill(), expected));
        registry.reaping.store(sys::process_id(), Ordering::Relaxed);
        assert_eq!(fill(), WORD_SLOTS, "it looked for threads that are gone beside somebody else");
        registry.reaping.store(0, Ordering::Relaxed);
        (WORD_SLOTS + 1..3 * WORD_SLOTS).for_each(|expected| assert_eq!(fill(), expected));
        assert_eq!(fill(), 0, "it grew although no thread with that number exists");
    }

    #[test]
    fn pruning_copes_with_threads_that_stopped_halfway() {
        let registry = registry();
        let claim = || registry.claim(WordLayout::new(16)).expect("memory");
        let [own, was_ending, was_released] = [claim(), claim(), claim()];
        // Claimed for the first time, and its number not noted yet.
        let chunk = registry.storage.chunk(0).expect("the first one");
        chunk.in_use[0].fetch_or(1 << 40, Ordering::Relaxed);
        // Marked and not counted; counted out and not cleared.
        was_ending.set_ending();
        registry.leave_to_reaper(was_released);
        registry.ending.fetch_sub(1, Ordering::Relaxed);
        registry.prune(own);
        assert_eq!(registry.len(), 1);
        assert!(registry.find(|reader| core::ptr::eq(reader, own)).is_some(), "the caller's own record was given away");
        assert_eq!([claim().slot(), claim().slot()], [1, 2]);
    }

    #[test]
    fn pruning_keeps_the_caller_alone() {
        let registry = registry();
        let readers: Vec<_> = (0..100).map(|_| registry.claim(WordLayout::new(16)).expect("memory")).collect();
        registry.prune(readers[70]);
        assert_eq!(registry.len(), 1);
        assert!(registry.find(|reader| core::ptr::eq(reader, readers[70])).is_some());
    }
}

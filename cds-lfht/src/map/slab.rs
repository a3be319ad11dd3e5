//! Memory of entries: close together, on huge pages when there are many, and used again after a grace period.
//!
//! Entries are cut from *chunks*. A chunk is aligned to its size and begins with a pointer to its pool, so that whoever
//! reclaims an entry finds the pool by the entry's address and the chunk's size, its *kind*. That is kept in two low bits of
//! every pointer to an entry: a [`Handle`].
//!
//! | kind | where | when |
//! |---|---|---|
//! | boxed | an allocation of its own | the first entries of a map, and large ones |
//! | small | chunks of 64 KiB | up to 16 MiB |
//! | large | chunks of 2 MiB, huge pages if the kernel is willing | beyond |
//!
//! Every thread takes from its own stripe and gives back to its own: a list of free entries and a run of fresh ones. What a
//! thread has too much of goes through the pool, in batches.
//!
//! The pool outlives the map until the last entry that was retired has been reclaimed: see [`Pool::close`].

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

use urcu_core::sync::{AtomicU64, AtomicUsize, Ordering};
use urcu_core::sys::{HUGE_PAGE, map_huge, populate_pages, unmap_huge};
use urcu_core::{Backoff, Generation};

use super::index::prefetch;
use crate::stripe::Striped;

/// The bits of an address that tell the kind.
pub(super) const KIND: usize = 0b110;
const BOXED: usize = 0b000;
const SMALL: usize = 0b010;
const LARGE: usize = 0b100;

const SMALL_CHUNK: usize = 1 << 16;
const LARGE_CHUNK: usize = HUGE_PAGE;
/// Room for the pointer to the pool; entries behind it are aligned to so much.
const HEADER: usize = 64;
/// Entries that a map has in boxes before it makes chunks.
const BOXES: usize = 32;
/// Bytes of small chunks before there are large ones.
const SMALL_BYTES: usize = 16 << 20;
/// Larger entries are boxed.
const LARGEST: usize = SMALL_CHUNK / 16;
/// Free entries that change hands together.
const BATCH: u32 = 256;
/// Bytes of fresh entries that a thread takes at once.
const RUN: usize = 4096;
/// Bytes of memory whose pages come at once, in maps of so many chunks. Page by page they would make one insertion in 256 slow.
const PAGES: usize = SMALL_CHUNK;
const CHUNKS_OF_PAGES: usize = 8;
/// Bytes between the entry that is cut and the memory that is asked for.
const AHEAD: usize = 512;

/// An entry's address with its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(pub(super) *mut u8);

impl Handle {
    #[inline]
    pub(super) fn address(self) -> *mut u8 {
        self.0.map_addr(|address| address & !KIND)
    }

    #[inline]
    fn kind(self) -> usize {
        self.0.addr() & KIND
    }

    /// Of a box or a chunk. The whole of a chunk fits if its beginning does, since it is aligned to its size.
    fn of(address: *mut u8, kind: usize) -> Self {
        let handle = Self(address.map_addr(|address| address | kind));
        assert!(super::bucket::fits(handle), "an address of more than 48 bits");
        handle
    }

    /// Whether it is cut from a chunk.
    #[inline]
    pub(super) fn is_cut(self) -> bool {
        self.kind() != BOXED
    }

    /// The pool of an entry that is cut from a chunk.
    ///
    /// # Safety
    ///
    /// The chunk is alive.
    #[inline]
    unsafe fn pool(self) -> NonNull<Pool> {
        let size = if self.kind() == SMALL { SMALL_CHUNK } else { LARGE_CHUNK };
        let header = self.0.map_addr(|address| address & !(size - 1)).cast::<NonNull<Pool>>();
        // SAFETY: the header of a live chunk, written before anything was cut from it.
        unsafe { header.read() }
    }
}

/// What is in the memory of a free entry.
struct Free {
    next: *mut u8,
}

/// One thread's share.
#[derive(Debug)]
pub(super) struct Local {
    /// A list of free entries, as handles, and its length.
    free: Cell<*mut u8>,
    count: Cell<u32>,
    /// Another list, of `BATCH` entries, or null.
    spare: Cell<*mut u8>,
    /// Fresh memory: the next handle, and the address behind the last.
    fresh: Cell<*mut u8>,
    fresh_end: Cell<usize>,
    /// Entries that came and went. Only the sums over all stripes mean something.
    added: AtomicUsize,
    retired: AtomicUsize,
    /// Of those that went, the ones that will be reclaimed through the pool.
    deferred: AtomicUsize,
    /// How many this thread has reclaimed; [`CLOSED`] when the map is gone.
    reclaimed: AtomicUsize,
}

/// The map is gone: who reclaims counts in the pool from now on.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// The memory of one map's entries.
///
/// # Invariants
///
/// 1. What is in a stripe is used through `Striped::with_own` only, but for its numbers.
/// 2. A chunk's memory belongs to the stripe's fresh run, to a list of free entries, or to whoever has the entry.
/// 3. The pool is freed when it is closed and all that was deferred has been reclaimed; and reclaiming an entry uses the pool
///    last when it counts that.
#[derive(Debug)]
pub(super) struct Pool {
    locals: Striped<Local>,
    /// Entries that are deferred and not reclaimed, once the pool is closed.
    remaining: AtomicUsize,
    /// Of an entry.
    layout: Layout,
    generation: Generation,
    /// The generation of the holder's process, or zero.
    lock: AtomicU64,
    shared: UnsafeCell<Shared>,
}

/// What is used under the lock.
#[derive(Debug)]
struct Shared {
    /// The pool itself.
    pool: NonNull<Pool>,
    /// Entries that are still to be boxed.
    boxes: usize,
    /// Lists of `BATCH` free entries.
    batches: Vec<*mut u8>,
    /// Chunks, with their kind.
    chunks: Vec<Handle>,
    /// What is left of the last chunk.
    left: *mut u8,
    bytes_left: usize,
    /// How many of its last bytes may have no pages yet.
    bytes_bare: usize,
    bytes: usize,
}

// SAFETY: the stripes are used by one thread at a time, what is shared under the lock.
unsafe impl Sync for Pool {}
// SAFETY: as above; it is memory.
unsafe impl Send for Pool {}

impl Local {
    fn new() -> Self {
        Self {
            free: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
            spare: Cell::new(ptr::null_mut()),
            fresh: Cell::new(ptr::null_mut()),
            fresh_end: Cell::new(0),
            added: AtomicUsize::new(0),
            retired: AtomicUsize::new(0),
            deferred: AtomicUsize::new(0),
            reclaimed: AtomicUsize::new(0),
        }
    }

    /// Begins anew, in a forked child that finds it in the middle of a change: what it has is lost, but for the numbers.
    fn forget(&self) {
        self.free.set(ptr::null_mut());
        self.count.set(0);
        self.spare.set(ptr::null_mut());
        self.fresh_end.set(0);
    }
}

impl Shared {
    fn new(pool: NonNull<Pool>, boxes: usize, bytes: usize) -> Self {
        let (batches, chunks) = (Vec::new(), Vec::new());
        Self { pool, boxes, batches, chunks, left: ptr::null_mut(), bytes_left: 0, bytes_bare: 0, bytes }
    }

    /// Begins anew, in a forked child that finds it in the middle of a change: chunks and free entries are lost.
    ///
    /// # Safety
    ///
    /// Nobody else uses it.
    unsafe fn forget(this: *mut Self) {
        // SAFETY: these two do not change; what is in the middle of a change is not looked at.
        let pool = unsafe { (*this).pool };
        // SAFETY: a number, whatever it is.
        let bytes = unsafe { (*this).bytes };
        // SAFETY: valid; what is there is not dropped.
        unsafe { this.write(Self::new(pool, 0, bytes)) };
    }
}

/// Adds to a number that one thread writes at a time; what it was.
#[inline]
fn bump(number: &AtomicUsize, by: usize) -> usize {
    // Relaxed: a number; nobody else writes it meanwhile.
    let before = number.load(Ordering::Relaxed);
    number.store(before.wrapping_add(by), Ordering::Relaxed);
    before
}

impl Pool {
    /// A pool for entries of this layout, which is at least a pointer's.
    pub(super) fn new(layout: Layout) -> NonNull<Self> {
        debug_assert!(layout.size() >= size_of::<Free>() && layout.align() >= align_of::<Free>());
        let shared = Shared::new(NonNull::dangling(), BOXES, 0);
        let pool = Box::leak(Box::new(Self {
            locals: Striped::new(Local::new).mended_by(Local::forget),
            remaining: AtomicUsize::new(0),
            layout: layout.pad_to_align(),
            generation: Generation::new(),
            lock: AtomicU64::new(0),
            shared: UnsafeCell::new(shared),
        }));
        let pointer = NonNull::from(pool);
        // SAFETY: just made.
        let shared = unsafe { pointer.as_ref() }.shared.get();
        // SAFETY: nobody else has it.
        unsafe { &mut *shared }.pool = pointer;
        pointer
    }

    /// Memory for an entry, which is counted; how many this thread had counted.
    ///
    /// `size` is that of the layout, which the caller knows when this is compiled.
    #[inline]
    pub(super) fn allocate(&self, size: usize) -> (Handle, usize) {
        debug_assert_eq!(size, self.layout.size());
        if let Some(local) = self.locals.own()
            && let Some(found) = Self::take(local, size)
        {
            return (found, bump(&local.added, 1));
        }
        self.allocate_more()
    }

    /// What there is in a stripe, which the caller has.
    #[inline]
    fn take(local: &Local, size: usize) -> Option<Handle> {
        let free = Handle(local.free.get());
        if !free.0.is_null() {
            // SAFETY: a free entry, of which this thread has the list.
            let next = unsafe { free.address().cast::<Free>().read() }.next;
            local.free.set(next);
            local.count.set(local.count.get() - 1);
            return Some(free);
        }
        let fresh = Handle(local.fresh.get());
        // A run is a whole number of entries.
        if fresh.0.addr() >= local.fresh_end.get() {
            return None;
        }
        local.fresh.set(fresh.0.wrapping_add(size));
        prefetch(fresh.0.wrapping_add(AHEAD));
        Some(fresh)
    }

    #[cold]
    #[inline(never)]
    fn allocate_more(&self) -> (Handle, usize) {
        let size = self.layout.size();
        let (found, number) = self.locals.with_own(|local| (self.take_more(local, size), bump(&local.added, 1)));
        (found.unwrap_or_else(|| self.boxed()), number)
    }

    /// What there is in a stripe, which the caller has, or in the pool.
    fn take_more(&self, local: &Local, size: usize) -> Option<Handle> {
        // A shared stripe was not looked at yet.
        if let Some(found) = Self::take(local, size) {
            return Some(found);
        }
        if !local.spare.get().is_null() {
            local.free.set(local.spare.replace(ptr::null_mut()));
            local.count.set(BATCH);
        } else if let Some(batch) = self.with_shared(|shared| shared.batches.pop()) {
            local.free.set(batch);
            local.count.set(BATCH);
        } else {
            let (run, bytes) = self.run()?;
            local.fresh.set(run.0);
            local.fresh_end.set(run.address().addr() + bytes);
        }
        Self::take(local, size)
    }

    /// An allocation for one entry.
    fn boxed(&self) -> Handle {
        // SAFETY: not of size zero.
        let memory = unsafe { alloc(self.layout) };
        if memory.is_null() {
            handle_alloc_error(self.layout);
        }
        Handle::of(memory, BOXED)
    }

    /// A run of fresh memory for some entries; `None` when the next one is to be boxed.
    fn run(&self) -> Option<(Handle, usize)> {
        let size = self.layout.size();
        if size > LARGEST || self.layout.align() > HEADER {
            return None;
        }
        let (run, bytes, bare) = self.with_shared(|shared| {
            if shared.boxes != 0 {
                shared.boxes -= 1;
                return None;
            }
            if shared.bytes_left < size {
                let kind = if shared.bytes < SMALL_BYTES { SMALL } else { LARGE };
                let chunk = Self::chunk(shared.pool, kind)?;
                let bytes = if chunk.kind() == SMALL { SMALL_CHUNK } else { LARGE_CHUNK };
                shared.chunks.push(chunk);
                shared.bytes += bytes;
                shared.left = chunk.address().wrapping_add(HEADER);
                shared.bytes_left = bytes - HEADER;
                shared.bytes_bare = if shared.bytes > CHUNKS_OF_PAGES * SMALL_CHUNK { bytes } else { 0 };
            }
            let kind = shared.chunks.last()?.kind();
            // Small maps do not give each thread a page.
            let most = RUN.min(shared.bytes / 64).max(size);
            let run = shared.bytes_left.min(most) / size * size;
            let start = shared.left;
            let is_bare = shared.bytes_left - run < shared.bytes_bare;
            let bare = is_bare.then(|| start.wrapping_add(shared.bytes_left).wrapping_sub(shared.bytes_bare));
            shared.bytes_bare -= if is_bare { PAGES } else { 0 };
            shared.left = start.wrapping_add(run);
            shared.bytes_left -= run;
            Some((Handle::of(start, kind), run, bare))
        })?;
        if let Some(bare) = bare {
            // SAFETY: a part of the chunk, which stays; it starts at a multiple of `PAGES`, which is one of the page size.
            unsafe { populate_pages(bare.cast(), PAGES) };
        }
        Some((run, bytes))
    }

    /// A chunk with its header; `None` when there is no memory for it.
    fn chunk(pool: NonNull<Self>, kind: usize) -> Option<Handle> {
        let memory = if kind == SMALL {
            // SAFETY: not of size zero.
            NonNull::new(unsafe { alloc(SMALL_LAYOUT) })
        } else {
            map_huge(LARGE_CHUNK)
        }?;
        // SAFETY: the chunk begins with room for it, and nobody else has the chunk.
        unsafe { memory.cast::<NonNull<Self>>().write(pool) };
        Some(Handle::of(memory.as_ptr(), kind))
    }

    /// Gives memory back.
    ///
    /// # Safety
    ///
    /// It comes from [`allocate`](Self::allocate), and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn release(&self, entry: Handle) {
        if !entry.is_cut() {
            // SAFETY: from `boxed`, with this layout.
            unsafe { dealloc(entry.address(), self.layout) };
            return;
        }
        self.locals.with_own(|local| {
            // SAFETY: as promised.
            unsafe { self.push(local, entry) };
        });
    }

    /// # Safety
    ///
    /// As for `release`; the entry is cut from a chunk of this pool, and the caller has the stripe.
    #[inline]
    unsafe fn push(&self, local: &Local, entry: Handle) {
        if local.count.get() == BATCH {
            let full = local.spare.replace(local.free.replace(ptr::null_mut()));
            local.count.set(0);
            if !full.is_null() {
                self.with_shared(|shared| shared.batches.push(full));
            }
        }
        // SAFETY: memory of an entry that nobody uses.
        unsafe { entry.address().cast::<Free>().write(Free { next: local.free.get() }) };
        local.free.set(entry.0);
        local.count.set(local.count.get() + 1);
    }

    /// An entry that was counted was not published.
    pub(super) fn uncount(&self) {
        self.locals.with_own(|local| bump(&local.added, usize::MAX));
    }

    /// An entry is retired; how many this thread had retired.
    #[inline]
    pub(super) fn count_retired(&self, entry: Handle) -> usize {
        self.locals.with_own(|local| {
            if entry.is_cut() {
                bump(&local.deferred, 1);
            }
            bump(&local.retired, 1)
        })
    }

    /// Gives back the memory of an entry that was retired.
    ///
    /// # Safety
    ///
    /// As for [`release`](Self::release); the entry is cut from a chunk, was counted by
    /// [`count_retired`](Self::count_retired), and this is the one call for it.
    pub(super) unsafe fn reclaim(entry: Handle) {
        // SAFETY: invariant 3 of `Pool`: this entry is not counted yet.
        let pointer = unsafe { entry.pool() };
        // SAFETY: alive, as above.
        let pool = unsafe { pointer.as_ref() };
        pool.locals.with_own(|local| {
            // SAFETY: as promised.
            unsafe { pool.push(local, entry) };
        });
        // Release: the push comes before the pool is freed. PAIR(map-pool)
        let is_closed = pool.locals.near().reclaimed.fetch_add(1, Ordering::Release) & CLOSED != 0;
        // AcqRel: all pushes come before the pool is freed. PAIR(map-pool)
        if is_closed && pool.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: closed, and nothing is left that would use it; it was made by `new`.
            drop(unsafe { Box::from_raw(pointer.as_ptr()) });
        }
    }

    /// The map is gone: the pool is freed when all that was retired has been reclaimed.
    ///
    /// # Safety
    ///
    /// It was made by [`new`](Self::new), and nothing is allocated, released or retired any more.
    pub(super) unsafe fn close(pool: NonNull<Self>) {
        // SAFETY: alive until `remaining` has been counted down.
        let this = unsafe { pool.as_ref() };
        let mut deferred = 0_usize;
        let mut reclaimed = 0_usize;
        for local in this.locals.all() {
            // Relaxed: written before the map was given up.
            deferred = deferred.wrapping_add(local.deferred.load(Ordering::Relaxed));
            // AcqRel: what was pushed comes before the pool is freed. PAIR(map-pool)
            reclaimed += local.reclaimed.fetch_or(CLOSED, Ordering::AcqRel);
        }
        // Below zero, before this is added, is a large number here.
        let remaining = deferred.wrapping_sub(reclaimed);
        // AcqRel: as above. Who counts down to zero frees; nobody does before this is added. PAIR(map-pool)
        if this.remaining.fetch_add(remaining, Ordering::AcqRel).wrapping_add(remaining) == 0 {
            // SAFETY: closed, and nothing is left that would use it.
            drop(unsafe { Box::from_raw(pool.as_ptr()) });
        }
    }

    /// How many entries there are; exact when nothing is going on.
    pub(super) fn live(&self) -> usize {
        // Relaxed: numbers.
        let sum = |which: fn(&Local) -> &AtomicUsize| {
            self.locals.all().fold(0_usize, |sum, local| sum.wrapping_add(which(local).load(Ordering::Relaxed)))
        };
        let retired = sum(|local| &local.retired);
        let live = sum(|local| &local.added).wrapping_sub(retired);
        // Less than none: what came was counted elsewhere, and not seen yet.
        if live > usize::MAX / 2 { 0 } else { live }
    }

    /// Bytes of all chunks, and of as many boxes as there may be.
    pub(super) fn bytes(&self) -> usize {
        let boxes = self.live() * self.layout.size();
        self.with_shared(|shared| shared.bytes.max(boxes))
    }

    fn with_shared<R>(&self, work: impl FnOnce(&mut Shared) -> R) -> R {
        let mut backoff = Backoff::brisk();
        let generation = self.generation.number();
        let mut free = 0;
        // Acquire pairs with the Release below. PAIR(map-shared)
        while let Err(holder) = self.lock.compare_exchange(free, generation, Ordering::Acquire, Ordering::Relaxed) {
            if holder != generation {
                // It was given back, or is that of a thread of an ancestor, which does not exist here.
                free = holder;
            } else if !backoff.snooze() {
                std::thread::sleep(core::time::Duration::from_micros(50));
            }
        }
        if free != 0 {
            // SAFETY: under the lock.
            unsafe { Shared::forget(self.shared.get()) };
        }
        // SAFETY: under the lock; `work` does not come back here.
        let answer = work(unsafe { &mut *self.shared.get() });
        // Release: the next one sees what was done. PAIR(map-shared)
        self.lock.store(0, Ordering::Release);
        answer
    }
}

const SMALL_LAYOUT: Layout = match Layout::from_size_align(SMALL_CHUNK, SMALL_CHUNK) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

impl Drop for Pool {
    /// Frees the chunks; nobody has an entry any more.
    fn drop(&mut self) {
        // Relaxed: nobody has the pool. Who holds it all the same was not forked along.
        if self.lock.load(Ordering::Relaxed) != 0 {
            // SAFETY: as said.
            unsafe { Shared::forget(self.shared.get()) };
        }
        for chunk in self.shared.get_mut().chunks.drain(..) {
            if chunk.kind() == SMALL {
                // SAFETY: allocated with this layout.
                unsafe { dealloc(chunk.address(), SMALL_LAYOUT) };
            } else if let Some(memory) = NonNull::new(chunk.address()) {
                // SAFETY: mapped with this size.
                unsafe { unmap_huge(memory, LARGE_CHUNK) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripe_that_others_have_filled_meanwhile_loses_nothing() {
        let pool = Pool::new(Layout::new::<u64>());
        // SAFETY: not closed yet.
        let this = unsafe { pool.as_ref() };
        let entries: Vec<Handle> = (0..BOXES + 3000).map(|_| this.allocate(8).0).collect();
        for &entry in &entries {
            // SAFETY: allocated above, and used by nobody.
            unsafe { this.release(entry) };
        }
        let before: Vec<Handle> = entries.into_iter().filter(|entry| entry.is_cut()).collect();
        // What a thread does that has found a shared stripe empty, and others have given entries back to it since. There is a run
        // of fresh ones at most besides.
        let again: Vec<Handle> = (0..before.len() + RUN / 8).map(|_| this.allocate_more().0).collect();
        assert!(before.iter().all(|entry| again.contains(entry)), "lost");
        // SAFETY: made above; nothing was retired.
        unsafe { Pool::close(pool) };
    }

    #[test]
    fn what_a_thread_of_a_parent_was_changing_is_begun_anew() {
        const PARENTS: u64 = u64::MAX;
        let pool = Pool::new(Layout::new::<u64>());
        // SAFETY: not closed yet.
        let this = unsafe { pool.as_ref() };
        let before: Vec<Handle> = (0..BOXES + 1000).map(|_| this.allocate(8).0).collect();
        // Nothing of it is used, or freed.
        let chunks = this.with_shared(|shared| std::mem::take(&mut shared.chunks));
        this.lock.store(PARENTS, Ordering::Relaxed);
        let after: Vec<Handle> = (0..10_000).map(|_| this.allocate(8).0).collect();
        assert_eq!(this.lock.load(Ordering::Relaxed), 0);
        assert!(after.iter().all(|entry| !before.contains(entry)));
        for &entry in before.iter().chain(&after) {
            // SAFETY: allocated above, and used by nobody.
            unsafe { this.release(entry) };
        }
        this.with_shared(|shared| shared.chunks.extend(chunks));
        // SAFETY: made above; nothing was retired.
        unsafe { Pool::close(pool) };
    }
}

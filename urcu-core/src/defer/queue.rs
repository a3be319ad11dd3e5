//! One thread's queue of deferred calls: filled by its owner with plain stores, emptied under a lock by whoever
//! reclaims.
//!
//! ```text
//!           owner                          reclaimer (holds the lock)
//!  filling ──► [ block being filled ]
//!                 │ full
//!                 ▼
//!  sealed  ──► [ ]─►[ ]   latest first ──► first ──► [ ]─►[ ] ◄── last   oldest first, each with
//!                                                                       the period it waits for
//!  spare   ◄───────────────────────────── emptied blocks
//! ```
//!
//! The owner takes no lock and executes no locked instruction per call: one compare-exchange per sealed block. The
//! reclaimer is the owner itself while it is busy (a few calls at a time, which the allocator likes best: the freed
//! memory is reused at once, while it is in the cache), or a worker when the owner has gone quiet.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr;

use crate::backoff::Backoff;
use crate::defer::block::{BLOCK_CALLS, Block, Call};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, CachePadded, Ordering, Watched, in_model, spin_loop};
use crate::weaken;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held by a thread that forks.
const FORKING: u32 = 2;

/// See the [module page](self).
pub(crate) struct Queue {
    filling: CachePadded<AtomicPtr<Block>>,
    sealed: AtomicPtr<Block>,
    spare: AtomicPtr<Block>,
    /// Calls in the blocks sealed so far.
    sealed_calls: AtomicU64,
    /// Held by the one who reclaims.
    lock: CachePadded<AtomicU32>,
    executed: AtomicU64,
    /// When the oldest call of the chain was added, in coarse nanoseconds; `u64::MAX` while the chain is empty.
    chain_since: AtomicU64,
    chain: UnsafeCell<Chain>,
    chain_watched: Watched,
}

/// Sealed blocks, oldest first.
#[derive(Debug)]
pub(crate) struct Chain {
    first: *mut Block,
    last: *mut Block,
    /// Whether the first block's grace period has ended.
    pub(crate) ready: bool,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            filling: CachePadded(AtomicPtr::new(ptr::null_mut())),
            sealed: AtomicPtr::new(ptr::null_mut()),
            spare: AtomicPtr::new(ptr::null_mut()),
            sealed_calls: AtomicU64::new(0),
            lock: CachePadded(AtomicU32::new(0)),
            executed: AtomicU64::new(0),
            chain_since: AtomicU64::new(u64::MAX),
            chain: UnsafeCell::new(Chain { first: ptr::null_mut(), last: ptr::null_mut(), ready: false }),
            chain_watched: Watched::new(),
        }
    }

    /// The block that the owner fills, if it has one.
    #[inline]
    pub(crate) fn filling(&self) -> Option<&Block> {
        // Acquire: the block's initialisation before its address. PAIR(filling)
        let block = self.filling.load(Ordering::Acquire);
        // SAFETY: blocks are freed only with their queue, which is never.
        let block = unsafe { block.as_ref() };
        #[cfg(urcu_loom)]
        if let Some(block) = block {
            block.made.is_read();
        }
        block
    }

    /// Gives the owner an empty block to fill. Allocates when no spare one is left. The owner's.
    pub(crate) fn refill(&self) -> &Block {
        let block = match self.pop_spare() {
            Some(block) => block,
            None => Box::into_raw(Block::new()),
        };
        if self.filling().is_some_and(|block| block.len() != BLOCK_CALLS) {
            // The allocator has deferred calls itself, and a block for them.
            push(&self.spare, block);
            return self.filling().expect("just seen");
        }
        // Release. PAIR(filling)
        self.filling.store(block, Ordering::Release);
        // SAFETY: as in `filling`.
        unsafe { &*block }
    }

    /// Hands the full block over to the reclaimer. The owner's.
    pub(crate) fn seal(&self) {
        let block = self.filling.load(Ordering::Relaxed);
        debug_assert!(!block.is_null());
        // SAFETY: as in `filling`.
        let full = unsafe { &*block };
        self.sealed_calls.store(self.sealed_calls.load(Ordering::Relaxed) + full.len() as u64, Ordering::Relaxed);
        // In this order: a reclaimer that finds no block being filled finds this one sealed. PAIR(filling)
        weaken!("sealed-before-let-go", push(&self.sealed, block) => ());
        self.filling.store(ptr::null_mut(), Ordering::Release);
        weaken!("sealed-before-let-go", () => push(&self.sealed, block));
    }

    /// Takes the oldest spare block. The owner alone pops, so a block cannot come back between the two loads.
    fn pop_spare(&self) -> Option<*mut Block> {
        // Acquire: emptied before it was pushed. PAIR(block-stack)
        let mut top = self.spare.load(Ordering::Acquire);
        loop {
            // SAFETY: as in `filling`.
            let block = unsafe { top.as_ref() }?;
            let next = block.next.load(Ordering::Relaxed);
            // Relaxed: the owner alone pops, so what has not changed is the very push that has been acquired.
            match self.spare.compare_exchange_weak(top, next, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return Some(top),
                Err(now) => top = now,
            }
        }
    }

    /// Becomes the reclaimer, unless somebody else is.
    #[inline]
    pub(crate) fn try_reclaim(&self) -> Option<Reclaimer<'_>> {
        // Acquire pairs with the Release of the reclaimer before. PAIR(reclaimer)
        let taken = self.lock.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok();
        taken.then(|| Reclaimer { queue: self })
    }

    /// Becomes the reclaimer, waiting for the current one. Not on a thread that reclaims this queue already.
    pub(crate) fn reclaim(&self) -> Reclaimer<'_> {
        let mut backoff = Backoff::new();
        loop {
            if let Some(reclaimer) = self.try_reclaim() {
                return reclaimer;
            }
            if !backoff.snooze() {
                if in_model() {
                    spin_loop();
                    continue;
                }
                backoff = Backoff::new();
                std::thread::sleep(core::time::Duration::from_micros(100));
            }
        }
    }

    /// Before `fork`: keeps everybody else from emptying the queue until [`release_after_fork`](Self::release_after_fork).
    pub(crate) fn hold_for_fork(&self) {
        core::mem::forget(self.reclaim());
        self.lock.store(FORKING, Ordering::Relaxed);
    }

    /// After `fork`, in either process.
    pub(crate) fn release_after_fork(&self) {
        // Release. PAIR(reclaimer)
        let _ = self.lock.compare_exchange(FORKING, FREE, Ordering::Release, Ordering::Relaxed);
    }

    /// In a forked child, where nobody is emptying the queue, but its owner may have vanished between any two of its steps:
    /// leaves it as between two calls. Returns what its sealed blocks count for.
    pub(crate) fn mend(&self) -> Emptied {
        // SAFETY: the child has one thread, and it is here.
        let first = unsafe { &*self.chain.get() }.first;
        let filling = self.filling.load(Ordering::Relaxed);
        let (mut counted, mut pending, mut elsewhere) = (Emptied::default(), 0, false);
        let stacks =
            [(first, true), (self.sealed.load(Ordering::Relaxed), true), (self.spare.load(Ordering::Relaxed), false)];
        for (top, is_sealed) in stacks {
            let mut at = top;
            // SAFETY: null or a block; blocks are never freed.
            while let Some(block) = unsafe { at.as_ref() } {
                elsewhere |= ptr::eq(at, filling);
                if is_sealed {
                    counted += Emptied { calls: block.len(), bytes: block.bytes() };
                    pending += block.pending();
                }
                at = block.next.load(Ordering::Relaxed);
            }
        }
        let mut taken = 0;
        // SAFETY: as above.
        if let Some(block) = unsafe { filling.as_ref() } {
            if elsewhere {
                // Sealed (and maybe emptied since), but not let go of yet.
                self.filling.store(ptr::null_mut(), Ordering::Relaxed);
            } else if block.len() == BLOCK_CALLS {
                counted += Emptied { calls: block.len(), bytes: block.bytes() };
                pending += block.pending();
                push(&self.sealed, filling);
                self.filling.store(ptr::null_mut(), Ordering::Relaxed);
            } else {
                taken = block.len() - block.pending();
            }
        }
        let executed = self.executed.load(Ordering::Relaxed);
        self.sealed_calls.store((executed + pending as u64).saturating_sub(taken as u64), Ordering::Relaxed);
        counted
    }

    /// In a forked child: if a thread that does not exist was emptying the queue, what is in it is lost, and a fresh start
    /// made.
    /// (What a thread holds that was about to fork itself is whole.)
    pub(crate) fn give_up_if_held(&self) {
        if self.lock.load(Ordering::Acquire) != HELD {
            return;
        }
        // SAFETY: the child has one thread, and the holder is not it.
        unsafe { self.chain.get().write(Chain { first: ptr::null_mut(), last: ptr::null_mut(), ready: false }) };
        self.filling.store(ptr::null_mut(), Ordering::Relaxed);
        self.sealed.store(ptr::null_mut(), Ordering::Relaxed);
        self.spare.store(ptr::null_mut(), Ordering::Relaxed);
        self.executed.store(self.sealed_calls.load(Ordering::Relaxed), Ordering::Relaxed);
        self.chain_since.store(u64::MAX, Ordering::Relaxed);
        self.lock.store(FREE, Ordering::Release);
    }

    /// Calls ever added. A snapshot.
    pub(crate) fn queued(&self) -> u64 {
        self.sealed_calls.load(Ordering::Relaxed) + self.filling().map_or(0, |block| block.len() as u64)
    }

    /// Whether there are calls in it, or sealed blocks that have none left (they were taken while the block was being filled)
    /// but count against the limits. A snapshot.
    pub(crate) fn holds_anything(&self) -> bool {
        self.queued() != self.executed()
            || !self.sealed.load(Ordering::Relaxed).is_null()
            || self.chain_since.load(Ordering::Relaxed) != u64::MAX
    }

    /// When the oldest pending call was added, as far as blocks tell; `u64::MAX` if there is none. A snapshot.
    pub(crate) fn oldest(&self) -> u64 {
        let filling = self.filling().filter(|block| block.pending() != 0).map_or(u64::MAX, Block::since);
        self.chain_since.load(Ordering::Relaxed).min(filling)
    }

    /// Calls ever taken out. A snapshot.
    pub(crate) fn executed(&self) -> u64 {
        self.executed.load(Ordering::Relaxed)
    }
}

/// Pushes onto a stack of blocks.
fn push(stack: &AtomicPtr<Block>, block: *mut Block) {
    let mut top = stack.load(Ordering::Relaxed);
    loop {
        // SAFETY: blocks are never freed, and the caller owns this one.
        unsafe { &*block }.next.store(top, Ordering::Relaxed);
        // Release: everything about the block before it can be found. PAIR(block-stack)
        match stack.compare_exchange_weak(top, block, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => top = now,
        }
    }
}

/// The right to empty a queue.
pub(crate) struct Reclaimer<'q> {
    queue: &'q Queue,
}

impl Reclaimer<'_> {
    /// Whether the owner has sealed blocks that nobody has collected yet.
    #[inline]
    pub(crate) fn has_sealed(&self) -> bool {
        !self.queue.sealed.load(Ordering::Relaxed).is_null()
    }

    /// Appends the sealed blocks to the chain. `begin` is called once, after they are ours, and says which period they
    /// wait for.
    pub(crate) fn collect(&mut self, begin: impl FnOnce() -> u64) {
        // Acquire. PAIR(block-stack)
        let mut latest = self.queue.sealed.swap(ptr::null_mut(), Ordering::Acquire);
        if latest.is_null() {
            return;
        }
        let period = begin();
        let mut oldest: *mut Block = ptr::null_mut();
        let newest = latest;
        while !latest.is_null() {
            // SAFETY: ours since the swap; never freed.
            let block = unsafe { &*latest };
            // SAFETY: the reclaimer's field of a sealed block (invariant 3 of `Block`).
            unsafe { *block.period.get() = period };
            let before = block.next.load(Ordering::Relaxed);
            block.next.store(oldest, Ordering::Relaxed);
            (oldest, latest) = (latest, before);
        }
        // SAFETY: the last block of the chain, if any, is ours.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.store(oldest, Ordering::Relaxed),
            None => self.first = oldest,
        }
        self.last = newest;
        self.note_oldest();
    }

    /// The oldest sealed block.
    #[inline]
    pub(crate) fn first(&self) -> Option<&Block> {
        // SAFETY: null or a block of ours; blocks are never freed.
        unsafe { self.first.as_ref() }
    }

    /// Which period the oldest sealed block waits for.
    pub(crate) fn first_period(&self) -> Option<u64> {
        // SAFETY: the reclaimer's field (invariant 3 of `Block`).
        self.first().map(|block| unsafe { *block.period.get() })
    }

    /// Takes the oldest call of the first block. The block leaves the chain, and adds to `emptied`, with its last call;
    /// `None` when it had none left (they were taken while it was being filled) or there is no block.
    #[inline]
    pub(crate) fn take(&mut self, emptied: &mut Emptied) -> Option<Call> {
        let first = self.first()?;
        let call = first.take();
        let is_empty = first.pending() == 0;
        if call.is_some() {
            self.queue.executed.store(self.queue.executed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        if is_empty {
            *emptied += self.recycle_first();
        }
        call
    }

    fn note_oldest(&self) {
        let since = self.first().map_or(u64::MAX, Block::since);
        self.queue.chain_since.store(since, Ordering::Relaxed);
    }

    #[cold]
    fn recycle_first(&mut self) -> Emptied {
        let block = self.first;
        // SAFETY: the first block of the chain.
        let emptied = unsafe { &*block };
        let counted = Emptied { calls: emptied.len(), bytes: emptied.bytes() };
        self.first = emptied.next.load(Ordering::Relaxed);
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        self.ready = false;
        self.note_oldest();
        emptied.reset();
        push(&self.queue.spare, block);
        counted
    }

    /// Takes every call that has been added so far, whatever it waits for: chain, sealed blocks, the block being filled.
    pub(crate) fn take_all(&mut self, calls: &mut Vec<Call>) -> Emptied {
        let mut emptied = Emptied::default();
        loop {
            // The period does not matter: nothing stays in the chain.
            self.collect(|| 0);
            while self.first().is_some() {
                calls.extend(self.take(&mut emptied));
            }
            // In this order: a block is sealed before the next one is found here; so when none is sealed, all that are older
            // than these calls have been taken. (The block's address alone would not tell: it may have been sealed, emptied above,
            // and filled again; hence no more than the calls that were in it before the look.)
            let filling = self.queue.filling();
            let there = weaken!("take-all-counts", filling.map_or(0, Block::pending) => usize::MAX);
            if weaken!("take-all-looks-again", self.has_sealed() => false) {
                continue;
            }
            let Some(filling) = filling else { break };
            // It may be sealed now; whoever collects it finds these calls taken.
            let mut taken = 0;
            while taken < there as u64
                && let Some(call) = filling.take()
            {
                calls.push(call);
                taken += 1;
            }
            self.queue.executed.store(self.queue.executed.load(Ordering::Relaxed) + taken, Ordering::Relaxed);
            if taken != 0 {
                // What comes from now on is no older; a racing note of the owner's says the same.
                filling.note_start(crate::sys::coarse_nanos());
            }
            break;
        }
        emptied
    }
}

impl Deref for Reclaimer<'_> {
    type Target = Chain;

    #[inline]
    fn deref(&self) -> &Chain {
        self.queue.chain_watched.is_read();
        // SAFETY: the lock makes the chain ours.
        unsafe { &*self.queue.chain.get() }
    }
}

impl DerefMut for Reclaimer<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Chain {
        self.queue.chain_watched.is_written();
        // SAFETY: the lock makes the chain ours.
        unsafe { &mut *self.queue.chain.get() }
    }
}

impl Drop for Reclaimer<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release. PAIR(reclaimer)
        self.queue.lock.store(FREE, Ordering::Release);
    }
}

/// What emptied blocks held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Emptied {
    pub(crate) calls: usize,
    pub(crate) bytes: usize,
}

impl core::ops::AddAssign for Emptied {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.bytes += other.bytes;
    }
}

// SAFETY: calls are `Send`; the module page says who may touch which field.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

const _: () = assert!(BLOCK_CALLS.is_power_of_two());

/// A queue alone, for the model checker. Its blocks are sealed when a model says so.
#[cfg(urcu_loom)]
#[allow(missing_docs)]
pub mod model {
    use super::{Call, Emptied};

    pub struct Queue(super::Queue);

    impl Queue {
        pub fn leaked() -> &'static Self {
            Box::leak(Box::new(Self(super::Queue::new())))
        }

        /// The owner's. A number stands for a call.
        pub fn add(&self, number: usize) {
            unsafe extern "C" fn nothing(_: *mut core::ffi::c_void) {}
            let call = Call { function: nothing, argument: core::ptr::without_provenance_mut(number) };
            let block = self.0.filling().unwrap_or_else(|| self.0.refill());
            block.push(call, 0).expect("there is room");
        }

        /// The owner's.
        pub fn seal(&self) {
            self.0.seal();
        }

        /// Takes what is sealed, unless somebody else is at it.
        pub fn take_sealed(&self) -> Vec<usize> {
            let (mut taken, mut emptied) = (Vec::new(), Emptied::default());
            if let Some(mut reclaimer) = self.0.try_reclaim() {
                reclaimer.collect(|| 0);
                while reclaimer.first().is_some() {
                    taken.extend(reclaimer.take(&mut emptied).map(|call| call.argument.addr()));
                }
            }
            taken
        }

        /// Takes everything, after whoever is at it.
        pub fn take_all(&self) -> Vec<usize> {
            let mut calls = Vec::new();
            self.0.reclaim().take_all(&mut calls);
            calls.iter().map(|call| call.argument.addr()).collect()
        }

        /// Everything is where a fork may find it, meanwhile.
        pub fn hold_for_fork(&self) {
            self.0.hold_for_fork();
        }

        pub fn release_after_fork(&self) {
            self.0.release_after_fork();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::ffi::c_void;

    use super::*;

    unsafe extern "C" fn count(counter: *mut c_void) {
        // SAFETY: the test's own counters, which outlive it. Plain memory: a call is run once, by the one who took it.
        unsafe { *counter.cast::<u64>() += 1 };
    }

    /// Takes and runs some of what is sealed; how many calls that was. No whole block: emptied blocks, too, go from one to the other.
    fn reclaim_some(queue: &Queue) -> u64 {
        let Some(mut reclaimer) = queue.try_reclaim() else { return 0 };
        reclaimer.collect(|| 0);
        let (mut ran, mut emptied) = (0, Emptied::default());
        while reclaimer.first().is_some() && ran < 100 {
            if let Some(call) = reclaimer.take(&mut emptied) {
                // SAFETY: taken once.
                unsafe { call.run() };
                ran += 1;
            }
        }
        ran
    }

    /// The owner fills blocks, and both take turns in emptying them.
    #[test]
    fn owner_and_worker_take_turns() {
        const BLOCKS: usize = 60;
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let counters: &'static mut [u64] = Box::leak(vec![0; BLOCKS * BLOCK_CALLS].into_boxed_slice());
        let first = counters.as_mut_ptr() as usize;
        let all = (BLOCKS * BLOCK_CALLS) as u64;
        // Relaxed: the queue alone orders the two.
        let ran = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while ran.load(Ordering::Relaxed) != all {
                    ran.fetch_add(reclaim_some(queue), Ordering::Relaxed);
                    std::thread::yield_now();
                }
            });
            for at in 0..BLOCKS * BLOCK_CALLS {
                let argument = (first as *mut u64).wrapping_add(at).cast();
                let call = Call { function: count, argument };
                let block = queue.filling().unwrap_or_else(|| queue.refill());
                if block.push(call, 0) == Some(BLOCK_CALLS) {
                    queue.seal();
                    if (at / BLOCK_CALLS).is_multiple_of(2) {
                        ran.fetch_add(reclaim_some(queue), Ordering::Relaxed);
                    }
                    std::thread::yield_now();
                }
            }
        });
        assert!(counters.iter().all(|count| *count == 1));
    }
}

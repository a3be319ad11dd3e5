//! Light and heavy barriers: the one contract that three flavors fill in differently, and what lies outside the
//! language's memory model.
//!
//! # The contract
//!
//! A *heavy* barrier by an updater and the *light* barriers of a reader pair up like two full fences: for each reader
//! there is a point in its program order, between the start and the end of the heavy barrier, such that
//!
//! 1. what the reader did before the point is visible to the updater after the heavy barrier, and
//! 2. what the updater did before the heavy barrier is visible to the reader after the point.
//!
//! The point never falls *between* a section's store of its word and its first protected load in such a way that the
//! load, but not the store, lies before it: the light barrier keeps the two in order. Light barriers order nothing
//! among themselves without a heavy one.
//!
//! | flavor | light | heavy |
//! |---|---|---|
//! | mb | one locked read-modify-write, a full fence | a full fence |
//! | membarrier, bp | compiler fence | `membarrier(PRIVATE_EXPEDITED)`: the kernel interrupts every running thread of the process |
//! | signal | compiler fence | a signal to every registered thread, whose handler executes a full fence |
//! | shm | compiler fence, or a full fence | `membarrier(GLOBAL_EXPEDITED)`: as membarrier, for every process that has registered; or a full fence |
//! | qsbr | none | a full fence (coming online has one, too) |
//!
//! # What the language does not say
//!
//! Neither Rust's nor C++'s memory model knows a fence that is executed on another thread's behalf. For `membarrier`
//! and signals the argument rests on the machine: the kernel documents that after the call every running thread has
//! passed a point with a full barrier, a thread that is not running has passed one in the scheduler, and an interrupt
//! or handler runs at one place between two instructions of the reader. That the *compiler* keeps the two accesses in
//! program order is what the compiler fence is for. Where no heavy barrier is involved, the ordinary model suffices
//! and is what the comments argue with.
//!
//! For mb on x86-64 the fence is folded into the store of the word, an `xchg`. It is written as inline assembly, which
//! may stand for any Rust code with the same effect: a Release store followed by `fence(SeqCst)`. The instruction set
//! orders an `xchg` against all loads and stores on both its sides.

use crate::sync::{AtomicU64, Ordering, compiler_fence};
use crate::weaken;

/// What a flavor's readers do between storing their word and their first protected load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LightBarrier {
    /// A full fence; the heavy barrier may then be one as well.
    Full,
    /// Only the compiler is kept from reordering; the heavy barrier reaches every reader's processor.
    Compiler,
}

impl LightBarrier {
    /// Stores the word of a section that begins, then the barrier: steps R2 and R3 of a grace period.
    #[inline(always)]
    pub(crate) fn store_and_fence(self, word: &AtomicU64, value: u64) {
        match self {
            Self::Full => {
                weaken!("light-barrier", store_with_full_fence(word, value) => word.store(value, Ordering::Release));
            }
            Self::Compiler => {
                // Release, because a scan may meet this store instead of the end of the section before it, which
                // must then happen before the scan all the same. PAIR(section-end)
                word.store(value, Ordering::Release);
                compiler_fence(Ordering::SeqCst);
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, urcu_loom))))]
#[inline(always)]
fn store_with_full_fence(word: &AtomicU64, value: u64) {
    let address = word.as_ptr();
    // SAFETY: a locked exchange on a valid, aligned atomic. Without `nomem` the compiler takes the block for an access
    // to any memory and moves nothing across it.
    unsafe {
        core::arch::asm!(
            "xchg qword ptr [{address}], {value}",
            address = in(reg) address,
            value = inout(reg) value => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, urcu_loom)))))]
#[inline(always)]
fn store_with_full_fence(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
    crate::sync::fence(Ordering::SeqCst);
}

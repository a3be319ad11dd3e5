//! What is read, and the loops that read it: one definition for the program and for criterion.
//!
//! Every contender runs the same two nested loops: `blocks` times `length` sections, and a quiescent
//! state after each block where the flavor wants one. A section locks, loads the shared pointer,
//! reads one field and unlocks. The field of a node that readers may see holds [`LIVE`], so the sum
//! that a loop returns is known beforehand; an updater stores [`DEAD`] into a node once its grace
//! period is over, so a section that outlived its grace period makes the sum come out wrong.

use std::arch::asm;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The field of a node that readers may reach.
pub const LIVE: u64 = 1;
/// The field of a node whose grace period is over.
pub const DEAD: u64 = 0;

/// Sections between two quiescent states in the suite `read`.
pub const READ_LENGTH: u64 = 1024;
/// Blocks per timed batch in the suite `read`: 16,384 sections between two looks at the clock.
pub const READ_BLOCKS: u64 = 16;
/// Sections between two quiescent states of the busy reader in the suite `grace`.
pub const BUSY_LENGTH: u64 = 128;

/// What the shared pointer points to. The layout is shared with the C shims.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Node {
    /// [`LIVE`] or [`DEAD`].
    pub value: AtomicU64,
}

impl Node {
    /// A node that readers may see.
    pub const fn live() -> Self {
        Self { value: AtomicU64::new(LIVE) }
    }

    /// The one field that a section reads.
    #[inline(always)]
    pub fn read(&self) -> u64 {
        // Relaxed: what orders this read is the pointer's load before it and the flavor under test.
        self.value.load(Ordering::Relaxed)
    }
}

/// The shared pointer of the raw tier and of the C library. The layout is shared with the C shims.
///
/// Owns the node that it points to, plus a spare one for each updater that asks.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    pointer: AtomicPtr<Node>,
}

impl Slot {
    /// A slot that points to a live node.
    pub fn new() -> Self {
        Self { pointer: AtomicPtr::new(Box::into_raw(Box::new(Node::live()))) }
    }

    /// The pointer itself, for contenders that bring their own way of loading it.
    #[inline(always)]
    pub fn pointer(&self) -> &AtomicPtr<Node> {
        &self.pointer
    }

    /// Publishes `fresh` and returns the node that was there, which readers may still hold.
    pub fn swap(&self, fresh: Box<Node>) -> *mut Node {
        fresh.value.store(LIVE, Ordering::Relaxed);
        // AcqRel: publishes the field above to the readers' loads of the pointer, and takes over
        // the node that another updater published.
        self.pointer.swap(Box::into_raw(fresh), Ordering::AcqRel)
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let node = *self.pointer.get_mut();
        // SAFETY: the slot owns the node that it points to (it came from a box), and `&mut self`
        // says that no reader is left.
        drop(unsafe { Box::from_raw(node) });
    }
}

/// An updater's side of a [`Slot`]: replaces the node, waits, and poisons the one that was replaced.
#[derive(Debug)]
pub struct Replacer<'s> {
    slot: &'s Slot,
    spare: Option<Box<Node>>,
}

impl<'s> Replacer<'s> {
    /// An updater of `slot` with a spare node of its own.
    pub fn new(slot: &'s Slot) -> Self {
        Self { slot, spare: Some(Box::new(Node::live())) }
    }

    /// Unlinks the current node, calls `wait`, and declares the unlinked node dead.
    ///
    /// # Safety
    /// `wait` returns only after every section that was open at its call has ended.
    pub unsafe fn replace<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        let fresh = self.spare.take().unwrap_or_else(|| Box::new(Node::live()));
        let unlinked = self.slot.swap(fresh);
        let answer = wait();
        // SAFETY: nodes of a slot come from boxes, this one is unlinked, and the caller vouches
        // that no section that could have loaded it is open any more.
        let unlinked = unsafe { Box::from_raw(unlinked) };
        unlinked.value.store(DEAD, Ordering::Relaxed);
        self.spare = Some(unlinked);
        answer
    }
}

/// One thread's ability to run measured sections.
pub trait Worker {
    /// `blocks` times `length` sections; the sum of the fields that they read.
    fn flat(&mut self, blocks: u64, length: u64) -> u64;

    /// The same, with the sections of a block inside one outer section.
    fn nested(&mut self, blocks: u64, length: u64) -> u64;
}

/// What the threads of one measurement share.
pub trait Subject: Send + Sync {
    /// Prepares the calling thread (registers it, where that is asked for).
    ///
    /// # Errors
    /// Says why this thread cannot read.
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String>;
}

/// A section as one contender writes it; [`Looped`] puts the common loops around it.
pub trait ReadSide {
    /// Lock, load the pointer, read the field, unlock.
    fn section(&mut self) -> u64;

    /// `length` sections inside one outer section.
    fn nested_sections(&mut self, length: u64) -> u64;

    /// Announces a quiescent state, where the flavor wants one.
    #[inline(always)]
    fn quiescent_state(&mut self) {}
}

/// The loops that every Rust contender is measured in.
#[derive(Debug)]
pub struct Looped<R>(pub R);

impl<R: ReadSide> Worker for Looped<R> {
    #[inline(never)]
    fn flat(&mut self, blocks: u64, length: u64) -> u64 {
        let mut sum = 0;
        for _ in 0..blocks {
            sum += sum_of(length, || self.0.section());
            self.0.quiescent_state();
        }
        black_box(sum)
    }

    #[inline(never)]
    fn nested(&mut self, blocks: u64, length: u64) -> u64 {
        let mut sum = 0;
        for _ in 0..blocks {
            sum += self.0.nested_sections(length);
            self.0.quiescent_state();
        }
        black_box(sum)
    }
}

/// Sums `length` calls of a section: the inner loop of every Rust contender.
#[inline(always)]
pub fn sum_of(length: u64, mut section: impl FnMut() -> u64) -> u64 {
    let mut sum = 0;
    let mut left = length;
    while left != 0 {
        sum += section();
        left = opaque(left - 1);
    }
    sum
}

/// Hides the counter from the compiler, at no instruction: it would otherwise unroll the loop around
/// some contenders' sections and not around others'. The C loops do the same.
#[inline(always)]
pub fn opaque(mut counter: u64) -> u64 {
    // SAFETY: no instruction at all; the register keeps its value.
    unsafe {
        asm!("/* {0} */", inout(reg) counter, options(nomem, nostack, preserves_flags));
    }
    counter
}

/// Loads the pointer as a reader does and reads the field.
///
/// # Safety
/// `slot` points to a node that lives until the caller's section ends.
#[inline(always)]
pub unsafe fn load_and_read(pointer: &AtomicPtr<Node>) -> u64 {
    // Acquire: pairs with the Release half of the swap that published the node.
    let node = pointer.load(Ordering::Acquire);
    debug_assert!(!ptr::eq(node, ptr::null()));
    // SAFETY: the caller vouches for the node.
    unsafe { &*node }.read()
}

/// The sum that a loop must return when no section saw a dead node.
///
/// # Errors
/// Says how many sections read a node after its grace period.
pub fn check_sum(sum: u64, blocks: u64, length: u64) -> Result<(), String> {
    let expected = blocks * length * LIVE;
    if sum == expected {
        Ok(())
    } else {
        Err(format!("wrong answer: {expected} sections, but their fields sum to {sum}"))
    }
}

//! What the suite `reclaim` retires: blocks of 64 bytes, the same for every contender.
//!
//! A scheme that wants a header inside what it reclaims has less room for contents: the allocation is what is compared.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::hint::black_box;

/// The size of a block, headers included.
pub const BLOCK_SIZE: usize = 64;
/// Its alignment: what `malloc` guarantees anyway, and an unusual one to ask for, which tells blocks from other memory.
pub const BLOCK_ALIGN: usize = 16;

const LAYOUT: Layout = match Layout::from_size_align(BLOCK_SIZE, BLOCK_ALIGN) {
    Ok(layout) => layout,
    Err(_) => panic!("not a layout"),
};

/// What is in a block beside the scheme's header.
pub trait Contents: Send + Sync + 'static {
    /// Fills all of it.
    fn filled() -> Self;
}

/// Contents without a destructor.
#[derive(Debug)]
pub struct Plain<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Contents for Plain<WORDS> {
    #[inline(always)]
    fn filled() -> Self {
        Self(std::array::from_fn(|word| word as u64))
    }
}

/// Contents with a destructor, which looks at them.
#[derive(Debug)]
pub struct Dropping<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Contents for Dropping<WORDS> {
    #[inline(always)]
    fn filled() -> Self {
        Self(std::array::from_fn(|word| word as u64))
    }
}

impl<const WORDS: usize> Drop for Dropping<WORDS> {
    #[inline]
    fn drop(&mut self) {
        black_box(self.0[0]);
    }
}

/// How blocks are retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// [`Plain`] ones, by a thread that does nothing else: it is no reader where the scheme does not ask for it.
    Plain,
    /// [`Dropping`] ones, by such a thread.
    Dropping,
    /// [`Plain`] ones, by a thread that enters a section, or makes a guard, for each.
    Reading,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Dropping, Self::Reading];
}

/// A block.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Block<H, C> {
    /// What the scheme wants to have there.
    pub header: H,
    /// The rest.
    pub contents: C,
}

impl<C: Contents> Block<(), C> {
    /// A filled block without a header.
    #[inline(always)]
    pub fn filled() -> Self {
        Self { header: (), contents: C::filled() }
    }
}

const _: () = assert!(size_of::<Block<(), Plain<8>>>() == BLOCK_SIZE);
const _: () = assert!(align_of::<Block<(), Plain<8>>>() == BLOCK_ALIGN);

/// An empty block for the C shims, which fill it.
#[unsafe(no_mangle)]
extern "C" fn urcu_bench_block() -> *mut c_void {
    // SAFETY: the size is not zero.
    let block = unsafe { alloc(LAYOUT) };
    if block.is_null() {
        handle_alloc_error(LAYOUT);
    }
    block.cast()
}

/// Frees one.
///
/// # Safety
///
/// `block` comes from [`urcu_bench_block`] and is freed once.
#[unsafe(no_mangle)]
unsafe extern "C" fn urcu_bench_block_free(block: *mut c_void) {
    // SAFETY: allocated above with the same layout.
    unsafe { dealloc(block.cast(), LAYOUT) };
}

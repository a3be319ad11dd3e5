//! The one place that names the atomics of the standard library.
//!
//! Everything else in the workspace takes its atomic types, fences and hints from here, so that a model checker's
//! types can be swapped in under a `cfg` without touching an algorithm.

pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};

/// Tells the processor that this is a spin loop.
#[inline]
pub fn spin_loop() {
    core::hint::spin_loop();
}

/// Keeps a value on cache lines of its own.
///
/// 128 bytes, because adjacent-line prefetchers move lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CachePadded<T>(pub T);

impl<T> core::ops::Deref for CachePadded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

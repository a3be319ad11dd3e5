//! The one place that names the atomics of the standard library.
//!
//! Everything else in the workspace takes its atomic types, fences and hints from here. What a model checker explores
//! takes them from [`modelled`], where the model checker's types are swapped in under `--cfg urcu_loom` without touching an
//! algorithm.

pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
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

/// Atomics that are the model checker's under `--cfg urcu_loom`. Their `new` is then no `const fn`.
pub mod modelled {
    #[cfg(not(urcu_loom))]
    pub use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    #[cfg(urcu_loom)]
    pub use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// In a loop that waits for another thread: tells the processor, or the model checker, that nothing else is to be done.
    #[inline]
    pub fn spin_loop() {
        #[cfg(not(urcu_loom))]
        core::hint::spin_loop();
        #[cfg(urcu_loom)]
        loom::thread::yield_now();
    }
}

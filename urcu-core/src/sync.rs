//! The one place that names the atomics of the standard library.
//!
//! Everything else in the workspace takes its atomic types, fences and hints from here. What a model checker explores
//! takes them from [`modelled`], where the model checker's types are swapped in under `--cfg urcu_loom` without touching an
//! algorithm.

#[cfg(not(any(urcu_mutants, urcu_loom)))]
pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, compiler_fence, fence,
};

pub use core::sync::atomic::Ordering;

#[cfg(urcu_loom)]
mod model;
#[cfg(urcu_mutants)]
mod stutter;
#[cfg(any(urcu_mutants, urcu_loom))]
mod weakened;
#[cfg(any(urcu_mutants, urcu_loom))]
pub use weakened::plain::*;

#[cfg(urcu_loom)]
pub use model::{Watched, explore, explore_without_time};
#[cfg(urcu_loom)]
pub(crate) use model::{futex_wait, futex_wake, in_model};

/// Plain memory whose accesses the model checker is told of; nothing anywhere else.
#[cfg(not(urcu_loom))]
#[derive(Debug, Default)]
pub(crate) struct Watched;

#[cfg(not(urcu_loom))]
impl Watched {
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn is_read(&self) {}

    #[inline(always)]
    pub(crate) const fn is_written(&self) {}
}

/// Whether the caller runs in a model of this crate, where there is neither time nor a system.
#[cfg(not(urcu_loom))]
#[inline(always)]
pub(crate) const fn in_model() -> bool {
    false
}

/// One rule of an algorithm, and what is left of it when that very rule is taken away: for negative controls.
///
/// `weaken!("name", strong => weak)` is `strong`, and nothing else, in every build but those with `--cfg urcu_mutants`.
/// There it is `weak` in a process whose environment says `URCU_MUTANT=name`. `cargo xtask mutants` proves for each name
/// that a test turns red.
#[cfg(not(urcu_mutants))]
#[doc(hidden)]
#[macro_export]
macro_rules! weaken {
    ($name:literal, () => $weak:expr) => {};
    ($name:literal, $strong:expr => $weak:expr) => {
        $strong
    };
}

/// See the variant for other builds.
#[cfg(urcu_mutants)]
#[doc(hidden)]
#[macro_export]
macro_rules! weaken {
    ($name:literal, () => $weak:expr) => {
        if $crate::sync::is_mutant($name) {
            $weak;
        }
    };
    ($name:literal, $strong:expr => $weak:expr) => {
        if $crate::sync::is_mutant($name) { $weak } else { $strong }
    };
}

#[cfg(urcu_mutants)]
#[doc(hidden)]
pub use weakened::is_mutant;

/// Tells the processor that this is a spin loop.
#[inline]
pub fn spin_loop() {
    #[cfg(urcu_loom)]
    if in_model() {
        return loom::thread::yield_now();
    }
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
    #[cfg(not(any(urcu_loom, urcu_mutants)))]
    pub use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};

    #[cfg(all(urcu_mutants, not(urcu_loom)))]
    pub use super::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};

    #[cfg(all(urcu_loom, not(urcu_mutants)))]
    pub use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};

    #[cfg(all(urcu_loom, urcu_mutants))]
    pub use super::weakened::modelled::*;

    pub use core::sync::atomic::Ordering;

    /// In a loop that waits for another thread: tells the processor, or the model checker, that nothing else is to be done.
    #[inline]
    pub fn spin_loop() {
        #[cfg(not(urcu_loom))]
        core::hint::spin_loop();
        #[cfg(urcu_loom)]
        loom::thread::yield_now();
    }
}

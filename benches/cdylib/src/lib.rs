//! Our flavors in a shared object that the benchmarks load with `dlopen`, to see what sections cost
//! in a plug-in: the same loops, through the free functions, with thread-local words that are
//! reached by a call. Each section is a function of its own, as a plug-in's entry points are: inlined
//! into the loop, the search for the thread-local word would be moved out of it.

pub mod mixing;

use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The field that is read. The layout is that of the benchmarks' node.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Node {
    value: AtomicU64,
}

/// The shared pointer. The layout is that of the benchmarks' slot.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Slot {
    pointer: AtomicPtr<Node>,
}

/// Exports one flavor.
macro_rules! export {
    ($krate:ident, $section:ident, $register:ident, $unregister:ident, $flat:ident, $nested:ident) => {
        /// One section.
        ///
        /// # Safety
        /// The thread is registered; the slot points to a node that lives meanwhile.
        #[inline(never)]
        unsafe fn $section(slot: &Slot) -> u64 {
            let _guard = $krate::read_lock();
            // SAFETY: passed on to the caller.
            unsafe { read(slot) }
        }

        /// Registers the calling thread; 0 for success.
        #[unsafe(no_mangle)]
        pub extern "C" fn $register() -> c_int {
            match $krate::raw::register_thread() {
                Ok(()) => 0,
                Err(_) => 1,
            }
        }

        /// Undoes the registration.
        ///
        /// # Safety
        /// The thread is registered and outside sections.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $unregister() {
            // SAFETY: passed on to the caller.
            unsafe { $krate::raw::unregister_thread() }
        }

        /// `blocks` times `length` sections, a quiescent state after each block.
        ///
        /// # Safety
        /// The thread is registered; the slot points to a node; neither goes away meanwhile.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $flat(slot: *const Slot, blocks: u64, length: u64) -> u64 {
            // SAFETY: the caller's promise.
            let slot = unsafe { &*slot };
            let mut sum = 0;
            for _ in 0..blocks {
                for _ in 0..length {
                    // SAFETY: the caller's promise.
                    sum += unsafe { $section(slot) };
                }
                // SAFETY: no section is open, and no pointer is kept.
                unsafe { $krate::raw::quiescent_state() };
            }
            sum
        }

        /// The same inside one outer section per block.
        ///
        /// # Safety
        /// As above.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $nested(slot: *const Slot, blocks: u64, length: u64) -> u64 {
            // SAFETY: the caller's promise.
            let slot = unsafe { &*slot };
            let mut sum = 0;
            for _ in 0..blocks {
                {
                    let _outer = $krate::read_lock();
                    for _ in 0..length {
                        // SAFETY: the caller's promise.
                        sum += unsafe { $section(slot) };
                    }
                }
                // SAFETY: no section is open, and no pointer is kept.
                unsafe { $krate::raw::quiescent_state() };
            }
            sum
        }
    };
}

export!(
    urcu_qsbr,
    qsbr_section,
    urcu_bench_cdylib_qsbr_register,
    urcu_bench_cdylib_qsbr_unregister,
    urcu_bench_cdylib_qsbr_flat,
    urcu_bench_cdylib_qsbr_nested
);
export!(
    urcu_mb,
    mb_section,
    urcu_bench_cdylib_mb_register,
    urcu_bench_cdylib_mb_unregister,
    urcu_bench_cdylib_mb_flat,
    urcu_bench_cdylib_mb_nested
);
export!(
    urcu_membarrier,
    membarrier_section,
    urcu_bench_cdylib_membarrier_register,
    urcu_bench_cdylib_membarrier_unregister,
    urcu_bench_cdylib_membarrier_flat,
    urcu_bench_cdylib_membarrier_nested
);
export!(
    urcu_bp,
    bp_section,
    urcu_bench_cdylib_bp_register,
    urcu_bench_cdylib_bp_unregister,
    urcu_bench_cdylib_bp_flat,
    urcu_bench_cdylib_bp_nested
);

/// Loads the pointer and reads the field.
///
/// # Safety
/// The slot points to a node that lives meanwhile.
#[inline(always)]
unsafe fn read(slot: &Slot) -> u64 {
    // Acquire: pairs with the publication of the node.
    let node = slot.pointer.load(Ordering::Acquire);
    // SAFETY: the caller's promise.
    unsafe { &*node }.value.load(Ordering::Relaxed)
}

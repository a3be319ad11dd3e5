//! The read side of each flavor as functions of their own, for `cargo xtask asm`.
//!
//! A function `<flavor>_<name>` has its expected instructions in `urcu-<flavor>/tests/asm/<name>.x86_64.s`. This is a
//! binary because a program is where readers run: its thread-local accesses look as they do after linking.

use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! read_side {
    ($flavor:ident: $read_thread:ident, $read_free:ident, $read_raw:ident) => {
        /// With the thread's registration at hand.
        #[unsafe(no_mangle)]
        fn $read_thread(thread: &$flavor::Thread, pointer: &$flavor::Rcu<u64>) -> u64 {
            let guard = thread.read_lock();
            pointer.load(&guard).copied().unwrap_or(0)
        }

        /// Through the free function, which finds the registration by itself.
        #[unsafe(no_mangle)]
        fn $read_free(pointer: &$flavor::Rcu<u64>) -> u64 {
            let guard = $flavor::read_lock();
            pointer.load(&guard).copied().unwrap_or(0)
        }

        /// The raw tier.
        ///
        /// # Safety
        ///
        /// Those of `raw::read_lock`; `pointer` holds null or a value that is reclaimed after a grace period only.
        #[unsafe(no_mangle)]
        unsafe fn $read_raw(pointer: &AtomicPtr<u64>) -> u64 {
            // SAFETY: the caller's promise; the unlock below is its match.
            unsafe { $flavor::raw::read_lock() };
            let value = $flavor::raw::dereference(pointer);
            // SAFETY: loaded inside the section, null or valid as long as it lasts.
            let value = unsafe { value.as_ref() }.copied().unwrap_or(0);
            // SAFETY: the match of the lock above; no reference is left.
            unsafe { $flavor::raw::read_unlock() };
            value
        }
    };
}

read_side!(urcu_qsbr: qsbr_read_thread, qsbr_read_free, qsbr_read_raw);
read_side!(urcu_mb: mb_read_thread, mb_read_free, mb_read_raw);
read_side!(urcu_membarrier: membarrier_read_thread, membarrier_read_free, membarrier_read_raw);
read_side!(urcu_signal: signal_read_thread, signal_read_free, signal_read_raw);
read_side!(urcu_bp: bp_read_thread, bp_read_free, bp_read_raw);
read_side!(urcu_shm: shm_read_thread, shm_read_free, shm_read_raw);

/// What `qsbr_read_thread` has to equal: no section at all.
///
/// # Safety
///
/// `pointer` holds null or a valid value.
#[unsafe(no_mangle)]
unsafe fn qsbr_plain_load(_thread: &urcu_qsbr::Thread, pointer: &AtomicPtr<u64>) -> u64 {
    // SAFETY: the same promise.
    unsafe { qsbr_plain_load_raw(pointer) }
}

/// What `qsbr_read_raw` has to equal.
///
/// # Safety
///
/// `pointer` holds null or a valid value.
#[unsafe(no_mangle)]
unsafe fn qsbr_plain_load_raw(pointer: &AtomicPtr<u64>) -> u64 {
    // Acquire: the values were written by another thread. The same instruction as Relaxed on x86-64.
    let value = pointer.load(Ordering::Acquire);
    // SAFETY: null or valid, says the caller.
    unsafe { value.as_ref() }.copied().unwrap_or(0)
}

fn main() {}

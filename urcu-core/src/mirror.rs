//! Sections that show in a second word, for updaters who do not see this process's memory: other processes.
//!
//! A flavor with [`Flavor::MIRRORED`] gives each registered thread a second word, its *mirror*, in memory that those updaters
//! see, and draws the numbers for it from a place that they share. The domain's own words and numbers stay what they are: what
//! others do to the mirrors can mislead updaters elsewhere, never this process's own grace periods, nesting or registration.
//!
//! ```text
//! lock, outermost                               unlock, outermost
//! R1  numbers of both                           R5  word := 0
//! R2a mirror := shared number                   R5b mirror := 0
//! R2b word := own number
//! R2c mirror := shared number
//! R3  light barrier
//! ```
//!
//! The proof of [`crate::grace_period`] holds for each word with its own numbers: there is one heavy barrier between the
//! unlinking and the drawing of either number, and the light barrier comes after the stores of both.
//!
//! **Signal handlers.** A handler takes its own section for an outermost one if and only if the word is 0, and leaves the mirror 0
//! at its end. Before R2b it does so, and R2c makes good for it; from R2b to R5 it is nested, the mirror holds a number all that time
//! (R2a), and the machine's interrupt has drained the stores; between R5 and R5b it clears the mirror, which R5b was about to do.
//! Two handlers, one before R2b and one between R2b and R2c: the second finds itself nested and the mirror cleared by the first, so a
//! nested lock looks, and stores a number if there is none. It may be newer than that of R2c, which comes after it.
//! The compiler is kept from reordering by the Release stores and the compiler fences.

use crate::asymmetric::LightBarrier;
use crate::flavor::Flavor;
use crate::reader::Reader;
use crate::sync::{AtomicU64, Ordering, compiler_fence, fence};
use crate::sys;

/// Steps R2 and R3 with `value` for the word.
#[inline(always)]
pub(crate) fn enter<F: Flavor>(reader: &Reader, light: LightBarrier, value: u64) {
    let Some(mirror) = reader.mirror() else {
        return light.store_and_fence(&reader.word, value);
    };
    let number = F::shared_period() | 1;
    // Release, here and below, like every store to a word. PAIR(section-end)
    mirror.store(number, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
    reader.word.store(value, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
    light.store_and_fence(mirror, number);
}

/// The same with a full fence.
#[inline]
pub(crate) fn enter_with_fence<F: Flavor>(reader: &Reader, value: u64) {
    enter::<F>(reader, LightBarrier::Compiler, value);
    fence(Ordering::SeqCst);
}

/// A nested level, after the store of the word: see "Signal handlers" above.
#[inline(always)]
pub(crate) fn nest<F: Flavor>(reader: &Reader) {
    compiler_fence(Ordering::SeqCst);
    // Relaxed: the thread's own store, but for the mark A, which is set on a number only.
    if let Some(mirror) = reader.mirror()
        && F::LAYOUT.nesting(mirror.load(Ordering::Relaxed)) == 0
    {
        renew::<F>(mirror);
    }
}

#[cold]
#[inline(never)]
fn renew<F: Flavor>(mirror: &AtomicU64) {
    // Release, like every store to a word. PAIR(section-end)
    mirror.store(F::shared_period() | 1, Ordering::Release);
    // R3, whatever the light barrier is.
    fence(Ordering::SeqCst);
}

/// Step R5b.
#[inline(always)]
pub(crate) fn leave<F: Flavor>(reader: &Reader) {
    compiler_fence(Ordering::SeqCst);
    if let Some(mirror) = reader.mirror() {
        // Relaxed: a hint; a mark that is missed costs the sleeper a bounded while.
        let word = mirror.load(Ordering::Relaxed);
        // PAIR(section-end)
        mirror.store(0, Ordering::Release);
        if word & F::LAYOUT.awaited() != 0 {
            wake(reader);
        }
    }
}

#[cold]
#[inline(never)]
fn wake(reader: &Reader) {
    if let Some(mirror) = reader.mirror() {
        let half = mirror.as_ptr().cast::<u32>();
        let half = if cfg!(target_endian = "little") { half } else { half.wrapping_add(1) };
        sys::futex_wake_shared(half, i32::MAX);
    }
}

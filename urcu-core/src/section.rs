//! Entering and leaving sections of the flavors that count nesting: steps R1, R2, R3 and R5 of a grace period
//! ([`crate::grace_period`]).

use core::panic::Location;

use crate::asymmetric::LightBarrier;
use crate::defer;
use crate::flavor::Flavor;
use crate::mirror;
use crate::reader::Reader;
use crate::registration;
use crate::sync::{Ordering, fence};
use crate::sys;
use crate::weaken;

/// Who enters a section, and so what its thread's end means for it (mark R of [`crate::word`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// A guard: if it is leaked, references that it protects may live on, on any thread.
    Face,
    /// The raw tier, whose callers promise that nothing is used beyond the section.
    Raw,
}

/// Enters a section with the calling thread's record (or a stand-in, which registers or panics). Returns the record
/// to leave it with.
///
/// Wait-free once the thread is registered. The fast path is one test: a word of 0 says registered, outside every
/// section, and not on full fences, all at once.
#[inline]
#[cfg_attr(not(urcu_mutants), track_caller)]
pub(crate) fn lock<F: Flavor>(reader: &'static Reader, light: LightBarrier, tier: Tier) -> &'static Reader {
    // Relaxed: the thread's own store.
    let word = reader.word.load(Ordering::Relaxed);
    if word != 0 {
        let nesting = F::LAYOUT.nesting(word);
        if nesting == 0 || nesting == F::LAYOUT.max_nesting() {
            return lock_slow::<F>(reader, light, tier);
        }
        // A section behind a guard is one for good: it loses the mark R.
        let word = if tier == Tier::Face { word & !F::LAYOUT.raw() } else { word };
        // Release like every store to the word. PAIR(section-end)
        reader.word.store(weaken!("nested-keeps-number", word => refreshed::<F>(word)) + 1, Ordering::Release);
        if F::MIRRORED {
            mirror::nest::<F>(reader);
        }
        return reader;
    }
    // R1. Acquire pairs with U3. PAIR(period)
    let period = F::domain().period.load(Ordering::Acquire);
    // R2, R3.
    if F::MIRRORED {
        mirror::enter::<F>(reader, light, period | mark::<F>(tier));
    } else {
        light.store_and_fence(&reader.word, period | mark::<F>(tier));
    }
    reader.note_entry(Some(Location::caller()));
    reader
}

/// What a nested lock must not do: the section's word with the number of a grace period that began after it.
#[cfg(urcu_mutants)]
fn refreshed<F: Flavor>(word: u64) -> u64 {
    let rest = F::LAYOUT.one_period() - 1;
    word & rest | F::domain().period.load(Ordering::Acquire) & !rest
}

/// Nested too deeply, not registered, or on full fences.
#[cold]
#[inline(never)]
#[cfg_attr(not(urcu_mutants), track_caller)]
fn lock_slow<F: Flavor>(reader: &'static Reader, light: LightBarrier, tier: Tier) -> &'static Reader {
    let nesting = F::LAYOUT.nesting(reader.word.load(Ordering::Relaxed));
    assert!(
        nesting == 0,
        "{}: read-side critical sections nested {nesting} deep on thread '{}': guards are being leaked",
        F::NAME,
        sys::thread_name(),
    );
    if !reader.is_registered() {
        return lock::<F>(registration::register_on_first_use::<F>(reader), light, tier);
    }
    // R1 to R3 with a full fence, keeping the mark S.
    let period = F::domain().period.load(Ordering::Acquire);
    if F::MIRRORED {
        mirror::enter_with_fence::<F>(reader, period | F::LAYOUT.slow() | mark::<F>(tier));
    } else {
        reader.word.store(period | F::LAYOUT.slow() | mark::<F>(tier), Ordering::Release);
        fence(Ordering::SeqCst);
    }
    reader.note_entry(Some(Location::caller()));
    reader
}

#[inline(always)]
const fn mark<F: Flavor>(tier: Tier) -> u64 {
    match tier {
        Tier::Face => 0,
        Tier::Raw => F::LAYOUT.raw(),
    }
}

/// Leaves a section. The caller owns one nesting level of `reader`'s.
///
/// Wait-free, apart from one `futex` call when an updater sleeps on this very section; but if the thread has deferred
/// beyond the hard limit in it, the end of the outermost section waits for room.
#[inline]
pub(crate) fn unlock<F: Flavor>(reader: &'static Reader) {
    let word = reader.word.load(Ordering::Relaxed);
    if F::LAYOUT.state(word) == 1 {
        // R5. Release pairs with the Acquire of the scan. PAIR(section-end)
        reader.word.store(0, Ordering::Release);
        if F::MIRRORED {
            mirror::leave::<F>(reader);
        }
    } else if F::LAYOUT.nesting(word) > 1 {
        // PAIR(section-end)
        reader.word.store(word - 1, Ordering::Release);
    } else {
        unlock_slow::<F>(reader, word);
    }
}

/// The outermost level of a section that is awaited or on full fences; or not inside at all.
#[cold]
#[inline(never)]
fn unlock_slow<F: Flavor>(reader: &'static Reader, word: u64) {
    if F::LAYOUT.nesting(word) == 0 {
        // Not owned by the caller: the raw tier's broken rule. Ignored in release builds, so that the word cannot
        // underflow into "inside for ever".
        debug_assert!(false, "{}: read_unlock without read_lock on thread '{}'", F::NAME, sys::thread_name());
        return;
    }
    // Before the section ends: a handler that reads once it has ended must not find the debt and wait. Relaxed: the thread's
    // own store.
    let owes = word & F::LAYOUT.awaited() != 0 && reader.owes.load(Ordering::Relaxed);
    if owes {
        reader.owes.store(false, Ordering::Relaxed);
    }
    // R5. PAIR(section-end)
    reader.word.store(word & F::LAYOUT.slow(), Ordering::Release);
    if F::MIRRORED {
        mirror::leave::<F>(reader);
    }
    if weaken!("unlock-wakes", word & F::LAYOUT.awaited() != 0 => false) {
        sys::futex_wake_raw(reader.futex_half(), i32::MAX);
    }
    if owes {
        weaken!("section-pays", defer::wait_for_room::<F>() => ());
    }
}

/// Makes the end of the outermost section wait for room: the calling thread, inside, has deferred beyond the hard limit.
pub(crate) fn owe<F: Flavor>(reader: &Reader) {
    reader.owes.store(true, Ordering::Relaxed);
    // The mark A sends the unlock to its slow path. Release like every store to a word. PAIR(section-end)
    reader.word.store(reader.word.load(Ordering::Relaxed) | F::LAYOUT.awaited(), Ordering::Release);
}

//! Quiescent states, offline and online: how QSBR readers are seen.
//!
//! An online thread is one long section: its word carries the grace period that was current at its last quiescent
//! state. Offline is the word 0.
//!
//! # Why a quiescent state needs no fence
//!
//! The word of an online reader is never 0, so a scan that meets an old value, because the store of a new one is still
//! on its way, waits: it cannot take the reader for absent. And a word that carries P or later came from an Acquire
//! load of U3's Release store: whatever was unlinked before U3 is gone for all later loads of this reader. So only
//! coming online, which starts at 0, needs a full fence. PAIR(online)

use crate::defer;
use crate::flavor::{Flavor, ReadSide};
use crate::reader::{LastGuard, Reader, ThreadRecord};
use crate::registration;
use crate::sync::{Ordering, fence};
use crate::sys;
use crate::thread;
use crate::util::OnDrop;
use crate::weaken;

/// Whether the thread with this record is online.
#[inline]
pub(crate) fn is_online<F: Flavor>(reader: &Reader) -> bool {
    // Relaxed: the thread's own store.
    F::LAYOUT.nesting(reader.word.load(Ordering::Relaxed)) != 0
}

/// Announces a quiescent state. Does nothing offline. Wait-free, apart from one `futex` call when an updater sleeps, and
/// unless there is a debt to [`pay`].
#[inline]
pub(crate) fn announce<F: Flavor>(reader: &Reader) {
    // Acquire. PAIR(period)
    let period = F::domain().period.load(Ordering::Acquire);
    let word = reader.word.load(Ordering::Relaxed);
    if word != period && F::LAYOUT.nesting(word) != 0 {
        weaken!("quiescent-state", change::<F>(reader, word, period) => ());
    }
    pay::<F>(reader);
}

/// Waits for room if the thread, while online, deferred beyond the hard limit. It holds no references now.
#[inline]
pub(crate) fn pay<F: Flavor>(reader: &Reader) {
    // Relaxed: the thread's own store.
    if reader.owes.load(Ordering::Relaxed) {
        pay_offline::<F>(reader);
    }
}

#[cold]
fn pay_offline<F: Flavor>(reader: &Reader) {
    reader.owes.store(false, Ordering::Relaxed);
    let online = is_online::<F>(reader);
    go_offline::<F>(reader);
    // On unwinding, too: its `Thread` still reads.
    let _online = OnDrop(|| {
        if online {
            come_back::<F>();
        }
    });
    defer::wait_for_room::<F>();
}

/// Leaves the set of readers that updaters wait for. Does nothing offline.
#[inline]
pub(crate) fn go_offline<F: Flavor>(reader: &Reader) {
    let word = reader.word.load(Ordering::Relaxed);
    if F::LAYOUT.nesting(word) != 0 {
        weaken!("offline", change::<F>(reader, word, 0) => ());
    }
}

/// Joins it again. `reader` is the caller's own record.
#[inline]
pub(crate) fn go_online<F: Flavor>(reader: &Reader) {
    let period = F::domain().period.load(Ordering::Acquire);
    // Release like every store to a word. PAIR(section-end)
    reader.word.store(period, Ordering::Release);
    // Orders the store before the first protected load, against the fence of the heavy barrier between an updater's
    // unlinking and its scan. PAIR(online)
    fence(Ordering::SeqCst);
}

/// Comes online again after [`go_offline`], unless a deferred call that ran meanwhile has left a guard: then the thread is
/// online already, and stays so without the quiescent state that coming online is.
#[inline]
pub(crate) fn come_back<F: Flavor>() {
    // Not the same record if such a call has ended the registration.
    let reader = F::reader();
    if !reader.is_registered() {
        return;
    }
    if is_online::<F>(reader) {
        reader.at_last_guard(LastGuard::Nothing);
    } else {
        go_online::<F>(reader);
    }
}

/// Runs a destructor or closure on a thread that runs deferred calls: offline, so that it may wait for whatever it likes, a
/// lock whose holder waits for a grace period included. Guards bring the thread online ([`visit`]).
pub(crate) fn run_offline<F: Flavor>(run: impl FnOnce()) {
    let reader = F::reader();
    if F::READ_SIDE != ReadSide::QuiescentStates
        || !is_online::<F>(reader)
        || registration::open_sections::<F>(reader) != 0
        || thread::may_hide_guard::<F>(reader)
    {
        return run();
    }
    go_offline::<F>(reader);
    let _online = OnDrop(come_back::<F>);
    run();
}

/// A guard of an offline thread that runs deferred calls: brings it online until its last guard is dropped. `false` on any
/// other thread.
#[cold]
pub(crate) fn visit<F: Flavor>(reader: &Reader) -> bool {
    let may_visit =
        weaken!("guards-come-online", reader.is_registered() => false) && F::with_record(ThreadRecord::is_reclaiming);
    if may_visit {
        go_online::<F>(reader);
        reader.at_last_guard(LastGuard::GoesOffline);
    }
    may_visit
}

#[inline]
fn change<F: Flavor>(reader: &Reader, from: u64, to: u64) {
    // Release: what the thread read so far happens before the updater's Acquire. PAIR(section-end)
    reader.word.store(to, Ordering::Release);
    if from & F::LAYOUT.awaited() != 0 {
        wake(reader);
    }
}

#[cold]
fn wake(reader: &Reader) {
    sys::futex_wake_raw(reader.futex_half(), i32::MAX);
}

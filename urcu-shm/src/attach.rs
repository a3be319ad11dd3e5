//! The one segment that this process's readers show themselves in, and where in it.

use core::time::Duration;
use std::sync::Arc;

use urcu_core::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, spin_loop};
use urcu_core::{Backoff, Reader, RegisterError};

use crate::error::SegmentError;
use crate::flavor::PERIOD;
use crate::layout::PAGE_RECORDS;
use crate::mapping::Mapping;
use crate::process::ProcessId;
use crate::records;
use crate::segment::{Access, Segment};

/// Never freed: readers refer to it.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) mapping: Arc<Mapping>,
    /// The process that the pages below belong to.
    process: AtomicU64,
    /// For the `k`th 31 slots of the process's registry: the number of the record page that shows them, plus one; 0 if none does
    /// yet.
    pages: Box<[AtomicU32]>,
    claimant: Claimant,
}

/// The process a thread of which is claiming a page; 0 if none is.
///
/// They do so one by one: of a crowd that registers at once each would claim a page for the same slots, and there might be none left
/// for the moment. A forked child finds its parent there, whose thread it does not have, and goes past it.
#[derive(Debug)]
struct Claimant(AtomicU64);

impl Claimant {
    /// How long a thread sleeps that waits for others; they are at it for microseconds.
    const SLEEP: Duration = Duration::from_micros(100);

    /// Returns when the caller is the only one of its process, which `process` is.
    fn hold(&self, process: ProcessId) -> impl Drop + use<'_> {
        struct Held<'a>(&'a AtomicU64, u64);

        impl Drop for Held<'_> {
            fn drop(&mut self) {
                // Release: the page's number, for the next one. Unless a handler has forked meanwhile, this is the child, and another
                // thread has gone past. PAIR(claimant)
                let _ = self.0.compare_exchange(self.1, 0, Ordering::Release, Ordering::Relaxed);
            }
        }

        let mut backoff = Backoff::new();
        loop {
            let before = self.0.load(Ordering::Relaxed);
            if before != process.bits() {
                // Acquire: what the last one has claimed. PAIR(claimant)
                let exchanged = self.0.compare_exchange(before, process.bits(), Ordering::Acquire, Ordering::Relaxed);
                if exchanged.is_ok() {
                    return Held(&self.0, process.bits());
                }
            }
            if cfg!(urcu_loom) {
                spin_loop();
            } else if !backoff.snooze() {
                std::thread::sleep(Self::SLEEP);
            }
        }
    }
}

impl Attached {
    fn is_of_this_process(&self) -> bool {
        // Acquire: with the parent's pages forgotten. PAIR(forgotten)
        ProcessId::from_bits(self.process.load(Ordering::Acquire)).is_some_and(ProcessId::is_current)
    }
}

/// Linux has at most 2^22 threads.
const MOST_GROUPS: usize = (1 << 22) / PAGE_RECORDS + 1;

static ATTACHED: AtomicPtr<Attached> = AtomicPtr::new(core::ptr::null_mut());

/// What [`attach`] was called with.
#[inline]
pub(crate) fn attached() -> Option<&'static Attached> {
    // Acquire pairs with the Release in `attach`. PAIR(attached)
    let attached = ATTACHED.load(Ordering::Acquire);
    // SAFETY: null or a leaked box.
    unsafe { attached.as_ref() }
}

/// The attached segment, if this process may have unlinked something in it: only then have its grace periods to wait for readers of
/// other processes, who see nothing else of this process's memory.
pub(crate) fn updating() -> Option<&'static Mapping> {
    attached().map(|attached| &*attached.mapping).filter(|mapping| mapping.access() == Access::Write)
}

/// Makes `segment` the one that this process's threads are readers of: once per process, before the first [`register`](crate::register).
///
/// The mapping is kept for the rest of the process. Attaching the same segment again (any handle to the same mapping) does nothing.
///
/// # Errors
///
/// [`SegmentError::AlreadyAttached`]: another segment, or another mapping of this one; [`SegmentError::MembarrierMissing`].
pub fn attach(segment: &Segment) -> Result<(), SegmentError> {
    segment.barriers().prepare()?;
    let mapping = Arc::clone(&segment.mapping);
    let pages = (0..mapping.record_pages().min(MOST_GROUPS)).map(|_| AtomicU32::new(0)).collect();
    let process = ProcessId::try_current().ok_or_else(SegmentError::unknown_process)?;
    let process = AtomicU64::new(process.bits());
    let new = Box::into_raw(Box::new(Attached { mapping, process, pages, claimant: Claimant(AtomicU64::new(0)) }));
    // Release: the box before its address. PAIR(attached)
    match ATTACHED.compare_exchange(core::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(()),
        Err(present) => {
            // SAFETY: not published.
            drop(unsafe { Box::from_raw(new) });
            // SAFETY: a leaked box.
            let present = unsafe { &*present };
            if Arc::ptr_eq(&present.mapping, &segment.mapping) { Ok(()) } else { Err(SegmentError::AlreadyAttached) }
        }
    }
}

/// Makes sections carry the segment's number: what each registration begins with, and not the attaching. A thread may see the
/// segment attached, or inherit it by a fork, while the one that attaches it has come no further.
fn use_period_of(attached: &'static Attached) {
    let period = core::ptr::from_ref(&attached.mapping.control().period.0).cast_mut();
    // Once, since sections load it. Relaxed: a number that is the same for all.
    if PERIOD.load(Ordering::Relaxed) != period {
        // Release: with what it points to.
        PERIOD.store(period, Ordering::Release);
    }
}

/// Whether `segment` is what [`attach`] was called with.
#[inline]
pub(crate) fn is_attached(segment: &Segment) -> bool {
    attached().is_some_and(|attached| Arc::ptr_eq(&attached.mapping, &segment.mapping))
}

/// Where the record of a slot is: which 31 slots, and which of them.
fn place(reader: &Reader) -> (usize, usize) {
    let slot = reader.slot() as usize;
    (slot / PAGE_RECORDS, slot % PAGE_RECORDS)
}

/// See [`urcu_core::Flavor::attach_mirror`].
pub(crate) fn attach_mirror(reader: &'static Reader) -> Result<(), RegisterError> {
    let attached = attached().ok_or(RegisterError::Init(urcu_core::InitError::NoSegment))?;
    use_period_of(attached);
    if !attached.is_of_this_process() {
        // A forked child whose hooks were not called. Once: another thread of it may have claimed a page since.
        let own = ProcessId::try_current().ok_or(RegisterError::OutOfMemory)?;
        let _held = attached.claimant.hold(own);
        if !attached.is_of_this_process() {
            forget_mirrors();
        }
    }
    let (group, at) = place(reader);
    let index = page_for(attached, group).ok_or(RegisterError::OutOfMemory)?;
    let page = attached.mapping.record_page(index).ok_or(RegisterError::OutOfMemory)?;
    reader.set_mirror(Some(&records::show(page, at).word));
    Ok(())
}

/// See [`urcu_core::Flavor::detach_mirror`].
pub(crate) fn detach_mirror(reader: &'static Reader) {
    let Some(attached) = attached().filter(|attached| attached.is_of_this_process()) else {
        // A forked child whose hooks were not called: the word is the parent's.
        return reader.set_mirror(None);
    };
    let (group, at) = place(reader);
    // Acquire: as in `page_for`. PAIR(own-page)
    let index = attached.pages.get(group).map_or(0, |page| page.load(Ordering::Acquire));
    let Some(page) = (index as usize).checked_sub(1).and_then(|index| attached.mapping.record_page(index)) else {
        return;
    };
    records::hide(page, at);
}

/// See [`urcu_core::Flavor::forget_mirrors`]: the pages are the parent's.
pub(crate) fn forget_mirrors() {
    let Some(attached) = attached() else { return };
    for page in &attached.pages {
        page.store(0, Ordering::Relaxed);
    }
    // If it cannot be asked for, no page is claimed. Release: the pages are forgotten. PAIR(forgotten)
    attached.process.store(ProcessId::try_current().map_or(0, ProcessId::bits), Ordering::Release);
    // What the kernel knows of a process for `membarrier` is inherited with its memory; asking again is harmless.
    let _ = attached.mapping.barriers().prepare();
}

/// The number of this process's page for a group of slots, claimed if there is none yet.
fn page_for(attached: &'static Attached, group: usize) -> Option<usize> {
    let known = attached.pages.get(group)?;
    // Acquire: it has been claimed and cleared. PAIR(own-page)
    let index = known.load(Ordering::Acquire);
    if index != 0 {
        return Some(index as usize - 1);
    }
    let process = ProcessId::from_bits(attached.process.load(Ordering::Relaxed))?;
    let _held = attached.claimant.hold(process);
    // Relaxed: stored by a thread that held it before.
    let index = known.load(Ordering::Relaxed);
    if index != 0 {
        return Some(index as usize - 1);
    }
    let claimed = records::claim(&attached.mapping, process)?;
    // Release: cleared. PAIR(own-page)
    known.store(u32::try_from(claimed).ok()? + 1, Ordering::Release);
    Some(claimed)
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_goes_past_a_thread_of_its_parent() {
        let own = ProcessId::current();
        let claimant = Claimant(AtomicU64::new(own.bits() ^ 1));
        drop(claimant.hold(own));
        assert_eq!(claimant.0.into_inner(), 0);
    }

    /// What a forked child may inherit: a segment that is attached, and nothing else done by the one who attached it.
    #[test]
    fn sections_carry_the_number_of_a_segment_that_was_just_being_attached() {
        let without = PERIOD.load(Ordering::Relaxed);
        let segment = crate::SegmentOptions::new(1 << 12).create_memfd("attach").expect("a segment");
        attach(&segment).expect("the first one");
        PERIOD.store(without, Ordering::Relaxed);
        let thread = crate::register().expect("room");
        drop(thread.read_lock());
        assert_eq!(PERIOD.load(Ordering::Relaxed), segment.mapping.control().period.0.as_ptr().cast());
    }
}

//! What the model checker calls: readers of other processes, in this one.

use urcu_core::sync::{Ordering, fence};

use crate::layout::RecordPage;
use crate::records;
use crate::{ProcessId, Segment};

/// A process that was never there.
pub fn dead() -> ProcessId {
    ProcessId::from_bits(((1 << 22) - 3) << 40 | 1).expect("like those of processes")
}

/// Another one that lives.
pub fn other() -> ProcessId {
    // SAFETY: takes nothing.
    ProcessId::of(unsafe { libc::getppid() }).expect("the parent lives")
}

#[derive(Debug)]
pub struct Reader<'s> {
    segment: &'s Segment,
    page: &'s RecordPage,
}

impl<'s> Reader<'s> {
    pub fn register(segment: &'s Segment, process: ProcessId) -> Option<Self> {
        let index = records::claim(&segment.mapping, process)?;
        let page = segment.mapping.record_page(index)?;
        records::show(page, 0);
        Some(Self { segment, page })
    }

    /// As `urcu_core::mirror` does it, on full fences.
    pub fn enter(&self) {
        let number = self.segment.mapping.control().period.load(Ordering::Acquire) | 1;
        self.page.records[0].word.store(number, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    pub fn leave(&self) {
        self.page.records[0].word.store(0, Ordering::Release);
    }

    pub fn unregister(self) {
        records::hide(self.page, 0);
    }
}

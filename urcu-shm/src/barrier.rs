//! The heavy barrier: one that reaches the readers of every process, or a full fence where they issue their own.

use urcu_core::sync::{Ordering, fence};

use crate::error::SegmentError;
use crate::sys;

/// How readers and updaters of a segment order their accesses: a property of the segment, the same in all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Barriers {
    /// Readers issue a full fence at each outermost section; updaters need one, too, and nothing of the kernel.
    Fences = 1,
    /// Readers issue none; updaters call `membarrier(GLOBAL_EXPEDITED)` (Linux 4.16), which interrupts every processor that
    /// runs a thread of a registered process.
    Membarrier = 2,
}

impl Barriers {
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            1 => Some(Self::Fences),
            2 => Some(Self::Membarrier),
            _ => None,
        }
    }

    /// What costs readers least on this machine.
    pub fn best() -> Self {
        if sys::register_global_membarrier().is_ok() { Self::Membarrier } else { Self::Fences }
    }

    /// Before this process reads or updates.
    pub(crate) fn prepare(self) -> Result<(), SegmentError> {
        match self {
            Self::Fences => Ok(()),
            Self::Membarrier => {
                sys::register_global_membarrier().map_err(|errno| SegmentError::MembarrierMissing { errno })
            }
        }
    }

    #[inline]
    pub(crate) fn heavy(self) {
        if self == Self::Membarrier {
            sys::global_membarrier();
        }
        // SeqCst: one total order with the readers' fences, if they have some; `urcu_core::grace_period` argues with it.
        fence(Ordering::SeqCst);
    }
}

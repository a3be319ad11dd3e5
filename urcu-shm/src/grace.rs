//! Grace periods of a segment, as numbers.

use core::fmt;

/// A grace period of a segment: from [`Segment::start_grace_period`](crate::Segment::start_grace_period).
///
/// Only a number; may be stored in the segment. A number that no grace period of the segment ever had is one that does not elapse.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct GraceNumber(pub(crate) u64);

impl GraceNumber {
    /// What may be stored in the segment.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What has been stored.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for GraceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GraceNumber({})", crate::records::LAYOUT.number(self.0))
    }
}

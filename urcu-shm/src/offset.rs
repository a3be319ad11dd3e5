//! Places in the data of a segment, the same for every process.

use core::fmt;

/// A place in a segment's data, in bytes from its beginning. Only a number: it is checked each time it is resolved.
///
/// 0 is the table of roots, so it stands for "nowhere" in everything else.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Offset(u64);

impl Offset {
    /// Nowhere.
    pub const NULL: Self = Self(0);

    /// The place so many bytes from the beginning of the data.
    #[inline]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether it is nowhere.
    #[inline]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset({:#x})", self.0)
    }
}

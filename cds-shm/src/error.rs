//! What can go wrong.

use core::error::Error;
use core::fmt;

use urcu_core::space::Stop;
use urcu_shm::RootError;

/// Why something in a segment could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShmError {
    /// What is in the segment cannot be: somebody has overwritten it. Or this process has no memory for a copy of it
    /// ([`Stop::NoMemory`]).
    Corrupt(Stop),
    /// No memory is left in the segment; so much of it waits for readers.
    Full {
        /// Bytes that are unlinked, and that some section may still be looking at.
        retired: usize,
    },
    /// Larger than anything that could be stored.
    TooLarge,
    /// There is no structure of that name.
    Missing,
    /// The structure of that name is of another kind, or has contents of another layout.
    OtherLayout,
    /// This process updates that structure already.
    InUse,
    /// No room for another structure in the segment.
    TooMany,
    /// The segment's roots say no.
    Root(RootError),
}

impl From<Stop> for ShmError {
    fn from(stop: Stop) -> Self {
        Self::Corrupt(stop)
    }
}

impl From<RootError> for ShmError {
    fn from(error: RootError) -> Self {
        Self::Root(error)
    }
}

impl fmt::Display for ShmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(stop) => stop.fmt(f),
            Self::Full { retired } => write!(f, "the segment is full; {retired} bytes wait for readers"),
            Self::TooLarge => f.write_str("too large for a segment"),
            Self::Missing => f.write_str("the segment has no structure of that name"),
            Self::OtherLayout => f.write_str("the structure of that name is another one"),
            Self::InUse => f.write_str("this process is updating the structure already"),
            Self::TooMany => f.write_str("the segment has no room for another structure"),
            Self::Root(error) => error.fmt(f),
        }
    }
}

impl Error for ShmError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Corrupt(stop) => Some(stop),
            Self::Root(error) => Some(error),
            _ => None,
        }
    }
}

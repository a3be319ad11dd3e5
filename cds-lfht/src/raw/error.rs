//! What can go wrong where the caller can react.

use core::error::Error;
use core::fmt;

/// Why a table could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewError {
    /// A number of buckets is zero. (A maximum of zero means that there is none.)
    Zero {
        /// The parameter: `initial`, `min`.
        parameter: &'static str,
    },
    /// A number of buckets is not a power of two.
    NotPowerOfTwo {
        /// The parameter: `initial`, `min`, `max`.
        parameter: &'static str,
        /// Its value.
        value: usize,
    },
    /// The least number of buckets is larger than the greatest.
    MinAboveMax {
        /// The least number.
        min: usize,
        /// The greatest.
        max: usize,
    },
    /// This kind of bucket memory needs a maximum.
    NeedsMax,
    /// There is no memory, or no address space, for the buckets.
    OutOfMemory,
}

impl fmt::Display for NewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero { parameter } => write!(f, "the table's `{parameter}` number of buckets is zero"),
            Self::NotPowerOfTwo { parameter, value } => {
                write!(f, "the table's `{parameter}` number of buckets is {value}, not a power of two")
            }
            Self::MinAboveMax { min, max } => {
                write!(f, "the table's least number of buckets ({min}) is above the greatest ({max})")
            }
            Self::NeedsMax => {
                f.write_str("bucket memory in chunks or in one mapping needs a greatest number of buckets")
            }
            Self::OutOfMemory => f.write_str("no memory for the table's buckets"),
        }
    }
}

impl Error for NewError {}

/// Why a table was not resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// Not a power of two, or zero.
    NotPowerOfTwo {
        /// The number of buckets asked for.
        value: usize,
    },
    /// The calling thread is inside a section (QSBR: or online by a `Thread`), and would wait for itself.
    InsideSection,
    /// No grace period can end any more: a guard was leaked, and its thread has ended.
    Stuck,
    /// The calling thread cannot be registered with the table's flavor.
    NotRegistered,
    /// There is no memory for so many buckets. The table goes on with those that it has.
    OutOfMemory,
    /// In shared memory: what a link leads to cannot be.
    Corrupt,
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPowerOfTwo { value } => write!(f, "a table cannot have {value} buckets: not a power of two"),
            Self::InsideSection => f.write_str("a table cannot be resized from inside a section"),
            Self::Stuck => {
                f.write_str("no grace period can end any more: a table that has to wait for one keeps its size")
            }
            Self::NotRegistered => f.write_str("this thread cannot be registered with the table's flavor"),
            Self::OutOfMemory => f.write_str("no memory for so many buckets"),
            Self::Corrupt => f.write_str("the table's data are corrupt"),
        }
    }
}

impl Error for ResizeError {}

/// Why a node was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplaceError {
    /// There is no such node, or it has been removed. C: `-ENOENT`.
    NotFound,
    /// The new node has another hash or another key. C: `-EINVAL`.
    Mismatch,
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("the node to be replaced is not in the table"),
            Self::Mismatch => f.write_str("a node can be replaced only by one with the same hash and key"),
        }
    }
}

impl Error for ReplaceError {}

/// The node is not in the table: another caller removed or replaced it. C: `-ENOENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFound;

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node is not in the table")
    }
}

impl Error for NotFound {}

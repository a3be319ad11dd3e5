//! What can go wrong with a segment.

use core::error::Error;
use core::fmt;
use std::io;

/// Why a segment could not be made, opened or attached.
#[derive(Debug)]
#[non_exhaustive]
pub enum SegmentError {
    /// The system refused.
    System {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        error: io::Error,
    },
    /// The sizes asked for make no segment: zero, or more than the address space.
    BadSize,
    /// The file is no segment, or none that this version of the crate, or this machine, can use; or its header is damaged.
    NotASegment {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file belongs to somebody else.
    WrongOwner {
        /// The owner's user id.
        user: u32,
    },
    /// Others than its owner can open the file: anybody who can write to it can disturb its readers.
    TooOpen {
        /// Its permissions.
        mode: u32,
    },
    /// The file was made in another PID or time namespace, where process ids mean something else.
    OtherPidNamespace,
    /// The file was made before the machine was started; nobody in it exists any more.
    OtherBoot,
    /// The segment's barriers need the kernel's `membarrier(GLOBAL_EXPEDITED)`, which refused.
    MembarrierMissing {
        /// The error number.
        errno: i32,
    },
    /// This process has attached another segment already; there is one per process (and copy of this crate).
    AlreadyAttached,
    /// Every record page belongs to a process that lives.
    Full,
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { what, error } => write!(f, "{what}: {error}"),
            Self::BadSize => f.write_str("a segment cannot have this size"),
            Self::NotASegment { why } => write!(f, "not a segment that can be used: {why}"),
            Self::WrongOwner { user } => write!(f, "the segment belongs to user {user}"),
            Self::TooOpen { mode } => write!(f, "others than its owner may open the segment (mode {mode:o})"),
            Self::OtherPidNamespace => f.write_str("the segment was made in another PID or time namespace"),
            Self::OtherBoot => f.write_str("the segment was made before the machine was started"),
            Self::MembarrierMissing { errno } => {
                write!(f, "the segment needs membarrier(GLOBAL_EXPEDITED), which is not available (error {errno})")
            }
            Self::AlreadyAttached => f.write_str("this process has attached another segment"),
            Self::Full => f.write_str("no room for another process in the segment"),
        }
    }
}

impl Error for SegmentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl SegmentError {
    pub(crate) fn unknown_process() -> Self {
        Self::System { what: "asking /proc when this process started", error: io::ErrorKind::NotFound.into() }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}

/// Why a process could not become the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterError {
    /// Somebody is (maybe another thread of this process).
    Held {
        /// Who.
        pid: i32,
    },
    /// The segment was opened for reading.
    ReadOnly,
    /// `/proc` does not tell when this process, forked since it opened the segment, was started.
    Unknown,
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid } => write!(f, "process {pid} is the writer"),
            Self::ReadOnly => f.write_str("the segment was opened for reading"),
            Self::Unknown => f.write_str("/proc does not tell when this process started"),
        }
    }
}

impl Error for WriterError {}

/// Why a root could not be found or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootError {
    /// There is one of that name with another layout.
    OtherLayout,
    /// The table is full.
    Full,
}

impl fmt::Display for RootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherLayout => "the root has another layout",
            Self::Full => "no room for another root",
        })
    }
}

impl Error for RootError {}

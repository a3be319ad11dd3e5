//! What can go wrong where the caller can react.

use core::error::Error;
use core::fmt;

/// Why a flavor could not be initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The kernel has no `membarrier(PRIVATE_EXPEDITED)` (or a filter forbids it), and `URCU_MEMBARRIER=require` rules
    /// out the fallback.
    MembarrierMissing {
        /// The error number that `membarrier` gave.
        errno: i32,
    },
    /// Somebody else handles the signal that the signal flavor was told to use.
    SignalTaken {
        /// The signal's number.
        signal: i32,
    },
    /// The signal flavor already runs on another signal.
    SignalAlreadyChosen {
        /// The signal in use.
        signal: i32,
    },
    /// The signal cannot have a handler, or is one that the system reserves.
    SignalUnusable {
        /// The signal's number.
        signal: i32,
    },
    /// The process has attached no segment (`attach` of the flavor for several processes).
    NoSegment,
    /// The flavor said no through its [`FlavorVtable`](crate::FlavorVtable), which cannot say more.
    Refused {
        /// The error number.
        errno: i32,
    },
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MembarrierMissing { errno } => write!(
                f,
                "membarrier(PRIVATE_EXPEDITED) is not available (error {errno}) and URCU_MEMBARRIER=require forbids the \
                 fallback to full fences"
            ),
            Self::SignalTaken { signal } => {
                write!(f, "signal {signal} already has a handler; choose another one with init_signal()")
            }
            Self::SignalAlreadyChosen { signal } => {
                write!(f, "the signal flavor already uses signal {signal}")
            }
            Self::SignalUnusable { signal } => {
                write!(f, "signal {signal} cannot be used for barriers")
            }
            Self::NoSegment => f.write_str("the process has attached no segment; call attach() first"),
            Self::Refused { errno } => write!(f, "refused with error {errno}; init() of its crate says why"),
        }
    }
}

impl Error for InitError {}

/// Why a worker could not be made, placed or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerError {
    /// The system refuses another thread.
    NoThread {
        /// The error number.
        errno: i32,
    },
    /// The processor or the real-time priority is not to be had.
    Scheduling {
        /// The error number: `EPERM`, `EINVAL`.
        errno: i32,
    },
    /// There is no such processor.
    NoSuchCpu {
        /// The processor asked for.
        cpu: usize,
    },
    /// The processor has a worker already; remove that one first.
    CpuTaken {
        /// The processor asked for.
        cpu: usize,
    },
    /// A callback tried to stop a worker, and would wait for itself.
    InCallback {
        /// The flavor's crate.
        flavor: &'static str,
    },
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread { errno } => write!(f, "no thread for a worker (error {errno})"),
            Self::Scheduling { errno } => write!(f, "the worker's processor or priority was refused (error {errno})"),
            Self::NoSuchCpu { cpu } => write!(f, "there is no processor {cpu}"),
            Self::CpuTaken { cpu } => write!(f, "processor {cpu} already has a worker"),
            Self::InCallback { flavor } => write!(f, "{flavor}: a callback cannot stop a worker"),
        }
    }
}

impl Error for WorkerError {}

/// Why deferred calls could not be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarrierError {
    /// The caller is a deferred call itself, and would wait for itself.
    InCallback {
        /// The flavor's crate.
        flavor: &'static str,
    },
    /// No grace period can end any more: a thread ended with its guard (or, in QSBR, its `Thread`) leaked.
    Stuck {
        /// The flavor's crate.
        flavor: &'static str,
    },
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCallback { flavor } => write!(f, "{flavor}: a deferred call cannot wait for deferred calls"),
            Self::Stuck { flavor } => write!(
                f,
                "{flavor}: deferred calls cannot be waited for: no grace period can end any more, since a thread ended with \
                 its guard (or, in QSBR, its `Thread`) leaked"
            ),
        }
    }
}

impl Error for BarrierError {}

/// Why a thread could not be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The calling thread already has a `Thread` value (or a raw registration) of this flavor; there is one at a time.
    AlreadyRegistered {
        /// The flavor's crate.
        flavor: &'static str,
    },
    /// The calling thread is ending and its registration has been ended with it.
    ThreadExiting {
        /// The flavor's crate.
        flavor: &'static str,
    },
    /// No memory for another reader, or four million readers.
    OutOfMemory,
    /// The process has no thread-specific key left (`pthread_key_create`).
    NoExitKey {
        /// The error number.
        errno: i32,
    },
    /// The flavor could not be initialised.
    Init(InitError),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered { flavor } => {
                write!(f, "this thread is already registered with {flavor}; a thread has one `Thread` per flavor")
            }
            Self::ThreadExiting { flavor } => {
                write!(f, "this thread is ending and {flavor} has already ended its registration")
            }
            Self::OutOfMemory => f.write_str("no memory for another registered reader"),
            Self::NoExitKey { errno } => write!(f, "no thread-specific key for the exit destructor (error {errno})"),
            Self::Init(error) => write!(f, "the flavor cannot be initialised: {error}"),
        }
    }
}

impl Error for RegisterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Init(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InitError> for RegisterError {
    fn from(error: InitError) -> Self {
        Self::Init(error)
    }
}

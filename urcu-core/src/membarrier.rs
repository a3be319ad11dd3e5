//! `membarrier(2)` as a heavy barrier, with full fences where it is missing.

use crate::error::InitError;
use crate::sync::{AtomicU32, Ordering, fence, in_model};
use crate::sys;
use crate::weaken;

/// Whether the heavy barrier is `membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)` or a fence; one static per flavor.
///
/// Settled by the first [`init`](Self::init) and never changed: readers and updaters have to agree.
#[derive(Debug)]
pub struct Membarrier {
    state: AtomicU32,
}

const UNKNOWN: u32 = 0;
const AVAILABLE: u32 = 1;
const FULL_FENCES: u32 = 2;

impl Membarrier {
    /// Not probed yet.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(UNKNOWN) }
    }

    /// Probes the kernel and registers the process, unless the environment that the process was started with says
    /// `URCU_MEMBARRIER=off`. Async-signal-safe.
    ///
    /// # Errors
    ///
    /// [`InitError::MembarrierMissing`] when it says `URCU_MEMBARRIER=require` and the kernel refuses.
    pub fn init(&self) -> Result<(), InitError> {
        // Relaxed here and below: the state is a constant once it is known, and guards no other data.
        if self.state.load(Ordering::Relaxed) != UNKNOWN {
            return Ok(());
        }
        let probed = if in_model() || sys::started_with_environment(c"URCU_MEMBARRIER=off") {
            FULL_FENCES
        } else {
            match sys::membarrier_register() {
                Ok(()) => AVAILABLE,
                Err(errno) if sys::started_with_environment(c"URCU_MEMBARRIER=require") => {
                    return Err(InitError::MembarrierMissing { errno });
                }
                Err(_) => FULL_FENCES,
            }
        };
        // The first probe decides, should two threads get different answers.
        let _ = self.state.compare_exchange(UNKNOWN, probed, Ordering::Relaxed, Ordering::Relaxed);
        Ok(())
    }

    /// Whether readers have to issue full fences. Settled by then: asked after `init`.
    #[inline]
    pub fn is_missing(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FULL_FENCES
    }

    /// The heavy barrier of [`crate::asymmetric`].
    ///
    /// # Panics
    ///
    /// When the kernel refuses what it granted before: going on would be unsound.
    #[inline]
    pub fn heavy_barrier(&self) {
        if let Err(error) = self.try_heavy_barrier() {
            panic!("membarrier(PRIVATE_EXPEDITED) failed with error {error} after it had been registered");
        }
    }

    /// [`heavy_barrier`](Self::heavy_barrier) for those who can do without: when the kernel refuses, it was a fence of the
    /// caller's own only.
    ///
    /// # Errors
    ///
    /// The error number.
    #[inline]
    pub(crate) fn try_heavy_barrier(&self) -> Result<(), i32> {
        let available = self.state.load(Ordering::Relaxed) == AVAILABLE;
        let issued = if available { weaken!("membarrier", sys::membarrier_expedited() => Ok(())) } else { Ok(()) };
        fence(Ordering::SeqCst);
        issued
    }
}

impl Default for Membarrier {
    fn default() -> Self {
        Self::new()
    }
}

//! What the caller asks for: a number of buckets, and to wait until the table has it.

use core::ffi::c_int;

use urcu_core::Backoff;
use urcu_core::sync::modelled::Ordering;

use super::super::buckets::OutOfMemory;
use super::super::error::ResizeError;
use super::super::table::Table;
use super::{Progress, Shrinking};

impl Table {
    /// Sets the number of buckets, and returns when that is done. An automatic table may change it again later.
    ///
    /// Clamped to the table's maximum, not to its minimum. Blocks: waits for other resizes, and, to shrink, for two grace
    /// periods per halving. An online QSBR thread registered by the raw tier is offline meanwhile.
    ///
    /// # Errors
    ///
    /// - [`ResizeError::NotPowerOfTwo`].
    /// - [`ResizeError::InsideSection`], QSBR: also if the thread is online by a `Thread`.
    /// - [`ResizeError::Stuck`]: no grace period can end any more.
    /// - [`ResizeError::OutOfMemory`]: the table keeps the size that it has, and works.
    /// - [`ResizeError::NotRegistered`]: a thread that is not registered is registered for the time being; that failed.
    #[doc(alias = "cds_lfht_resize")]
    pub fn resize(&self, buckets: usize) -> Result<(), ResizeError> {
        if !buckets.is_power_of_two() {
            return Err(ResizeError::NotPowerOfTwo { value: buckets });
        }
        let goal = buckets.min(self.max);
        let explicit = loop {
            // A grace period as a test whether waiting is allowed; and while waiting, so that an online thread lets others go on.
            self.wait()?;
            if let Some(explicit) = self.resize.explicit.try_take() {
                break explicit;
            }
        };
        self.resize.goal.store(goal, Ordering::Relaxed);
        let outcome = self.reach(goal);
        self.resize.goal.store(0, Ordering::Relaxed);
        drop(explicit);
        outcome
    }

    /// Waits for a grace period.
    fn wait(&self) -> Result<(), ResizeError> {
        /// `-EIO`.
        const STUCK: c_int = -5;
        // SAFETY: checks its own precondition.
        match unsafe { (self.flavor.try_synchronize)() } {
            0 => Ok(()),
            STUCK => Err(ResizeError::Stuck),
            _ => Err(ResizeError::InsideSection),
        }
    }

    fn reach(&self, goal: usize) -> Result<(), ResizeError> {
        {
            // All of it at once, so that what cannot succeed fails before anything is done.
            let turn = self.resize.turn.take();
            self.settle(&turn);
            // SAFETY: the one reference in this block.
            let plan = unsafe { self.plan(&turn) };
            let size = self.size.load(Ordering::Relaxed);
            let idle = self.growing.load(Ordering::Acquire) == 0
                && plan.leaving.is_none()
                && matches!(plan.shrinking, Shrinking::No);
            if idle && goal > size {
                self.buckets.ensure(size, goal).map_err(|OutOfMemory| ResizeError::OutOfMemory)?;
            }
        }
        let mut backoff = Backoff::new();
        loop {
            match self.advance(goal) {
                Progress::Done => return Ok(()),
                Progress::Failed(error) => return Err(error),
                Progress::More => backoff = Backoff::new(),
                Progress::Others if backoff.snooze() => {}
                Progress::Grace | Progress::Others => self.wait()?,
            }
        }
    }
}

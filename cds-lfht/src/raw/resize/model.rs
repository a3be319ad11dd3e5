//! What the model checker calls: the steps of resizes, without a worker and without grace periods.

use urcu_core::sync::modelled::Ordering;

use super::super::lookup::sure;
use super::super::table::Table;
use super::Progress;

#[allow(missing_docs)]
impl Table {
    /// # Safety
    ///
    /// Nodes live as long as the model.
    pub unsafe fn model_begin_growth(&self, goal: usize) {
        let turn = self.resize.turn.try_take().expect("one thread resizes in a model");
        // SAFETY: nothing is reclaimed in a model.
        assert_eq!(unsafe { self.begin_growth(&turn, goal) }, Progress::More);
    }

    /// Whether it has begun: not while somebody else has the turn.
    ///
    /// # Safety
    ///
    /// As above.
    pub unsafe fn model_try_begin_growth(&self, goal: usize) -> bool {
        let Some(turn) = self.resize.turn.try_take() else { return false };
        // SAFETY: nothing is reclaimed in a model.
        unsafe { self.begin_growth(&turn, goal) == Progress::More }
    }

    /// # Safety
    ///
    /// As above.
    pub unsafe fn model_sweep(&self) -> bool {
        // SAFETY: nothing is reclaimed in a model.
        sure(unsafe { self.sweep() })
    }

    /// Whether a smaller size has been published.
    pub fn model_advance(&self, goal: usize) -> bool {
        self.advance(goal) == Progress::Grace
    }

    pub fn model_publish_half(&self) {
        self.size.store(self.size.load(Ordering::Relaxed) / 2, Ordering::Release);
    }

    /// # Safety
    ///
    /// As above; the size was published before the other threads began.
    pub unsafe fn model_unmake(&self, bucket: usize) {
        // SAFETY: as promised.
        sure(unsafe { self.unmake_bucket(bucket) });
    }

    /// # Safety
    ///
    /// The upper half was unmade, and the other threads have ended.
    pub unsafe fn model_release(&self) {
        let size = self.size.load(Ordering::Relaxed);
        // SAFETY: as promised.
        unsafe { self.buckets.release(size, 2 * size) };
    }
}

//! The next step towards a size, and those of shrinking: buckets are taken out of the list, their memory is given back.

use urcu_core::sync::modelled::Ordering;

use super::super::error::ResizeError;
use super::super::ground::Ground;
use super::super::table::Table;
use super::{CHUNK, Plan, Progress, SHORT_SLICE, SLICE, Shrinking};

impl<G: Ground> Table<G> {
    /// One step towards `goal`, of bounded length. Outside the turn; inside a section or not.
    pub(super) fn advance(&self, goal: usize) -> Progress {
        if self.growing.load(Ordering::Relaxed) != 0 {
            return self.sweep_slice();
        }
        let turn = self.resize.turn.take();
        self.settle(&turn);
        // SAFETY: not used across `begin_growth`, which makes its own.
        let plan = unsafe { self.plan(&turn) };
        self.free_left(plan);
        match plan.shrinking {
            Shrinking::Published { from, cookie } => {
                if goal >= from {
                    // Taken back: the buckets are all still in the list. Release: PAIR(lfht-size)
                    self.size.store(from, Ordering::Release);
                    plan.shrinking = Shrinking::No;
                    return Progress::More;
                }
                if !self.has_passed(cookie) {
                    return Progress::Grace;
                }
                plan.shrinking = Shrinking::unmaking(from, from);
                Progress::More
            }
            Shrinking::Unmaking { from, next, end } => {
                let to = (next + if G::OWNED { SLICE / 2 } else { SHORT_SLICE } * CHUNK).min(from);
                if let Err(error) = self.unmake(next, to) {
                    return Progress::Failed(error);
                }
                if to < from {
                    plan.shrinking = Shrinking::Unmaking { from, next: to, end };
                } else if from / 2 > self.size.load(Ordering::Relaxed) {
                    plan.shrinking = Shrinking::unmaking(from / 2, end);
                } else {
                    // An earlier half's grace period began before the one that this half waited for: it has been freed.
                    debug_assert!(plan.leaving.is_none());
                    plan.leaving = Some((from / 2, end, self.next_grace_period()));
                    plan.shrinking = Shrinking::No;
                }
                Progress::More
            }
            Shrinking::No => {
                // A growth may have begun since the first look, until the turn was taken, and it ends without the turn. Acquire, and
                // before the size: so that is the size it ended with. PAIR(lfht-size)
                if self.growing.load(Ordering::Acquire) != 0 {
                    return Progress::More;
                }
                let size = self.size.load(Ordering::Relaxed);
                if goal > size {
                    let Some(_inside) = self.enter() else {
                        return Progress::Failed(ResizeError::NotRegistered);
                    };
                    // SAFETY: inside a section.
                    return match unsafe { self.begin_growth(&turn, goal) } {
                        Progress::Done => Progress::More,
                        other => other,
                    };
                }
                if goal < size {
                    if !self.can_be_size(size) || (!G::OWNED && size == self.min) {
                        return Progress::Failed(ResizeError::Corrupt);
                    }
                    // Release: PAIR(lfht-size)
                    self.size.store(size / 2, Ordering::Release);
                    plan.shrinking = Shrinking::Published { from: size, cookie: self.next_grace_period() };
                    return Progress::Grace;
                }
                if plan.leaving.is_some() { Progress::Grace } else { Progress::Done }
            }
        }
    }

    /// Step 3 of shrinking, in part.
    fn unmake(&self, from: usize, to: usize) -> Result<(), ResizeError> {
        for chunk in (from..to).step_by(CHUNK) {
            let Some(_inside) = self.enter() else { return Err(ResizeError::NotRegistered) };
            for index in chunk..(chunk + CHUNK).min(to) {
                // SAFETY: inside a section; step 2 is over.
                unsafe { self.unmake_bucket(index) }.map_err(|_| ResizeError::Corrupt)?;
            }
        }
        Ok(())
    }

    /// Step 4 of shrinking, if it is time.
    pub(super) fn free_left(&self, plan: &mut Plan) {
        if let Some((from, to, cookie)) = plan.leaving
            && self.has_passed(cookie)
        {
            // SAFETY: not in the list since before that grace period, above the size since before another one: no section
            // knows of them. Growth waits until this is done, and all this is under the turn.
            unsafe { self.buckets.release(from, to) };
            // Relaxed: under the turn.
            self.resize.top.store(from, Ordering::Relaxed);
            plan.leaving = None;
        }
    }

    /// Has the memory of buckets `from..to`, which have been taken out of the list, given back after a grace period. The table
    /// does not grow before.
    pub(in crate::raw) fn let_go(&self, from: usize, to: usize) {
        let turn = self.resize.turn.take();
        // SAFETY: the one reference in this function.
        let plan = unsafe { self.plan(&turn) };
        plan.leaving = Some((from, to, self.next_grace_period()));
    }

    fn has_passed(&self, cookie: u64) -> bool {
        self.buckets.ground.has_elapsed(self.flavor, cookie)
    }

    pub(super) fn next_grace_period(&self) -> u64 {
        self.buckets.ground.start_grace_period(self.flavor)
    }
}

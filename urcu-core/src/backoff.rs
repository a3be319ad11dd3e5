//! Spin, then yield, then tell the caller to sleep.

use crate::sync::{in_model, spin_loop};
use crate::sys;

/// Waiting in growing steps.
///
/// Sections are mostly shorter than a microsecond, so spinning finds most of them ended; yielding lets a reader that
/// was preempted inside its section run when there are more threads than processors; beyond that it is better to sleep.
#[derive(Debug)]
pub struct Backoff {
    /// Pauses still to be spun.
    pauses: u32,
    /// The next step, in pauses.
    step: u32,
    longest: u32,
    yields: u32,
}

impl Backoff {
    /// About 10 us of spinning on current processors.
    const PAUSES: u32 = 640;
    const YIELDS: u32 = 16;

    /// Steps that grow to about a microsecond: for a cache line that its owner writes all the time.
    pub const fn new() -> Self {
        Self { pauses: Self::PAUSES, step: 1, longest: 64, yields: Self::YIELDS }
    }

    /// Short steps: for a line that changes once, which is to be noticed at once.
    pub const fn brisk() -> Self {
        Self { pauses: 4 * Self::PAUSES, step: 1, longest: 4, yields: Self::YIELDS }
    }

    /// Like [`new`](Self::new), but never yields: where sleeping costs a waker little, and the kernel runs who is woken
    /// sooner than who has yielded.
    pub const fn spinning() -> Self {
        Self { yields: 0, ..Self::new() }
    }

    /// Waits a little, longer each time; `false` (at once) when it is time to sleep.
    #[inline]
    pub fn snooze(&mut self) -> bool {
        if in_model() {
            // Nothing to learn from spinning.
            return false;
        }
        if self.pauses != 0 {
            let step = self.step.min(self.pauses);
            for _ in 0..step {
                spin_loop();
            }
            self.pauses -= step;
            self.step = (self.step * 2).min(self.longest);
        } else if self.yields != 0 {
            sys::yield_now();
            self.yields -= 1;
        } else {
            return false;
        }
        true
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

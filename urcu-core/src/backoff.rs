//! Spin, then yield, then tell the caller to sleep.

use crate::sync::{in_model, spin_loop};
use crate::sys;

/// Waiting in growing steps.
///
/// What is waited for mostly takes less than a microsecond, so spinning finds most of it done. With more threads than processors
/// somebody else has to run: those who can be woken sleep then ([`spinning`](Self::spinning), [`sleepy`](Self::sleepy)); the others
/// yield, and end up behind every busy thread of their processor, each for a whole time slice.
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
    /// 10 to 30 us of spinning on current processors, whose pauses take 40 ns and more.
    pub(crate) const PAUSES: u32 = 640;
    const YIELDS: u32 = 16;

    /// Steps that grow to less than a microsecond: for a cache line that its owner writes all the time.
    pub const fn new() -> Self {
        Self { pauses: Self::PAUSES, step: 1, longest: 16, yields: Self::YIELDS }
    }

    /// Short steps: for a line that changes once, which is to be noticed at once.
    pub const fn brisk() -> Self {
        Self { pauses: 4 * Self::PAUSES, step: 1, longest: 4, yields: Self::YIELDS }
    }

    /// Like [`new`](Self::new), but never yields: for those whom somebody wakes, since the kernel runs who is woken sooner than
    /// who has yielded.
    pub const fn spinning() -> Self {
        Self::new().sleepy()
    }

    /// Without the yields, likewise.
    #[must_use]
    pub const fn sleepy(self) -> Self {
        Self { yields: 0, ..self }
    }

    /// With so many pauses instead.
    #[must_use]
    pub(crate) const fn of(self, pauses: u32) -> Self {
        Self { pauses, ..self }
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

//! Spin, then yield, then tell the caller to sleep.

use crate::sync::spin_loop;
use crate::sys;

/// Waiting in growing steps.
///
/// Sections are mostly shorter than a microsecond, so spinning finds most of them ended; yielding lets a reader that
/// was preempted inside its section run when there are more threads than processors; beyond that it is better to sleep.
#[derive(Debug, Default)]
pub struct Backoff {
    step: u32,
}

impl Backoff {
    /// Doubling pauses up to 2^6, then that many again: about 10 us in all on current processors.
    const SPIN_STEPS: u32 = 14;
    const LONGEST_SPIN: u32 = 6;
    const YIELD_STEPS: u32 = 16;

    /// At the shortest pause.
    pub const fn new() -> Self {
        Self { step: 0 }
    }

    /// Waits a little, longer each time; `false` (at once) when it is time to sleep.
    #[inline]
    pub fn snooze(&mut self) -> bool {
        if self.step < Self::SPIN_STEPS {
            for _ in 0..1 << self.step.min(Self::LONGEST_SPIN) {
                spin_loop();
            }
        } else if self.step < Self::SPIN_STEPS + Self::YIELD_STEPS {
            sys::yield_now();
        } else {
            return false;
        }
        self.step += 1;
        true
    }
}

//! What a failed exchange costs.

use urcu_core::sync::modelled::spin_loop;

/// More pauses each time.
///
/// The processor that succeeded keeps the cache line meanwhile and goes on at the speed of one processor, which moves more
/// elements than handing the line over for each. Bounded: what was lock-free stays so.
pub(super) struct Delay(u32);

impl Delay {
    const FIRST: u32 = if cfg!(urcu_loom) { 1 } else { 64 };
    const LONGEST: u32 = if cfg!(urcu_loom) { 1 } else { 256 };

    #[inline]
    pub(super) const fn new() -> Self {
        Self(Self::FIRST)
    }

    #[cold]
    pub(super) fn wait(&mut self) {
        for _ in 0..self.0 {
            spin_loop();
        }
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

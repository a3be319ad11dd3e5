//! What a thread does that has lost a race for a cache line.

use crate::sync::modelled::spin_loop;

/// Staying away after a lost race, longer each time.
///
/// Threads that take turns on a cache line pay its way to another core for each operation: 50 to 400 ns on the machines
/// where this was measured. So who loses a race leaves the line to the winner for a while, which goes through many operations meanwhile
/// at the speed of one processor, and both get more done. The first absence is worth many operations already: with one that is
/// as short as the line's way, the loser comes back in time to take the line away again.
///
/// Bounded, so what was lock-free stays so: one to three microseconds the first time, and never more than ten to twenty (64 and 512
/// pauses; a pause takes 20 to 40 ns on current x86 processors).
#[derive(Debug)]
pub struct Absence(u32);

impl Absence {
    const FIRST: u32 = if cfg!(urcu_loom) { 1 } else { 64 };
    const LONGEST: u32 = if cfg!(urcu_loom) { 1 } else { 512 };

    /// For one operation.
    #[inline]
    pub const fn new() -> Self {
        Self(Self::FIRST)
    }

    /// After a lost race.
    #[cold]
    pub fn stay_away(&mut self) {
        for _ in 0..self.0 {
            spin_loop();
        }
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

impl Default for Absence {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn absences_grow_and_are_bounded() {
        let mut absence = Absence::new();
        let mut lengths = Vec::new();
        for _ in 0..6 {
            lengths.push(absence.0);
            absence.stay_away();
        }
        assert_eq!(lengths, [64, 128, 256, 512, 512, 512]);
    }
}

//! How long the leader of a grace period spins for a reader before it sleeps.
//!
//! Spinning is in vain when the reader does not run, or its section is long; then it only keeps a processor from others. So after
//! a full spell in vain some short ones follow: one, then two, four, up to sixteen, until a full spell succeeds. Where one section
//! in a hundred is long, nearly all others are still found ended without a sleep (which costs the reader a system call, too); where all
//! of them are, one wait in seventeen spins at length.

use crate::backoff::Backoff;
use crate::sync::{AtomicU32, Ordering};

/// Pauses of a short spell: about a microsecond.
const SHORT: u32 = 32;
/// The most short spells after a full one.
const MOST: u32 = 16;

/// Written by the holder of the turn alone.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Short spells that are left before the next full one.
    short: AtomicU32,
    /// How many follow the next full one that is in vain.
    next: AtomicU32,
}

/// How one wait begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spell {
    Full,
    Short,
}

impl Spell {
    pub(crate) const fn pauses(self) -> u32 {
        match self {
            Self::Full => Backoff::PAUSES,
            Self::Short => SHORT,
        }
    }
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { short: AtomicU32::new(0), next: AtomicU32::new(1) }
    }

    /// The next wait's. Relaxed, as everything here: a hint.
    pub(crate) fn spell(&self) -> Spell {
        if self.short.load(Ordering::Relaxed) == 0 { Spell::Full } else { Spell::Short }
    }

    /// What became of a wait that has begun with `spell`.
    pub(crate) fn learn(&self, spell: Spell, in_vain: bool) {
        match (spell, in_vain) {
            (Spell::Full, false) => self.next.store(1, Ordering::Relaxed),
            (Spell::Full, true) => {
                let next = self.next.load(Ordering::Relaxed);
                self.short.store(next, Ordering::Relaxed);
                self.next.store((2 * next).min(MOST), Ordering::Relaxed);
            }
            (Spell::Short, false) => {}
            (Spell::Short, true) => {
                let short = self.short.load(Ordering::Relaxed);
                self.short.store(short.saturating_sub(1), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `waits` begin with a full spell; `in_vain` says whether wait `n` ends with a sleep.
    fn full_spells(patience: &Patience, waits: u32, in_vain: impl Fn(u32, Spell) -> bool) -> u32 {
        (0..waits)
            .map(|n| {
                let spell = patience.spell();
                patience.learn(spell, in_vain(n, spell));
                u32::from(spell == Spell::Full)
            })
            .sum()
    }

    #[test]
    fn readers_that_never_run_are_spun_for_at_length_seldom() {
        let patience = Patience::new();
        full_spells(&patience, 100, |_, _| true);
        assert_eq!(full_spells(&patience, 1700, |_, _| true), 100);
    }

    #[test]
    fn one_long_section_costs_little_patience() {
        let patience = Patience::new();
        // Sections that a short spell does not see the end of, and every hundredth longer than a full one.
        let full = full_spells(&patience, 10_000, |n, spell| n % 100 == 0 || spell == Spell::Short);
        assert!(full >= 9_890, "{full}");
    }

    #[test]
    fn sections_that_are_short_again_are_noticed() {
        let patience = Patience::new();
        full_spells(&patience, 100, |_, _| true);
        // In the worst case sixteen short spells are left.
        full_spells(&patience, 17, |_, spell| spell == Spell::Short);
        assert_eq!(full_spells(&patience, 50, |_, spell| spell == Spell::Short), 50);
    }
}

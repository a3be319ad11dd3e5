//! Keys in no order, the answers that they should give, and the pace of operations.

use std::time::Instant;

use crate::harness::plan::Shot;
use crate::maps::{Found, Session, processor_time, value_of};

/// Keys between two looks at the clock; and under one guard, where maps have guards.
pub(super) const BATCH: usize = 512;

/// The `number`th key: no two are the same, and they follow each other in no order.
pub(super) fn key_of(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// SplitMix64's output function over a counter: cheap, and the same for everybody.
#[derive(Clone)]
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    #[inline]
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((u128::from(mixed ^ (mixed >> 29)) * u128::from(end)) >> 64) as u64
    }
}

/// What a batch of lookups should find.
#[derive(Debug, Default)]
pub(super) struct Answer(pub(super) Found);

impl Answer {
    pub(super) fn hit(&mut self, key: u64) {
        self.0.add(Some(value_of(key)));
    }

    pub(super) fn check(self, found: Found) -> Result<(), String> {
        if found == self.0 { Ok(()) } else { Err("wrong answer".into()) }
    }
}

/// Inserts the keys with these numbers, in batches; after each, `check` decides whether to go on. Whether all were inserted.
pub(super) fn insert(session: &mut dyn Session, from: u64, to: u64, mut check: impl FnMut(u64) -> bool) -> bool {
    in_batches(from, to, |keys, number| {
        session.insert(keys);
        check(number)
    })
}

/// Calls `work` with the keys of these numbers, in batches, and the number behind; until it returns `false`.
pub(super) fn in_batches(from: u64, to: u64, mut work: impl FnMut(&[u64], u64) -> bool) -> bool {
    let mut keys = [0; BATCH];
    let mut number = from;
    while number < to {
        let batch = BATCH.min((to - number) as usize);
        for key in &mut keys[..batch] {
            *key = key_of(number);
            number += 1;
        }
        if !work(&keys[..batch], number) {
            return false;
        }
    }
    true
}

/// Runs batches for as long as the budget says, after a fifth of it as warm-up; operations per second of processor time.
///
/// Of the thread's processor time: what other programs take from a core is not counted, what the kernel does for this thread is.
pub(super) fn rate(shot: &Shot<'_>, mut batch: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let mut rate = 0.0;
    for budget in [shot.budget / 5, shot.budget] {
        let mut done = 0_u64;
        let start = Instant::now();
        let used = processor_time();
        while start.elapsed() < budget {
            batch()?;
            done += BATCH as u64;
        }
        // Exact: nobody does 2^52 operations.
        rate = done as f64 / (processor_time() - used).max(1e-9);
    }
    Ok(rate)
}

//! Maps of more and more entries, from the nearest cache into the memory.

use std::time::{Duration, Instant};

use crate::clock::nanoseconds;
use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Pace, Sample, Shot};
use crate::harness::stats::median;
use crate::harness::threads::team;
use crate::maps::{Entrant, FACE, Found, Kind as Whose, value_of};

const SIZES: [(u64, &str); 5] =
    [(1_000, "1k"), (10_000, "10k"), (100_000, "100k"), (1_000_000, "1M"), (10_000_000, "10M")];
/// Maps of more entries take longer to fill than to measure.
const LARGE: u64 = 1_000_000;
/// Keys between two looks at the clock, and under one guard.
const BATCH: usize = 512;

pub(super) fn cases() -> Vec<Case> {
    SIZES.map(case).into()
}

fn case((entries, name): (u64, &str)) -> Case {
    let contenders = FACE
        .into_iter()
        .map(|entrant| {
            let measure = move |shot: &Shot<'_>| hits(entrant, entries, shot);
            if entrant.kind == Whose::Ours {
                Contender::new(entrant.name, Kind::Ours, measure).of(Flavor::Membarrier)
            } else {
                Contender::new(entrant.name, Kind::Peer, measure)
            }
        })
        .collect();
    Case {
        name: format!("map-entries@{name}"),
        about: "Lookups of random keys that are there, in a map that has grown to so many entries; one thread.",
        unit: "ns/lookup",
        better: Better::Lower,
        threads: 1,
        pace: if entries < LARGE { Pace::Rounds(1) } else { Pace::Times(1, Duration::from_millis(300)) },
        contenders,
    }
}

/// Fills a map, which is off the clock, and looks its keys up.
#[allow(clippy::cast_precision_loss, reason = "exact: a batch")]
fn hits(entrant: Entrant, entries: u64, shot: &Shot<'_>) -> Result<Sample, String> {
    let map = entrant.empty(entries)?;
    let batches = team(
        shot.cores,
        1,
        |_| Ok(()),
        |_, ()| {
            let mut session = map.session();
            let mut keys = [0; BATCH];
            let mut first = 0;
            while first < entries {
                let count = BATCH.min(usize::try_from(entries - first).unwrap_or(BATCH));
                keys[..count].iter_mut().zip(first..).for_each(|(key, number)| *key = key_of(number));
                session.insert(&keys[..count]);
                first += count as u64;
            }
            let mut state = 0;
            let mut batch = || {
                let mut expected = Found::default();
                for key in &mut keys {
                    *key = key_of(random(&mut state) % entries);
                    expected.add(Some(value_of(*key)));
                }
                let start = Instant::now();
                let found = session.get(&keys);
                let elapsed = start.elapsed();
                if found == expected { Ok(nanoseconds(elapsed) / BATCH as f64) } else { Err("wrong answer".to_owned()) }
            };
            for _ in 0..1 + entries.min(100_000) / BATCH as u64 {
                batch()?;
            }
            let start = Instant::now();
            let mut batches = Vec::new();
            while batches.len() < 3 || start.elapsed() < shot.budget {
                batches.push(batch()?);
            }
            Ok(batches)
        },
    )?;
    median(&batches.concat()).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}

/// The `number`th key: no two are the same, and they follow each other in no order.
fn key_of(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

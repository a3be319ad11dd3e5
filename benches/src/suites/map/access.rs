//! Lookups that find, lookups that do not, and a mix with updates, in a table that stays about as large.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::workload::{Map, Session, Table};
use super::{Size, lines};
use crate::clock::nanoseconds;
use crate::harness::plan::{Better, Case, Pace, Sample, Shot};
use crate::harness::stats::median;
use crate::harness::threads::team;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Hit,
    Miss,
    Mix,
}

impl Access {
    const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Mix];

    fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Mix => "mix",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Hit => "Lookups of random keys that are there, each in a section of its own.",
            Self::Miss => "Lookups of random keys that are not there, each in a section of its own.",
            Self::Mix => "90 % lookups, 5 % insertions, 5 % removals of random keys, half of which are there.",
        }
    }

    /// One batch of operations.
    fn batch(self, session: &mut dyn Session, entries: u64) -> Result<(), String> {
        let right = match self {
            Self::Hit => session.lookup(0, entries, BATCH) == BATCH,
            Self::Miss => session.lookup(entries, entries, BATCH) == 0,
            Self::Mix => {
                session.mix(2 * entries, BATCH);
                true
            }
        };
        session.quiescent();
        if right { Ok(()) } else { Err("a lookup gave a wrong answer".into()) }
    }
}

const BATCH: u64 = 1024;

/// For each kind and number of threads; the tables that only lookups use are shared.
pub(super) fn cases(size: Size, counts: &[usize]) -> Vec<Case> {
    let shared: Vec<Table> = lines().into_iter().map(|line| Table::new(line, size.entries)).collect();
    let changing: Vec<Table> = lines().into_iter().map(|line| Table::new(line, size.entries)).collect();
    let mut cases = Vec::new();
    for access in Access::ALL {
        let tables = if access == Access::Mix { &changing } else { &shared };
        for &threads in counts {
            let contenders = lines()
                .into_iter()
                .zip(tables.iter().cloned())
                .map(|(line, table)| {
                    line.contender(move |shot| measure(&table.get()?, access, size.entries, threads, shot))
                })
                .collect();
            cases.push(Case {
                name: format!("raw-{}-{}", access.name(), size.name),
                about: access.about(),
                unit: "ns/op",
                better: Better::Lower,
                threads,
                pace: Pace::Rounds(1),
                contenders,
            });
        }
    }
    cases
}

/// The median over all batches of all threads.
fn measure(
    map: &Arc<dyn Map>,
    access: Access,
    entries: u64,
    threads: usize,
    shot: &Shot<'_>,
) -> Result<Sample, String> {
    let batches = team(
        shot.cores,
        threads,
        |index| map.session(Instant::now().elapsed().as_nanos() as u64 ^ (index as u64 + 1) << 40 ^ stamp()),
        |_, mut session| {
            run(session.as_mut(), access, entries, shot.budget / 5)?;
            run(session.as_mut(), access, entries, shot.budget)
        },
    )?;
    median(&batches.concat()).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}

/// Other random keys in each measurement.
fn stamp() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

fn run(session: &mut dyn Session, access: Access, entries: u64, budget: Duration) -> Result<Vec<f64>, String> {
    let start = Instant::now();
    let mut batches = Vec::new();
    loop {
        let batch = Instant::now();
        access.batch(session, entries)?;
        batches.push(nanoseconds(batch.elapsed()) / BATCH as f64);
        if start.elapsed() >= budget {
            return Ok(batches);
        }
    }
}

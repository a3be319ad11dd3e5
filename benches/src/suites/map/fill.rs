//! Insertion of new keys into an empty table.

use std::time::{Duration, Instant};

use super::workload::Line;
use super::{Size, lines};
use crate::harness::plan::{Better, Case, Pace, Sample, Shot};
use crate::harness::threads::team;

/// Keys between two looks at whether the table has stopped growing.
const STRETCH: u64 = 4096;
/// A thread that inserts slower than this on average, per key, after the table has stopped growing.
const STALLED: Duration = Duration::from_micros(10);
const TRIES: u32 = 20;

pub(super) fn case(size: Size, threads: usize) -> Case {
    let contenders = lines()
        .into_iter()
        .map(|line| line.contender(move |shot| measure(line, size.entries, threads, shot)))
        .collect();
    Case {
        name: format!("raw-insert-{}", size.name),
        about: "Insertion of new keys into an empty table, allocation of the nodes included.",
        unit: "inserts/s",
        better: Better::Higher,
        threads,
        pace: Pace::Rounds(1),
        contenders,
    }
}

/// Fills tables until the budget is spent, one at least; what comes before and after is off the clock.
#[allow(clippy::cast_precision_loss, reason = "exact: nobody inserts 2^52 keys")]
fn measure(line: Line, entries: u64, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let (mut inserted, mut spent, mut stalls) = (0, Duration::ZERO, 0);
    while spent < shot.budget {
        match fill(line, entries, threads, shot)? {
            Some(time) => {
                spent += time;
                inserted += entries;
            }
            None if stalls == TRIES => return Err("its tables have stopped growing, again and again".into()),
            None => stalls += 1,
        }
    }
    let note = (stalls != 0).then(|| format!("{stalls} tables stopped growing and do not count"));
    Ok(Sample::figure(inserted as f64 / spent.as_secs_f64()).with_note(note))
}

/// The time until the last thread was done; none if the table has stopped growing.
fn fill(line: Line, entries: u64, threads: usize, shot: &Shot<'_>) -> Result<Option<Duration>, String> {
    let map = line.empty(entries)?;
    let step = threads as u64;
    let times = team(
        shot.cores,
        threads,
        |index| map.session(index as u64),
        |index, mut session| {
            let start = Instant::now();
            let mut from = index as u64;
            let mut inserted = 0;
            while from < entries {
                let stretch = Instant::now();
                let to = (from + STRETCH * step).min(entries);
                inserted += session.insert(from, to, step);
                session.quiescent();
                if line.stalls && stretch.elapsed() > STALLED * 4096 {
                    return Ok(None);
                }
                from += STRETCH * step;
            }
            Ok(Some((start.elapsed(), inserted)))
        },
    )?;
    if times.iter().any(Option::is_none) {
        return Ok(None);
    }
    let inserted: u64 = times.iter().flatten().map(|(_, inserted)| inserted).sum();
    if inserted != entries {
        return Err(format!("{inserted} of {entries} new keys were inserted"));
    }
    Ok(times.iter().flatten().map(|(time, _)| *time).max())
}

//! How long a lookup can take while another thread makes the table grow and shrink.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::workload::{Line, Map};
use super::{Size, lines};
use crate::harness::plan::{Better, Case, Pace, Sample, Shot};
use crate::harness::stats::percentile;
use crate::harness::threads::team;

/// Lookups that are timed at rest.
const AT_REST: usize = 1_000_000;
const BATCH: usize = 1024;
/// More would only cost memory.
const MOST: usize = 60_000_000;

pub(super) fn cases(small: Size, large: Size) -> Vec<Case> {
    let contenders = |during: bool| {
        lines()
            .into_iter()
            .filter(|line| !line.presized)
            .map(|line| line.contender(move |shot| measure(line, small.entries, large.entries, during, shot)))
            .collect()
    };
    let case = |name: &str, about, during| Case {
        name: name.into(),
        about,
        unit: "ns",
        better: Better::Lower,
        threads: 2,
        pace: Pace::Once(Duration::from_secs(5)),
        contenders: contenders(during),
    };
    vec![
        case(
            "raw-tail-rest",
            "p99.9 of a lookup, timed one by one, in the large table at rest; another thread only waits.",
            false,
        ),
        case(
            "raw-tail-resize",
            "p99.9 of a lookup while another thread inserts from the small number of entries to the large one and removes them.",
            true,
        ),
    ]
}

fn tail(times: &[u32]) -> Result<(f64, f64, f64), String> {
    let times: Vec<f64> = times.iter().copied().map(f64::from).collect();
    let at = |percent| percentile(&times, percent).ok_or_else(|| String::from("nothing was measured"));
    Ok((at(50.0)?, at(99.9)?, at(100.0)?))
}

fn measure(line: Line, small: u64, large: u64, during: bool, shot: &Shot<'_>) -> Result<Sample, String> {
    for _ in 0..10 {
        let map = line.empty(large)?;
        if let Some(sample) =
            if during { resizing(line, &*map, small, large, shot)? } else { resting(line, &*map, large)? }
        {
            return Ok(sample);
        }
    }
    Err("its tables have stopped growing, again and again".into())
}

/// Inserts keys, unless the table has stopped growing.
fn grow(line: Line, map: &dyn Map, from: u64, to: u64, times: &mut [u32]) -> Result<bool, String> {
    let mut session = map.session(1)?;
    for (stretch, times) in times.chunks_mut(4096).enumerate() {
        let first = from + 4096 * stretch as u64;
        let start = Instant::now();
        let inserted = session.insert_timed(first, times);
        if inserted != times.len() as u64 || first + inserted > to {
            return Err("an insertion of a new key was refused".into());
        }
        session.quiescent();
        if line.stalls && start.elapsed() > Duration::from_millis(100) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[allow(clippy::cast_possible_truncation, reason = "a few million")]
fn resting(line: Line, map: &dyn Map, large: u64) -> Result<Option<Sample>, String> {
    let mut insertions = vec![0; large as usize];
    if !grow(line, map, 0, large, &mut insertions)? {
        return Ok(None);
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut session = map.session(2)?;
    let mut times = vec![0; AT_REST];
    for times in times.chunks_mut(BATCH) {
        if session.lookup_timed(0, large, times) != times.len() as u64 {
            return Err("a lookup gave a wrong answer".into());
        }
        session.quiescent();
    }
    let (half, most, worst) = tail(&times)?;
    Ok(Some(Sample::figure(most).with_note(Some(format!("median {half:.0} ns, worst {:.1} us", worst / 1000.0)))))
}

#[allow(clippy::cast_possible_truncation, reason = "a few million")]
fn resizing(line: Line, map: &dyn Map, small: u64, large: u64, shot: &Shot<'_>) -> Result<Option<Sample>, String> {
    let mut few = vec![0; small as usize];
    grow(line, map, 0, small, &mut few)?;
    let ended = AtomicBool::new(false);
    let outcomes = team(
        shot.cores,
        2,
        |_| Ok(()),
        |index, ()| {
            if index == 0 {
                let mut times = vec![0; (large - small) as usize];
                let grown = grow(line, map, small, large, &mut times);
                if grown == Ok(true) {
                    let mut session = map.session(3)?;
                    for from in (small..large).step_by(BATCH) {
                        session.remove(from, (from + BATCH as u64).min(large));
                        session.quiescent();
                    }
                }
                ended.store(true, Ordering::Release);
                return grown.map(|grown| grown.then_some(times));
            }
            let mut session = map.session(4)?;
            let mut times = Vec::with_capacity(MOST);
            let mut batch = [0; BATCH];
            while !ended.load(Ordering::Acquire) && times.len() < MOST {
                // Keys of the whole range: found or not, depending on how far the other thread is.
                session.lookup_timed(0, large, &mut batch);
                session.quiescent();
                times.extend_from_slice(&batch);
            }
            Ok(Some(times))
        },
    )?;
    let [Some(insertions), Some(lookups)] = &outcomes[..] else { return Ok(None) };
    let (half, most, worst) = tail(lookups)?;
    let (_, insertion, worst_insertion) = tail(insertions)?;
    let note = format!(
        "median {half:.0} ns, worst {:.1} us; insertions: p99.9 {insertion:.0} ns, worst {:.1} us",
        worst / 1000.0,
        worst_insertion / 1000.0
    );
    Ok(Some(Sample::figure(most).with_note(Some(note))))
}

//! Insertion of new keys into an empty map, which grows by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::keys::{BATCH, insert, key_of};
use super::{Group, ONCE, Size};
use crate::harness::plan::{Better, Case, Pace, Sample, Shot};
use crate::harness::stats::median;
use crate::harness::threads::{Cores, team};
use crate::maps::{Entrant, processor_time};

/// Keys between two looks at whether the map has stopped growing.
const STRETCH: u64 = 8 * BATCH as u64;
/// Processor time of a stretch, in seconds, after the map has stopped.
const STALLED: f64 = 10e-6 * STRETCH as f64;
const TRIES: u32 = 20;
/// Crowds whose median counts.
const CROWDS: usize = 5;
/// No further growth of a crowd begins after so much time.
const PATIENCE: Duration = Duration::from_secs(10);

/// From nothing to `size`, by threads with disjoint keys.
pub(super) fn case(group: Group, size: Size, threads: usize) -> Case {
    let contenders = group.rows(
        |entrant| !entrant.batched,
        |entrant| {
            move |shot: &Shot<'_>| {
                let (mut inserted, mut spent, mut stalls) = (0, 0.0, 0);
                // One map at least.
                while spent < shot.budget.as_secs_f64() {
                    match grow(entrant, size.0, threads, shot.cores)? {
                        Some(growth) => {
                            // Until the last one was done.
                            spent += growth.0.iter().map(|thread| thread.processor).fold(0.0, f64::max);
                            inserted += size.0;
                        }
                        None if stalls == TRIES => {
                            return Err("its tables have stopped growing, again and again".into());
                        }
                        None => stalls += 1,
                    }
                }
                let note = (stalls != 0).then(|| format!("{stalls} tables stopped growing and do not count"));
                Ok(Sample::figure(inserted as f64 / spent).with_note(note))
            }
        },
    );
    Case {
        name: group.name("grow", size.1),
        about: "A map that nothing was said to grows from nothing; each thread inserts keys of its own.",
        unit: "insertions/s",
        better: Better::Higher,
        threads,
        pace: Pace::Rounds(1),
        contenders,
    }
}

/// Twice as many threads as cores grow a map to a million: what it costs beside what one thread pays that does it alone.
pub(super) fn crowded(group: Group) -> Case {
    const ENTRIES: u64 = 1_000_000;
    let contenders = group.rows(
        |entrant| !entrant.batched && !entrant.presized,
        |entrant| {
            move |shot: &Shot<'_>| {
                let crowd = 2 * shot.cores.count();
                let (mut ratios, mut elapsed) = (Vec::new(), Vec::new());
                let start = Instant::now();
                for _ in 0..TRIES {
                    let alone = grow(entrant, ENTRIES, 1, shot.cores)?;
                    let together = grow(entrant, ENTRIES, crowd, shot.cores)?;
                    if let (Some(alone), Some(together)) = (alone, together) {
                        ratios.push(together.processor() / alone.processor());
                        elapsed.push(together.elapsed() / alone.elapsed());
                    }
                    if ratios.len() == CROWDS || !ratios.is_empty() && start.elapsed() > PATIENCE {
                        let note = median(&elapsed).map(|elapsed| format!("in {elapsed:.2} x the time"));
                        let ratio = median(&ratios).ok_or("nothing was measured")?;
                        return Ok(Sample::figure(ratio).with_note(note));
                    }
                }
                Err("its tables have stopped growing, again and again".into())
            }
        },
    );
    Case {
        name: format!("{}grow-crowded", group.prefix),
        about: "Twice as many threads as cores insert a million keys: their processor time, over that of one thread alone.",
        unit: "x alone",
        better: Better::Lower,
        threads: 2 * Cores::detect().count(),
        pace: ONCE,
        contenders,
    }
}

/// What a thread has taken to insert its share: processor time in seconds, and from when to when.
struct Spent {
    processor: f64,
    from: Instant,
    to: Instant,
}

/// Of each thread.
struct Growth(Vec<Spent>);

impl Growth {
    /// Seconds of processor time of all threads.
    fn processor(&self) -> f64 {
        self.0.iter().map(|thread| thread.processor).sum()
    }

    /// Seconds from the first one's beginning to the last one's end.
    fn elapsed(&self) -> f64 {
        let from = self.0.iter().map(|thread| thread.from).min();
        let to = self.0.iter().map(|thread| thread.to).max();
        from.zip(to).map_or(0.0, |(from, to)| (to - from).as_secs_f64())
    }
}

/// None if the map has stopped growing.
fn grow(entrant: Entrant, entries: u64, threads: usize, cores: &Cores) -> Result<Option<Growth>, String> {
    let map = entrant.empty(entries)?;
    let share = entries / threads as u64;
    let has_stopped = AtomicBool::new(false);
    let spent = team(
        cores,
        threads,
        |_| Ok(()),
        |index, ()| {
            let mut session = map.session();
            let first = index as u64 * share;
            let (start, from) = (processor_time(), Instant::now());
            let mut stretch = start;
            insert(session.as_mut(), first, first + share, |number| {
                if !entrant.stalls || !(number - first).is_multiple_of(STRETCH) {
                    return true;
                }
                let now = processor_time();
                if core::mem::replace(&mut stretch, now) + STALLED < now {
                    has_stopped.store(true, Ordering::Relaxed);
                }
                !has_stopped.load(Ordering::Relaxed)
            });
            Ok(Spent { processor: processor_time() - start, from, to: Instant::now() })
        },
    )?;
    if has_stopped.into_inner() {
        return Ok(None);
    }
    let all: Vec<u64> = (0..share * threads as u64).map(key_of).collect();
    if map.session().get(&all).keys != all.len() as u64 {
        return Err("wrong answer: an entry was lost".into());
    }
    Ok(Some(Growth(spent)))
}

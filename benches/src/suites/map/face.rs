//! `LfHashMap` beside other concurrent hash maps of safe Rust: `u64` to `u64`, the same hasher for all.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::clock;

use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot};
use crate::harness::stats::percentile;
use crate::harness::threads::team;
use crate::map_process::bytes_per_entry;
use crate::maps::{ALL, Entrant, Found, Map, Session, Step, processor_time, value_of};

/// Entries in a map, and how that is called.
const SIZES: [(u64, &str); 3] = [(1_000, "1k"), (100_000, "100k"), (4_000_000, "4M")];
/// Keys between two looks at the clock, and under one guard.
const BATCH: usize = 512;
/// Entries that a growing map ends with.
const GROWN: u64 = 1_000_000;

/// What the readers of a filled map do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Hit,
    Miss,
    Mix,
}

impl Work {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Hit, "hit", "Lookups of keys that are there."),
        (Self::Miss, "miss", "Lookups of keys that are not there."),
        (Self::Mix, "mix", "90 % lookups of keys that are there, 5 % insertions, 5 % removals."),
    ];
}

/// All cases.
pub(super) fn cases(options: &Options) -> Vec<Case> {
    let threads = if options.threads.is_empty() { vec![1, 2] } else { options.threads.clone() };
    let mut cases = Vec::new();
    for (size, name) in SIZES {
        let maps = Filled::default();
        for (work, work_name, about) in Work::ALL {
            for &threads in &threads {
                cases.push(filled_case(format!("{work_name}-{name}"), about, size, work, threads, &maps));
            }
        }
    }
    cases.extend(threads.iter().map(|&threads| grow_case(threads)));
    cases.push(latency_case(Latency::Rest));
    cases.push(latency_case(Latency::Resize));
    cases.push(latency_case(Latency::Insert));
    cases.extend([(100_000, "memory-100k"), (1_000_000, "memory-1M"), (4_000_000, "memory-4M")].map(memory_case));
    cases
}

/// The maps of one size, made when they are first measured.
#[derive(Clone, Default)]
struct Filled(Rc<RefCell<Vec<Named>>>);

type Named = (&'static str, Rc<dyn Map>);

impl Filled {
    fn get(&self, entrant: Entrant, size: u64) -> Rc<dyn Map> {
        if let Some((_, map)) = self.0.borrow().iter().find(|(name, _)| *name == entrant.name) {
            return Rc::clone(map);
        }
        let map: Rc<dyn Map> = Rc::from((entrant.make)(0));
        let keys: Vec<u64> = (0..size).map(key_of).collect();
        let mut session = map.session();
        keys.chunks(BATCH).for_each(|keys| session.insert(keys));
        drop(session);
        self.0.borrow_mut().push((entrant.name, Rc::clone(&map)));
        map
    }
}

/// Runs batches for as long as the budget says, after a fifth of it as warm-up; operations per second of processor time.
///
/// Of the thread's processor time: what other programs take from a core is not counted, what the kernel does for this thread is.
fn rate(shot: &Shot<'_>, mut batch: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
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

/// The `number`th key: no two are the same, and they follow each other in no order.
fn key_of(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// SplitMix64's output function over a counter: cheap, and the same for everybody.
#[derive(Clone)]
struct Numbers(u64);

impl Numbers {
    #[inline]
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((u128::from(mixed ^ (mixed >> 29)) * u128::from(end)) >> 64) as u64
    }
}

fn contender(entrant: Entrant, measure: impl FnMut(&Shot<'_>) -> Result<Sample, String> + 'static) -> Contender {
    if entrant.is_ours {
        Contender::new(entrant.name, Kind::Ours, measure).of(Flavor::Membarrier)
    } else {
        Contender::new(entrant.name, Kind::Peer, measure)
    }
}

fn filled_case(name: String, about: &'static str, size: u64, work: Work, threads: usize, maps: &Filled) -> Case {
    let contenders = ALL
        .into_iter()
        .filter(|entrant| work != Work::Mix || !entrant.name.contains(':') || !entrant.is_ours)
        .map(|entrant| {
            let maps = maps.clone();
            let mut seed = 0;
            contender(entrant, move |shot| {
                seed += 1;
                let map = maps.get(entrant, size);
                let map = Shared(&*map);
                let rates = team(
                    shot.cores,
                    threads,
                    |_| Ok(()),
                    |index, ()| {
                        let mut session = map.get().session();
                        let mut numbers = Numbers(seed << 32 | (index as u64) << 20);
                        let mut lookups = Lookups { session: session.as_mut(), numbers: &mut numbers, size };
                        match work {
                            Work::Hit => lookups.run(shot, 0),
                            Work::Miss => lookups.run(shot, size),
                            Work::Mix => lookups.run_mix(shot, index as u64),
                        }
                    },
                )?;
                Ok(Sample::figure(rates.iter().sum()))
            })
        })
        .collect();
    let unit = if work == Work::Mix { "operations/s" } else { "lookups/s" };
    Case { name, about, unit, better: Better::Higher, threads, pace: Pace::Rounds(1), contenders }
}

/// A map that several threads use: [`Map`] is `Sync`, the `Rc` around it is not.
struct Shared<'m>(&'m dyn Map);

impl Shared<'_> {
    fn get(&self) -> &dyn Map {
        self.0
    }
}

struct Lookups<'s> {
    session: &'s mut dyn Session,
    numbers: &'s mut Numbers,
    size: u64,
}

impl Lookups<'_> {
    /// Lookups per second of keys whose numbers begin with `first`.
    fn run(&mut self, shot: &Shot<'_>, first: u64) -> Result<f64, String> {
        let mut keys = [0; BATCH];
        rate(shot, || {
            let mut expected = Found::default();
            for key in &mut keys {
                *key = key_of(first + self.numbers.below(self.size));
                if first == 0 {
                    expected.add(Some(value_of(*key)));
                }
            }
            if self.session.get(&keys) == expected { Ok(()) } else { Err("wrong answer".into()) }
        })
    }

    /// Operations per second: lookups of the map's keys, insertions of others, which are removed some time later.
    fn run_mix(&mut self, shot: &Shot<'_>, thread: u64) -> Result<f64, String> {
        /// Keys that are there on the average, of those that come and go.
        const LAG: u64 = 1024;
        let first = self.size + (thread << 40);
        let (mut inserted, mut removed) = (0_u64, 0_u64);
        let mut steps = [Step::Get(0); BATCH];
        let rate = rate(shot, || {
            let mut expected = Found::default();
            for step in &mut steps {
                *step = match self.numbers.below(20) {
                    0 => {
                        inserted += 1;
                        Step::Insert(key_of(first + inserted))
                    }
                    1 if inserted - removed > LAG / 2 => {
                        removed += 1;
                        Step::Remove(key_of(first + removed))
                    }
                    _ => {
                        let key = key_of(self.numbers.below(self.size));
                        expected.add(Some(value_of(key)));
                        Step::Get(key)
                    }
                };
            }
            if self.session.mixed(&steps) == expected { Ok(()) } else { Err("wrong answer".into()) }
        })?;
        while removed < inserted {
            removed += 1;
            self.session.remove(&[key_of(first + removed)]);
        }
        Ok(rate)
    }
}

fn grow_case(threads: usize) -> Case {
    let contenders = ALL
        .into_iter()
        .filter(|entrant| !entrant.is_ours || !entrant.name.contains(':'))
        .map(|entrant| {
            contender(entrant, move |shot| {
                let map = (entrant.make)(0);
                let share = GROWN / threads as u64;
                let times = team(
                    shot.cores,
                    threads,
                    |_| Ok(()),
                    |index, ()| {
                        let mut session = map.session();
                        let mut keys = [0; BATCH];
                        let first = index as u64 * share;
                        let start = processor_time();
                        let mut number = first;
                        while number < first + share {
                            let batch = BATCH.min((first + share - number) as usize);
                            for key in &mut keys[..batch] {
                                *key = key_of(number);
                                number += 1;
                            }
                            session.insert(&keys[..batch]);
                        }
                        Ok(processor_time() - start)
                    },
                )?;
                let slowest = times.into_iter().fold(0.0, f64::max);
                let mut session = map.session();
                let all: Vec<u64> = (0..share * threads as u64).map(key_of).collect();
                if session.get(&all).keys != all.len() as u64 {
                    return Err("wrong answer: an entry was lost".into());
                }
                Ok(Sample::figure((share * threads as u64) as f64 / slowest))
            })
        })
        .collect();
    Case {
        name: "grow-1M".into(),
        about: "A map that nothing was said to grows from nothing to a million entries.",
        unit: "insertions/s",
        better: Better::Higher,
        threads,
        pace: Pace::Rounds(1),
        contenders,
    }
}

/// Whose single calls are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latency {
    /// A reader's, of a thousand keys in a map of four million entries that nobody changes.
    Rest,
    /// A reader's, of the same keys, while the map grows from a thousand to four million entries and shrinks back.
    Resize,
    /// An updater's, whose map grows from nothing to a million entries.
    Insert,
}

/// Entries that are always there, and those that come and go.
const STAYING: u64 = 1_000;
const MANY: u64 = 4_000_000;

fn latency_case(latency: Latency) -> Case {
    let (name, about, threads) = match latency {
        Latency::Rest => (
            "p999-rest",
            "The 99.9th percentile of single lookups of a thousand keys in a map of four million entries.",
            1,
        ),
        Latency::Resize => (
            "p999-resize",
            "The same, while another thread makes the map grow from a thousand to four million entries and shrink back.",
            2,
        ),
        Latency::Insert => {
            ("p999-insert", "The 99.9th percentile of single insertions, from nothing to a million entries.", 1)
        }
    };
    let contenders = ALL
        .into_iter()
        .filter(|entrant| !entrant.is_ours || !entrant.name.contains(':'))
        .map(|entrant| {
            contender(entrant, move |shot| {
                let map = (entrant.make)(0);
                let singles = match latency {
                    Latency::Insert => time_insertions(&*map, shot),
                    Latency::Rest => time_lookups(&*map, shot, false),
                    Latency::Resize => time_lookups(&*map, shot, true),
                }?;
                let p999 = percentile(&singles, 99.9).ok_or("nothing was measured")?;
                let worst = singles.into_iter().fold(0.0, f64::max);
                Ok(Sample::figure(p999).with_note(Some(format!("worst {:.0} us", worst / 1e3))))
            })
        })
        .collect();
    let pace = Pace::Once(std::time::Duration::from_secs(1));
    Case { name: name.into(), about, unit: "ns", better: Better::Lower, threads, pace, contenders }
}

fn time_insertions(map: &dyn Map, shot: &Shot<'_>) -> Result<Vec<f64>, String> {
    let singles = team(
        shot.cores,
        1,
        |_| Ok(()),
        |_, ()| {
            let mut session = map.session();
            Ok((0..GROWN).map(|number| clock::time(|| session.insert(&[key_of(number)]))).collect::<Vec<_>>())
        },
    )?;
    Ok(singles.into_iter().flatten().collect())
}

fn time_lookups(map: &dyn Map, shot: &Shot<'_>, resizing: bool) -> Result<Vec<f64>, String> {
    let all: Vec<u64> = (0..if resizing { STAYING } else { MANY }).map(key_of).collect();
    map.session().insert(&all);
    let stop = AtomicBool::new(false);
    let singles = team(
        shot.cores,
        2,
        |_| Ok(()),
        |index, ()| {
            let mut session = map.session();
            if index == 0 {
                let mut numbers = Numbers(1);
                let mut singles = Vec::with_capacity(1 << 24);
                let start = Instant::now();
                while !stop.load(Ordering::Relaxed) && (resizing || start.elapsed() < shot.budget) {
                    for _ in 0..64 {
                        let key = key_of(numbers.below(STAYING));
                        singles.push(clock::time(|| assert_eq!(session.get(&[key]).keys, 1, "wrong answer")));
                    }
                }
                return Ok(singles);
            }
            if resizing {
                let mut keys = [0; BATCH];
                for is_growing in [true, false] {
                    for first in (STAYING..MANY).step_by(BATCH) {
                        keys.iter_mut().zip(first..).for_each(|(key, number)| *key = key_of(number));
                        if is_growing { session.insert(&keys) } else { session.remove(&keys) }
                    }
                }
                stop.store(true, Ordering::Relaxed);
            }
            Ok(Vec::new())
        },
    )?;
    Ok(singles.into_iter().flatten().collect())
}

fn memory_case((entries, name): (u64, &str)) -> Case {
    let contenders = ALL
        .into_iter()
        .filter(|entrant| !entrant.is_ours || !entrant.name.contains(':'))
        .map(|entrant| contender(entrant, move |_| bytes_per_entry(entrant.name, entries).map(Sample::figure)))
        .collect();
    Case {
        name: name.into(),
        about: "Resident memory of a process over the number of entries of the map that it has filled.",
        unit: "bytes/entry",
        better: Better::Lower,
        threads: 1,
        pace: Pace::Once(std::time::Duration::from_secs(1)),
        contenders,
    }
}

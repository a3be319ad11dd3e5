//! Lookups that find, lookups that do not, and a mix with updates, in a map that stays about as large.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::keys::{Answer, BATCH, Numbers, insert, key_of, rate};
use super::{Group, Size};
use crate::clock::nanoseconds;
use crate::harness::plan::{Better, Case, Pace, Sample, Shot};
use crate::harness::threads::team;
use crate::maps::{Entrant, Map, Session, Step, processor_time};

/// What the threads do.
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

/// For each kind of work and number of threads; all of them share the maps.
pub(super) fn cases(group: Group, size: Size, counts: &[usize]) -> Vec<Case> {
    let maps = Filled::default();
    let mut cases = Vec::new();
    for (work, name, about) in Work::ALL {
        for &threads in counts {
            let unit = if work == Work::Mix { "operations/s" } else { "lookups/s" };
            let contenders = group.rows(
                |entrant| work != Work::Mix || !entrant.batched,
                |entrant| measure(entrant, maps.clone(), size.0, work, threads),
            );
            let name = group.name(name, size.1);
            cases.push(Case { name, about, unit, better: Better::Higher, threads, pace: Pace::Rounds(1), contenders });
        }
    }
    cases
}

fn measure(
    entrant: Entrant,
    maps: Filled,
    size: u64,
    work: Work,
    threads: usize,
) -> impl FnMut(&Shot<'_>) -> Result<Sample, String> {
    let mut seed = 0;
    move |shot| {
        seed += 1;
        let map = maps.get(entrant, size)?;
        let map: &dyn Map = &*map;
        let rates = team(
            shot.cores,
            threads,
            |_| Ok(()),
            |index, ()| {
                let mut session = map.session();
                let mut numbers = Numbers(seed << 32 | (index as u64) << 20);
                let mut turn = Turn { session: session.as_mut(), numbers: &mut numbers, size };
                match work {
                    Work::Hit => turn.look_up(shot, true),
                    Work::Miss => turn.look_up(shot, false),
                    Work::Mix => turn.mix(shot, index as u64),
                }
            },
        )?;
        Ok(Sample::figure(rates.iter().sum()))
    }
}

struct Turn<'s> {
    session: &'s mut dyn Session,
    numbers: &'s mut Numbers,
    size: u64,
}

impl Turn<'_> {
    /// Lookups per second, of keys that are there or of the keys behind them.
    fn look_up(&mut self, shot: &Shot<'_>, are_there: bool) -> Result<f64, String> {
        let first = if are_there { 0 } else { self.size };
        let mut keys = [0; BATCH];
        rate(shot, || {
            let mut expected = Answer::default();
            for key in &mut keys {
                *key = key_of(first + self.numbers.below(self.size));
                if are_there {
                    expected.hit(*key);
                }
            }
            expected.check(self.session.get(&keys))
        })
    }

    /// Operations per second: lookups of the map's keys, insertions of others, which are removed some time later.
    fn mix(&mut self, shot: &Shot<'_>, thread: u64) -> Result<f64, String> {
        /// Keys that are there on the average, of those that come and go.
        const LAG: u64 = 1024;
        let first = self.size + (thread << 40);
        let (mut inserted, mut removed) = (0_u64, 0_u64);
        let mut steps = [Step::Get(0); BATCH];
        let rate = rate(shot, || {
            let mut expected = Answer::default();
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
                        expected.hit(key);
                        Step::Get(key)
                    }
                };
            }
            expected.check(self.session.mixed(&steps))
        })?;
        while removed < inserted {
            removed += 1;
            self.session.remove(&[key_of(first + removed)]);
        }
        Ok(rate)
    }
}

/// The maps of one size, made when they are first measured.
#[derive(Clone, Default)]
struct Filled(Rc<RefCell<Vec<Named>>>);

type Named = (&'static str, Rc<dyn Map>);

/// Processor time of a batch, in seconds, into a map that has stopped growing.
const STALLED: f64 = 4e-6 * BATCH as f64 + 0.02;
const TRIES: usize = 20;
/// Time for all tries, once a map has been filled.
const PATIENCE: Duration = Duration::from_secs(1);

impl Filled {
    fn get(&self, entrant: Entrant, size: u64) -> Result<Rc<dyn Map>, String> {
        if let Some((_, map)) = self.0.borrow().iter().find(|(name, _)| *name == entrant.name) {
            return Ok(Rc::clone(map));
        }
        let map: Rc<dyn Map> = Rc::from(fill(entrant, size)?);
        self.0.borrow_mut().push((entrant.name, Rc::clone(&map)));
        Ok(map)
    }
}

/// A map with keys `0..size`. Where growth can stop for good, the fastest of three that went on growing, if they are small.
fn fill(entrant: Entrant, size: u64) -> Result<Box<dyn Map>, String> {
    let wanted = if entrant.stalls && size <= 100_000 { 3 } else { 1 };
    let mut made: Vec<(f64, Box<dyn Map>)> = Vec::new();
    let begun = Instant::now();
    for _ in 0..TRIES {
        let map = entrant.empty(size)?;
        let mut session = map.session();
        let mut before = processor_time();
        let went_on = insert(session.as_mut(), 0, size, |_| {
            let now = processor_time();
            core::mem::replace(&mut before, now) + STALLED > now || !entrant.stalls
        });
        // Growth in the background comes to rest.
        std::thread::sleep(Duration::from_millis(if size > 100_000 { 300 } else { 20 }));
        let keys: Vec<u64> = (0..20_000).map(|number| key_of(number % size)).collect();
        let start = Instant::now();
        session.get(&keys);
        let time = nanoseconds(start.elapsed());
        drop(session);
        if went_on {
            made.push((time, map));
        }
        if made.len() == wanted || !made.is_empty() && begun.elapsed() > PATIENCE {
            break;
        }
    }
    let best = made.into_iter().min_by(|one, other| one.0.total_cmp(&other.0));
    best.map(|(_, map)| map).ok_or_else(|| "its tables have stopped growing, again and again".into())
}

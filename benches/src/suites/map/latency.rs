//! The 99.9th percentile of single operations: of lookups at rest, beside updates, and while the map is resized; of insertions that
//! make it grow.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::keys::{BATCH, Numbers, in_batches, insert, key_of};
use super::{Group, ONCE};
use crate::clock;
use crate::harness::plan::{Better, Case, Pace, Sample, Shot};
use crate::harness::stats::percentile;
use crate::harness::threads::team;
use crate::maps::{Map, processor_time};

/// Whose single calls are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A reader's.
    Lookup(Keys, Meanwhile),
    /// An updater's, whose map grows from nothing to a million entries.
    Insertion,
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// A thousand keys that are there from beginning to end, and in the reader's cache unless somebody changes their memory.
    Staying,
    /// Whatever is there at that moment: hardly any of it is in a cache.
    Any,
}

/// What another thread does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// Nothing; there are four million entries.
    Nothing,
    /// It makes the map grow from a thousand to four million entries and shrink back, and waits at `STOPS` sizes on each way;
    /// lookups are at these only.
    Waiting,
    /// The same without a stop, beside the lookups.
    Resizing,
    /// The same insertions and removals, in a map that was made large enough and keeps its size.
    Updating,
}

impl Call {
    /// With the number of threads.
    const ALL: [(Self, &'static str, &'static str, usize); 6] = [
        (
            Self::Lookup(Keys::Staying, Meanwhile::Nothing),
            "p999-rest",
            "The 99.9th percentile of single lookups of a thousand keys in a map of four million entries.",
            1,
        ),
        (
            Self::Lookup(Keys::Staying, Meanwhile::Resizing),
            "p999-resize",
            "The same, while another thread makes the map grow from a thousand to four million entries and shrink back.",
            2,
        ),
        (
            Self::Lookup(Keys::Staying, Meanwhile::Updating),
            "p999-updates",
            "The same while another thread inserts and removes as much in a map that was made large enough and keeps its size.",
            2,
        ),
        (
            Self::Lookup(Keys::Any, Meanwhile::Waiting),
            "p999-rest-any",
            "The 99.9th percentile of single lookups of any key that is there, at 16 sizes from a thousand to four million entries.",
            2,
        ),
        (
            Self::Lookup(Keys::Any, Meanwhile::Resizing),
            "p999-resize-any",
            "The same, while another thread makes the map grow through these sizes and shrink back.",
            2,
        ),
        (
            Self::Insertion,
            "p999-insert",
            "The 99.9th percentile of single insertions, from nothing to a million entries.",
            1,
        ),
    ];

    /// Whether the intrusive tables are measured, too.
    fn is_for(self, group: Group) -> bool {
        group.prefix.is_empty() || !matches!(self, Self::Lookup(Keys::Any, _))
    }
}

/// A single percentile says little: it depends on which memory the map has got.
const SEVERAL: Pace = Pace::Times(3, Duration::from_secs(1));
/// Entries that are always there, and those that come and go.
const STAYING: u64 = 1_000;
const MANY: u64 = 4_000_000;
/// Sizes at which a map waits on its way, and on its way back.
const STOPS: u64 = 16;
/// Entries that the insertions end with.
const GROWN: u64 = 1_000_000;
/// Seconds of processor time for a thousand insertions into a table that has stopped growing.
const STALLED: f64 = 0.02;
const TRIES: usize = 20;

pub(super) fn cases(group: Group) -> Vec<Case> {
    let case = |&(call, name, about, threads): &(Call, &str, &'static str, usize)| Case {
        name: format!("{}{name}", group.prefix),
        about,
        unit: "ns",
        better: Better::Lower,
        threads,
        pace: if matches!(call, Call::Lookup(Keys::Any, _)) { ONCE } else { SEVERAL },
        contenders: group.rows(
            |entrant| !entrant.batched && !entrant.presized,
            |entrant| {
                move |shot: &Shot<'_>| {
                    for _ in 0..TRIES {
                        let singles = match call {
                            Call::Insertion => insertions(&*entrant.empty(MANY)?, entrant.stalls, shot),
                            Call::Lookup(keys, Meanwhile::Updating) => {
                                let map = (entrant.make?)(MANY as usize);
                                lookups(&*map, entrant.stalls, shot, keys, Meanwhile::Updating)
                            }
                            Call::Lookup(keys, meanwhile) => {
                                lookups(&*entrant.empty(MANY)?, entrant.stalls, shot, keys, meanwhile)
                            }
                        }?;
                        if let Some(singles) = singles {
                            return sample(&singles);
                        }
                    }
                    Err("its tables have stopped growing, again and again".into())
                }
            },
        ),
    };
    Call::ALL.iter().filter(|(call, ..)| call.is_for(group)).map(case).collect()
}

/// An empty list whose memory has been touched: otherwise one call in 512 would be the first after a page fault, and those would be
/// the slowest thousandth.
fn room_for(calls: usize) -> Vec<f64> {
    let mut singles = vec![1.0; calls];
    singles.clear();
    singles
}

fn sample(singles: &[f64]) -> Result<Sample, String> {
    let p999 = percentile(singles, 99.9).ok_or("nothing was measured")?;
    let median = percentile(singles, 50.0).ok_or("nothing was measured")?;
    let worst = singles.iter().copied().fold(0.0, f64::max);
    let note = format!("median {median:.0} ns, worst {:.0} us, {} calls", worst / 1e3, singles.len());
    Ok(Sample::figure(p999).with_note(Some(note)))
}

/// Says now and then whether a growth that can stop has stopped.
struct Watch {
    stalls: bool,
    last: f64,
    passed: usize,
}

impl Watch {
    fn new(stalls: bool) -> Self {
        Self { stalls, last: processor_time(), passed: 0 }
    }

    /// After `keys` more insertions: whether it goes on.
    fn goes_on(&mut self, keys: usize) -> bool {
        self.passed += keys;
        if !self.stalls || self.passed < 1_000 {
            return true;
        }
        self.passed = 0;
        let now = processor_time();
        core::mem::replace(&mut self.last, now) + STALLED > now
    }
}

fn insertions(map: &dyn Map, stalls: bool, shot: &Shot<'_>) -> Result<Option<Vec<f64>>, String> {
    let mut all = team(
        shot.cores,
        1,
        |_| Ok(()),
        |_, ()| {
            let mut session = map.session();
            let mut watch = Watch::new(stalls);
            let mut singles = room_for(GROWN as usize);
            for number in 0..GROWN {
                singles.push(clock::time(|| session.insert(&[key_of(number)])));
                if !watch.goes_on(1) {
                    return Ok(None);
                }
            }
            Ok(Some(singles))
        },
    )?;
    Ok(all.pop().flatten())
}

/// The numbers of the keys that are there: those below `STAYING`, and these.
struct There {
    from: AtomicU64,
    to: AtomicU64,
}

impl There {
    /// The number of one of them.
    fn any(&self, numbers: &mut Numbers) -> u64 {
        let from = self.from.load(Ordering::Acquire);
        let number = numbers.below(STAYING + self.to.load(Ordering::Acquire) - from);
        if number < STAYING { number } else { number - STAYING + from }
    }

    /// Whether the key with this number, which was there, may not be.
    fn may_have_gone(&self, number: u64) -> bool {
        (STAYING..self.from.load(Ordering::Acquire)).contains(&number)
    }
}

/// Who may go on, of a reader and an updater that take turns.
struct Turns(AtomicU8);

impl Turns {
    const UPDATER: u8 = 0;
    const READER: u8 = 1;
    /// The updater waits for the reader to stop.
    const ENDING: u8 = 2;

    /// Called by the reader: whether it may look up.
    fn is_readers(&self) -> bool {
        match self.0.load(Ordering::Acquire) {
            Self::READER => true,
            Self::ENDING => {
                self.0.store(Self::UPDATER, Ordering::Release);
                false
            }
            _ => {
                thread::yield_now();
                false
            }
        }
    }

    /// Called by the updater: lets the reader look up for so long.
    fn let_read(&self, time: Duration) {
        self.0.store(Self::READER, Ordering::Release);
        thread::sleep(time);
        self.0.store(Self::ENDING, Ordering::Release);
        while self.0.load(Ordering::Acquire) != Self::UPDATER {
            thread::yield_now();
        }
    }
}

fn lookups(
    map: &dyn Map,
    stalls: bool,
    shot: &Shot<'_>,
    keys: Keys,
    meanwhile: Meanwhile,
) -> Result<Option<Vec<f64>>, String> {
    let mut watch = Watch::new(stalls);
    let count = if meanwhile == Meanwhile::Nothing { MANY } else { STAYING };
    if !insert(map.session().as_mut(), 0, count, |_| watch.goes_on(512)) {
        return Ok(None);
    }
    let there = There { from: AtomicU64::new(STAYING), to: AtomicU64::new(count) };
    let turns = Turns(AtomicU8::new(if meanwhile == Meanwhile::Waiting { Turns::UPDATER } else { Turns::READER }));
    let has_ended = AtomicBool::new(false);
    let has_stopped = AtomicBool::new(false);
    let mut all = team(
        shot.cores,
        2,
        |_| Ok(()),
        |index, ()| {
            let mut session = map.session();
            if index == 0 {
                let mut numbers = Numbers(1);
                let mut singles = room_for(1 << 24);
                // What is hot stays so: the first touch of a thousand keys is a thousandth of a million lookups.
                for number in 0..STAYING {
                    assert_eq!(session.get(&[key_of(number)]).keys, 1, "wrong answer");
                }
                let start = Instant::now();
                while !has_ended.load(Ordering::Relaxed)
                    && (meanwhile != Meanwhile::Nothing || start.elapsed() < shot.budget)
                {
                    if !turns.is_readers() {
                        continue;
                    }
                    for _ in 0..64 {
                        let number =
                            if keys == Keys::Staying { numbers.below(STAYING) } else { there.any(&mut numbers) };
                        let key = key_of(number);
                        let mut found = 0;
                        singles.push(clock::time(|| found = session.get(&[key]).keys));
                        assert!(found == 1 || there.may_have_gone(number), "wrong answer");
                    }
                }
                return Ok(singles);
            }
            if meanwhile != Meanwhile::Nothing {
                let mut watch = Watch::new(stalls);
                let let_read = |number: u64| {
                    // A batch that ends behind a stop.
                    if meanwhile == Meanwhile::Waiting && number % (MANY / STOPS) < BATCH as u64 {
                        turns.let_read(shot.budget / (2 * STOPS as u32));
                    }
                };
                let have_come = insert(session.as_mut(), STAYING, MANY, |number| {
                    there.to.store(number, Ordering::Release);
                    let_read(number);
                    watch.goes_on(BATCH)
                });
                if have_come {
                    in_batches(STAYING, MANY, |keys, number| {
                        there.from.store(number, Ordering::Release);
                        session.remove(keys);
                        let_read(number);
                        true
                    });
                } else {
                    has_stopped.store(true, Ordering::Relaxed);
                }
                has_ended.store(true, Ordering::Relaxed);
            }
            Ok(Vec::new())
        },
    )?;
    Ok((!has_stopped.into_inner()).then(|| all.swap_remove(0)))
}

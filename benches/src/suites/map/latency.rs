//! The 99.9th percentile of single operations: of lookups at rest and while the map is resized, of insertions that make it grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::keys::{Numbers, in_batches, insert, key_of};
use super::{Group, ONCE};
use crate::clock;
use crate::harness::plan::{Better, Case, Sample, Shot};
use crate::harness::stats::percentile;
use crate::harness::threads::team;
use crate::maps::{Map, processor_time};

/// Whose single calls are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A reader's, of a thousand keys in a map of four million entries that nobody changes.
    AtRest,
    /// A reader's, of the same keys, while the map grows from a thousand to four million entries and shrinks back.
    Resizing,
    /// An updater's, whose map grows from nothing to a million entries.
    Insertion,
}

impl Call {
    const ALL: [(Self, &'static str, &'static str, usize); 3] = [
        (
            Self::AtRest,
            "p999-rest",
            "The 99.9th percentile of single lookups of a thousand keys in a map of four million entries.",
            1,
        ),
        (
            Self::Resizing,
            "p999-resize",
            "The same, while another thread makes the map grow from a thousand to four million entries and shrink back.",
            2,
        ),
        (
            Self::Insertion,
            "p999-insert",
            "The 99.9th percentile of single insertions, from nothing to a million entries.",
            1,
        ),
    ];
}

/// Entries that are always there, and those that come and go.
const STAYING: u64 = 1_000;
const MANY: u64 = 4_000_000;
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
        pace: ONCE,
        contenders: group.rows(
            |entrant| !entrant.batched && !entrant.presized,
            |entrant| {
                move |shot: &Shot<'_>| {
                    for _ in 0..TRIES {
                        let map = entrant.empty(MANY)?;
                        let singles = match call {
                            Call::Insertion => insertions(&*map, entrant.stalls, shot),
                            Call::AtRest => lookups(&*map, entrant.stalls, shot, false),
                            Call::Resizing => lookups(&*map, entrant.stalls, shot, true),
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
    Call::ALL.iter().map(case).collect()
}

fn sample(singles: &[f64]) -> Result<Sample, String> {
    let p999 = percentile(singles, 99.9).ok_or("nothing was measured")?;
    let median = percentile(singles, 50.0).ok_or("nothing was measured")?;
    let worst = singles.iter().copied().fold(0.0, f64::max);
    Ok(Sample::figure(p999).with_note(Some(format!("median {median:.0} ns, worst {:.0} us", worst / 1e3))))
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
            let mut singles = Vec::with_capacity(GROWN as usize);
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

fn lookups(map: &dyn Map, stalls: bool, shot: &Shot<'_>, resizing: bool) -> Result<Option<Vec<f64>>, String> {
    let mut watch = Watch::new(stalls);
    let count = if resizing { STAYING } else { MANY };
    if !insert(map.session().as_mut(), 0, count, |_| watch.goes_on(512)) {
        return Ok(None);
    }
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
                let mut singles = Vec::with_capacity(1 << 24);
                let start = Instant::now();
                while !has_ended.load(Ordering::Relaxed) && (resizing || start.elapsed() < shot.budget) {
                    for _ in 0..64 {
                        let key = key_of(numbers.below(STAYING));
                        singles.push(clock::time(|| assert_eq!(session.get(&[key]).keys, 1, "wrong answer")));
                    }
                }
                return Ok(singles);
            }
            if resizing {
                let mut watch = Watch::new(stalls);
                if insert(session.as_mut(), STAYING, MANY, |_| watch.goes_on(512)) {
                    in_batches(STAYING, MANY, |keys, _| {
                        session.remove(keys);
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

//! Lists: what a walk costs per element, and how many updates there are per second.

use std::time::{Duration, Instant};

use crate::blocks::Manner;
use crate::clock::nanoseconds;
use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite};
use crate::harness::stats::median;
use crate::harness::threads::team;
use crate::lists::standing::ByFunctions;
use crate::lists::{Backward, Circular, ELEMENTS, ToNull, WALK_BLOCKS, WALKS, check_walks, liburcu, ours, plain};
use crate::peers::lists as peers;
use crate::reclaim::{Crew, Reclaimer, throughput};
use crate::workload::{Subject, Worker};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "list",
    about: "lists with RCU readers: walks of 1,000 elements in a section, updates with deferred reclamation",
    cases,
};

/// The same walk over a list of the same layout, without any protection.
pub const PLAIN_LIST: &str = "limit:plain-list";

/// Which list is walked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// `RcuList`.
    Face,
    /// `raw::rculist`.
    Raw,
    /// `RcuList`, backward.
    Back,
    /// `RcuHList`.
    HlistFace,
    /// `raw::rcuhlist`.
    HlistRaw,
}

type MakeSubject = Box<dyn Fn() -> Result<Box<dyn Subject>, String>>;

/// A row of a walk before it is bound to a case; criterion measures the same rows.
pub struct Line {
    /// The contender's name.
    pub name: &'static str,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor.
    pub flavor: Option<Flavor>,
    /// Makes what its threads share, or says why it is missing.
    pub subject: MakeSubject,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.name).finish()
    }
}

impl Walk {
    /// All of them, with names and descriptions.
    pub const ALL: [(&'static str, &'static str, Self); 5] = [
        ("walk", "A walk over RcuList inside a guard; liburcu's rculist.", Self::Face),
        ("walk-raw", "The same by raw::rculist.", Self::Raw),
        ("walk-back", "The same over RcuList from its end; the C library has no such walk.", Self::Back),
        ("hlist", "A walk over RcuHList inside a guard; liburcu's rcuhlist.", Self::HlistFace),
        ("hlist-raw", "The same by raw::rcuhlist.", Self::HlistRaw),
    ];

    /// The rows of this walk.
    pub fn lines(self) -> Vec<Line> {
        let mut lines = Vec::new();
        for lists in ours::ALL {
            let subject = match self {
                Self::Face => lists.face,
                Self::Raw => lists.raw,
                Self::Back => lists.back,
                Self::HlistFace => lists.hface,
                Self::HlistRaw => lists.hraw,
            };
            lines.push(Line {
                name: lists.name,
                kind: Kind::Ours,
                flavor: Some(lists.flavor),
                subject: Box::new(move || lists.ready().map(|()| subject())),
            });
        }
        if self != Self::Back {
            for lists in liburcu::all() {
                lines.push(Line {
                    name: lists.name,
                    kind: Kind::Peer,
                    flavor: Some(lists.flavor),
                    subject: Box::new(move || match self {
                        Self::Face | Self::Raw | Self::Back => lists.walk(),
                        Self::HlistFace | Self::HlistRaw => lists.hlist_walk(),
                    }),
                });
            }
            for peer in peers::WALKED {
                let subject = Box::new(move || Ok((peer.subject)()));
                lines.push(Line { name: peer.name, kind: Kind::Peer, flavor: None, subject });
            }
        }
        let limit = match self {
            Self::Face | Self::Raw => plain::<Circular>,
            Self::Back => plain::<Backward>,
            Self::HlistFace | Self::HlistRaw => plain::<ToNull>,
        };
        lines.push(Line { name: PLAIN_LIST, kind: Kind::Limit, flavor: None, subject: Box::new(move || Ok(limit())) });
        lines
    }
}

fn cases(options: &Options) -> Vec<Case> {
    let counts = if options.threads.is_empty() { vec![1, 2] } else { options.threads.clone() };
    let mut cases = Vec::new();
    for (name, about, walk) in Walk::ALL {
        for &threads in &counts {
            cases.push(walk_case(name, about, walk, threads));
        }
    }
    let crew = |updaters, reader| Crew { manner: Manner::Plain, updaters, reader };
    for (name, about, crew) in [
        (
            "update",
            "A block of 64 bytes added at the end, the first one removed and retired: one updater.",
            crew(1, false),
        ),
        ("update", "The same, two updaters that take turns by a mutex.", crew(2, false)),
        ("update-reader", "One updater beside one reader that walks the 64 blocks all the time.", crew(1, true)),
    ] {
        cases.push(update_case(name, about, crew, false));
        cases.push(update_case(&format!("{name}-raw"), about, crew, true));
    }
    cases
}

fn walk_case(name: &str, about: &'static str, walk: Walk, threads: usize) -> Case {
    let contenders = walk
        .lines()
        .into_iter()
        .map(|line| {
            let limit = (line.kind != Kind::Limit).then_some(PLAIN_LIST);
            let subject = line.subject;
            let mut contender =
                Contender::new(line.name, line.kind, move |shot| measure(subject()?.as_ref(), threads, shot));
            contender.flavor = line.flavor;
            contender.limit = limit;
            contender
        })
        .collect();
    Case {
        name: name.into(),
        about,
        unit: "ns/element",
        better: Better::Lower,
        threads,
        pace: Pace::Rounds(1),
        contenders,
    }
}

/// One timed batch of walks.
///
/// # Errors
/// When a walk missed an element, or read a wrong one.
pub fn batch(worker: &mut dyn Worker, blocks: u64) -> Result<(), String> {
    check_walks(worker.flat(blocks, WALKS), blocks * WALKS)
}

/// The median over all batches of all threads.
fn measure(subject: &dyn Subject, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let budget = shot.budget;
    let batches = team(
        shot.cores,
        threads,
        |_| {
            let mut worker = subject.worker()?;
            batch(worker.as_mut(), 1)?;
            Ok(worker)
        },
        |_, mut worker| {
            run(worker.as_mut(), budget / 5)?;
            run(worker.as_mut(), budget)
        },
    )?;
    median(&batches.concat()).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}

/// Batches for the length of the budget; nanoseconds per element of each.
fn run(worker: &mut dyn Worker, budget: Duration) -> Result<Vec<f64>, String> {
    // Exact: some ten thousand.
    #[allow(clippy::cast_precision_loss)]
    let elements = (WALK_BLOCKS * WALKS * ELEMENTS) as f64;
    let start = Instant::now();
    let mut batches = Vec::new();
    loop {
        let begin = Instant::now();
        batch(worker, WALK_BLOCKS)?;
        batches.push(nanoseconds(begin.elapsed()) / elements);
        if start.elapsed() >= budget {
            return Ok(batches);
        }
    }
}

type MakeList = Box<dyn Fn() -> Box<dyn Reclaimer>>;

fn update_contender(
    name: &'static str,
    kind: Kind,
    crew: Crew,
    make: impl Fn() -> Result<MakeList, String> + 'static,
) -> Contender {
    Contender::new(name, kind, move |shot| {
        let make = make()?;
        let sample = throughput(&*make, crew, shot)?;
        match sample.note {
            // Everybody here has the means to free all.
            Some(note) => Err(note),
            None => Ok(sample),
        }
    })
}

/// The C library's worker sleeps 10 ms between two batches: a measurement holds several of them.
const STRETCH: u32 = 2;

fn update_case(name: &str, about: &'static str, crew: Crew, raw: bool) -> Case {
    let mut contenders = Vec::new();
    for lists in ours::ALL {
        let contender = update_contender(lists.name, Kind::Ours, crew, move || {
            lists.ready()?;
            Ok(Box::new(if raw { lists.raw_updates } else { lists.updates }))
        });
        contenders.push(contender.of(lists.flavor));
    }
    for lists in liburcu::all() {
        let contender = update_contender(lists.name, Kind::Peer, crew, move || {
            let functions = lists.updates()?;
            functions.api.ready()?;
            Ok(Box::new(move || Box::new(ByFunctions::new(functions))))
        });
        contenders.push(contender.of(lists.flavor));
    }
    contenders.push(update_contender("rwlock-linked-list", Kind::Peer, crew, || Ok(Box::new(peers::rwlock_updates))));
    Case {
        name: name.into(),
        about,
        unit: "pairs/s",
        better: Better::Higher,
        threads: crew.size(),
        pace: Pace::Rounds(STRETCH),
        contenders,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::threads::Cores;
    use crate::harness::watchdog::watched;

    #[test]
    fn every_contender_that_is_there_gives_the_right_answer() {
        let cores = Cores::detect();
        let shot = Shot { budget: Duration::from_millis(2), cores: &cores };
        for mut case in cases(&Options { threads: vec![2], quick: true }) {
            for contender in &mut case.contenders {
                let name = contender.name.clone();
                watched("list", || {
                    let sample = contender.measure.as_mut().map(|measure| measure(&shot)).expect("made above");
                    match sample {
                        Ok(sample) => assert!(sample.value >= 0.0, "{name}"),
                        Err(reason) => assert!(reason.contains("not found"), "{}, {name}: {reason}", case.name),
                    }
                });
            }
        }
    }

    #[test]
    fn rows_are_unique() {
        for case in cases(&Options { threads: Vec::new(), quick: true }) {
            let mut names: Vec<&str> = case.contenders.iter().map(|contender| contender.name.as_str()).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{}", case.name);
        }
    }
}

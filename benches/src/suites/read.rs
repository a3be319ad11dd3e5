//! What a read-side critical section costs.

use std::time::{Duration, Instant};

use crate::clock::nanoseconds;
use crate::contenders::{self, api::ApiSubject, cdylib, ours};
use crate::harness::plan::{Better, Case, Contender, Flavor, Kind, Options, Pace, Sample, Shot, Suite, not_here};
use crate::harness::stats::median;
use crate::harness::threads::team;
use crate::limits::{self, LOCKED_RMW, PLAIN_LOAD};
use crate::peers;
use crate::workload::{READ_BLOCKS, READ_LENGTH, Subject, Worker, check_sum};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "read",
    about: "a read-side critical section: lock, load the shared pointer, read one field, unlock",
    cases,
};

const UNIT: &str = "ns/section";

/// Which loop of a worker is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Outermost sections.
    Flat,
    /// Sections inside a section.
    Nested,
}

impl Loop {
    /// One timed batch.
    ///
    /// # Errors
    /// When a section read a wrong field.
    pub fn batch(self, worker: &mut dyn Worker, blocks: u64) -> Result<(), String> {
        let sum = match self {
            Self::Flat => worker.flat(blocks, READ_LENGTH),
            Self::Nested => worker.nested(blocks, READ_LENGTH),
        };
        check_sum(sum, blocks, READ_LENGTH)
    }
}

/// A row of this suite before it is bound to a case; criterion measures the same rows.
pub struct Line {
    /// The contender's name.
    pub name: &'static str,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor.
    pub flavor: Option<Flavor>,
    /// Makes what its threads share, or says why it is missing.
    pub subject: Box<dyn Fn() -> Result<Box<dyn Subject>, String>>,
}

impl Line {
    fn new(
        name: &'static str,
        kind: Kind,
        flavor: Option<Flavor>,
        subject: impl Fn() -> Result<Box<dyn Subject>, String> + 'static,
    ) -> Self {
        Self { name, kind, flavor, subject: Box::new(subject) }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.name).finish()
    }
}

/// The rows of one way to enter a section.
pub fn lines(path: ours::Path, measured: Loop) -> Vec<Line> {
    let mut lines = Vec::new();
    for entry in ours::entries() {
        lines.push(Line::new(entry.name, entry.kind, Some(entry.flavor), move || ours::subject(entry.flavor, path)));
    }
    for entry in contenders::liburcu::entries() {
        lines.push(Line::new(entry.name, entry.kind, Some(entry.flavor), move || {
            Ok(Box::new(ApiSubject::new(entry.api.map_err(not_here)?)))
        }));
    }
    for peer in peers::ALL {
        if measured == Loop::Flat || peer.nests {
            lines.push(Line::new(peer.name, Kind::Peer, None, move || Ok((peer.subject)())));
        }
    }
    lines.extend(limit_lines());
    lines
}

fn limit_lines() -> [Line; 2] {
    [
        Line::new(PLAIN_LOAD, Kind::Limit, None, || Ok(limits::plain_load())),
        Line::new(LOCKED_RMW, Kind::Limit, None, || Ok(limits::locked_rmw())),
    ]
}

fn cases(options: &Options) -> Vec<Case> {
    let counts = if options.threads.is_empty() { vec![1, 2] } else { options.threads.clone() };
    let ways = [
        (
            "thread",
            "Sections through Thread::read_lock and Rcu::load; peers by their usual entry.",
            ours::Path::Thread,
            Loop::Flat,
        ),
        (
            "free",
            "Sections through the free read_lock(), which finds the thread by itself, and Rcu::load.",
            ours::Path::Free,
            Loop::Flat,
        ),
        ("raw", "Sections through raw::read_lock, raw::dereference and raw::read_unlock.", ours::Path::Raw, Loop::Flat),
        ("nested", "Sections inside an open section of the same thread.", ours::Path::Thread, Loop::Nested),
    ];
    let mut cases = Vec::new();
    for (name, about, path, measured) in ways {
        for &threads in &counts {
            cases.push(case(name, about, threads, measured, lines(path, measured)));
        }
    }
    for &threads in &counts {
        cases.push(case(
            "cdylib",
            "A function with one section, inside a shared object that was loaded with dlopen (reported, not compared).",
            threads,
            Loop::Flat,
            cdylib_lines(),
        ));
    }
    cases
}

fn cdylib_lines() -> Vec<Line> {
    let mut lines: Vec<Line> = cdylib::EXPORTS
        .iter()
        .map(|export| Line::new(export.name, Kind::Ours, Some(export.flavor), || cdylib::subject(export)))
        .collect();
    lines.extend(limit_lines());
    lines
}

fn case(name: &str, about: &'static str, threads: usize, measured: Loop, lines: Vec<Line>) -> Case {
    let contenders = lines
        .into_iter()
        .map(|line| {
            let limit = (line.kind != Kind::Limit).then(|| limit_of(line.flavor));
            let subject = line.subject;
            let mut contender =
                Contender::new(line.name, line.kind, move |shot| measure(subject()?.as_ref(), measured, threads, shot));
            contender.flavor = line.flavor;
            contender.limit = limit;
            contender
        })
        .collect();
    Case { name: name.into(), about, unit: UNIT, better: Better::Lower, threads, pace: Pace::Rounds(1), contenders }
}

/// A flavor with a full barrier in each section cannot beat a locked instruction; everybody else
/// could, in principle, read for nothing.
fn limit_of(flavor: Option<Flavor>) -> &'static str {
    if flavor == Some(Flavor::Mb) { LOCKED_RMW } else { PLAIN_LOAD }
}

/// The median over all batches of all threads: batches are some ten microseconds long, so the few
/// that an interrupt or another process falls into do not count.
fn measure(subject: &dyn Subject, measured: Loop, threads: usize, shot: &Shot<'_>) -> Result<Sample, String> {
    let budget = shot.budget;
    let batches = team(
        shot.cores,
        threads,
        |_| {
            let mut worker = subject.worker()?;
            measured.batch(worker.as_mut(), 1)?;
            Ok(worker)
        },
        |_, mut worker| {
            run(worker.as_mut(), measured, budget / 5)?;
            run(worker.as_mut(), measured, budget)
        },
    )?;
    median(&batches.concat()).map(Sample::figure).ok_or_else(|| "nothing was measured".into())
}

/// Batches for the length of the budget; nanoseconds per section of each.
fn run(worker: &mut dyn Worker, measured: Loop, budget: Duration) -> Result<Vec<f64>, String> {
    // Exact: a few thousand.
    #[allow(clippy::cast_precision_loss)]
    let sections = (READ_BLOCKS * READ_LENGTH) as f64;
    let start = Instant::now();
    let mut batches = Vec::new();
    loop {
        let batch = Instant::now();
        measured.batch(worker, READ_BLOCKS)?;
        batches.push(nanoseconds(batch.elapsed()) / sections);
        if start.elapsed() >= budget {
            return Ok(batches);
        }
    }
}

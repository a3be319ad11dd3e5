//! Deferred reclamation: how fast, how soon, how much is held back meanwhile, and what it costs when nothing happens.

mod idle;
mod latency;
mod stalled;
mod throughput;

use crate::contenders;
use crate::contenders::deferral::{Deferral, DeferralEntry};
use crate::harness::plan::{Case, Contender, Flavor, Kind, Options, Sample, Shot, Suite};
use crate::limits::{FREE_AT_ONCE, free_at_once};
use crate::peers;
use crate::reclaim::{Make, Reclaimer, holds_back};

pub use throughput::WORKLOADS;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "reclaim",
    about: "deferred reclamation: blocks freed per second, latency of callbacks and barriers, \
            processor time of idle workers, memory while a reader stands still",
    cases,
};

fn cases(options: &Options) -> Vec<Case> {
    let mut cases = throughput::cases();
    cases.extend(latency::cases());
    cases.push(idle::case(options));
    cases.push(stalled::case(options));
    cases
}

/// A scheme before it is bound to a case; criterion measures the same ones.
pub struct Line {
    /// The contender's name.
    pub name: &'static str,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor.
    pub flavor: Option<Flavor>,
    /// What the threads of a measurement share, or why it is missing.
    scheme: Result<Scheme, &'static str>,
}

#[derive(Clone, Copy)]
enum Scheme {
    Table(&'static Deferral),
    Other(fn() -> Box<dyn Reclaimer>),
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.name).finish()
    }
}

impl From<DeferralEntry> for Line {
    fn from(DeferralEntry { name, kind, flavor, deferral }: DeferralEntry) -> Self {
        Self { name, kind, flavor: Some(flavor), scheme: deferral.map(Scheme::Table) }
    }
}

impl Line {
    /// Why it is missing, if it is.
    pub fn missing(&self) -> Option<&'static str> {
        self.scheme.err()
    }

    /// Measures it, after it has been checked.
    ///
    /// # Errors
    /// When it is missing or gives a wrong answer.
    pub fn measure<R>(&self, measure: impl FnOnce(Make<'_>) -> Result<R, String>) -> Result<R, String> {
        match self.scheme? {
            Scheme::Table(deferral) => {
                checked(deferral)?;
                measure(&|| deferral.reclaimer())
            }
            Scheme::Other(make) => measure(&make),
        }
    }

    pub(super) fn contender(
        self,
        mut measure: impl FnMut(Make<'_>, &Shot<'_>) -> Result<Sample, String> + 'static,
    ) -> Contender {
        let (name, kind, flavor) = (self.name, self.kind, self.flavor);
        let mut contender = match self.scheme {
            Ok(_) => Contender::new(name, kind, move |shot| self.measure(|make| measure(make, shot))),
            Err(reason) => Contender::unavailable(name, kind, reason),
        };
        contender.flavor = flavor;
        contender
    }
}

/// Every scheme.
pub fn lines() -> Vec<Line> {
    let other = |name, kind, make| Line { name, kind, flavor: None, scheme: Ok(Scheme::Other(make)) };
    let mut lines: Vec<Line> = contenders::deferrals().map(Line::from).collect();
    lines.extend(peers::ALL.map(|peer| other(peer.name, Kind::Peer, peer.subject)));
    lines.push(other(FREE_AT_ONCE, Kind::Limit, free_at_once));
    lines
}

/// Makes a way to defer ready, and checks once per run that it waits for readers.
///
/// Also what starts its worker: from a thread that may run anywhere, which the worker inherits.
fn checked(deferral: &'static Deferral) -> Result<(), String> {
    deferral.api.ready()?;
    deferral.checked.get_or_init(|| holds_back(&|| deferral.reclaimer())).clone()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::blocks::Manner;
    use crate::harness::threads::Cores;
    use crate::harness::watchdog::watched;
    use crate::reclaim::{Crew, Stall, retire_and_free, stalled, throughput};

    fn there() -> impl Iterator<Item = Line> {
        lines().into_iter().filter(|line| line.scheme.is_ok())
    }

    #[test]
    fn every_scheme_that_is_there_frees_what_it_is_given() {
        let cores = Cores::detect();
        let shot = Shot { budget: Duration::from_millis(2), cores: &cores };
        for manner in Manner::ALL {
            for line in there() {
                watched(line.name, || {
                    let crew = Crew { manner, updaters: 2, reader: true };
                    let sample = line.measure(|make| throughput(make, crew, &shot));
                    assert!(sample.as_ref().is_ok_and(|sample| sample.value >= 0.0), "{}: {sample:?}", line.name);
                    let time = line.measure(|make| retire_and_free(make, manner, &cores, 4));
                    assert!(time.as_ref().is_ok_and(|time| !time.is_zero()), "{}: {time:?}", line.name);
                });
            }
        }
    }

    #[test]
    fn a_stalled_reader_ends_and_the_backlog_with_it() {
        let cores = Cores::detect();
        let shot = Shot { budget: Duration::ZERO, cores: &cores };
        let stall = Stall { length: Duration::from_millis(20), cap: 100_000 };
        for line in there() {
            watched(line.name, || {
                let sample = line.measure(|make| stalled(make, stall, &shot)).unwrap();
                let note = sample.note.unwrap();
                // Other tests' threads keep something back in schemes whose threads must flush.
                assert!(line.flavor.is_none() || note.contains("all freed"), "{}: {note}", line.name);
            });
        }
    }

    #[test]
    fn rows_are_unique() {
        let mut names: Vec<&str> = lines().iter().map(|line| line.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

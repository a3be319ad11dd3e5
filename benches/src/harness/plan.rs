//! What a suite hands to the harness: cases, each with the contenders that it compares.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::threads::Cores;

/// Who a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A crate of this workspace.
    Ours,
    /// Somebody else's solution of the same task.
    Peer,
    /// What the machine needs for the part that cannot be avoided.
    Limit,
}

/// Whether small or large figures are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// A cost.
    Lower,
    /// A throughput.
    Higher,
    /// Small enough is good: it is divided by its limit, and not compared with peers.
    Bounded,
}

/// The flavors of RCU that both sides have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// Quiescent states announced by the readers.
    Qsbr,
    /// A full barrier in every section.
    Mb,
    /// The `membarrier` system call (liburcu calls it memb).
    Membarrier,
    /// A signal to every reader.
    Signal,
    /// Registers by itself.
    Bp,
}

impl Flavor {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::Qsbr, Self::Mb, Self::Membarrier, Self::Signal, Self::Bp];

    /// The name on the command line and in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qsbr => "qsbr",
            Self::Mb => "mb",
            Self::Membarrier => "membarrier",
            Self::Signal => "signal",
            Self::Bp => "bp",
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The conditions of one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Shot<'c> {
    /// How long to measure; a contender may stop earlier or overrun by one operation.
    pub budget: Duration,
    /// The machine's cores, for pinning.
    pub cores: &'c Cores,
}

/// The outcome of one measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The figure of this round, in the case's unit.
    pub value: f64,
    /// Single operations, where they were timed one by one: pooled over the rounds for the p99.
    pub single: Vec<f64>,
    /// The most blocks that were retired and not freed, where that is looked at.
    pub peak: Option<f64>,
    /// What the reader of the table must know about this row.
    pub note: Option<String>,
}

impl Sample {
    /// A round that is one figure.
    pub const fn figure(value: f64) -> Self {
        Self { value, single: Vec::new(), peak: None, note: None }
    }

    /// A round of operations that were timed one by one: its figure is the mean of their middle half.
    ///
    /// # Errors
    /// When nothing was measured.
    pub fn singles(single: Vec<f64>) -> Result<Self, String> {
        let value = super::stats::midmean(&single).ok_or("nothing was measured")?.max(0.0);
        Ok(Self { single, ..Self::figure(value) })
    }

    /// Adds the most unfreed blocks.
    #[must_use]
    pub fn with_peak(mut self, blocks: u64) -> Self {
        // Exact: nobody has 2^52 blocks.
        #[allow(clippy::cast_precision_loss)]
        let blocks = blocks as f64;
        self.peak = Some(blocks);
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn with_note(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }
}

/// Begins the errors of measurements that this machine does not permit.
const NOT_HERE: &str = "not here: ";

/// The error of a measurement that this machine does not permit (too few threads, no memory): its row is shown as unavailable,
/// with the reason, and not as a failure.
#[must_use]
pub fn not_here(reason: &str) -> String {
    format!("{NOT_HERE}{reason}")
}

/// The reason of such an error; none when it is a failure.
#[must_use]
pub fn why_not_here(error: &str) -> Option<&str> {
    error.strip_prefix(NOT_HERE)
}

/// A closure that measures one round.
pub type Measure = Box<dyn FnMut(&Shot<'_>) -> Result<Sample, String>>;

/// One row of a table.
pub struct Contender {
    /// The name in the record: a crate's name, `liburcu-<flavor>`, or `limit:<what>`.
    pub name: String,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor, where it has one: pairs ours with the C library's.
    pub flavor: Option<Flavor>,
    /// The limit of the same case that it is divided by.
    pub limit: Option<&'static str>,
    /// What measures it, or why it cannot be measured here.
    pub measure: Result<Measure, String>,
}

impl Contender {
    /// A row that can be measured.
    pub fn new(
        name: impl Into<String>,
        kind: Kind,
        measure: impl FnMut(&Shot<'_>) -> Result<Sample, String> + 'static,
    ) -> Self {
        Self { name: name.into(), kind, flavor: None, limit: None, measure: Ok(Box::new(measure)) }
    }

    /// A row that is shown with the reason why it is empty.
    pub fn unavailable(name: impl Into<String>, kind: Kind, reason: impl Into<String>) -> Self {
        Self { name: name.into(), kind, flavor: None, limit: None, measure: Err(reason.into()) }
    }

    /// Sets the flavor.
    #[must_use]
    pub fn of(mut self, flavor: Flavor) -> Self {
        self.flavor = Some(flavor);
        self
    }

    /// Sets the limit that the row is divided by.
    #[must_use]
    pub fn against(mut self, limit: &'static str) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("flavor", &self.flavor)
            .finish_non_exhaustive()
    }
}

/// How often and how long a case measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// In the run's rounds, each measurement so many times as long as the run's budget.
    Rounds(u32),
    /// So many times, each for so long, without a warm-up round: what takes seconds by itself.
    Times(usize, Duration),
}

/// One table: contenders that do the same thing.
#[derive(Debug)]
pub struct Case {
    /// The name in the record.
    pub name: String,
    /// The workload in a sentence.
    pub about: &'static str,
    /// The unit of the figures.
    pub unit: &'static str,
    /// Which figures are good.
    pub better: Better,
    /// Threads at work in each measurement.
    pub threads: usize,
    /// How often and how long.
    pub pace: Pace,
    /// The rows.
    pub contenders: Vec<Contender>,
}

/// What the user asked of every suite.
#[derive(Clone, Debug)]
pub struct Options {
    /// Thread counts, for the suites that have such an axis; empty means the suite's own choice.
    pub threads: Vec<usize>,
    /// Short enough to look at while waiting.
    pub quick: bool,
}

/// A group of cases, in one file.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// The name on the command line and in the record.
    pub name: &'static str,
    /// What it answers, in a sentence.
    pub about: &'static str,
    /// Describes the cases. Must be cheap and touch nothing: it is also called to list names.
    pub cases: fn(&Options) -> Vec<Case>,
}

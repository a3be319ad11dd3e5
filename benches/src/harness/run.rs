//! Runs a case: contender by contender, round by round, so that whatever else the machine does
//! falls on all of them alike.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::log::Log;
use super::plan::{Better, Case, Contender, Flavor, Kind, Measure, Sample, Shot, why_not_here};
use super::progress::Progress;
use super::share::Share;
use super::stats::{Summary, percentile};
use super::threads::{Cores, caught};
use super::watchdog::Watchdog;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Measured rounds; a warm-up round comes before them.
    pub rounds: usize,
    /// The length of one measurement.
    pub budget: Duration,
    /// How long the run may take; rounds get fewer and shorter when it would take longer.
    pub limit: Option<Duration>,
    /// Cases that have not begun when it has taken so much longer, as a part of that, are left out.
    pub late: f64,
    /// A measurement that takes longer than this is stuck: slow contenders overrun their budget by a few operations, the
    /// slowest of which take seconds.
    pub stuck: Duration,
}

impl Settings {
    /// Enough to see which contender is ahead.
    pub const QUICK: Self = Self {
        rounds: 5,
        budget: Duration::from_millis(15),
        limit: Some(Duration::from_secs(80)),
        late: 0.3,
        stuck: Duration::from_secs(30),
    };
    /// Enough to compare with another commit.
    pub const FULL: Self = Self {
        rounds: 15,
        budget: Duration::from_millis(50),
        limit: Some(Duration::from_secs(20 * 60)),
        late: 1.0,
        stuck: Duration::from_secs(300),
    };
}

/// What became of a contender.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was measured.
    Measured {
        /// Over the rounds.
        summary: Summary,
        /// Over single operations of all rounds, where they were timed one by one.
        p99: Option<f64>,
        /// The most unfreed blocks of any round, where they were looked at.
        peak: Option<f64>,
        /// What is to be known about it.
        note: Option<String>,
    },
    /// It cannot be measured here, for this reason.
    Unavailable(String),
    /// It gave a wrong answer, an error or a panic.
    Failed(String),
    /// The run ended before its first round did.
    NotReached,
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The contender.
    pub name: String,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor, where it has one.
    pub flavor: Option<Flavor>,
    /// The limit that it is divided by.
    pub limit: Option<String>,
    /// How long all of its measurements took, with whatever they prepared.
    pub took: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

impl Row {
    /// The median, if there is one.
    pub fn median(&self) -> Option<f64> {
        match &self.outcome {
            Outcome::Measured { summary, .. } => Some(summary.median),
            _ => None,
        }
    }
}

/// One table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The suite.
    pub suite: String,
    /// The case.
    pub case: String,
    /// The workload in a sentence.
    pub about: String,
    /// The unit of the figures.
    pub unit: String,
    /// Which figures are good.
    pub better: Better,
    /// Threads at work.
    pub threads: usize,
    /// The rows, in the order of the case.
    pub rows: Vec<Row>,
}

/// A row divided by another row of its table.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// The other row.
    pub to: String,
    /// This row's median over the other's.
    pub value: f64,
}

impl Table {
    /// `suite/case`, with the threads.
    pub fn title(&self) -> String {
        title(&self.suite, &self.case, self.threads)
    }

    fn ratio(&self, row: &Row, other: &Row) -> Option<Ratio> {
        let (own, others) = (row.median()?, other.median()?);
        (others > 0.0).then(|| Ratio { to: other.name.clone(), value: own / others })
    }

    /// The row over its physical limit.
    pub fn to_limit(&self, row: &Row) -> Option<Ratio> {
        let limit = row.limit.as_deref()?;
        let other = self.rows.iter().find(|other| other.name == limit)?;
        self.ratio(row, other)
    }

    /// The row over the best of the peers; for our rows only.
    ///
    /// The C library's other flavors do not count: each flavor trades readers against updaters in
    /// another way, so a flavor that is slower than another one has not lost to it.
    pub fn to_best_peer(&self, row: &Row) -> Option<Ratio> {
        if row.kind != Kind::Ours {
            return None;
        }
        let sign = match self.better {
            Better::Lower => 1.0,
            Better::Higher => -1.0,
            Better::Bounded => return None,
        };
        let best = self
            .rows
            .iter()
            .filter(|other| other.kind == Kind::Peer)
            .filter(|other| other.flavor.is_none() || other.flavor == row.flavor)
            .filter_map(|other| Some((other, other.median()? * sign)))
            .min_by(|(_, one), (_, two)| one.total_cmp(two))?
            .0;
        self.ratio(row, best)
    }

    /// The row over the C library's row of the same flavor; for our rows only.
    pub fn to_liburcu(&self, row: &Row) -> Option<Ratio> {
        if row.kind != Kind::Ours || self.better == Better::Bounded {
            return None;
        }
        let other = self
            .rows
            .iter()
            .find(|other| other.kind == Kind::Peer && other.flavor.is_some() && other.flavor == row.flavor)?;
        self.ratio(row, other)
    }

    /// Whether a ratio says that the row loses.
    pub fn loses(&self, ratio: &Ratio) -> bool {
        match self.better {
            Better::Lower => ratio.value > 1.0,
            Better::Higher => ratio.value < 1.0,
            Better::Bounded => false,
        }
    }
}

/// How a case is called in messages.
pub fn title(suite: &str, case: &str, threads: usize) -> String {
    let plural = if threads == 1 { "" } else { "s" };
    format!("{suite}/{case}, {threads} thread{plural}")
}

/// A contender while its case runs.
struct Runner {
    name: String,
    kind: Kind,
    flavor: Option<Flavor>,
    limit: Option<&'static str>,
    state: State,
    rounds: Vec<f64>,
    single: Vec<f64>,
    peak: Option<f64>,
    note: Option<String>,
    took: Duration,
}

enum State {
    Running(Measure),
    Unavailable(String),
    Failed(String),
}

impl From<Contender> for Runner {
    fn from(contender: Contender) -> Self {
        Self {
            name: contender.name,
            kind: contender.kind,
            flavor: contender.flavor,
            limit: contender.limit,
            state: contender.measure.map_or_else(State::Unavailable, State::Running),
            rounds: Vec::new(),
            single: Vec::new(),
            peak: None,
            note: None,
            took: Duration::ZERO,
        }
    }
}

impl Runner {
    fn keep(&mut self, sample: Sample) {
        self.rounds.push(sample.value);
        self.single.extend(sample.single);
        self.peak = sample.peak.into_iter().chain(self.peak).reduce(f64::max);
        self.note = sample.note.or(self.note.take());
    }

    /// The row as it is now. Percentiles of single operations take a while, and are left out on the way.
    fn row(&self, is_over: bool) -> Row {
        let outcome = match &self.state {
            State::Unavailable(reason) => Outcome::Unavailable(reason.clone()),
            State::Failed(reason) => Outcome::Failed(reason.clone()),
            State::Running(_) => Summary::of(&self.rounds).map_or(Outcome::NotReached, |summary| Outcome::Measured {
                summary,
                p99: is_over.then(|| percentile(&self.single, 99.0)).flatten(),
                peak: self.peak,
                note: self.note.clone(),
            }),
        };
        Row {
            name: self.name.clone(),
            kind: self.kind,
            flavor: self.flavor,
            limit: self.limit.map(String::from),
            took: self.took,
            outcome,
        }
    }
}

/// What all cases of a run share.
#[derive(Debug)]
pub struct Runs<'r> {
    /// For pinning.
    pub cores: &'r Cores,
    /// How far the run is.
    pub progress: &'r Progress,
    /// Ends the process when a contender hangs.
    pub watchdog: &'r Watchdog,
    /// A measurement that takes longer hangs.
    pub stuck: Duration,
    /// What has been measured so far.
    pub log: &'r Mutex<Log>,
    /// Asked between measurements: true ends the case with the rounds that there are.
    pub stop: fn() -> bool,
}

/// A case while it runs.
struct Course {
    title: String,
    /// When it began.
    start: Instant,
    /// How long it should take.
    expected: Duration,
    /// How long what comes after it should take.
    later: Duration,
}

impl Course {
    /// How long the run will still take.
    fn left(&self) -> Duration {
        self.expected.saturating_sub(self.start.elapsed()) + self.later
    }
}

impl Runs<'_> {
    /// Runs one case to its end, to that of its share, or until the user stops it. So much is expected to come `later`.
    pub fn case(&self, suite: &str, case: Case, share: Share, later: Duration) -> Table {
        let expected = share.expected(super::share::measurable(&case));
        let course = Course { title: title(suite, &case.name, case.threads), start: Instant::now(), expected, later };
        self.progress.case(&course.title, course.left());
        let mut table = Table {
            suite: suite.to_owned(),
            case: case.name,
            about: case.about.to_owned(),
            unit: case.unit.to_owned(),
            better: case.better,
            threads: case.threads,
            rows: Vec::new(),
        };
        let mut runners: Vec<Runner> = case.contenders.into_iter().map(Runner::from).collect();
        let mut seen = |runners: &[Runner], is_over| {
            table.rows = runners.iter().map(|runner| runner.row(is_over)).collect();
            table.clone()
        };
        self.log().update(seen(&runners, false));
        if let Some(warm_up) = share.warm_up {
            // Caches, lazy initialisation, worker threads, page faults.
            self.round(&course, &mut runners, 0, warm_up, |_, _| {});
        }
        for round in 0..share.rounds {
            let start = Instant::now();
            self.round(&course, &mut runners, round, share.budget, Runner::keep);
            self.log().update(seen(&runners, false));
            if share.until.is_some_and(|until| Instant::now() + start.elapsed() > until) {
                break;
            }
        }
        seen(&runners, true)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures everyone once, each round beginning with another contender.
    fn round(
        &self,
        course: &Course,
        runners: &mut [Runner],
        first: usize,
        budget: Duration,
        keep: impl Fn(&mut Runner, Sample),
    ) {
        let shot = Shot { budget, cores: self.cores };
        let count = runners.len();
        for index in 0..count {
            if (self.stop)() {
                return;
            }
            let index = (first + index) % count;
            let runner = &mut runners[index];
            let State::Running(measure) = &mut runner.state else {
                continue;
            };
            let what = format!("{}: {}", course.title, runner.name);
            self.progress.shot(&what, course.left());
            self.log().running(index);
            let start = Instant::now();
            let answer = self.watchdog.watch(&what, self.stuck, || caught(|| measure(&shot)));
            runner.took += start.elapsed();
            match answer {
                Ok(sample) if sample.value.is_finite() => keep(runner, sample),
                Ok(_) => runner.state = State::Failed("it measured something that is no number".into()),
                Err(error) => {
                    let reason = why_not_here(&error).map(String::from);
                    runner.state = reason.map_or(State::Failed(error), State::Unavailable);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::plan::Pace;
    use super::*;

    fn case(better: Better, contenders: Vec<Contender>) -> Case {
        Case {
            name: "case".into(),
            about: "A made-up workload.",
            unit: "ns",
            better,
            threads: 1,
            pace: Pace::Rounds(1),
            contenders,
        }
    }

    fn run(rounds: usize, stop: fn() -> bool, case: Case) -> Table {
        let cores = Cores::detect();
        let progress = Progress::new(0, Duration::ZERO);
        let watchdog = Watchdog::start(|_| {});
        let log = Mutex::new(Log::default());
        let runs = Runs {
            cores: &cores,
            progress: &progress,
            watchdog: &watchdog,
            stuck: Duration::from_secs(100),
            log: &log,
            stop,
        };
        let share = Share::whole(settings(rounds), case.pace);
        runs.case("suite", case, share, Duration::ZERO)
    }

    fn settings(rounds: usize) -> Settings {
        Settings { rounds, budget: Duration::ZERO, limit: None, late: 0.25, stuck: Duration::from_secs(100) }
    }

    fn fixed(name: &str, kind: Kind, value: f64) -> Contender {
        Contender::new(name, kind, move |_| Ok(Sample::figure(value)))
    }

    #[test]
    fn rounds_interleave_the_contenders_and_begin_with_another_one_each() {
        let order = Rc::new(RefCell::new(String::new()));
        let contenders = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let order = Rc::clone(&order);
                Contender::new(name, Kind::Ours, move |_| {
                    order.borrow_mut().push_str(name);
                    Ok(Sample::figure(1.0))
                })
            })
            .collect();
        run(3, || false, case(Better::Lower, contenders));
        assert_eq!(order.borrow().as_str(), "abcabcbcacab");
    }

    #[test]
    fn the_warm_up_round_is_not_counted() {
        let mut calls = 0.0;
        let contender = Contender::new("ours", Kind::Ours, move |_| {
            calls += 1.0;
            Ok(Sample::figure(calls))
        });
        let table = run(3, || false, case(Better::Lower, vec![contender]));
        assert_eq!(
            table.rows[0].outcome,
            Outcome::Measured {
                summary: Summary { median: 3.0, min: 2.0, max: 4.0, spread: 1.0, rounds: 3 },
                p99: None,
                peak: None,
                note: None
            }
        );
    }

    #[test]
    fn a_case_at_its_own_pace_measures_once_without_a_warm_up_round() {
        let contender = Contender::new("ours", Kind::Ours, |shot| Ok(Sample::figure(shot.budget.as_secs_f64())));
        let mut case = case(Better::Lower, vec![contender]);
        case.pace = Pace::Times(1, Duration::from_secs(2));
        assert_eq!(
            super::super::share::Want::of("suite", &case, settings(5)).overhead,
            Duration::from_millis(2401 + 15)
        );
        let table = run(5, || false, case);
        assert!(matches!(
            table.rows[0].outcome,
            Outcome::Measured { summary: Summary { median: 2.0, rounds: 1, .. }, .. }
        ));
    }

    #[test]
    fn the_highest_peak_and_the_latest_note_are_kept() {
        let mut round = 0;
        let contender = Contender::new("ours", Kind::Ours, move |_| {
            round += 1;
            let note = (round == 2).then(|| "seen".to_owned());
            Ok(Sample::figure(1.0).with_peak([1, 7, 3, 5][round - 1]).with_note(note))
        });
        let table = run(3, || false, case(Better::Higher, vec![contender]));
        let Outcome::Measured { peak, note, .. } = &table.rows[0].outcome else { panic!("it was measured") };
        assert_eq!((*peak, note.as_deref()), (Some(7.0), Some("seen")));
    }

    #[test]
    fn contenders_that_fail_panic_or_are_missing_do_not_stop_the_others() {
        let mut calls = 0;
        let contenders = vec![
            Contender::new("wrong", Kind::Peer, move |_| {
                calls += 1;
                if calls < 3 { Ok(Sample::figure(1.0)) } else { Err("wrong answer".into()) }
            }),
            Contender::new("panics", Kind::Peer, |_| panic!("oh no")),
            Contender::unavailable("missing", Kind::Peer, "not installed"),
            Contender::new("large", Kind::Peer, |_| Err(super::super::plan::not_here("too few threads"))),
            fixed("ours", Kind::Ours, 2.0),
        ];
        let table = run(4, || false, case(Better::Lower, contenders));
        assert_eq!(table.rows[0].outcome, Outcome::Failed("wrong answer".into()));
        assert_eq!(table.rows[1].outcome, Outcome::Failed("panicked: oh no".into()));
        assert_eq!(table.rows[2].outcome, Outcome::Unavailable("not installed".into()));
        assert_eq!(table.rows[3].outcome, Outcome::Unavailable("too few threads".into()));
        assert_eq!(table.rows[4].median(), Some(2.0));
        assert_eq!(table.to_best_peer(&table.rows[4]), None);
    }

    #[test]
    fn a_round_that_would_end_too_late_does_not_begin() {
        let cores = Cores::detect();
        let (progress, watchdog) = (Progress::new(0, Duration::ZERO), Watchdog::start(|_| {}));
        let log = Mutex::new(Log::default());
        let runs = Runs {
            cores: &cores,
            progress: &progress,
            watchdog: &watchdog,
            stuck: Duration::from_secs(100),
            log: &log,
            stop: || false,
        };
        let case = case(Better::Lower, vec![fixed("ours", Kind::Ours, 2.0)]);
        let share = Share { until: Some(Instant::now()), ..Share::whole(settings(9), Pace::Rounds(1)) };
        let table = runs.case("suite", case, share, Duration::ZERO);
        assert!(matches!(table.rows[0].outcome, Outcome::Measured { summary: Summary { rounds: 1, .. }, .. }));
    }

    #[test]
    fn what_is_no_number_is_a_failure() {
        let table = run(3, || false, case(Better::Lower, vec![fixed("ours", Kind::Ours, f64::NAN)]));
        assert!(matches!(table.rows[0].outcome, Outcome::Failed(_)));
    }

    #[test]
    fn an_interrupted_case_reports_the_rows_as_not_reached() {
        let table = run(3, || true, case(Better::Lower, vec![fixed("ours", Kind::Ours, 2.0)]));
        assert_eq!(table.rows[0].outcome, Outcome::NotReached);
    }

    #[test]
    fn p99_pools_the_single_operations_of_all_rounds() {
        let contender = Contender::new("ours", Kind::Ours, |_| Sample::singles((1..=100).map(f64::from).collect()));
        let table = run(2, || false, case(Better::Lower, vec![contender]));
        assert!(matches!(
            table.rows[0].outcome,
            Outcome::Measured { p99: Some(p99), .. } if p99 == 99.0
        ));
    }

    #[test]
    fn ratios_find_the_limit_the_same_flavor_and_the_best_comparable_peer() {
        let contenders = vec![
            fixed("urcu-mb", Kind::Ours, 6.0).of(Flavor::Mb).against("limit:rmw"),
            fixed("urcu-qsbr", Kind::Ours, 1.0).of(Flavor::Qsbr),
            fixed("liburcu-mb", Kind::Peer, 60.0).of(Flavor::Mb),
            fixed("liburcu-qsbr", Kind::Peer, 0.5).of(Flavor::Qsbr),
            fixed("epochs", Kind::Peer, 12.0),
            fixed("limit:rmw", Kind::Limit, 3.0),
        ];
        let table = run(1, || false, case(Better::Lower, contenders));
        let ratio = |to: &str, value| Some(Ratio { to: to.into(), value });
        assert_eq!(table.to_limit(&table.rows[0]), ratio("limit:rmw", 2.0));
        assert_eq!(table.to_liburcu(&table.rows[0]), ratio("liburcu-mb", 0.1));
        assert_eq!(table.to_best_peer(&table.rows[0]), ratio("epochs", 0.5));
        assert_eq!(table.to_best_peer(&table.rows[1]), ratio("liburcu-qsbr", 2.0));
        assert_eq!(table.to_liburcu(&table.rows[2]), None);
        assert_eq!(table.to_best_peer(&table.rows[2]), None);
    }

    #[test]
    fn bounded_figures_are_compared_with_their_limit_only() {
        let contenders = vec![
            fixed("urcu-mb", Kind::Ours, 6.0).of(Flavor::Mb).against("limit:hard"),
            fixed("liburcu-mb", Kind::Peer, 1.0).of(Flavor::Mb),
            fixed("limit:hard", Kind::Limit, 6.0),
        ];
        let table = run(1, || false, case(Better::Bounded, contenders));
        assert_eq!(table.to_limit(&table.rows[0]).map(|ratio| ratio.value), Some(1.0));
        assert_eq!(table.to_liburcu(&table.rows[0]), None);
        assert_eq!(table.to_best_peer(&table.rows[0]), None);
    }

    #[test]
    fn where_more_is_better_the_best_peer_is_the_largest() {
        let contenders =
            vec![fixed("ours", Kind::Ours, 6.0), fixed("slow", Kind::Peer, 2.0), fixed("fast", Kind::Peer, 3.0)];
        let table = run(1, || false, case(Better::Higher, contenders));
        let ratio = Ratio { to: "fast".into(), value: 2.0 };
        assert_eq!(table.to_best_peer(&table.rows[0]), Some(ratio.clone()));
        assert!(!table.loses(&ratio));
    }
}

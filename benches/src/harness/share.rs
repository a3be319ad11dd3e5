//! Shares the time of a run out over its cases, so that it ends when it said it would.
//!
//! Each case wants so many rounds of such a length. When all of that does not fit into the time that is left, every case
//! gets the same part of what it wants: fewer rounds first, then shorter ones. What a case has taken too much or left over
//! (threads to start, tables to fill, contenders that are slow) changes the part of those after it.

use std::time::{Duration, Instant};

use super::plan::{Case, Pace};
use super::run::Settings;

/// Fewer rounds than this have no median worth the name; shorter ones come first.
const FEW: usize = 3;
/// Shorter measurements are mostly the start of threads.
const SHORTEST: Duration = Duration::from_millis(1);

/// As long as measurements have to be in cases that ask for long ones: the C library's worker sleeps 10 ms between two batches,
/// and has freed nothing in less.
const LONG: Duration = Duration::from_millis(30);
/// What a contender takes that does not depend on how long it is measured: what is made for it, and given back.
const OVERHEAD: u32 = 15;
/// What it takes more in some cases, in milliseconds; the first line that fits counts. On a machine of usual speed; where one is
/// slower, the cases after it get less.
const MORE: &[(&str, &str, u32)] = &[
    ("map", "grow-crowded", 2_500),
    ("map", "-any", 5_000),
    ("map", "p999-resize", 6_000),
    ("map", "p999-updates", 6_000),
    ("map", "p999-rest", 1_500),
    ("map", "p999-insert", 700),
    ("map", "memory-10M", 3_500),
    ("map", "memory-4M", 1_500),
    ("map", "memory-1M", 500),
    ("map", "raw-grow-1k", 1_200),
    ("map", "raw-grow-100k", 1_500),
    ("map", "grow-4M", 5_000),
    ("map", "grow-1M", 1_200),
    ("map", "hit-4M", 2_000),
    ("map", "hit-1k", 150),
    ("scale", "map-entries@10M", 6_000),
    ("scale", "map-entries@1M", 600),
    ("reclaim", "stalled-reader", 300),
    ("route", "", 300),
    ("instructions", "count-", 1_000),
    ("instructions", "transfers-", 3_000),
    ("shm", "grace-asleep", 1_000),
    ("shm", "", 150),
];
/// What a thread more than there are cores takes per round, in milliseconds: its turn.
const TURN: u32 = 4;

/// What one case gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Rounds that count.
    pub rounds: usize,
    /// How long a measurement takes in the round before them, if there is one.
    pub warm_up: Option<Duration>,
    /// How long a measurement takes.
    pub budget: Duration,
    /// Not shorter than this: long ones are long because of contenders that do nothing for milliseconds.
    pub least: Duration,
    /// No round begins that would end later; the first one always does.
    pub until: Option<Instant>,
}

impl Share {
    /// Everything that a case wants.
    pub fn whole(settings: Settings, pace: Pace) -> Self {
        let (rounds, warm_up, budget) = match pace {
            Pace::Rounds(stretch) => (settings.rounds, Some(settings.budget * stretch), settings.budget * stretch),
            Pace::Times(rounds, length) => (rounds, None, length),
        };
        let least = match pace {
            Pace::Rounds(2..) => budget.min(LONG),
            _ => SHORTEST,
        };
        Self { rounds, warm_up, budget, least, until: None }
    }

    /// Without the round before the others: where threads outnumber the cores, a round takes long by itself.
    #[must_use]
    fn at_once(self) -> Self {
        Self { warm_up: None, ..self }
    }

    /// About how long that takes with so many contenders.
    pub fn expected(&self, contenders: usize) -> Duration {
        let contenders = u32::try_from(contenders).unwrap_or(u32::MAX);
        let rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX);
        (each(self.budget) * rounds + self.warm_up.map(each).unwrap_or_default()) * contenders
    }
}

/// A measurement's time: with a fifth for its own warm-up, and with that of its threads' start and end.
fn each(budget: Duration) -> Duration {
    budget + budget / 5 + Duration::from_millis(1)
}

/// About how long a case wants to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Want {
    /// For being measured.
    pub measured: Duration,
    /// For everything else.
    pub overhead: Duration,
}

impl Want {
    /// What a case of a suite wants.
    pub fn of(suite: &str, case: &Case, settings: Settings) -> Self {
        let contenders = measurable(case);
        let overhead = fixed(suite, case) * u32::try_from(contenders).unwrap_or(u32::MAX);
        let measured = Share::whole(settings, case.pace).expected(contenders);
        match case.pace {
            Pace::Rounds(_) => Self { measured, overhead },
            // Takes what it takes.
            Pace::Times(..) => Self { measured: Duration::ZERO, overhead: measured + overhead },
        }
    }

    /// Together.
    pub fn sum(self) -> Duration {
        self.measured + self.overhead
    }
}

impl std::ops::Add for Want {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { measured: self.measured + other.measured, overhead: self.overhead + other.overhead }
    }
}

impl std::iter::Sum for Want {
    fn sum<I: Iterator<Item = Self>>(wants: I) -> Self {
        wants.fold(Self::default(), std::ops::Add::add)
    }
}

/// What each contender of a case takes besides being measured.
fn fixed(suite: &str, case: &Case) -> Duration {
    let more = MORE.iter().find(|(of, name, _)| *of == suite && case.name.contains(name)).map_or(0, |(.., more)| *more);
    let turns = u32::try_from(case.threads.saturating_sub(cores()) / cores()).unwrap_or(0);
    // An updater waits for the turns of all readers, one after the other if it has bad luck.
    let waits = if case.name.starts_with("grace-threads") { 4 } else { 1 };
    let rounds = u32::try_from(FEW).unwrap_or(1);
    let times = match case.pace {
        Pace::Rounds(_) => 1,
        Pace::Times(times, _) => u32::try_from(times).unwrap_or(1),
    };
    Duration::from_millis((OVERHEAD + more * times + turns * TURN * waits * rounds).into())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// Contenders that are there.
pub fn measurable(case: &Case) -> usize {
    case.contenders.iter().filter(|contender| contender.measure.is_ok()).count()
}

/// The time of a run.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    settings: Settings,
    /// When the run should end.
    end: Option<Instant>,
    /// What the cases that have not begun yet want.
    wanted: Want,
}

impl Shares {
    /// A run that begins now and wants so much.
    pub fn new(settings: Settings, wanted: Want) -> Self {
        Self { settings, end: settings.limit.map(|limit| Instant::now() + limit), wanted }
    }

    /// Takes the share of the next case; none when the time has been over for a while, unless it `must` be measured.
    pub fn next(&mut self, suite: &str, case: &Case, must: bool) -> Option<Share> {
        let own = Want::of(suite, case, self.settings);
        let now = Instant::now();
        let part = self.part(self.end.map(|end| end.saturating_duration_since(now)));
        let late = self.settings.limit.unwrap_or_default().mul_f64(self.settings.late);
        // A run of no time at all is one of the shortest rounds.
        let is_late = !late.is_zero() && self.end.is_some_and(|end| now > end + late);
        self.wanted.measured = self.wanted.measured.saturating_sub(own.measured);
        self.wanted.overhead = self.wanted.overhead.saturating_sub(own.overhead);
        let share = (must || !is_late).then(|| cut(Share::whole(self.settings, case.pace), own, part));
        share.map(|share| if case.threads > cores() { share.at_once() } else { share })
    }

    /// About how long the cases after this one will take.
    pub fn left(&self) -> Duration {
        match self.end {
            Some(end) => self.wanted.sum().min(end.saturating_duration_since(Instant::now())),
            None => self.wanted.sum(),
        }
    }

    /// Which part of what it wants each case can be measured for.
    fn part(&self, left: Option<Duration>) -> f64 {
        let left = left.map(|left| left.saturating_sub(self.wanted.overhead));
        match left {
            Some(left) if left < self.wanted.measured => left.as_secs_f64() / self.wanted.measured.as_secs_f64(),
            _ => 1.0,
        }
    }
}

/// A part of a share.
fn cut(whole: Share, wanted: Want, part: f64) -> Share {
    if part >= 1.0 {
        return whole;
    }
    // Exact: a few rounds. Not negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let fewer = (whole.rounds as f64 * part) as usize;
    let rounds = fewer.max(FEW).min(whole.rounds);
    let Some(warm_up) = whole.warm_up else {
        return whole;
    };
    // What the rounds that are left out do not take makes the others longer.
    #[allow(clippy::cast_precision_loss, reason = "exact: a few rounds")]
    let length = (part * (whole.rounds as f64 + 0.5) / (rounds as f64 + 0.5)).min(1.0);
    Share {
        rounds,
        warm_up: Some(warm_up.mul_f64(length / 2.0).max(SHORTEST)),
        budget: whole.budget.mul_f64(length).max(whole.least),
        least: whole.least,
        until: Some(Instant::now() + wanted.overhead + wanted.measured.mul_f64(part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::plan::{Better, Contender, Kind, Sample};

    fn case(contenders: usize) -> Case {
        let contenders = (0..contenders)
            .map(|number| Contender::new(number.to_string(), Kind::Peer, |_| Ok(Sample::figure(1.0))))
            .chain([Contender::unavailable("missing", Kind::Peer, "not installed")])
            .collect();
        Case {
            name: "case".into(),
            about: "A made-up workload.",
            unit: "ns",
            better: Better::Lower,
            threads: 1,
            pace: Pace::Rounds(1),
            contenders,
        }
    }

    fn settings(limit: Option<Duration>) -> Settings {
        Settings { rounds: 15, budget: Duration::from_millis(50), limit, late: 0.25, stuck: Duration::from_secs(1) }
    }

    #[test]
    fn where_there_is_time_every_case_gets_what_it_wants() {
        for limit in [None, Some(Duration::from_secs(1_000))] {
            let settings = settings(limit);
            let mut shares = Shares::new(settings, Want::of("suite", &case(2), settings));
            assert_eq!(shares.next("suite", &case(2), false), Some(Share::whole(settings, Pace::Rounds(1))));
            assert_eq!(shares.left(), Duration::ZERO);
        }
    }

    #[test]
    fn what_is_not_there_wants_no_time() {
        assert_eq!(Want::of("suite", &case(3), settings(None)).measured, each(Duration::from_millis(50)) * 16 * 3);
        assert_eq!(Want::of("suite", &case(0), settings(None)), Want::default());
    }

    #[test]
    fn too_many_cases_get_parts_that_fit() {
        let settings = settings(Some(Duration::from_secs(30)));
        let all: Want = (0..20).map(|_| Want::of("suite", &case(10), settings)).sum();
        assert!(all.sum() > Duration::from_secs(100), "{all:?}");
        let mut shares = Shares::new(settings, all);
        let first = shares.next("suite", &case(10), false).unwrap();
        assert!(first.rounds < settings.rounds && first.until.is_some(), "{first:?}");
        // Twenty of these, and what is not measuring.
        let sum = first.expected(10) * 20 + all.overhead;
        assert!((24.0..36.0).contains(&sum.as_secs_f64()), "{sum:?}");
        for _ in 1..20 {
            assert!(shares.next("suite", &case(10), false).is_some());
        }
    }

    #[test]
    fn a_run_that_is_late_leaves_out_the_rest() {
        let settings = settings(Some(Duration::from_millis(1)));
        let mut shares = Shares::new(settings, Want::of("suite", &case(10), settings));
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(shares.next("suite", &case(10), false), None);
        assert!(shares.next("suite", &case(10), true).is_some());
        let mut shares =
            Shares::new(Settings { limit: Some(Duration::ZERO), ..settings }, Want::of("suite", &case(10), settings));
        assert_eq!(shares.next("suite", &case(10), false).map(|share| share.budget), Some(SHORTEST));
    }

    #[test]
    fn a_part_has_fewer_rounds_first_and_shorter_ones_then() {
        let whole = Share::whole(settings(None), Pace::Rounds(1));
        let half = cut(whole, Want::default(), 0.5);
        assert_eq!(half.rounds, 7);
        assert!(half.budget > Duration::from_millis(45), "{half:?}");
        let little = cut(whole, Want::default(), 0.05);
        assert_eq!(little.rounds, 3);
        assert!(little.budget < Duration::from_millis(15) && little.budget > Duration::from_millis(5), "{little:?}");
        let nothing = cut(whole, Want::default(), 0.0);
        assert_eq!((nothing.rounds, nothing.budget), (3, SHORTEST));
    }

    #[test]
    fn what_asks_for_long_measurements_gets_fewer_of_them() {
        let whole = Share::whole(settings(None), Pace::Rounds(2));
        let little = cut(whole, Want::default(), 0.02);
        assert_eq!((little.rounds, little.budget), (3, LONG));
    }

    #[test]
    fn a_part_takes_about_its_part_of_the_time() {
        let whole = Share::whole(settings(None), Pace::Rounds(1));
        for part in [0.05, 0.1, 0.3, 0.7] {
            let taken = cut(whole, Want::default(), part).expected(10).as_secs_f64();
            let wanted = whole.expected(10).as_secs_f64() * part;
            assert!((0.7..1.3).contains(&(taken / wanted)), "{part}: {taken} for {wanted}");
        }
    }
}

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

/// What one case gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Rounds that count.
    pub rounds: usize,
    /// How long a measurement takes in the round before them, if there is one.
    pub warm_up: Option<Duration>,
    /// How long a measurement takes.
    pub budget: Duration,
    /// No round begins that would end later; the first one always does.
    pub until: Option<Instant>,
}

impl Share {
    /// Everything that a case wants.
    pub fn whole(settings: Settings, pace: Pace) -> Self {
        let (rounds, warm_up, budget) = match pace {
            Pace::Rounds(stretch) => (settings.rounds, Some(settings.budget * stretch), settings.budget * stretch),
            Pace::Once(length) => (1, None, length),
        };
        Self { rounds, warm_up, budget, until: None }
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
pub fn wanted(case: &Case, settings: Settings) -> Duration {
    Share::whole(settings, case.pace).expected(measurable(case))
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
    wanted: Duration,
}

impl Shares {
    /// A run that begins now and wants so much.
    pub fn new(settings: Settings, wanted: Duration) -> Self {
        Self { settings, end: settings.limit.map(|limit| Instant::now() + limit), wanted }
    }

    /// Takes the share of the next case.
    pub fn next(&mut self, case: &Case) -> Share {
        let own = wanted(case, self.settings);
        let part = self.part(self.end.map(|end| end.saturating_duration_since(Instant::now())));
        self.wanted = self.wanted.saturating_sub(own);
        cut(Share::whole(self.settings, case.pace), own, part)
    }

    /// About how long the cases after this one will take.
    pub fn left(&self) -> Duration {
        match self.end {
            Some(end) => self.wanted.min(end.saturating_duration_since(Instant::now())),
            None => self.wanted,
        }
    }

    /// Which part of what it wants each case can have.
    fn part(&self, left: Option<Duration>) -> f64 {
        match left {
            Some(left) if left < self.wanted => left.as_secs_f64() / self.wanted.as_secs_f64(),
            _ => 1.0,
        }
    }
}

/// A part of a share.
fn cut(whole: Share, wanted: Duration, part: f64) -> Share {
    if part >= 1.0 {
        return whole;
    }
    // Exact: a few rounds. Not negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let fewer = (whole.rounds as f64 * part) as usize;
    let rounds = fewer.max(FEW).min(whole.rounds);
    let Some(warm_up) = whole.warm_up else {
        return Share { budget: whole.budget.mul_f64(part).max(SHORTEST), ..whole };
    };
    // What the rounds that are left out do not take makes the others longer.
    #[allow(clippy::cast_precision_loss, reason = "exact: a few rounds")]
    let length = (part * (whole.rounds as f64 + 0.5) / (rounds as f64 + 0.5)).min(1.0);
    Share {
        rounds,
        warm_up: Some(warm_up.mul_f64(length / 2.0).max(SHORTEST)),
        budget: whole.budget.mul_f64(length).max(SHORTEST),
        until: Some(Instant::now() + wanted.mul_f64(part)),
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
        Settings { rounds: 15, budget: Duration::from_millis(50), limit, stuck: Duration::from_secs(1) }
    }

    #[test]
    fn where_there_is_time_every_case_gets_what_it_wants() {
        for limit in [None, Some(Duration::from_secs(1_000))] {
            let settings = settings(limit);
            let mut shares = Shares::new(settings, wanted(&case(2), settings));
            assert_eq!(shares.next(&case(2)), Share::whole(settings, Pace::Rounds(1)));
            assert_eq!(shares.left(), Duration::ZERO);
        }
    }

    #[test]
    fn what_is_not_there_wants_no_time() {
        assert_eq!(wanted(&case(3), settings(None)), each(Duration::from_millis(50)) * 16 * 3);
        assert_eq!(wanted(&case(0), settings(None)), Duration::ZERO);
    }

    #[test]
    fn too_many_cases_get_equal_parts_that_fit() {
        let limit = Duration::from_secs(10);
        let settings = settings(Some(limit));
        let all = wanted(&case(10), settings) * 20;
        assert!(all > 10 * limit, "{all:?}");
        let mut shares = Shares::new(settings, all);
        let mut sum = Duration::ZERO;
        for _ in 0..20 {
            let share = shares.next(&case(10));
            assert_eq!(share.rounds, FEW);
            assert!(share.budget < settings.budget && share.until.is_some());
            // No time passes in this test, so what is left grows from case to case.
            sum = sum.max(share.expected(10));
        }
        assert!(sum > Duration::ZERO);
    }

    #[test]
    fn a_part_has_fewer_rounds_first_and_shorter_ones_then() {
        let whole = Share::whole(settings(None), Pace::Rounds(1));
        let half = cut(whole, Duration::from_secs(1), 0.5);
        assert_eq!(half.rounds, 7);
        assert!(half.budget > Duration::from_millis(45), "{half:?}");
        let little = cut(whole, Duration::from_secs(1), 0.05);
        assert_eq!(little.rounds, 3);
        assert!(little.budget < Duration::from_millis(15) && little.budget > Duration::from_millis(5), "{little:?}");
        let nothing = cut(whole, Duration::from_secs(1), 0.0);
        assert_eq!((nothing.rounds, nothing.budget), (3, SHORTEST));
    }

    #[test]
    fn a_part_takes_about_its_part_of_the_time() {
        let whole = Share::whole(settings(None), Pace::Rounds(1));
        for part in [0.05, 0.1, 0.3, 0.7] {
            let taken = cut(whole, Duration::ZERO, part).expected(10).as_secs_f64();
            let wanted = whole.expected(10).as_secs_f64() * part;
            assert!((0.7..1.3).contains(&(taken / wanted)), "{part}: {taken} for {wanted}");
        }
    }
}

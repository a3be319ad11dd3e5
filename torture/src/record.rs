//! What a flavor's process tells about its run.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Buckets of the histogram: ages 0 to 9, 10 and more, and objects that were in use again.
pub(crate) const BUCKETS: usize = 12;
/// The last one: the object had been reclaimed and handed out again.
pub(crate) const REUSED: usize = BUCKETS - 1;

/// A snapshot of a run, or its end.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Record {
    pub(crate) seconds: f64,
    /// How many objects of each age were found in sections.
    pub(crate) ages: [u64; BUCKETS],
    pub(crate) grace_periods: u64,
    /// Grace periods that updaters waited for, or saw the end of by polling.
    pub(crate) awaited: u64,
    pub(crate) callbacks: u64,
    pub(crate) sections: u64,
    /// Reader threads that came and went.
    pub(crate) lives: u64,
    pub(crate) signals: u64,
    pub(crate) handler_sections: u64,
    pub(crate) forks: u64,
    /// Sections during which the pointer changed, under a full store buffer.
    pub(crate) races: u64,
    pub(crate) flooded: u64,
    pub(crate) workers: u64,
    /// How often processors were taken away or given back.
    pub(crate) moves: u64,
    /// What went wrong; empty if nothing.
    pub(crate) failures: Vec<String>,
    /// Set in the last one.
    pub(crate) ended: bool,
}

impl Record {
    /// One line, for people who watch.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:.0} s: {} grace periods, {} sections, {} callbacks, {} too old",
            self.seconds,
            self.grace_periods,
            self.sections,
            self.callbacks,
            self.too_old()
        )
    }

    /// How many objects were found that should have been out of reach.
    pub(crate) fn too_old(&self) -> u64 {
        self.ages[2..].iter().sum()
    }

    /// Several lines, for the end.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        let ages: Vec<String> = self.ages.iter().map(u64::to_string).collect();
        let _ = writeln!(text, "    ages found   {} (from 0; the last: in use again)", ages.join(" "));
        let _ = writeln!(
            text,
            "    updaters     {} grace periods, {} of them awaited or polled for; {} callbacks executed, {} of them in floods; {} workers",
            self.grace_periods, self.awaited, self.callbacks, self.flooded, self.workers
        );
        let _ = writeln!(
            text,
            "    readers      {} sections, {} of them in signal handlers; {} lives; {} close races",
            self.sections, self.handler_sections, self.lives, self.races
        );
        let _ = writeln!(
            text,
            "    disturbance  {} signals, {} forks, {} moves between processors",
            self.signals, self.forks, self.moves
        );
        for failure in &self.failures {
            let _ = writeln!(text, "    FAILED       {failure}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ages_beyond_the_second_bucket_are_too_old() {
        let mut record = Record::default();
        record.ages[0] = 5;
        record.ages[1] = 7;
        assert_eq!(record.too_old(), 0);
        record.ages[2] = 1;
        record.ages[REUSED] = 2;
        assert_eq!(record.too_old(), 3);
    }
}

//! What a run was: quick, full, or a part of one. Found out from its record, so that no file name and no sentence lies.

use std::collections::BTreeSet;

use crate::cli::Arguments;
use crate::harness::run::{Outcome, Table};
use crate::record::Run;

/// How a run was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// With `--quick`.
    Quick,
    /// With everything.
    Full,
    /// With some suites, cases, flavors, peers or thread counts only.
    Part,
}

/// Arguments that leave something out.
const RESTRICTIONS: [&str; 5] = ["--only", "--case", "--flavor", "--peer", "--threads"];

impl Extent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Full, Self::Part];

    /// From the command that a record names.
    pub fn of(command: &str) -> Self {
        let mut words = command.split_whitespace();
        let is = |word: &str, option: &str| word.split('=').next() == Some(option);
        if words.clone().any(|word| RESTRICTIONS.iter().any(|option| is(word, option))) {
            Self::Part
        } else if words.any(|word| word == "--quick") {
            Self::Quick
        } else {
            Self::Full
        }
    }

    /// For file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
            Self::Part => "part",
        }
    }

    /// For sentences.
    const fn noun(self) -> &'static str {
        match self {
            Self::Quick => "a quick run",
            Self::Full => "a full run",
            Self::Part => "a part of a run",
        }
    }
}

/// A run in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How it was asked for.
    pub extent: Extent,
    /// Cases that it has measured.
    pub cases: usize,
    /// Cases that such a run has.
    pub wanted: usize,
    /// The fewest and the most rounds of a row, and those of the row in the middle.
    pub rounds: (usize, usize, usize),
}

impl Facts {
    /// Counts.
    pub fn of(run: &Run) -> Self {
        let extent = Extent::of(&run.machine.command);
        let measured: BTreeSet<_> = run.tables.iter().filter(|table| is_measured(table)).map(key).collect();
        let wanted = match extent {
            Extent::Part => measured.len(),
            _ => {
                let arguments = Arguments { quick: extent == Extent::Quick, ..Arguments::default() };
                let plan = arguments.plan().map_or(BTreeSet::new(), |plan| {
                    plan.cases.into_iter().map(|(suite, case)| (suite.to_owned(), case.name, case.threads)).collect()
                });
                plan.union(&measured).count()
            }
        };
        let mut rounds: Vec<usize> = run
            .tables
            .iter()
            .flat_map(|table| &table.rows)
            .filter_map(|row| match &row.outcome {
                Outcome::Measured { summary, .. } => Some(summary.rounds),
                _ => None,
            })
            .collect();
        rounds.sort_unstable();
        let at = |index: usize| rounds.get(index).copied().unwrap_or(0);
        let rounds = (at(0), at(rounds.len().saturating_sub(1)), at(rounds.len() / 2));
        Self { extent, cases: measured.len(), wanted, rounds }
    }

    /// In a sentence without an end.
    pub fn sentence(&self) -> String {
        let (fewest, most, middle) = self.rounds;
        let cases = if self.cases < self.wanted {
            format!("{} of its {} cases (the others were not measured)", self.cases, self.wanted)
        } else {
            format!("{} cases", self.cases)
        };
        let rounds = if fewest == most {
            format!("each row the median of {most} round{}", if most == 1 { "" } else { "s" })
        } else {
            format!("rows are medians of {fewest} to {most} rounds, most of them of about {middle}")
        };
        format!("{}: {cases}, {rounds}", self.extent.noun())
    }
}

fn is_measured(table: &Table) -> bool {
    table.rows.iter().any(|row| row.median().is_some())
}

fn key(table: &Table) -> (String, String, usize) {
    (table.suite.clone(), table.case.clone(), table.threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_what_its_command_says() {
        for (command, extent) in [
            ("cargo xtask bench --publish", Extent::Full),
            ("cargo xtask bench --quick --report /tmp/r", Extent::Quick),
            ("cargo xtask bench --quick --only read", Extent::Part),
            ("cargo xtask bench --threads=4", Extent::Part),
        ] {
            assert_eq!(Extent::of(command), extent, "{command}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let facts = Facts { extent: Extent::Full, cases: 2, wanted: 3, rounds: (1, 15, 9) };
        assert_eq!(
            facts.sentence(),
            "a full run: 2 of its 3 cases (the others were not measured), rows are medians of 1 to 15 rounds, most of them of \
             about 9"
        );
        let facts = Facts { extent: Extent::Quick, cases: 3, wanted: 3, rounds: (1, 1, 1) };
        assert_eq!(facts.sentence(), "a quick run: 3 cases, each row the median of 1 round");
    }
}

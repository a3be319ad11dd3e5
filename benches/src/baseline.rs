//! Compares a run with an earlier one: what got slower beyond the noise.
//!
//! Two runs differ for many reasons that are not the code: the machine, its other work, where memory came to lie. So a row
//! of ours counts as changed only if three things hold:
//!
//! 1. It moved against the others of its case. The peers and limits of a case do not change between two commits of ours,
//!    so the median of their changes is the machine's; it is divided out.
//! 2. What is left is more than [`FLOOR`]: rows that nobody touched move by some percent between two runs. For rows that
//!    were measured once it is more than [`FLOOR_OF_ONE`].
//! 3. It is more than [`ERRORS`] standard errors of the two medians, estimated from the spread of their rounds.

use std::fmt::Write as _;

use crate::harness::plan::{Better, Kind};
use crate::harness::run::{Outcome, Row, Table};
use crate::harness::stats::{Summary, median};
use crate::harness::table::figure;
use crate::record::Run;

/// A change of less does not count.
pub const FLOOR: f64 = 0.10;
/// A change of less does not count where one of the two runs has measured too few rounds to judge by their spread.
pub const FLOOR_OF_ONE: f64 = 0.30;
/// So many standard errors are noise.
pub const ERRORS: f64 = 4.0;
/// The machine's change is taken from so many rows at least.
const WITNESSES: usize = 3;

/// A row that is there in both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The case and the row.
    pub title: String,
    /// Then.
    pub before: f64,
    /// Now.
    pub after: f64,
    /// Now over then, without the machine's change, so that more is worse.
    pub worse: f64,
    /// The machine's own change in this case: now over then of those that did not change.
    pub drift: f64,
    /// A change of so much (one is nothing) would still be noise.
    pub noise: f64,
}

impl Change {
    fn is_slower(&self) -> bool {
        self.worse > self.noise
    }

    fn is_faster(&self) -> bool {
        self.worse * self.noise < 1.0
    }
}

/// What is different between two runs.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Rows of ours that are in both.
    pub changes: Vec<Change>,
    /// Rows of anybody that are measured now and were not there then.
    pub new: Vec<String>,
    /// Rows that were measured then, in cases that are there now, too, and have no figure now; with the reason.
    pub missing: Vec<String>,
    /// Cases of the baseline that this run has left out.
    pub left_out: usize,
    /// What makes the comparison doubtful.
    pub doubts: Vec<String>,
}

/// Compares.
pub fn compare(before: &Run, after: &Run) -> Comparison {
    let mut comparison = Comparison { doubts: doubts(before, after), ..Comparison::default() };
    for table in &after.tables {
        let Some(old) = before.tables.iter().find(|old| is_same(old, table)) else {
            comparison.new.push(format!("{} (the whole case)", table.title()));
            continue;
        };
        compare_tables(old, table, &mut comparison);
    }
    comparison.left_out = before.tables.iter().filter(|old| !after.tables.iter().any(|new| is_same(old, new))).count();
    comparison.changes.sort_by(|one, two| two.worse.total_cmp(&one.worse));
    comparison
}

fn is_same(one: &Table, two: &Table) -> bool {
    (&one.suite, &one.case, one.threads) == (&two.suite, &two.case, two.threads)
}

fn doubts(before: &Run, after: &Run) -> Vec<String> {
    let (before, after) = (&before.machine, &after.machine);
    [
        ("machine", &before.machine, &after.machine),
        ("kernel", &before.kernel, &after.kernel),
        ("compiler", &before.rustc, &after.rustc),
        ("liburcu", &before.liburcu, &after.liburcu),
        ("number of cores", &before.cores.to_string(), &after.cores.to_string()),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(what, before, after)| format!("another {what}: {before} then, {after} now"))
    .collect()
}

fn compare_tables(old: &Table, new: &Table, comparison: &mut Comparison) {
    let title = |row: &Row| format!("{}: {}", new.title(), row.name);
    let pairs: Vec<(&Row, &Summary, &Summary)> = new
        .rows
        .iter()
        .filter_map(|row| {
            let before = old.rows.iter().find(|old| old.name == row.name).and_then(summary)?;
            Some((row, before, summary(row)?))
        })
        .collect();
    let drift = drift(&pairs);
    for (row, before, after) in &pairs {
        if row.kind == Kind::Ours && before.median > 0.0 && after.median > 0.0 {
            let change = after.median / before.median / drift;
            let worse = if new.better == Better::Higher { 1.0 / change } else { change };
            comparison.changes.push(Change {
                title: title(row),
                before: before.median,
                after: after.median,
                worse,
                drift,
                noise: noise(before, after),
            });
        }
    }
    for row in &new.rows {
        let was_there = old.rows.iter().any(|old| old.name == row.name && old.median().is_some());
        match (&row.outcome, was_there) {
            (Outcome::Measured { .. }, false) => comparison.new.push(title(row)),
            (Outcome::Unavailable(why) | Outcome::Failed(why), true) => {
                comparison.missing.push(format!("{}: {why}", title(row)));
            }
            (Outcome::NotReached, true) => comparison.missing.push(format!("{}: not reached", title(row))),
            _ => {}
        }
    }
    for row in old.rows.iter().filter(|row| row.median().is_some()) {
        if !new.rows.iter().any(|new| new.name == row.name) {
            comparison.missing.push(format!("{}: not part of this run", title(row)));
        }
    }
}

fn summary(row: &Row) -> Option<&Summary> {
    match &row.outcome {
        Outcome::Measured { summary, .. } => Some(summary),
        _ => None,
    }
}

/// What the machine does to a case: the median change of peers and limits, one when there are too few.
fn drift(pairs: &[(&Row, &Summary, &Summary)]) -> f64 {
    let witnesses: Vec<f64> = pairs
        .iter()
        .filter(|(row, before, after)| row.kind != Kind::Ours && before.median > 0.0 && after.median > 0.0)
        .map(|(_, before, after)| after.median / before.median)
        .collect();
    if witnesses.len() < WITNESSES { 1.0 } else { median(&witnesses).unwrap_or(1.0) }
}

/// The factor up to which a change is noise.
fn noise(before: &Summary, after: &Summary) -> f64 {
    1.0 + before.error_of_ratio(after).map_or(FLOOR_OF_ONE, |error| FLOOR.max(ERRORS * error))
}

impl Comparison {
    /// Rows of ours that got slower.
    pub fn slower(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.is_slower())
    }

    /// Rows of ours that got faster.
    pub fn faster(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().rev().filter(|change| change.is_faster())
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for doubt in &self.doubts {
            let _ = writeln!(text, "  doubtful: {doubt}");
        }
        let mut part = |head: &str, lines: &[String]| {
            let _ = writeln!(text, "{head}: {}", lines.len());
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        };
        let lines = |changes: &mut dyn Iterator<Item = &Change>| changes.map(line).collect::<Vec<_>>();
        part("slower beyond the noise", &lines(&mut self.slower()));
        part("faster beyond the noise", &lines(&mut self.faster()));
        part("new", &self.new);
        part("missing", &self.missing);
        let within = self.changes.iter().filter(|change| !change.is_slower() && !change.is_faster()).count();
        let _ = writeln!(
            text,
            "within the noise: {within}; cases of the baseline that this run left out: {}",
            self.left_out
        );
        text
    }
}

fn line(change: &Change) -> String {
    format!(
        "{}: {} -> {}, {:.2} times {} (noise {:.2}, the machine's own change {:.2})",
        change.title,
        figure(change.before),
        figure(change.after),
        if change.worse > 1.0 { change.worse } else { 1.0 / change.worse },
        if change.worse > 1.0 { "worse" } else { "better" },
        change.noise,
        change.drift,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    fn row(name: &str, kind: Kind, median: f64, spread: f64) -> Row {
        Row {
            name: name.into(),
            kind,
            flavor: None,
            limit: None,
            took: std::time::Duration::ZERO,
            outcome: Outcome::Measured {
                summary: Summary { median, min: median, max: median, spread, rounds: 15 },
                p99: None,
                peak: None,
                note: None,
            },
        }
    }

    fn run(better: Better, rows: Vec<Row>) -> Run {
        Run {
            machine: Machine {
                machine: "made up".into(),
                cores: 2,
                kernel: "Linux".into(),
                commit: "one".into(),
                command: "cargo xtask bench".into(),
                rustc: "rustc".into(),
                liburcu: "absent".into(),
                time: 1,
            },
            tables: vec![Table {
                suite: "suite".into(),
                case: "case".into(),
                about: String::new(),
                unit: "ns".into(),
                better,
                threads: 1,
                rows,
            }],
        }
    }

    fn rows(ours: f64, others: f64, spread: f64) -> Vec<Row> {
        vec![
            row("ours", Kind::Ours, ours, spread),
            row("a", Kind::Peer, others, spread),
            row("b", Kind::Peer, others, spread),
            row("limit:c", Kind::Limit, others, spread),
        ]
    }

    fn compared(better: Better, before: (f64, f64), after: (f64, f64), spread: f64) -> (usize, usize) {
        let comparison =
            compare(&run(better, rows(before.0, before.1, spread)), &run(better, rows(after.0, after.1, spread)));
        (comparison.slower().count(), comparison.faster().count())
    }

    #[test]
    fn what_got_slower_by_more_than_the_noise_is_named() {
        assert_eq!(compared(Better::Lower, (10.0, 10.0), (12.0, 10.0), 0.1), (1, 0));
        assert_eq!(compared(Better::Lower, (12.0, 10.0), (10.0, 10.0), 0.1), (0, 1));
        assert_eq!(compared(Better::Higher, (10.0, 10.0), (12.0, 10.0), 0.1), (0, 1));
        assert_eq!(compared(Better::Higher, (12.0, 10.0), (10.0, 10.0), 0.1), (1, 0));
    }

    #[test]
    fn little_changes_and_wide_spreads_are_noise() {
        assert_eq!(compared(Better::Lower, (10.0, 10.0), (10.9, 10.0), 0.01), (0, 0));
        assert_eq!(compared(Better::Lower, (10.0, 10.0), (12.0, 10.0), 3.0), (0, 0));
    }

    #[test]
    fn a_slower_machine_is_no_slower_code() {
        assert_eq!(compared(Better::Lower, (10.0, 10.0), (20.0, 20.0), 0.1), (0, 0));
        // And what did not get slower on a slower machine has become faster.
        assert_eq!(compared(Better::Lower, (10.0, 10.0), (10.0, 20.0), 0.1), (0, 1));
    }

    #[test]
    fn two_witnesses_say_nothing_about_the_machine() {
        let few = |ours, others| vec![row("ours", Kind::Ours, ours, 0.1), row("a", Kind::Peer, others, 0.1)];
        let comparison = compare(&run(Better::Lower, few(10.0, 10.0)), &run(Better::Lower, few(20.0, 20.0)));
        assert_eq!(comparison.slower().count(), 1);
        assert!((comparison.changes[0].drift - 1.0).abs() < 1e-9);
    }

    #[test]
    fn rows_that_come_and_go_are_listed() {
        let mut before = run(Better::Lower, rows(1.0, 1.0, 0.0));
        let mut after = before.clone();
        before.tables[0].rows.push(row("gone", Kind::Peer, 1.0, 0.0));
        after.tables[0].rows.push(row("fresh", Kind::Peer, 1.0, 0.0));
        after.tables[0].rows[1].outcome = Outcome::Failed("wrong answer".into());
        let mut other = before.tables[0].clone();
        other.case = "other".into();
        before.tables.push(other.clone());
        other.case = "third".into();
        after.tables.push(other);
        after.machine.kernel = "another Linux".into();
        let comparison = compare(&before, &after);
        assert_eq!(comparison.new, ["suite/case, 1 thread: fresh", "suite/third, 1 thread (the whole case)"]);
        assert_eq!(
            comparison.missing,
            ["suite/case, 1 thread: a: wrong answer", "suite/case, 1 thread: gone: not part of this run"]
        );
        assert_eq!(comparison.left_out, 1);
        let text = comparison.render();
        assert!(text.starts_with("  doubtful: another kernel: Linux then, another Linux now\n"), "{text}");
        assert!(text.contains("\nmissing: 2\n  suite/case, 1 thread: a: wrong answer\n"), "{text}");
    }

    #[test]
    fn figures_that_were_measured_once_must_change_a_lot() {
        let once = |median| {
            let mut rows = rows(median, 1.0, 0.0);
            if let Outcome::Measured { summary, .. } = &mut rows[0].outcome {
                summary.rounds = 1;
            }
            run(Better::Lower, rows)
        };
        assert_eq!(compare(&once(1.0), &once(1.2)).slower().count(), 0);
        assert_eq!(compare(&once(1.0), &once(1.4)).slower().count(), 1);
    }
}

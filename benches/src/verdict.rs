//! Who is ahead: each row of ours beside the C library's same flavor and beside the best peer.

use crate::harness::plan::{Better, Kind};
use crate::harness::run::{Outcome, Ratio, Row, Table};
use crate::harness::stats::Summary;
use crate::reasons;

/// Differences of less are level.
pub const LEVEL: f64 = 0.03;
/// The same, where too few rounds were measured to know their spread.
pub const LEVEL_OF_ONE: f64 = 0.10;
/// So many standard errors of the ratio are level, too.
pub const ERRORS: f64 = 3.0;

/// Where a row of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Better than the other row.
    Ahead,
    /// The difference is within the noise.
    Level,
    /// Worse.
    Behind,
}

/// A row of ours against another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict<'t> {
    /// The case.
    pub table: &'t Table,
    /// The row of ours.
    pub row: &'t Row,
    /// Its median over the other's.
    pub ratio: Ratio,
    /// So many times as good as the other: above one is better, whatever the unit.
    pub times: f64,
    /// What follows.
    pub place: Place,
}

/// What is said of a row without a reason.
pub const NOT_EXPLAINED: &str = "not explained";

impl Verdict<'_> {
    /// Why the other one is ahead, if that is known.
    pub fn why(&self) -> Option<&'static str> {
        reasons::find(&self.table.suite, &self.table.case, &self.row.name, &self.ratio.to, 1.0 / self.times)
    }

    /// In a line.
    pub fn line(&self) -> String {
        let factor = super::harness::table::factor(&self.ratio);
        format!("{}: {} is {factor} x {}", self.table.title(), self.row.name, self.ratio.to)
    }
}

/// A row of ours against the C library's same flavor and against the best peer, where that is another one.
pub fn of_row<'t>(table: &'t Table, row: &'t Row) -> Vec<Verdict<'t>> {
    let same = table.to_liburcu(row);
    let best = table.to_best_peer(row).filter(|best| same.as_ref().is_none_or(|same| same.to != best.to));
    same.into_iter().chain(best).filter_map(|ratio| verdict(table, row, ratio)).collect()
}

/// Against the best of all that count.
pub fn of_best<'t>(table: &'t Table, row: &'t Row) -> Option<Verdict<'t>> {
    verdict(table, row, table.to_best_peer(row)?)
}

/// All rows of ours.
pub fn all(tables: &[Table]) -> impl Iterator<Item = Verdict<'_>> {
    tables.iter().flat_map(|table| {
        let ours = table.rows.iter().filter(|row| row.kind == Kind::Ours);
        ours.flat_map(|row| of_row(table, row))
    })
}

fn verdict<'t>(table: &'t Table, row: &'t Row, ratio: Ratio) -> Option<Verdict<'t>> {
    let other = table.rows.iter().find(|other| other.name == ratio.to)?;
    let times = match table.better {
        Better::Lower => 1.0 / ratio.value,
        Better::Higher => ratio.value,
        Better::Bounded => return None,
    };
    let error = summary(row)?.error_of_ratio(summary(other)?);
    let level = 1.0 + error.map_or(LEVEL_OF_ONE, |error| LEVEL.max(ERRORS * error));
    let place = if times > level {
        Place::Ahead
    } else if times * level < 1.0 {
        Place::Behind
    } else {
        Place::Level
    };
    Some(Verdict { table, row, ratio, times, place })
}

fn summary(row: &Row) -> Option<&Summary> {
    match &row.outcome {
        Outcome::Measured { summary, .. } => Some(summary),
        _ => None,
    }
}

/// Rows that a peer is ahead of beyond the noise, by the reason; those without one come first.
pub fn reasons(tables: &[Table]) -> Vec<(Option<&'static str>, Vec<Verdict<'_>>)> {
    by_reason(all(tables).filter(|verdict| verdict.place == Place::Behind).collect())
}

/// The same of rows that have been chosen; each group in their order.
pub fn by_reason(verdicts: Vec<Verdict<'_>>) -> Vec<(Option<&'static str>, Vec<Verdict<'_>>)> {
    let mut groups: Vec<(Option<&'static str>, Vec<Verdict<'_>>)> = Vec::new();
    for verdict in verdicts {
        let why = verdict.why();
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, verdicts)) => verdicts.push(verdict),
            None => groups.push((why, vec![verdict])),
        }
    }
    groups.sort_by_key(|(why, _)| why.is_some());
    groups
}

/// The lines at the end of a run: every row of ours that a peer is ahead of, with the reason.
pub fn losses(tables: &[Table]) -> String {
    let behind = reasons(tables);
    let level = |verdict: &Verdict<'_>| verdict.place == Place::Level && verdict.times < 1.0;
    let level: Vec<String> = all(tables).filter(level).map(|verdict| format!("  {}\n", verdict.line())).collect();
    let mut text = String::new();
    if !behind.is_empty() {
        let count: usize = behind.iter().map(|(_, verdicts)| verdicts.len()).sum();
        text += &format!("\nrows where a peer is ahead: {count}\n");
    }
    for (why, verdicts) in &behind {
        verdicts.iter().for_each(|verdict| text += &format!("  {}\n", verdict.line()));
        text += &format!("    {}\n", why.map_or_else(|| NOT_EXPLAINED.to_uppercase(), |why| format!("because {why}")));
    }
    if !level.is_empty() {
        text += &format!("\nrows where a peer is ahead by less than the noise: {}\n{}", level.len(), level.concat());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::plan::Flavor;

    fn row(name: &str, kind: Kind, median: f64, spread: f64) -> Row {
        Row {
            name: name.into(),
            kind,
            flavor: None,
            limit: None,
            took: std::time::Duration::ZERO,
            outcome: Outcome::Measured {
                summary: Summary { median, min: median, max: median, spread, rounds: 9 },
                p99: None,
                peak: None,
                note: None,
            },
        }
    }

    fn table(better: Better, rows: Vec<Row>) -> Table {
        Table {
            suite: "suite".into(),
            case: "case".into(),
            about: "A made-up workload.".into(),
            unit: "ns".into(),
            better,
            threads: 2,
            rows,
        }
    }

    fn place(better: Better, ours: f64, peer: f64, spread: f64) -> Place {
        let table = table(better, vec![row("ours", Kind::Ours, ours, spread), row("peer", Kind::Peer, peer, spread)]);
        of_best(&table, &table.rows[0]).unwrap().place
    }

    #[test]
    fn ahead_is_less_of_a_cost_and_more_of_a_throughput() {
        assert_eq!(place(Better::Lower, 1.0, 2.0, 0.01), Place::Ahead);
        assert_eq!(place(Better::Higher, 1.0, 2.0, 0.01), Place::Behind);
        assert_eq!(place(Better::Lower, 2.0, 1.0, 0.01), Place::Behind);
    }

    #[test]
    fn what_is_within_the_noise_is_level() {
        assert_eq!(place(Better::Lower, 1.00, 1.02, 0.0), Place::Level);
        assert_eq!(place(Better::Lower, 1.0, 1.3, 0.3), Place::Level);
        assert_eq!(place(Better::Lower, 1.0, 1.3, 0.01), Place::Ahead);
    }

    #[test]
    fn what_is_bounded_is_not_compared() {
        let table = table(Better::Bounded, vec![row("ours", Kind::Ours, 1.0, 0.0), row("peer", Kind::Peer, 2.0, 0.0)]);
        assert!(of_best(&table, &table.rows[0]).is_none());
    }

    #[test]
    fn losses_name_the_same_flavor_and_the_best_peer_once_each() {
        let mut ours = row("urcu-mb", Kind::Ours, 2.0, 0.0);
        ours.flavor = Some(Flavor::Mb);
        let mut theirs = row("liburcu-mb", Kind::Peer, 1.0, 0.0);
        theirs.flavor = Some(Flavor::Mb);
        let text = losses(&[table(Better::Lower, vec![ours, theirs, row("slow", Kind::Peer, 9.0, 0.0)])]);
        assert_eq!(
            text,
            "\nrows where a peer is ahead: 1\n  suite/case, 2 threads: urcu-mb is 2.00 x liburcu-mb\n    NOT EXPLAINED\n"
        );
    }

    #[test]
    fn losses_by_less_than_the_noise_are_named_apart() {
        let rows = vec![row("ours", Kind::Ours, 1.01, 0.0), row("peer", Kind::Peer, 1.0, 0.0)];
        let text = losses(&[table(Better::Lower, rows)]);
        assert!(text.starts_with("\nrows where a peer is ahead by less than the noise: 1\n"), "{text}");
        assert_eq!(losses(&[]), "");
    }
}

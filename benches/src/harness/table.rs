//! Tables for the eye.

use std::fmt::Write as _;

use super::plan::Better;
use super::run::{Outcome, Ratio, Row, Table};

/// Renders a table. Columns without a figure in any row are left out.
pub fn render(table: &Table) -> String {
    let better = match table.better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
        Better::Bounded => "up to the limit is good",
    };
    let mut text = format!("\n{} [{}, {better}]\n  {}\n", table.title(), table.unit, table.about);

    let mut lines = vec![Line::head()];
    lines.extend(table.rows.iter().map(|row| Line::of(table, row)));
    if table.rows.iter().all(|row| table.to_best_peer(row) == table.to_liburcu(row)) {
        // Says the same as the column of the C flavor.
        for line in &mut lines[1..] {
            line.cells[PEER].clear();
            line.cells[PEER_NAME].clear();
        }
    }
    let used: Vec<usize> =
        (0..COLUMNS).filter(|&column| lines[1..].iter().any(|line| !line.cells[column].is_empty())).collect();
    let width = |column: usize| lines.iter().map(|line| line.cells[column].chars().count()).max().unwrap_or(0);
    let names = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    for line in &lines {
        let _ = write!(text, "  {:<names$}", line.name);
        if let Some(reason) = &line.instead {
            let _ = write!(text, "  {reason}");
        } else {
            for &column in &used {
                let (cell, width) = (&line.cells[column], width(column));
                let _ = match column {
                    PEER_NAME | NOTE => write!(text, "  {cell:<width$}"),
                    _ => write!(text, "  {cell:>width$}"),
                };
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

const COLUMNS: usize = 10;
const PEER: usize = 7;
const PEER_NAME: usize = 8;
const NOTE: usize = 9;

struct Line {
    name: String,
    cells: [String; COLUMNS],
    /// In place of the cells.
    instead: Option<String>,
}

impl Line {
    fn head() -> Self {
        Self {
            name: "contender".into(),
            cells: ["median", "min", "max", "p99", "peak unfreed", "x limit", "x same C flavor", "x best peer", "", ""]
                .map(String::from),
            instead: None,
        }
    }

    fn of(table: &Table, row: &Row) -> Self {
        let mut line = Self { name: row.name.clone(), cells: Default::default(), instead: None };
        match &row.outcome {
            Outcome::Measured { summary, p99, peak, note } => {
                let peer = table.to_best_peer(row);
                line.cells = [
                    figure(summary.median),
                    figure(summary.min),
                    figure(summary.max),
                    p99.map(figure).unwrap_or_default(),
                    peak.map(grouped).unwrap_or_default(),
                    table.to_limit(row).as_ref().map(factor).unwrap_or_default(),
                    table.to_liburcu(row).as_ref().map(factor).unwrap_or_default(),
                    peer.as_ref().map(factor).unwrap_or_default(),
                    peer.map(|ratio| ratio.to).unwrap_or_default(),
                    note.clone().unwrap_or_default(),
                ];
            }
            Outcome::Unavailable(reason) => line.instead = Some(format!("unavailable: {reason}")),
            Outcome::Failed(reason) => line.instead = Some(format!("FAILED: {reason}")),
            Outcome::NotReached => line.instead = Some("not reached".into()),
        }
        line
    }
}

pub(crate) fn factor(ratio: &Ratio) -> String {
    if ratio.value < 0.1 {
        format!("{:.4}", ratio.value)
    } else if ratio.value < 10.0 {
        format!("{:.2}", ratio.value)
    } else {
        format!("{:.0}", ratio.value)
    }
}

/// A figure with three significant digits or more, thousands grouped.
pub fn figure(value: f64) -> String {
    if value < 9.995 {
        return format!("{value:.2}");
    }
    if value < 99.95 {
        return format!("{value:.1}");
    }
    grouped(value)
}

/// A whole number, thousands grouped.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::super::plan::Kind;
    use super::super::stats::Summary;
    use super::*;

    fn row(name: &str, kind: Kind, median: f64) -> Row {
        Row {
            name: name.into(),
            kind,
            flavor: None,
            limit: None,
            took: std::time::Duration::ZERO,
            outcome: Outcome::Measured {
                summary: Summary { median, min: median, max: median, spread: 0.0, rounds: 1 },
                p99: None,
                peak: None,
                note: None,
            },
        }
    }

    fn table(rows: Vec<Row>) -> Table {
        Table {
            suite: "suite".into(),
            case: "case".into(),
            about: "A made-up workload.".into(),
            unit: "ns".into(),
            better: Better::Lower,
            threads: 2,
            rows,
        }
    }

    #[test]
    fn figures_are_short_at_any_size() {
        assert_eq!(figure(0.284), "0.28");
        assert_eq!(figure(9.996), "10.0");
        assert_eq!(figure(42.19), "42.2");
        assert_eq!(figure(1_830_412.0), "1,830,412");
        assert_eq!(figure(999.7), "1,000");
    }

    #[test]
    fn empty_columns_are_left_out_and_notes_take_their_place() {
        let mut missing = row("peer", Kind::Peer, 1.0);
        missing.outcome = Outcome::Unavailable("not installed".into());
        let text = render(&table(vec![row("ours", Kind::Ours, 1.5), missing]));
        assert_eq!(
            text,
            "\nsuite/case, 2 threads [ns, lower is better]\n  A made-up workload.\n  \
             contender  median   min   max\n  \
             ours         1.50  1.50  1.50\n  \
             peer       unavailable: not installed\n"
        );
    }

    #[test]
    fn peaks_and_notes_stand_beside_the_figures() {
        let mut ours = row("ours", Kind::Ours, 1.5);
        if let Outcome::Measured { peak, note, .. } = &mut ours.outcome {
            (*peak, *note) = (Some(12345.0), Some("never ends".into()));
        }
        let text = render(&table(vec![ours]));
        assert!(text.ends_with(
            "contender  median   min   max  peak unfreed\n  \
             ours         1.50  1.50  1.50        12,345  never ends\n"
        ));
    }
}

//! The run as a page of Markdown, for those who read it where the source is.

use std::fmt::Write as _;

use super::page::{date, sentence, suites_of};
use super::plot;
use crate::extent::Facts;
use crate::harness::plan::{Better, Kind};
use crate::harness::run::{Outcome, Table};
use crate::harness::table::factor;
use crate::record::Run;
use crate::suites;
use crate::verdict::{self, NOT_EXPLAINED, Place};

/// All of it.
pub fn page(run: &Run) -> String {
    let machine = &run.machine;
    let facts = Facts::of(run);
    let mut page = format!(
        "# One run\n\nWritten by `cargo xtask bench --publish`; do not edit.\n\nThis is {}.\n\n",
        facts.sentence()
    );
    for (name, value) in [
        ("machine", machine.machine.as_str()),
        ("cores", &machine.cores.to_string()),
        ("kernel", &machine.kernel),
        ("commit", &machine.commit),
        ("compiler", &machine.rustc),
        ("liburcu", &machine.liburcu),
        ("command", &machine.command),
        ("begun", &date(machine.time)),
    ] {
        let _ = writeln!(page, "- {name}: {value}");
    }
    let records = format!("{}.jsonl", facts.extent.name());
    let _ = writeln!(
        page,
        "\nAll figures: [{records}]({records}), fields as in [the schema](../README.md#the-record). With plots:\n\
         [index.html](index.html), to be downloaded and opened."
    );
    page += "\nEach line shows the best of our rows of a case and the best \
             peer that it is compared with. **Bold** ratios: the peer is ahead beyond the noise.\n";
    for suite in suites_of(&run.tables) {
        let about = suites::ALL.iter().find(|known| known.name == suite).map_or("", |known| known.about);
        let _ = write!(
            page,
            "\n## {suite}\n\n{}\n\n| case | threads | ours | median | peer | median | x peer | x limit | unit |\n\
             |---|---|---|---|---|---|---|---|---|\n",
            sentence(about)
        );
        for table in run.tables.iter().filter(|table| table.suite == suite) {
            line(&mut page, table);
        }
    }
    behind(&mut page, run);
    page
}

fn line(page: &mut String, table: &Table) {
    let sign = if table.better == Better::Higher { -1.0 } else { 1.0 };
    let ours = table.rows.iter().filter(|row| row.kind == Kind::Ours).filter_map(|row| Some((row, row.median()?)));
    let Some((row, median)) = ours.min_by(|(_, one), (_, two)| (one * sign).total_cmp(&(two * sign))) else { return };
    let verdict = verdict::of_best(table, row);
    let peer = verdict.as_ref().and_then(|verdict| table.rows.iter().find(|row| row.name == verdict.ratio.to));
    let ratio = verdict.as_ref().map_or_else(String::new, |verdict| match verdict.place {
        Place::Behind => format!("**{}**", factor(&verdict.ratio)),
        _ => factor(&verdict.ratio),
    });
    let _ = writeln!(
        page,
        "| {} | {} | {} | {} | {} | {} | {ratio} | {} | {} |",
        table.case,
        table.threads,
        row.name,
        plot::cell(median),
        peer.map(|peer| peer.name.as_str()).unwrap_or_default(),
        peer.and_then(|peer| peer.median()).map(plot::cell).unwrap_or_default(),
        table.to_limit(row).as_ref().map(factor).unwrap_or_default(),
        table.unit
    );
}

/// Every row of ours that a peer is ahead of, and every one that failed.
fn behind(page: &mut String, run: &Run) {
    let groups = verdict::reasons(&run.tables);
    let count: usize = groups.iter().map(|(_, verdicts)| verdicts.len()).sum();
    let _ = writeln!(page, "\n## Where a peer is ahead\n\n{count} rows, beyond the noise, by the reason.");
    for (why, verdicts) in groups {
        let _ = writeln!(page, "\n{}\n", why.map_or_else(|| format!("**{NOT_EXPLAINED}**"), sentence));
        for verdict in verdicts {
            let _ = writeln!(page, "- {}", verdict.line());
        }
    }
    let rows = run.tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table, row)));
    let failed: Vec<String> = rows
        .filter_map(|(table, row)| match &row.outcome {
            Outcome::Failed(reason) => Some(format!("- {}: {}: {reason}\n", table.title(), row.name)),
            _ => None,
        })
        .collect();
    if !failed.is_empty() {
        let _ = write!(page, "\n## Failed\n\n{}", failed.concat());
    }
}

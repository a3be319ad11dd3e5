//! The page.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::{curves, plot, svg};
use crate::extent::Facts;
use crate::harness::plan::{Better, Kind};
use crate::harness::run::{Outcome, Ratio, Row, Table};
use crate::harness::table::factor;
use crate::record::Run;
use crate::suites;
use crate::verdict::{self, NOT_EXPLAINED, Place, Verdict};

const STYLE: &str = include_str!("style.css");

/// All of it.
pub(super) fn page(run: &Run, left_out: &[String]) -> String {
    let suites = suites_of(&run.tables);
    let mut page = String::with_capacity(1 << 20);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>Userspace RCU for Rust: measurements</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>\n{}\n{STYLE}{}\n</style>\n</head>\n<body>\n",
        svg::palette(":root"),
        svg::style()
    );
    page += "<nav><a href=\"#all\">summary</a>";
    for suite in &suites {
        let _ = write!(page, "<a href=\"#{suite}\">{suite}</a>");
    }
    page += "</nav>\n";
    head(&mut page, run);
    page += "<main>\n";
    summary(&mut page, run, &suites, left_out);
    for suite in &suites {
        section(&mut page, run, suite);
    }
    page += "</main>\n</body>\n</html>\n";
    page
}

/// In the order of the run.
pub(super) fn suites_of(tables: &[Table]) -> Vec<&str> {
    let mut suites: Vec<&str> = Vec::new();
    for table in tables {
        if !suites.contains(&table.suite.as_str()) {
            suites.push(&table.suite);
        }
    }
    suites
}

fn head(page: &mut String, run: &Run) {
    let machine = &run.machine;
    *page += "<header>\n<h1>Userspace RCU for Rust: measurements</h1>\n<dl>\n";
    let cores = machine.cores.to_string();
    for (name, value) in [
        ("machine", machine.machine.as_str()),
        ("cores used", &cores),
        ("kernel", &machine.kernel),
        ("commit", &machine.commit),
        ("compiler", &machine.rustc),
        ("liburcu", &machine.liburcu),
        ("command", &machine.command),
        ("begun", &date(machine.time)),
    ] {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let _ = writeln!(page, "<dt>what it is</dt><dd>{}</dd>", escaped(&Facts::of(run).sentence()));
    *page += "</dl>\n</header>\n";
}

/// Seconds since 1970 as a day and a time, in UTC.
pub(super) fn date(seconds: u64) -> String {
    let since = (UNIX_EPOCH + Duration::from_secs(seconds)).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The civil calendar, with years that begin in March.
    let (days, time) = (since / 86_400 + 719_468, since % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", time / 3_600, time / 60 % 60)
}

fn summary(page: &mut String, run: &Run, suites: &[&str], left_out: &[String]) {
    *page += "<section id=\"all\">\n<h2>Summary</h2>\n<p>Each row of ours beside the best peer of its case and beside the C \
              library's same flavor, where there is one. Ahead and behind mean: beyond the noise of both rows' rounds; level means \
              within it.</p>\n<div class=\"grid\">\n<div class=\"card wide\"><table><tr><th>suite</th><th>ahead</th><th>level</th>\
              <th>behind</th><th>unexplained</th><th>failed</th></tr>\n";
    for suite in suites {
        let tables: Vec<Table> = run.tables.iter().filter(|table| table.suite == **suite).cloned().collect();
        let count = |place| verdict::all(&tables).filter(|verdict| verdict.place == place).count();
        let unexplained =
            verdict::all(&tables).filter(|verdict| verdict.place == Place::Behind && verdict.why().is_none());
        let unexplained = unexplained.count();
        let failed = tables.iter().flat_map(|table| &table.rows);
        let failed = failed.filter(|row| matches!(row.outcome, Outcome::Failed(_))).count();
        let _ = writeln!(
            page,
            "<tr><td><a href=\"#{suite}\">{suite}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{unexplained}</td><td>{failed}</td></tr>",
            count(Place::Ahead),
            count(Place::Level),
            count(Place::Behind)
        );
    }
    *page += "</table></div>\n<div class=\"card\"><h3>All rows of ours</h3><p>A dot for each row: right of the line it is better \
              than the best peer, left of it worse.</p>";
    *page += &plot::overview(&run.tables);
    *page += "</div>\n</div>\n<p class=\"key\">";
    for (name, color) in
        [("ours", "ours"), ("the C library", "c"), ("other peers", "peer"), ("physical limit", "limit")]
    {
        let _ = write!(page, "<span><i style=\"background:var(--{color})\"></i>{name}</span>");
    }
    *page += "</p>\n<p>Bars end at the median; the thin line goes from the smallest round to the largest one. Axes of figures that \
              are far apart are logarithmic.</p>\n";
    let unavailable = unavailable(&run.tables);
    if !unavailable.is_empty() {
        *page += "<details open><summary>not measured here</summary><ul>";
        for line in unavailable {
            let _ = write!(page, "<li>{}</li>", escaped(&line));
        }
        *page += "</ul></details>\n";
    }
    if !left_out.is_empty() {
        let _ = write!(page, "<details><summary>{} cases left out</summary><ul>", left_out.len());
        for line in left_out {
            let _ = write!(page, "<li>{}</li>", escaped(line));
        }
        *page += "</ul></details>\n";
    }
    *page += "</section>\n";
}

/// Who is missing and why, each reason once.
fn unavailable(tables: &[Table]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in tables.iter().flat_map(|table| &table.rows) {
        if let Outcome::Unavailable(reason) = &row.outcome {
            let names = match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, names)) => names,
                None => {
                    reasons.push((reason, Vec::new()));
                    &mut reasons.last_mut().expect("just pushed").1
                }
            };
            if !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
    }
    reasons.into_iter().map(|(reason, names)| format!("{}: {reason}", names.join(", "))).collect()
}

fn section(page: &mut String, run: &Run, suite: &str) {
    let tables: Vec<Table> = run.tables.iter().filter(|table| table.suite == suite).cloned().collect();
    let about = suites::ALL.iter().find(|known| known.name == suite).map_or("", |known| known.about);
    let _ = writeln!(page, "<section id=\"{suite}\">\n<h2>{suite}</h2>\n<p>{}</p>", escaped(&sentence(about)));
    verdicts(page, &tables);
    overview(page, &tables);
    *page += "<div class=\"grid\">\n";
    for curve in curves::all(&tables) {
        if let Some(plot) = plot::curve(&curve) {
            let _ = writeln!(
                page,
                "<div class=\"card\"><h3>{} ({}, {})</h3><p>{}</p>{plot}</div>",
                escaped(&curve.name),
                escaped(curve.unit),
                better(curve.better),
                escaped(curve.about)
            );
        }
    }
    for table in &tables {
        card(page, table);
    }
    *page += "</div>\n</section>\n";
}

/// Where we win and where we lose.
fn verdicts(page: &mut String, tables: &[Table]) {
    let of = |place| {
        let mut verdicts: Vec<Verdict<'_>> = verdict::all(tables).filter(|verdict| verdict.place == place).collect();
        verdicts.sort_by(|one, two| one.times.total_cmp(&two.times));
        verdicts
    };
    let (mut ahead, behind) = (of(Place::Ahead), of(Place::Behind));
    ahead.reverse();
    if ahead.is_empty() && behind.is_empty() {
        return;
    }
    if behind.is_empty() {
        *page += "<p>Where we lose: nowhere beyond the noise.</p>\n";
    } else {
        let _ =
            write!(page, "<details open><summary class=\"behind\">Where we lose: {} rows</summary><ul>", behind.len());
        for (why, verdicts) in verdict::by_reason(behind) {
            let lines: Vec<String> = verdicts.iter().map(line).collect();
            let _ = write!(page, "<li>{}", lines.join("<br>"));
            *page += &why.map_or_else(
                || format!("<div class=\"behind\">{NOT_EXPLAINED}</div></li>"),
                |why| format!("<div class=\"why\">{}</div></li>", escaped(&sentence(why))),
            );
        }
        *page += "</ul></details>\n";
    }
    if ahead.is_empty() {
        *page += "<p>Where we win: nowhere beyond the noise.</p>\n";
    } else {
        let lines: Vec<String> = ahead.iter().map(|verdict| format!("<li>{}</li>", line(verdict))).collect();
        let _ = writeln!(
            page,
            "<details><summary class=\"ahead\">Where we win: {} rows</summary><ul>{}</ul></details>",
            ahead.len(),
            lines.concat()
        );
    }
}

fn line(verdict: &Verdict<'_>) -> String {
    format!(
        "{}: {} {} <b>{}</b>",
        escaped(&verdict.table.title()),
        escaped(&verdict.row.name),
        against(verdict),
        escaped(&verdict.ratio.to)
    )
}

fn against(verdict: &Verdict<'_>) -> String {
    if verdict.times >= 1.0 {
        format!("is {} times as good as", plot::short(verdict.times))
    } else {
        format!("is {} times worse than", plot::short(1.0 / verdict.times))
    }
}

/// A line per case: the best of ours, the best peer, and the ratios.
fn overview(page: &mut String, tables: &[Table]) {
    *page += "<details open><summary>table</summary><div class=\"wide\"><table><tr><th>case</th><th>threads</th><th>best of ours</th>\
              <th></th><th>best peer of its flavor</th><th></th><th>x peer</th><th>x limit</th><th>unit</th></tr>\n";
    for table in tables {
        let sign = if table.better == Better::Higher { -1.0 } else { 1.0 };
        let ours = table.rows.iter().filter(|row| row.kind == Kind::Ours).filter_map(|row| Some((row, row.median()?)));
        let Some((row, median)) = ours.min_by(|(_, one), (_, two)| (one * sign).total_cmp(&(two * sign))) else {
            continue;
        };
        let verdict = verdict::of_best(table, row);
        let peer = verdict.as_ref().and_then(|verdict| {
            let peer = table.rows.iter().find(|other| other.name == verdict.ratio.to)?;
            Some((peer.name.as_str(), peer.median()?))
        });
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}<td>{}</td><td>{}</td></tr>",
            escaped(&table.case),
            table.threads,
            escaped(&row.name),
            plot::cell(median),
            peer.map(|(name, _)| escaped(name)).unwrap_or_default(),
            peer.map(|(_, median)| plot::cell(median)).unwrap_or_default(),
            verdict.as_ref().map_or_else(|| "<td></td>".into(), |verdict| ratio(&verdict.ratio, verdict.place)),
            table.to_limit(row).as_ref().map(factor).unwrap_or_default(),
            escaped(&table.unit)
        );
    }
    *page += "</table></div></details>\n";
}

fn ratio(ratio: &Ratio, place: Place) -> String {
    let class = match place {
        Place::Ahead => "ahead",
        Place::Level => "level",
        Place::Behind => "behind",
    };
    format!("<td class=\"{class}\">{}</td>", factor(ratio))
}

fn card(page: &mut String, table: &Table) {
    let title = table.title();
    let name = title.split_once('/').map_or(title.as_str(), |(_, name)| name);
    let _ = write!(
        page,
        "<div class=\"card\"><h3>{} ({}, {})</h3><p>{}</p>",
        escaped(name),
        escaped(&table.unit),
        better(table.better),
        escaped(&table.about)
    );
    if let Some(plot) = plot::bars(table) {
        *page += &plot;
    }
    *page += "<details><summary>figures</summary><div class=\"wide\"><table><tr><th>contender</th><th>median</th><th>min</th><th>max</th>\
              <th>x limit</th><th>x same C flavor</th><th>x best peer</th><th>p99</th><th></th></tr>\n";
    for row in &table.rows {
        figures(page, table, row);
    }
    *page += "</table></div></details></div>\n";
}

fn figures(page: &mut String, table: &Table, row: &Row) {
    let class = match row.kind {
        Kind::Ours => "ours",
        Kind::Peer => "peer",
        Kind::Limit => "limit",
    };
    let _ = write!(page, "<tr class=\"{class}\"><td>{}</td>", escaped(&row.name));
    match &row.outcome {
        Outcome::Measured { summary, p99, peak, note } => {
            for figure in [summary.median, summary.min, summary.max] {
                let _ = write!(page, "<td>{}</td>", plot::cell(figure));
            }
            let places = verdict::of_row(table, row);
            let place = |to: &Ratio| {
                let known = places.iter().find(|verdict| verdict.ratio == *to);
                known.map_or(Place::Level, |verdict| verdict.place)
            };
            let _ = write!(page, "<td>{}</td>", table.to_limit(row).as_ref().map(factor).unwrap_or_default());
            for other in [table.to_liburcu(row), table.to_best_peer(row)] {
                *page += &other.map_or_else(|| "<td></td>".into(), |to| ratio(&to, place(&to)));
            }
            let _ = write!(page, "<td>{}</td>", p99.map(plot::cell).unwrap_or_default());
            let peak = peak.map(|peak| format!("at most {} unfreed", plot::short(peak)));
            let says: Vec<String> = peak.into_iter().chain(note.clone()).collect();
            let _ = write!(page, "<td class=\"say\">{}</td>", escaped(&says.join("; ")));
        }
        Outcome::Unavailable(reason) => instead(page, "unavailable", reason),
        Outcome::Failed(reason) => instead(page, "failed", reason),
        Outcome::NotReached => instead(page, "not reached", ""),
    }
    *page += "</tr>\n";
}

fn instead(page: &mut String, what: &str, reason: &str) {
    let colon = if reason.is_empty() { "" } else { ": " };
    let _ = write!(page, "<td class=\"say\" colspan=\"8\">{what}{colon}{}</td>", escaped(reason));
}

fn better(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
        Better::Bounded => "up to the limit is good",
    }
}

/// With a capital and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! A made-up run as a page, as plots and as Markdown.

use super::*;
use crate::harness::plan::{Better, Flavor, Kind};
use crate::harness::run::{Outcome, Row};
use crate::harness::stats::Summary;
use crate::machine::Machine;

fn row(name: &str, kind: Kind, median: f64) -> Row {
    Row {
        name: name.into(),
        kind,
        flavor: name.ends_with("urcu-mb").then_some(Flavor::Mb),
        limit: (kind == Kind::Ours).then(|| "limit:x".into()),
        took: std::time::Duration::ZERO,
        outcome: Outcome::Measured {
            summary: Summary { median, min: median * 0.9, max: median * 1.2, spread: median * 0.01, rounds: 9 },
            p99: Some(median),
            peak: None,
            note: Some("a <note> & more".into()),
        },
    }
}

fn table(suite: &str, case: &str, factor: f64) -> Table {
    let mut rows = vec![
        row("urcu-mb", Kind::Ours, 2.0 * factor),
        row("a<b>", Kind::Peer, 1.0 * factor),
        row("liburcu-mb", Kind::Peer, 100.0 * factor),
        row("limit:x", Kind::Limit, 0.5 * factor),
    ];
    let other = |outcome| Row { outcome, ..row("other", Kind::Peer, 1.0) };
    rows.push(other(Outcome::Unavailable("not installed".into())));
    rows.push(other(Outcome::Failed("wrong \"answer\"".into())));
    rows.push(other(Outcome::NotReached));
    Table {
        suite: suite.into(),
        case: case.into(),
        about: "A made-up workload <of> sorts.".into(),
        unit: "ns".into(),
        better: Better::Lower,
        threads: 1,
        rows,
    }
}

pub(crate) fn run() -> Run {
    Run {
        machine: Machine {
            machine: "made up".into(),
            cores: 2,
            kernel: "Linux".into(),
            commit: "one".into(),
            command: "cargo xtask bench".into(),
            rustc: "rustc".into(),
            liburcu: "absent".into(),
            time: 1_700_000_000,
        },
        tables: vec![
            table("read", "thread", 1.0),
            table("scale", "read-threads@1", 1.0),
            table("scale", "read-threads@64", 50.0),
        ],
    }
}

/// Every tag that is opened is closed, in order.
fn assert_well_formed(text: &str) {
    const VOID: [&str; 4] = ["meta", "link", "!doctype", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap_or_else(|| panic!("a tag without an end: {}", &rest[start..]));
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        if tag.starts_with('?') || VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in the wrong order");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[test]
fn the_page_is_well_formed_and_has_everything() {
    let page = page::page(&run(), &["map/hit-4M, 1 thread: takes seconds to fill".into()]);
    assert_well_formed(&page);
    for part in [
        "id=\"read\"",
        "id=\"scale\"",
        "prefers-color-scheme:dark",
        "name=\"viewport\"",
        "2023-11-14 22:13 UTC",
        "a&lt;b&gt;",
        "A made-up workload &lt;of&gt; sorts.",
        "Where we lose: 1 rows",
        "Where we win: 1 rows",
        "unavailable: not installed",
        "failed: wrong &quot;answer&quot;",
        "not reached",
        "1 cases left out",
        "takes seconds to fill",
    ] {
        assert!(page.contains(part), "`{part}` is missing");
    }
    // Bars of three cases, a curve and the overview.
    assert_eq!(page.matches("<svg").count(), 5);
    // Nothing comes from elsewhere.
    for elsewhere in ["<script", "src=", "@import", "url(", "href=\"http"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    // No colour is left that does not follow the reader's choice.
    let drawn = page.split("<svg").skip(1).map(|rest| rest.split("</svg>").next().unwrap_or_default());
    assert!(drawn.into_iter().all(|svg| !svg.contains("=\"#")), "a fixed colour");
}

#[test]
fn a_report_can_be_written_where_there_is_no_folder_yet() {
    let folder = std::env::temp_dir().join(format!("urcu-report-{}/new", std::process::id()));
    let file = write(&folder, &run(), &[]).unwrap();
    assert!(fs::read_to_string(&file).unwrap().starts_with("<!doctype html>"));
    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}

#[test]
fn plots_for_the_readme_stand_alone() {
    let plots = key_plots(&run());
    let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["read-thread", "read-threads", "overview"]);
    for (name, svg) in &plots {
        assert_well_formed(svg);
        assert!(svg.starts_with("<svg ") && svg.contains("<style>") && svg.contains("viewBox"), "{name}");
        assert!(svg.contains("xmlns=\"http://www.w3.org/2000/svg\""), "{name}: shown by nobody as an image");
    }
}

#[test]
fn the_markdown_has_a_line_per_case_and_names_who_is_ahead() {
    let page = markdown::page(&run());
    assert!(page.contains("| thread | 1 | urcu-mb | 2.00 | a<b> | 1.00 | **2.00** | 4.00 | ns |"), "{page}");
    assert!(page.contains("- read/thread, 1 thread: urcu-mb is 2.00 x a<b>\n"));
    assert!(page.contains("- read/thread, 1 thread: other: wrong \"answer\"\n"));
}

#[test]
fn curves_gather_their_points_and_mark_what_is_missing() {
    let mut run = run();
    run.tables[2].rows[0].outcome = Outcome::NotReached;
    let curves = curves::all(&run.tables);
    assert_eq!(curves.len(), 1);
    assert_eq!((curves[0].name.as_str(), &curves[0].points[..]), ("read-threads", &["1", "64"][..]));
    assert_eq!(curves[0].lines[0].figures, [Some(2.0), None]);
    assert_eq!(curves[0].lines[1].figures, [Some(1.0), Some(50.0)]);
}

#[test]
fn figures_on_axes_are_short() {
    let shorts = [0.0, 0.25, 1.0, 12.34, 999.6, 1_500.0, 25_000.0, 3_400_000.0, 2e9].map(plot::short);
    assert_eq!(shorts, ["0", "0.25", "1", "12.3", "1000", "1500", "25k", "3.4M", "2G"]);
}

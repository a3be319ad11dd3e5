//! The figures that the project's README shows: a region between two comments, written anew from a record.

use super::page::date;
use crate::extent::Facts;
use crate::harness::plan::{Flavor, Kind};
use crate::harness::run::{Outcome, Row};
use crate::harness::table::figure;
use crate::record::Run;
use crate::verdict::{self, Place};

const BEGIN: &str = "<!-- figures: what follows is written by `cargo xtask bench --publish` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Puts a run's figures in the place of those that a text has.
///
/// # Errors
/// When the text has no region for them.
pub fn updated(text: &str, run: &Run, plots: &[String]) -> Result<String, String> {
    let missing = || format!("the README has no region between `{}` and `{}`", BEGIN.trim(), END.trim());
    let begin = text.find(BEGIN).ok_or_else(missing)? + BEGIN.len();
    let end = begin + text[begin..].find(END).ok_or_else(missing)?;
    Ok(format!("{}\n{}\n{}", &text[..begin], figures(run, plots).trim_end(), &text[end..]))
}

/// The region.
fn figures(run: &Run, plots: &[String]) -> String {
    [pictures(plots), origin(run), sections(run), grace_periods(run), reclamation(run), maps(run), behind(run)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Plots, as far as the run has them.
fn pictures(plots: &[String]) -> String {
    let shown: Vec<(&str, &str, &str)> = [
        ("a section, ns", "bars: what a section costs", "read-thread"),
        ("sections per second, as readers get more", "curves: readers from 1 to 64", "read-threads"),
        ("lookups, as a map gets larger, ns", "curves: entries from 1,000 upwards", "map-entries"),
    ]
    .into_iter()
    .filter(|(_, _, name)| plots.iter().any(|plot| plot == name))
    .collect();
    if shown.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> = shown.iter().map(|(head, _, _)| *head).collect();
    let images: Vec<String> =
        shown.iter().map(|(_, text, name)| format!("![{text}](benches/plots/{name}.svg)")).collect();
    table(&heads, &[images])
}

/// Where the figures come from.
fn origin(run: &Run) -> String {
    let machine = &run.machine;
    format!(
        "From {}. `{}` at commit {}, {}, on {}, {} cores, {}, {}, liburcu {}. Compare within a row, not across rows, and run it \
         on your machine.\n",
        Facts::of(run).sentence(),
        machine.command,
        machine.commit,
        date(machine.time),
        machine.machine,
        machine.cores,
        machine.kernel,
        machine.rustc.split(" (").next().unwrap_or_default(),
        machine.liburcu,
    )
}

fn row<'r>(run: &'r Run, suite: &str, case: &str, threads: usize, name: &str) -> Option<&'r Row> {
    let is_it =
        |table: &&crate::harness::run::Table| (&*table.suite, &*table.case, table.threads) == (suite, case, threads);
    run.tables.iter().find(is_it)?.rows.iter().find(|row| row.name == name)
}

fn median(run: &Run, suite: &str, case: &str, threads: usize, name: &str) -> Option<f64> {
    row(run, suite, case, threads, name)?.median()
}

const FLAVORS: [Flavor; 5] = [Flavor::Qsbr, Flavor::Membarrier, Flavor::Signal, Flavor::Bp, Flavor::Mb];

/// A table with a column per flavor, and a row for each of us and the C library.
fn by_flavor(run: &Run, head: &str, names: [&str; 2], suite: &str, case: &str, threads: usize) -> String {
    let mut heads = vec![head];
    heads.extend(FLAVORS.map(Flavor::name));
    let figures = |kind: Kind| {
        FLAVORS.map(|flavor| {
            let is_it = |table: &&crate::harness::run::Table| {
                (&*table.suite, &*table.case, table.threads) == (suite, case, threads)
            };
            let row = run.tables.iter().find(is_it)?.rows.iter();
            row.filter(|row| row.kind == kind && row.flavor == Some(flavor)).find_map(Row::median).map(figure)
        })
    };
    let lines = [(names[0], figures(Kind::Ours)), (names[1], figures(Kind::Peer))];
    table_of(&heads, &lines.map(|(name, cells)| (name.to_owned(), cells.to_vec())))
}

fn sections(run: &Run) -> String {
    let mut text = by_flavor(
        run,
        "section: lock, load, dereference, unlock (ns, one thread)",
        ["this library, `Thread::read_lock`", "liburcu, inlined"],
        "read",
        "thread",
        1,
    );
    let others: Vec<String> = [
        ("limit:plain-load", "a plain load"),
        ("limit:locked-rmw", "one locked instruction"),
        ("kovan", "kovan"),
        ("sdd", "sdd"),
        ("haphazard", "haphazard"),
        ("crossbeam-epoch", "crossbeam-epoch"),
        ("seize", "seize"),
        ("arc-swap", "arc-swap"),
    ]
    .into_iter()
    .filter_map(|(name, shown)| Some(format!("{shown} {}", figure(median(run, "read", "thread", 1, name)?))))
    .collect();
    if !others.is_empty() {
        text += &format!("\nBeside them: {}.\n", others.join(", "));
    }
    text
}

fn grace_periods(run: &Run) -> String {
    by_flavor(run, "`synchronize` beside one busy reader (ns)", ["this library", "liburcu"], "grace", "synchronize", 2)
}

fn reclamation(run: &Run) -> String {
    let cases = [("retire-1", 1), ("retire-1-reader", 2), ("retire-2", 2)];
    let lines = [
        ("urcu-membarrier", "this library, membarrier"),
        ("urcu-mb", "this library, mb"),
        ("urcu-qsbr", "this library, qsbr"),
        ("kovan", "kovan"),
        ("sdd", "sdd"),
        ("seize", "seize"),
        ("crossbeam-epoch", "crossbeam-epoch"),
        ("liburcu-memb", "liburcu `call_rcu` (memb)"),
        ("liburcu-memb-defer", "liburcu `defer_rcu` (memb)"),
    ]
    .map(|(name, shown)| {
        let cells = cases.map(|(case, threads)| match &row(run, "reclaim", case, threads, name)?.outcome {
            Outcome::Measured { summary, peak, .. } => {
                let peak = peak.map_or_else(String::new, |peak| format!(" ({})", crate::harness::table::grouped(peak)));
                Some(figure(summary.median / 1e6) + &peak)
            }
            _ => None,
        });
        (shown.to_owned(), cells.to_vec())
    });
    let head = "64-byte blocks retired and freed (millions a second, most unfreed at once)";
    table_of(&[head, "one updater", "beside a busy reader", "two updaters"], &lines)
}

fn maps(run: &Run) -> String {
    let lines = [
        ("cds-lfht", "this library, `LfHashMap`"),
        ("cds-lfht:get_many", "this library, 16 keys at a time"),
        ("papaya", "papaya"),
        ("dashmap", "dashmap"),
        ("scc:HashMap", "scc `HashMap`"),
        ("scc:HashIndex", "scc `HashIndex`"),
        ("flurry", "flurry"),
        ("RwLock<HashMap>", "`RwLock<HashMap>`, locked once per 512 keys"),
    ]
    .map(|(name, shown)| {
        let cell = |case| median(run, "map", case, 1, name).map(|rate| figure(rate / 1e6));
        (shown.to_owned(), ["hit-1k", "hit-100k", "hit-4M", "grow-1M"].map(cell).to_vec())
    });
    let head = "lookups in a map, hits (millions per second of processor time, one thread)";
    table_of(&[head, "1,000 entries", "100,000", "4,000,000", "growth to a million"], &lines)
}

/// How often others are ahead, and where that is explained.
fn behind(run: &Run) -> String {
    let (mut all, mut behind, mut unexplained) = (0, 0, 0);
    for verdict in verdict::all(&run.tables) {
        all += 1;
        if verdict.place == Place::Behind {
            behind += 1;
            unexplained += usize::from(verdict.why().is_none());
        }
    }
    if all == 0 {
        return String::new();
    }
    let missing = if unexplained == 0 { String::new() } else { format!(" ({unexplained} without one yet)") };
    format!(
        "In {behind} of {all} comparisons with a peer the peer is ahead beyond the noise. \
         [All of them, with the reason](benches/results/README.md#where-a-peer-is-ahead){missing}.\n"
    )
}

/// A table of figures; columns and lines without any are left out.
fn table_of(heads: &[&str], lines: &[(String, Vec<Option<String>>)]) -> String {
    let lines: Vec<_> = lines.iter().filter(|(_, cells)| cells.iter().any(Option::is_some)).collect();
    let used: Vec<usize> =
        (0..heads.len() - 1).filter(|&at| lines.iter().any(|(_, cells)| cells[at].is_some())).collect();
    if lines.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> = std::iter::once(heads[0]).chain(used.iter().map(|at| heads[at + 1])).collect();
    let lines: Vec<Vec<String>> = lines
        .iter()
        .map(|(name, cells)| {
            let cells = used.iter().map(|&at| cells[at].clone().unwrap_or_else(|| "–".into()));
            std::iter::once(name.clone()).chain(cells).collect()
        })
        .collect();
    table(&heads, &lines)
}

fn table(heads: &[&str], lines: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for line in lines {
        text += &format!("| {} |\n", line.join(" | "));
    }
    text
}

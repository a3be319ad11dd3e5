//! The report: one page of HTML that needs nothing else, and what the README shows of it.

pub mod curves;
pub mod markdown;
mod page;
pub mod plot;
pub mod readme;
mod svg;

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::harness::run::Table;
use crate::record::Run;

/// Writes the page into a folder; returns its name.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, run: &Run, left_out: &[String]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let file = folder.join("index.html");
    fs::write(&file, page::page(run, left_out))?;
    Ok(file)
}

/// The cases whose bars the README shows, by suite, name and threads.
const KEY_CASES: [(&str, &str, usize); 6] = [
    ("read", "thread", 1),
    ("grace", "synchronize", 2),
    ("reclaim", "retire-1", 1),
    ("queue", "pairs", 1),
    ("stack", "pairs", 1),
    ("map", "hit-100k", 1),
];

/// Plots that stand alone, with their names: bars of some cases, and all curves.
pub fn key_plots(run: &Run) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for (suite, case, threads) in KEY_CASES {
        let is_it = |table: &&Table| table.suite == suite && table.case == case && table.threads == threads;
        if let Some(svg) = run.tables.iter().find(is_it).and_then(plot::bars) {
            plots.push((format!("{suite}-{case}"), svg::alone(&svg)));
        }
    }
    for curve in curves::all(&run.tables) {
        if let Some(svg) = plot::curve(&curve) {
            // Curves of the suites that have little else go by their own names.
            let name = match curve.suite {
                "scale" | "grace" => curve.name.clone(),
                suite => format!("{suite}-{}", curve.name),
            };
            plots.push((name, svg::alone(&svg)));
        }
    }
    plots.push(("overview".into(), svg::alone(&plot::overview(&run.tables))));
    plots
}

#[cfg(test)]
pub(crate) mod tests;

//! Keeps a full run in the project's folder: the records, the report, a page of tables, and the plots of the README.

use std::path::Path;
use std::{fs, io};

use crate::record::{Recorder, Run};
use crate::report;

/// Writes `results/` and `plots/` in the folder of the benchmarks.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, run: &Run) -> io::Result<()> {
    let results = folder.join("results");
    let mut recorder = Recorder::create(Some(&results.join("full.jsonl")))?;
    for table in &run.tables {
        recorder.write(&run.machine, table)?;
    }
    report::write(&results, run, &[])?;
    fs::write(results.join("README.md"), report::markdown::page(run))?;
    let plots = folder.join("plots");
    fs::create_dir_all(&plots)?;
    for (name, svg) in report::key_plots(run) {
        fs::write(plots.join(format!("{name}.svg")), svg)?;
    }
    Ok(())
}

//! What comes out of a run: tables on stdout as the cases end, a line of JSON per row, and at the end (whoever brings it
//! about) who is behind, the comparison with an earlier run, and the report.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::baseline::compare;
use crate::harness::run::Table;
use crate::machine::Machine;
use crate::record::{Recorder, Run};
use crate::{publish, report, verdict};

/// Where everything goes.
#[derive(Debug)]
pub struct Output {
    /// Goes into every record.
    pub machine: Machine,
    /// The lines of JSON.
    pub recorder: Recorder,
    /// Tables that are in there.
    recorded: usize,
    /// The folder of the report.
    pub report: PathBuf,
    /// The folder of the benchmarks, where the figures of a full run are kept.
    pub publish: Option<PathBuf>,
    /// An earlier run, and the file that it is in.
    pub baseline: Option<(PathBuf, Run)>,
    /// Cases that were left out, and why.
    pub left_out: Vec<String>,
}

impl Output {
    /// Nothing has been written yet.
    pub fn new(machine: Machine, recorder: Recorder, report: PathBuf) -> Self {
        Self { machine, recorder, recorded: 0, report, publish: None, baseline: None, left_out: Vec::new() }
    }

    /// Writes the records of the tables that are new.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, tables: &[Table]) -> io::Result<()> {
        for table in tables.iter().skip(self.recorded) {
            self.recorder.write(&self.machine, table)?;
            self.recorded += 1;
        }
        Ok(())
    }

    /// The end of the run, of its own accord or not. What cannot be written is said, and does not stop the rest.
    pub fn finish(&mut self, tables: &[Table]) {
        if let Err(error) = self.record(tables) {
            eprintln!("error: the records cannot be written: {error}");
        }
        let mut text = verdict::losses(tables);
        let run = Run { machine: self.machine.clone(), tables: tables.to_vec() };
        if let Some((file, before)) = &self.baseline {
            let comparison = compare(before, &run);
            text += &format!(
                "\ncompared with {} (commit {}):\n{}",
                file.display(),
                before.machine.commit,
                comparison.render()
            );
        }
        if !self.left_out.is_empty() {
            text += &format!("\n{} cases were left out (the report names them)\n", self.left_out.len());
        }
        print!("{text}");
        if tables.is_empty() {
            return;
        }
        match report::write(&self.report, &run, &self.left_out) {
            Ok(file) => println!("\nreport: {}", file.display()),
            Err(error) => eprintln!("error: the report cannot be written: {error}"),
        }
        if let Some(folder) = &self.publish {
            match publish::write(folder, &run) {
                Ok(()) => println!("published: {}", folder.display()),
                Err(error) => eprintln!("error: the run cannot be published: {error}"),
            }
        }
    }
}

/// Where a report goes that nobody has named a place for: beside what cargo builds.
pub fn default_report() -> PathBuf {
    let target = env::current_exe().ok().and_then(|program| Some(program.parent()?.parent()?.to_owned()));
    target.unwrap_or_else(|| "target".into()).join("bench-report")
}

/// Makes the folder of the report now, so that a run does not end without a place for it.
///
/// # Errors
/// When that cannot be done.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_goes_beside_the_programs_by_default() {
        let folder = default_report();
        assert!(folder.ends_with("bench-report") && folder.is_absolute(), "{folder:?}");
    }
}

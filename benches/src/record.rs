//! JSON lines: one object per row. The schema is pinned in the README of this folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::harness::plan::{Better, Flavor, Kind};
use crate::harness::run::{Outcome, Row, Table};
use crate::machine::Machine;

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
pub const SCHEMA: u32 = 1;

/// One line.
#[derive(Debug, Serialize)]
pub struct Record<'r> {
    schema: u32,
    suite: &'r str,
    case: &'r str,
    contender: &'r str,
    kind: Kind,
    flavor: Option<Flavor>,
    threads: usize,
    unit: &'r str,
    better: Better,
    status: &'static str,
    reason: Option<&'r str>,
    median: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    rounds: usize,
    p99: Option<f64>,
    peak_unfreed: Option<f64>,
    note: Option<&'r str>,
    limit: Option<&'r str>,
    machine: &'r str,
    cores: usize,
    kernel: &'r str,
    commit: &'r str,
    command: &'r str,
    rustc: &'r str,
    liburcu: &'r str,
    time: u64,
}

impl<'r> Record<'r> {
    /// The line for one row of a table.
    pub fn new(machine: &'r Machine, table: &'r Table, row: &'r Row) -> Self {
        let (status, reason) = match &row.outcome {
            Outcome::Measured { .. } => ("ok", None),
            Outcome::Unavailable(reason) => ("unavailable", Some(reason)),
            Outcome::Failed(reason) => ("failed", Some(reason)),
            Outcome::NotReached => ("not-reached", None),
        };
        let (summary, p99, peak, note) = match &row.outcome {
            Outcome::Measured { summary, p99, peak, note } => (Some(summary), *p99, *peak, note.as_deref()),
            _ => (None, None, None, None),
        };
        Self {
            schema: SCHEMA,
            suite: table.suite,
            case: &table.case,
            contender: &row.name,
            kind: row.kind,
            flavor: row.flavor,
            threads: table.threads,
            unit: table.unit,
            better: table.better,
            status,
            reason: reason.map(String::as_str),
            median: summary.map(|summary| rounded(summary.median)),
            min: summary.map(|summary| rounded(summary.min)),
            max: summary.map(|summary| rounded(summary.max)),
            rounds: summary.map_or(0, |summary| summary.rounds),
            p99: p99.map(rounded),
            peak_unfreed: peak,
            note,
            limit: row.limit,
            machine: &machine.machine,
            cores: machine.cores,
            kernel: &machine.kernel,
            commit: &machine.commit,
            command: &machine.command,
            rustc: machine.rustc,
            liburcu: machine.liburcu,
            time: machine.time,
        }
    }
}

/// Ten thousandths of the unit: finer than anything that was measured.
fn rounded(figure: f64) -> f64 {
    (figure * 1e4).round() / 1e4
}

/// A file of records, or nothing.
#[derive(Debug)]
pub struct Recorder {
    file: Option<File>,
}

impl Recorder {
    /// Replaces `file`, if there is to be one.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(file: Option<&Path>) -> io::Result<Self> {
        Ok(Self { file: file.map(File::create).transpose()? })
    }

    /// Appends the rows of a table, at once, so that a run that dies leaves what it had.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, machine: &Machine, table: &Table) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut lines = Vec::new();
        for row in &table.rows {
            serde_json::to_writer(&mut lines, &Record::new(machine, table, row))?;
            lines.push(b'\n');
        }
        file.write_all(&lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::stats::Summary;

    fn machine() -> Machine {
        Machine {
            machine: "x86_64 (made up)".into(),
            cores: 2,
            kernel: "Linux 6.1".into(),
            commit: "0123456789ab".into(),
            command: "cargo xtask bench".into(),
            rustc: "rustc 1.95.0",
            liburcu: "0.13.2",
            time: 1,
        }
    }

    fn table(outcome: Outcome) -> Table {
        Table {
            suite: "read",
            case: "thread".into(),
            about: "A made-up workload.",
            unit: "ns/section",
            better: Better::Lower,
            threads: 1,
            rows: vec![Row {
                name: "urcu-mb".into(),
                kind: Kind::Ours,
                flavor: Some(Flavor::Mb),
                limit: Some("limit:locked-rmw"),
                outcome,
            }],
        }
    }

    #[test]
    fn a_measured_row_has_all_fields_in_the_documented_order() {
        let table = table(Outcome::Measured {
            summary: Summary { median: 2.0, min: 1.0, max: 3.0, rounds: 5 },
            p99: Some(9.0),
            peak: Some(512.0),
            note: Some("a note".into()),
        });
        let machine = machine();
        let line = serde_json::to_string(&Record::new(&machine, &table, &table.rows[0])).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"schema":1,"suite":"read","case":"thread","contender":"urcu-mb","kind":"ours","#,
                r#""flavor":"mb","threads":1,"unit":"ns/section","better":"lower","status":"ok","#,
                r#""reason":null,"median":2.0,"min":1.0,"max":3.0,"rounds":5,"p99":9.0,"#,
                r#""peak_unfreed":512.0,"note":"a note","#,
                r#""limit":"limit:locked-rmw","machine":"x86_64 (made up)","cores":2,"#,
                r#""kernel":"Linux 6.1","commit":"0123456789ab","command":"cargo xtask bench","#,
                r#""rustc":"rustc 1.95.0","liburcu":"0.13.2","time":1}"#
            )
        );
    }

    #[test]
    fn a_failed_row_says_why_and_has_no_figures() {
        let table = table(Outcome::Failed("wrong answer".into()));
        let machine = machine();
        let line = serde_json::to_value(Record::new(&machine, &table, &table.rows[0])).unwrap();
        assert_eq!(line["status"], "failed");
        assert_eq!(line["reason"], "wrong answer");
        assert!(line["median"].is_null());
        assert_eq!(line["rounds"], 0);
    }

    #[test]
    fn the_readme_names_every_field() {
        let table = table(Outcome::NotReached);
        let machine = machine();
        let line = serde_json::to_value(Record::new(&machine, &table, &table.rows[0])).unwrap();
        let readme = include_str!("../README.md");
        for field in line.as_object().unwrap().keys() {
            assert!(readme.contains(&format!("| `{field}` |")), "the README does not describe `{field}`");
        }
    }
}

//! JSON lines: one object per row. The schema is pinned in the README of this folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::harness::plan::{Better, Flavor, Kind};
use crate::harness::run::{Outcome, Row, Table};
use crate::harness::stats::Summary;
use crate::machine::Machine;

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
pub const SCHEMA: u32 = 1;

/// What became of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was measured.
    Ok,
    /// It is not there.
    Unavailable,
    /// It gave a wrong answer, an error or a panic, or hung.
    Failed,
    /// The run ended before.
    NotReached,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    schema: u32,
    suite: String,
    case: String,
    #[serde(default)]
    about: String,
    contender: String,
    kind: Kind,
    flavor: Option<Flavor>,
    threads: usize,
    unit: String,
    better: Better,
    status: Status,
    reason: Option<String>,
    median: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    spread: Option<f64>,
    rounds: usize,
    #[serde(default)]
    seconds: f64,
    p99: Option<f64>,
    peak_unfreed: Option<f64>,
    note: Option<String>,
    limit: Option<String>,
    machine: String,
    cores: usize,
    kernel: String,
    commit: String,
    command: String,
    rustc: String,
    liburcu: String,
    time: u64,
}

impl Record {
    /// The line for one row of a table.
    pub fn new(machine: &Machine, table: &Table, row: &Row) -> Self {
        let (status, reason) = match &row.outcome {
            Outcome::Measured { .. } => (Status::Ok, None),
            Outcome::Unavailable(reason) => (Status::Unavailable, Some(reason.clone())),
            Outcome::Failed(reason) => (Status::Failed, Some(reason.clone())),
            Outcome::NotReached => (Status::NotReached, None),
        };
        let (summary, p99, peak, note) = match &row.outcome {
            Outcome::Measured { summary, p99, peak, note } => (Some(summary), *p99, *peak, note.clone()),
            _ => (None, None, None, None),
        };
        Self {
            schema: SCHEMA,
            suite: table.suite.clone(),
            case: table.case.clone(),
            about: table.about.clone(),
            contender: row.name.clone(),
            kind: row.kind,
            flavor: row.flavor,
            threads: table.threads,
            unit: table.unit.clone(),
            better: table.better,
            status,
            reason,
            median: summary.map(|summary| rounded(summary.median)),
            min: summary.map(|summary| rounded(summary.min)),
            max: summary.map(|summary| rounded(summary.max)),
            spread: summary.map(|summary| rounded(summary.spread)),
            rounds: summary.map_or(0, |summary| summary.rounds),
            seconds: rounded(row.took.as_secs_f64()),
            p99: p99.map(rounded),
            peak_unfreed: peak,
            note,
            limit: row.limit.clone(),
            machine: machine.machine.clone(),
            cores: machine.cores,
            kernel: machine.kernel.clone(),
            commit: machine.commit.clone(),
            command: machine.command.clone(),
            rustc: machine.rustc.clone(),
            liburcu: machine.liburcu.clone(),
            time: machine.time,
        }
    }

    fn outcome(&self) -> Outcome {
        let reason = || self.reason.clone().unwrap_or_default();
        match (self.status, self.median, self.min, self.max) {
            (Status::Ok, Some(median), Some(min), Some(max)) => Outcome::Measured {
                summary: Summary { median, min, max, spread: self.spread.unwrap_or_default(), rounds: self.rounds },
                p99: self.p99,
                peak: self.peak_unfreed,
                note: self.note.clone(),
            },
            (Status::Unavailable, ..) => Outcome::Unavailable(reason()),
            (Status::Failed, ..) => Outcome::Failed(reason()),
            (Status::NotReached | Status::Ok, ..) => Outcome::NotReached,
        }
    }

    fn machine(&self) -> Machine {
        Machine {
            machine: self.machine.clone(),
            cores: self.cores,
            kernel: self.kernel.clone(),
            commit: self.commit.clone(),
            command: self.command.clone(),
            rustc: self.rustc.clone(),
            liburcu: self.liburcu.clone(),
            time: self.time,
        }
    }

    fn is_of(&self, table: &Table) -> bool {
        (&self.suite, &self.case, self.threads) == (&table.suite, &table.case, table.threads)
    }
}

/// Ten thousandths of the unit: finer than anything that was measured.
fn rounded(figure: f64) -> f64 {
    (figure * 1e4).round() / 1e4
}

/// A run that has been read from a file.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where it was.
    pub machine: Machine,
    /// What it measured.
    pub tables: Vec<Table>,
}

impl Run {
    /// Reads a file of records.
    ///
    /// # Errors
    /// Says which line cannot be understood.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut machine = None;
        let mut tables: Vec<Table> = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let record: Record = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
            if record.schema != SCHEMA {
                return Err(format!("line {}: schema {} instead of {SCHEMA}", number + 1, record.schema));
            }
            machine.get_or_insert_with(|| record.machine());
            let row = Row {
                name: record.contender.clone(),
                kind: record.kind,
                flavor: record.flavor,
                limit: record.limit.clone(),
                took: Duration::try_from_secs_f64(record.seconds).unwrap_or_default(),
                outcome: record.outcome(),
            };
            match tables.last_mut() {
                Some(table) if record.is_of(table) => table.rows.push(row),
                _ => tables.push(Table {
                    suite: record.suite,
                    case: record.case,
                    about: record.about,
                    unit: record.unit,
                    better: record.better,
                    threads: record.threads,
                    rows: vec![row],
                }),
            }
        }
        Ok(Self { machine: machine.ok_or("there is no record in it")?, tables })
    }
}

/// A file of records, or nothing.
#[derive(Debug)]
pub struct Recorder {
    file: Option<File>,
}

impl Recorder {
    /// Replaces `file`, if there is to be one; makes the folder that it is in.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(file: Option<&Path>) -> io::Result<Self> {
        if let Some(folder) = file.and_then(Path::parent) {
            fs::create_dir_all(folder)?;
        }
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
            rustc: "rustc 1.95.0".into(),
            liburcu: "0.13.2".into(),
            time: 1,
        }
    }

    fn table(outcome: Outcome) -> Table {
        Table {
            suite: "read".into(),
            case: "thread".into(),
            about: "A made-up workload.".into(),
            unit: "ns/section".into(),
            better: Better::Lower,
            threads: 1,
            rows: vec![Row {
                name: "urcu-mb".into(),
                kind: Kind::Ours,
                flavor: Some(Flavor::Mb),
                limit: Some("limit:locked-rmw".into()),
                took: Duration::from_millis(1500),
                outcome,
            }],
        }
    }

    #[test]
    fn a_measured_row_has_all_fields_in_the_documented_order() {
        let table = table(Outcome::Measured {
            summary: Summary { median: 2.0, min: 1.0, max: 3.0, spread: 0.5, rounds: 5 },
            p99: Some(9.0),
            peak: Some(512.0),
            note: Some("a note".into()),
        });
        let machine = machine();
        let line = serde_json::to_string(&Record::new(&machine, &table, &table.rows[0])).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"schema":1,"suite":"read","case":"thread","about":"A made-up workload.","contender":"urcu-mb","kind":"ours","#,
                r#""flavor":"mb","threads":1,"unit":"ns/section","better":"lower","status":"ok","#,
                r#""reason":null,"median":2.0,"min":1.0,"max":3.0,"spread":0.5,"rounds":5,"seconds":1.5,"p99":9.0,"#,
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
    fn what_was_written_can_be_read_again() {
        let outcomes = [
            Outcome::Measured {
                summary: Summary { median: 2.0, min: 1.0, max: 3.0, spread: 0.5, rounds: 5 },
                p99: Some(9.0),
                peak: Some(512.0),
                note: Some("a \"note\"\nof two lines".into()),
            },
            Outcome::Unavailable("not installed".into()),
            Outcome::Failed("wrong answer".into()),
            Outcome::NotReached,
        ];
        let mut table = table(Outcome::NotReached);
        table.rows = outcomes.map(|outcome| Row { outcome, ..table.rows[0].clone() }).into();
        let mut other = table.clone();
        other.threads = 2;
        let file = std::env::temp_dir().join(format!("urcu-bench-{}.jsonl", std::process::id()));
        let mut recorder = Recorder::create(Some(&file)).unwrap();
        recorder.write(&machine(), &table).unwrap();
        recorder.write(&machine(), &other).unwrap();
        let run = Run::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(run.machine, machine());
        assert_eq!(run.tables, [table, other]);
    }

    #[test]
    fn files_that_are_no_records_are_refused_by_line() {
        let machine = machine();
        let table = table(Outcome::NotReached);
        let line = serde_json::to_string(&Record::new(&machine, &table, &table.rows[0])).unwrap();
        let error = |text: &str| Run::parse(text).unwrap_err();
        assert_eq!(error(""), "there is no record in it");
        assert!(error(&format!("{line}\n\nnonsense")).starts_with("line 3: "));
        let newer = line.replace("\"schema\":1", "\"schema\":2");
        assert_eq!(error(&newer), "line 1: schema 2 instead of 1");
        assert!(error(&line.replace("\"suite\"", "\"suit\"")).contains("missing field `suite`"));
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

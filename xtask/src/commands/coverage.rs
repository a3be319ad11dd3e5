//! `cargo xtask coverage`: which lines of the library crates the tests run, by cargo-tarpaulin, which needs no tools of the
//! compiler's version. Skipped where it is not installed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::flags::CoverageFlags;
use crate::job::{self, Job, Verdict};
use crate::workspace::{Layer, Workspace};

/// Of every hundred lines.
const WANTED: f64 = 95.0;

pub(crate) fn run(flags: &CoverageFlags) -> Result<ExitCode> {
    job::alone("coverage", "which lines the tests run", |job| check(job, flags))
}

#[derive(Deserialize)]
struct Report {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    /// In parts.
    #[serde(deserialize_with = "joined")]
    path: PathBuf,
    traces: Vec<Trace>,
}

fn joined<'de, D: serde::Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.iter().collect())
}

#[derive(Deserialize)]
struct Trace {
    line: usize,
    stats: BTreeMap<String, u64>,
}

impl Trace {
    fn is_covered(&self) -> bool {
        self.stats.values().any(|hits| *hits != 0)
    }
}

fn check(job: &mut Job<'_>, flags: &CoverageFlags) -> Result<Verdict> {
    if !job.probe(job.cargo(&["tarpaulin", "--version"]), Duration::from_secs(60)) {
        return Ok(Verdict::Skipped("cargo-tarpaulin is missing; `cargo install cargo-tarpaulin`".to_owned()));
    }
    job.echo();
    let folder = job.workspace.target.join("coverage");
    let packages: Vec<&str> = match flags.package.is_empty() {
        false => flags.package.iter().map(String::as_str).collect(),
        true => job.workspace.published().map(|package| package.name.as_str()).collect(),
    };
    let mut command = job.cargo(&["tarpaulin", "--engine", "llvm", "--skip-clean", "--no-fail-fast", "--out", "Json"]);
    command.arg("--output-dir").arg(&folder).arg("--target-dir").arg(&folder).args(["--timeout", "900"]);
    for package in &packages {
        command.args(["--packages", package]);
    }
    // What is compiled by tests at run time is not what is measured.
    command.args(["--", "--skip", "broken_rules_do_not_compile"]).env("URCU_PATIENCE", "4");
    let passed = job.run(command)?;
    let path = folder.join("tarpaulin-report.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Report = serde_json::from_slice(&text).context("unexpected report")?;
    let enough = show(job, &report, &packages);
    Ok(Verdict::of(passed && enough))
}

/// The table, and the lines that were not run. Whether there are few enough of them.
fn show(job: &mut Job<'_>, report: &Report, packages: &[&str]) -> bool {
    let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut lines = Vec::new();
    for file in &report.files {
        let Some((package, name)) = library_file(job.workspace, file) else { continue };
        if !packages.contains(&package.as_str()) {
            continue;
        }
        let (covered, all) = sums.entry(package).or_default();
        *all += file.traces.len();
        *covered += file.traces.iter().filter(|trace| trace.is_covered()).count();
        let missing: Vec<String> =
            file.traces.iter().filter(|trace| !trace.is_covered()).map(|trace| trace.line.to_string()).collect();
        if !missing.is_empty() {
            lines.push(format!("not run: {name}: {}", missing.join(", ")));
        }
    }
    lines.into_iter().for_each(|line| job.say(line));
    let percent = |(covered, all): (usize, usize)| 100.0 * covered as f64 / all.max(1) as f64;
    let (mut covered, mut all) = (0, 0);
    for (package, sum) in &sums {
        job.say(format!("{package:<16} {:>6} of {:>6} lines  {:5.1} %", sum.0, sum.1, percent(*sum)));
        covered += sum.0;
        all += sum.1;
    }
    job.say(format!("{:<16} {covered:>6} of {all:>6} lines  {:5.1} %", "all", percent((covered, all))));
    percent((covered, all)) >= WANTED
}

/// The package of one of the library's own sources, and the file's name.
fn library_file(workspace: &Workspace, file: &File) -> Option<(String, String)> {
    let name = workspace.relative(&file.path).to_string_lossy().into_owned();
    let (package, rest) = name.split_once('/')?;
    let is_library = matches!(Layer::of(package), Some(Layer::Core | Layer::Flavor | Layer::Structure));
    (is_library && rest.starts_with("src/")).then(|| (package.to_owned(), name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let text = r#"{"files":[{"path":["/","w","urcu-core","src","a.rs"],"content":"","traces":[
            {"line":3,"address":[],"length":1,"stats":{"Line":0}},
            {"line":4,"address":[],"length":1,"stats":{"Line":7}}],"covered":1,"coverable":2}]}"#;
        let report: Report = serde_json::from_str(text).expect("the format");
        let covered: Vec<bool> = report.files[0].traces.iter().map(Trace::is_covered).collect();
        assert_eq!(covered, [false, true]);
    }
}

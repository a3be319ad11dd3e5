//! `cargo xtask coverage`: which lines of the library crates the tests run, counted by the compiler's own instrumentation.
//! Skipped where nothing can read what it writes. What stays uncovered, and why: `xtask/coverage.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::coverage::lines::{self, Lines};
use crate::coverage::tools::Tools;
use crate::flags::CoverageFlags;
use crate::job::{self, Job, Verdict};
use crate::programs;
use crate::workspace::{Layer, Workspace};

/// Of every hundred lines.
const WANTED: f64 = 95.0;

/// Counters live in the profile itself, which is mapped: processes that are killed, abort or leave by `_exit` have counted, too.
const RUSTFLAGS: &str = "-C instrument-coverage -C llvm-args=-runtime-counter-relocation";

pub(crate) fn run(flags: &CoverageFlags) -> Result<ExitCode> {
    job::alone("coverage", "which lines the tests run", |job| check(job, flags))
}

fn check(job: &mut Job<'_>, flags: &CoverageFlags) -> Result<Verdict> {
    let tools = match Tools::find(job) {
        Ok(tools) => tools,
        Err(advice) => return Ok(Verdict::Skipped(advice)),
    };
    job.echo();
    let packages: Vec<String> = match flags.package.is_empty() {
        false => flags.package.clone(),
        true => job.workspace.published().map(|package| package.name.clone()).collect(),
    };
    let folder = job.workspace.target.join("coverage");
    let profiles = folder.join("profiles");
    // Of earlier runs; other programs than today's may have written them.
    if profiles.exists() {
        std::fs::remove_dir_all(&profiles).with_context(|| format!("cannot remove {}", profiles.display()))?;
    }
    std::fs::create_dir_all(&profiles).with_context(|| format!("cannot create {}", profiles.display()))?;

    let mut build = tests(job, &packages, &folder);
    // Build scripts and macros count, too, and nobody reads it.
    build.args(["--no-run", "--message-format=json"]).env("LLVM_PROFILE_FILE", folder.join("build-%m.profraw"));
    let Some(messages) = job.lines(build)? else { return Ok(Verdict::Failed) };
    // Tests, and the programs that they start.
    let objects: BTreeSet<PathBuf> = messages.iter().filter_map(|message| program(message)).collect();

    let libraries = programs::compiler_libraries();
    let commands = programs::read(job.workspace, &messages).into_iter().map(|program| {
        let mut command = program.command(job.workspace, &libraries);
        // What is compiled by tests at run time is not what is measured.
        command.args(["--skip", "broken_rules_do_not_compile"]);
        command.env("LLVM_PROFILE_FILE", profiles.join("%m%c.profraw")).env("URCU_PATIENCE", "4");
        (program.name(), command)
    });
    let commands = programs::long_ones_first(commands.collect());
    let passed = job.run_side_by_side(programs::at_a_time(), commands)?;

    let report = export(job, &tools, &folder, &profiles, &objects)?;
    let Some(report) = report else { return Ok(Verdict::Failed) };
    let enough = show(job, &lines::read(&report), &packages);
    Ok(Verdict::of(passed && enough))
}

/// `cargo test` with instrumentation, for all that is not run by rustdoc.
fn tests(job: &Job<'_>, packages: &[String], folder: &Path) -> Command {
    let mut command = job.cargo(&["test", "--all-features", "--lib", "--bins", "--tests", "--examples"]);
    for package in packages {
        command.args(["--package", package]);
    }
    command.arg("--target-dir").arg(folder);
    command.env("RUSTFLAGS", RUSTFLAGS).env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    command
}

/// The program that cargo says it has built.
fn program(message: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    serde_json::from_str::<Message>(message).ok()?.executable
}

/// The report on all profiles together, none where a tool has failed.
fn export(
    job: &mut Job<'_>,
    tools: &Tools,
    folder: &Path,
    profiles: &Path,
    objects: &BTreeSet<PathBuf>,
) -> Result<Option<String>> {
    let merged = folder.join("all.profdata");
    let mut merge = Command::new(&tools.profdata);
    // A program that was killed while it wrote its first page left a profile that nobody can read.
    merge.args(["merge", "--sparse", "--failure-mode=all"]).arg(profiles).arg("--output").arg(&merged);
    if !job.run(merge)? {
        return Ok(None);
    }
    let mut export = Command::new(&tools.cov);
    export.args(["export", "--format=lcov"]).arg(format!("--instr-profile={}", merged.display()));
    // What others wrote is not asked for; reports are large.
    export.arg(r"--ignore-filename-regex=(/rustc/|/\.cargo/|/tests/)");
    for object in objects {
        export.arg("--object").arg(object);
    }
    let output = export.output().with_context(|| format!("cannot start {}", tools.cov.display()))?;
    if !output.status.success() {
        job.say(format!("error: {}: {}", tools.cov.display(), String::from_utf8_lossy(&output.stderr)));
        return Ok(None);
    }
    Ok(Some(String::from_utf8(output.stdout).context("a report in UTF-8")?))
}

/// The table, and the lines that were not run. Whether there are few enough of them.
fn show(job: &mut Job<'_>, report: &BTreeMap<PathBuf, Lines>, packages: &[String]) -> bool {
    let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (path, lines) in report {
        let Some((package, name)) = library_file(job.workspace, path) else { continue };
        if !packages.contains(&package) {
            continue;
        }
        let mut lines = lines.clone();
        let tests = std::fs::read_to_string(path).map_or(usize::MAX, |source| lines::first_of_tests(&source));
        lines.retain(|line, _| *line < tests);
        let (covered, all) = sums.entry(package).or_default();
        *all += lines.len();
        *covered += lines.values().filter(|hits| **hits != 0).count();
        let missing = lines::ranges(&lines);
        if !missing.is_empty() {
            job.say(format!("not run: {name}: {missing}"));
        }
    }
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
fn library_file(workspace: &Workspace, file: &Path) -> Option<(String, String)> {
    let name = workspace.relative(file).to_string_lossy().into_owned();
    let (package, rest) = name.split_once('/')?;
    let is_library =
        matches!(Layer::of(package), Some(Layer::Core | Layer::Flavor | Layer::Structure | Layer::Segment));
    (is_library && rest.starts_with("src/")).then(|| (package.to_owned(), name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_by_cargo() {
        assert_eq!(program(r#"{"reason":"compiler-artifact","executable":"/t/a-1"}"#), Some("/t/a-1".into()));
        assert_eq!(program(r#"{"reason":"compiler-artifact","executable":null}"#), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn only_sources_of_the_library_count() {
        let workspace = Workspace { root: "/w".into(), target: "/w/target".into(), packages: Vec::new() };
        let package = |file: &str| library_file(&workspace, Path::new(file)).map(|(package, _)| package);
        assert_eq!(package("/w/urcu-core/src/a.rs").as_deref(), Some("urcu-core"));
        assert_eq!(package("/w/cds-shm/src/b.rs").as_deref(), Some("cds-shm"));
        assert_eq!(package("/w/urcu-core/conformance/src/a.rs"), None);
        assert_eq!(package("/w/xtask/src/a.rs"), None);
        assert_eq!(package("/elsewhere/urcu-core/src/a.rs"), None);
    }
}

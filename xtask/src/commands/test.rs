//! `cargo xtask test`: everything that a change must pass.
//!
//! Needs rustup's stable toolchain and a C compiler, nothing else. All steps run even when one fails, so
//! that one run tells everything.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{api, asm, features, headers, loom, oldest, portable, sanitize, spin, tidy, torture};
use crate::failures::Failure;
use crate::flags::TestFlags;
use crate::job::{Job, Verdict};
use crate::programs;
use crate::progress::{Progress, seconds};
use crate::results::Results;
use crate::workspace::Workspace;

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Job<'_>) -> Result<Verdict>,
}

/// Failures that are said once more at the end.
const MOST: usize = 20;

/// Quick ones first.
const STEPS: &[Step] = &[
    Step { name: "fmt", about: "source format", run: fmt },
    Step { name: "tidy", about: "what compilers cannot check", run: tidy::step },
    Step { name: "api", about: "the same public API in every flavor crate", run: api::step },
    Step { name: "headers", about: "C headers as the source declares them", run: headers::step },
    Step { name: "clippy", about: "lints, warnings denied", run: clippy },
    Step { name: "test", about: "unit, integration, conformance and compile-fail tests", run: test },
    Step { name: "doctest", about: "the examples of the documentation", run: doctest },
    Step { name: "portable", about: "one library's tests with each of the flavors", run: portable::step },
    Step { name: "torture", about: "readers must not see old objects: a short run", run: torture::step },
    Step { name: "spin", about: "the model of the grace period", run: spin::step },
    Step { name: "loom", about: "every interleaving of small programs", run: loom::step },
    Step { name: "doc", about: "the documentation, warnings denied", run: doc },
    Step { name: "asm", about: "machine code of the read side", run: asm::step },
    Step { name: "sanitize", about: "tests under AddressSanitizer and ThreadSanitizer", run: sanitize::step },
    Step { name: "oldest", about: "the published crates with the oldest compiler", run: oldest::step },
    Step { name: "features", about: "every set of features of the published crates", run: features::step },
];

struct Done {
    step: &'static Step,
    verdict: Verdict,
    time: Duration,
    failures: Vec<Failure>,
}

pub(crate) fn run(flags: &TestFlags) -> Result<ExitCode> {
    if flags.list {
        for step in STEPS {
            println!("{:<9} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = choose(&flags.only)?;
    let workspace = Workspace::load()?;
    let limit = Duration::from_secs(60 * flags.time_limit);
    let mut progress = Progress::new(steps.len());
    let mut results = Results::default();
    let mut done = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        progress.begin(index + 1, steps.len(), step.name, step.about);
        let started = Instant::now();
        let mut job = Job::new(&workspace, &progress, limit);
        let verdict = (step.run)(&mut job).unwrap_or_else(|error| {
            job.say(format!("error: {error:#}"));
            Verdict::Failed
        });
        if verdict == Verdict::Failed {
            job.unseen().for_each(|line| progress.line(line));
        }
        progress.end(&shown(&verdict));
        results.add(job.results());
        let failures = if verdict == Verdict::Failed { job.failures(step.name) } else { Vec::new() };
        done.push(Done { step, verdict, time: started.elapsed(), failures });
    }
    progress.finish();
    Ok(close(&done, &results))
}

/// The steps named on the command line, in their own order; all when none is named.
fn choose(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        bail!("no step is called `{unknown}`; `cargo xtask test --list` names them");
    }
    let chosen = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(chosen).collect())
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "ok".to_owned(),
        Verdict::Failed => "FAILED".to_owned(),
        Verdict::Skipped(why) => format!("skipped: {why}"),
    }
}

/// The table, what failed, the sum of all tests on a line of its own, and the exit code.
fn close(done: &[Done], results: &Results) -> ExitCode {
    println!();
    for Done { step, verdict, time, .. } in done {
        println!("{:<9} {:>12}  {}", step.name, seconds(*time), shown(verdict));
    }
    println!("{:<9} {:>12}", "all", seconds(done.iter().map(|done| done.time).sum()));
    let failed: Vec<&str> =
        done.iter().filter(|done| done.verdict == Verdict::Failed).map(|done| done.step.name).collect();
    if !failed.is_empty() {
        println!("\nerror: {} of {} steps failed: {}", failed.len(), done.len(), failed.join(", "));
    }
    let failures: Vec<&Failure> = done.iter().flat_map(|done| &done.failures).collect();
    for failure in failures.iter().take(MOST) {
        failure.lines().for_each(|line| println!("{line}"));
    }
    if failures.len() > MOST {
        println!("... and {} more", failures.len() - MOST);
    }
    println!("\n{}", results.summary());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fmt(job: &mut Job<'_>) -> Result<Verdict> {
    if let Some(why) = missing(job, "fmt", "rustfmt") {
        return Ok(Verdict::Skipped(why));
    }
    let command = job.cargo(&["fmt", "--all", "--check"]);
    Ok(Verdict::of(job.run(command)?))
}

fn clippy(job: &mut Job<'_>) -> Result<Verdict> {
    if let Some(why) = missing(job, "clippy", "clippy") {
        return Ok(Verdict::Skipped(why));
    }
    let command = job.cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]);
    Ok(Verdict::of(job.run(command)?))
}

/// Installs a component that the toolchain lacks. Says why when that is not possible.
fn missing(job: &mut Job<'_>, subcommand: &str, component: &str) -> Option<String> {
    const SHORT: Duration = Duration::from_secs(20);
    if job.probe(job.cargo(&[subcommand, "--version"]), SHORT) {
        return None;
    }
    let mut rustup = std::process::Command::new("rustup");
    rustup.args(["component", "add", component]);
    let tried = job.run(rustup).unwrap_or(false);
    let present = tried && job.probe(job.cargo(&[subcommand, "--version"]), SHORT);
    (!present).then(|| format!("{component} is missing; `rustup component add {component}` did not install it"))
}

/// Library, binary, integration and example tests; those of the documentation are a step of their own.
fn test(job: &mut Job<'_>) -> Result<Verdict> {
    job.echo();
    let mut build = tests(job, &["--lib", "--bins", "--tests", "--examples"]);
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let started = Instant::now();
    let Some(messages) = job.lines(build)? else {
        job.count_failure("the test programs do not build");
        return Ok(Verdict::Failed);
    };
    let programs = programs::read(job.workspace, &messages);
    let jobs = programs::at_a_time();
    job.say(format!("{} programs built in {}; {jobs} at a time", programs.len(), seconds(started.elapsed())));
    let libraries = programs::compiler_libraries();
    let commands =
        programs.iter().map(|program| (program.name(), program.command(job.workspace, &libraries))).collect();
    let commands = programs::long_ones_first(commands);
    let passed = job.run_side_by_side(jobs, commands)?;
    verdict(job, passed)
}

fn doctest(job: &mut Job<'_>) -> Result<Verdict> {
    job.echo();
    let command = tests(job, &["--doc", "--no-fail-fast"]);
    let passed = job.run(command)?;
    verdict(job, passed)
}

fn tests(job: &Job<'_>, words: &[&str]) -> Command {
    let mut command = job.cargo(&["test", "--workspace", "--all-features"]);
    command.args(words);
    command
}

fn verdict(job: &mut Job<'_>, passed: bool) -> Result<Verdict> {
    if passed && job.results().programs == 0 {
        job.count_failure("no test program reported a result");
        return Ok(Verdict::Failed);
    }
    if !passed && job.results().failed == 0 {
        job.count_failure("a test program did not compile, crashed, or did not end");
    }
    Ok(Verdict::of(passed))
}

fn doc(job: &mut Job<'_>) -> Result<Verdict> {
    let mut command = job.cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    Ok(Verdict::of(job.run(command)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Result<Vec<&'static str>> {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        Ok(choose(&only)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn steps_are_chosen_by_name() {
        assert_eq!(names(&[]).unwrap().len(), STEPS.len());
        assert_eq!(names(&["doc", "fmt"]).unwrap(), ["fmt", "doc"]);
        assert!(names(&["fnt"]).unwrap_err().to_string().contains("`fnt`"));
    }
}

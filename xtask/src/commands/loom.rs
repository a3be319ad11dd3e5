//! `cargo xtask loom`: the model checker, on every package that has models.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::flags::LoomFlags;
use crate::job::{self, Job, Verdict};
use crate::workspace::{Package, Workspace};

/// Swaps the model checker's atomics in, for the whole build.
const SWITCH: &str = "--cfg urcu_loom";
/// Where a package has its models.
const MODELS: &str = "tests/loom.rs";

pub(crate) fn run(flags: &LoomFlags) -> Result<ExitCode> {
    job::alone("loom", "every interleaving of small programs", |job| {
        let chosen = choose(job.workspace, &flags.package)?;
        check(job, &chosen)
    })
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    let (chosen, without): (Vec<_>, Vec<_>) = job.workspace.packages.iter().partition(|package| has_models(package));
    let names: Vec<_> = without.iter().filter(|package| package.is_published()).map(|package| &*package.name).collect();
    job.echo();
    if !names.is_empty() {
        job.say(format!("no {MODELS}, skipped: {}", names.join(", ")));
    }
    check(job, &chosen)
}

/// The packages named on the command line; all that have models when none is named.
fn choose<'w>(workspace: &'w Workspace, names: &[String]) -> Result<Vec<&'w Package>> {
    if names.is_empty() {
        return Ok(workspace.packages.iter().filter(|package| has_models(package)).collect());
    }
    let find = |name: &String| match workspace.package(name) {
        None => bail!("no package is called `{name}`"),
        Some(package) if !has_models(package) => bail!("`{name}` has no {MODELS}"),
        Some(package) => Ok(package),
    };
    names.iter().map(find).collect()
}

fn has_models(package: &Package) -> bool {
    package.folder().join(MODELS).is_file()
}

fn check(job: &mut Job<'_>, packages: &[&Package]) -> Result<Verdict> {
    if packages.is_empty() {
        return Ok(Verdict::Skipped(format!("no package has a {MODELS}")));
    }
    // All in one command: they share their dependencies. Optimised, since the checker runs a model thousands of times; in
    // a folder of its own, since the flag applies to everything that is compiled.
    let mut command = job.cargo(&["test", "--release", "--no-fail-fast", "--test", "loom", "--target-dir"]);
    command.arg(job.workspace.target.join("loom")).env("RUSTFLAGS", SWITCH);
    for package in packages {
        command.args(["--package", &package.name]);
    }
    let passed = job.run(command)?;
    if passed && job.results().programs < packages.len() as u64 {
        job.count_failure("not every package's models reported a result");
        return Ok(Verdict::Failed);
    }
    if !passed && job.results().failed == 0 {
        job.count_failure("a model did not compile, crashed, or did not end");
    }
    Ok(Verdict::of(passed))
}

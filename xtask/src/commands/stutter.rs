//! `cargo xtask stutter`: the tests of the library crates once more, on schedules that a machine seldom shows.
//!
//! The programs are built once, with `--cfg urcu_mutants`; an environment variable then chooses, by a number, places in the source where
//! threads stay away for a while (`urcu-core/src/sync/stutter.rs`). Where they are late is the same each time that a number is used,
//! for how long is not.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::flags::StutterFlags;
use crate::job::{self, Job, Verdict};
use crate::programs::{self, Program};
use crate::workspace::Package;

/// Parts of the names of tests that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("stepped_forks", "thousands of processes that are single-stepped"),
    ("a_section_behind_a_leaked_guard_stays_open", "looks at a place in the source that this build does not pass on"),
    ("waiting_inside_a_section", "the same"),
];

/// Limits of tests, in times of what they are: what waits for ever is not waited for that long.
const PATIENCE: &str = "0.2";

pub(crate) fn run(flags: &StutterFlags) -> Result<ExitCode> {
    job::alone("stutter", "tests on rare schedules", |job| check(job, flags))
}

fn check(job: &mut Job<'_>, flags: &StutterFlags) -> Result<Verdict> {
    job.echo();
    let packages = choose(job, &flags.package)?;
    let mut build = job.cargo(&["test", "--no-run", "--lib", "--tests", "--message-format", "json-render-diagnostics"]);
    build.arg("--target-dir").arg(job.workspace.target.join("mutants").join("native"));
    build.env("RUSTFLAGS", "--cfg urcu_mutants").env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    for package in &packages {
        build.args(["--package", package]);
    }
    let Some(messages) = job.lines(build)? else { bail!("the test programs do not build") };
    let programs: Vec<Program> =
        programs::read(job.workspace, &messages).into_iter().filter(|program| program.target != "loom").collect();
    let libraries = programs::compiler_libraries();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let first = flags.seed.unwrap_or(now);
    let mut passed = true;
    for seed in (first..).take(flags.rounds) {
        job.say(format!("{} programs with --seed {seed} --rounds 1", programs.len()));
        let commands = programs.iter().map(|program| {
            let mut command = program.command(job.workspace, &libraries);
            command.env("URCU_STUTTER", seed.to_string()).env("URCU_PATIENCE", PATIENCE);
            for (part, _) in LEFT_OUT {
                command.args(["--skip", part]);
            }
            (format!("{}, seed {seed}", program.name()), command)
        });
        let commands = programs::long_ones_first(commands.collect());
        passed &= job.run_side_by_side(programs::at_a_time(), commands)?;
    }
    if passed && job.results().programs == 0 {
        bail!("no test program reported a result");
    }
    Ok(Verdict::of(passed))
}

/// The packages named on the command line; all that are published when none is named.
fn choose(job: &Job<'_>, names: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = names.iter().find(|name| job.workspace.package(name).is_none()) {
        bail!("no package is called `{unknown}`");
    }
    if !names.is_empty() {
        return Ok(names.to_owned());
    }
    let published = job.workspace.packages.iter().filter(|package: &&Package| package.is_published());
    Ok(published.map(|package| package.name.clone()).collect())
}

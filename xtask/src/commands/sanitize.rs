//! `cargo xtask sanitize`: tests under AddressSanitizer, which needs the nightly toolchain; without it nothing is checked.
//!
//! The standard library is not rebuilt. What it does inside is not seen, but what it allocates is; and AddressSanitizer brings
//! the leak checker along.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

use crate::flags::SanitizeFlags;
use crate::job::{self, Job, Verdict};

/// Packages, targets and tests: all of them with the empty list of tests.
struct Lane {
    package: &'static str,
    targets: &'static [&'static str],
    tests: &'static [&'static str],
}

const LANES: &[Lane] = &[
    Lane {
        package: "urcu-examples",
        targets: &["--test", "boundaries", "--test", "c_program", "--test", "cycle", "--test", "unloading"],
        tests: &[],
    },
    Lane { package: "urcu-examples", targets: &["--test", "programs"], tests: &["mixing", "plugin"] },
];

/// `-rdynamic`: shared objects find the sanitizer's functions in the program that loads them.
const FLAGS: &str = "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer -Clink-arg=-rdynamic --cfg sanitized";

/// The same for ThreadSanitizer.
pub(crate) const THREAD_FLAGS: &str =
    "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg sanitized --cfg urcu_tsan";
/// What it is to be silent about, and why.
pub(crate) const THREAD_SUPPRESSIONS: &str = "xtask/sanitizers/thread.supp";

/// The sanitizer's options: the first report ends the program.
pub(crate) fn thread_options(suppressions: &Path) -> String {
    format!("halt_on_error=1 report_signal_unsafe=0 suppressions={}", suppressions.display())
}

/// Sanitizers exist for more targets, but naming one is what keeps build scripts out of it.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn run(flags: &SanitizeFlags) -> Result<ExitCode> {
    job::alone("sanitize", "tests under AddressSanitizer", |job| check(job, flags.package.as_deref()))
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    check(job, None)
}

pub(crate) fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    // Of the toolchain that runs this program.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn has_nightly(job: &Job<'_>) -> bool {
    let mut version = nightly();
    version.arg("--version");
    job.probe(version, Duration::from_secs(20))
}

fn check(job: &mut Job<'_>, package: Option<&str>) -> Result<Verdict> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Verdict::Skipped("set up for x86-64 only".to_owned()));
    }
    if !has_nightly(job) {
        return Ok(Verdict::Skipped("there is no nightly toolchain; `rustup toolchain install nightly`".to_owned()));
    }
    job.echo();
    let target = job.workspace.target.join("sanitize");
    let mut passed = true;
    for lane in LANES.iter().filter(|lane| package.is_none_or(|package| package == lane.package)) {
        let mut command = nightly();
        command.current_dir(&job.workspace.root).env("RUSTFLAGS", FLAGS).env("URCU_PATIENCE", "4");
        command.args(["test", "--no-fail-fast", "--target", TARGET, "--package", lane.package]);
        command.arg("--target-dir").arg(&target).args(lane.targets).arg("--").args(lane.tests);
        let before = job.results().passed;
        let ended_well = job.run(command)?;
        passed &= ended_well;
        if ended_well && job.results().passed == before {
            job.count_failure("no test was run");
            passed = false;
        }
    }
    Ok(Verdict::of(passed))
}

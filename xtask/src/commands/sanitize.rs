//! `cargo xtask sanitize`: tests under AddressSanitizer with its leak checker, under ThreadSanitizer, and a C program under
//! valgrind. The sanitizers need the nightly toolchain; what is missing is skipped, and said.
//!
//! The standard library is not rebuilt. What it does inside is not seen, but what it allocates is. What ThreadSanitizer is
//! told to be silent about stands in a file, each with its reason; fences are invisible to it, so it runs what needs none.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

use crate::flags::SanitizeFlags;
use crate::job::{self, Job, Verdict};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// Wrong addresses, and leaks.
    Address,
    /// Accesses that nothing orders.
    Thread,
    /// Both kinds of wrong memory, also in what another compiler made.
    Valgrind,
}

/// Packages, targets and tests: all of them with the empty list of tests.
struct Lane {
    tool: Tool,
    package: &'static str,
    targets: &'static [&'static str],
    /// Parts of names.
    tests: &'static [&'static str],
    /// Whether it takes too long for every change.
    long: bool,
}

const LANES: &[Lane] = &[
    Lane {
        tool: Tool::Address,
        package: "urcu-examples",
        targets: &["--test", "boundaries", "--test", "c_program", "--test", "cycle", "--test", "unloading"],
        tests: &[],
        long: false,
    },
    Lane {
        tool: Tool::Address,
        package: "urcu-examples",
        targets: &["--test", "programs"],
        tests: &["mixing", "plugin"],
        long: false,
    },
    Lane { tool: Tool::Address, package: "urcu-core", targets: &["--test", "orders"], tests: &[], long: false },
    Lane { tool: Tool::Address, package: "cds-list", targets: &["--test", "basic"], tests: &[], long: false },
    Lane { tool: Tool::Address, package: "cds-lfstack", targets: &["--test", "basic"], tests: &[], long: false },
    Lane { tool: Tool::Address, package: "cds-wfqueue", targets: &["--test", "drops"], tests: &[], long: false },
    Lane { tool: Tool::Address, package: "cds-lfht", targets: &["--test", "map_panics"], tests: &[], long: false },
    Lane {
        tool: Tool::Address,
        package: "urcu-mb",
        targets: &["--test", "conformance"],
        tests: &["suite::pointers", "suite::deferred", "suite::counted", "suite::raw_tier"],
        long: true,
    },
    Lane {
        tool: Tool::Address,
        package: "urcu-qsbr",
        targets: &["--test", "conformance"],
        tests: &["suite::pointers", "suite::offline"],
        long: true,
    },
    Lane { tool: Tool::Address, package: "cds-list", targets: &["--test", "stress"], tests: &[], long: true },
    Lane { tool: Tool::Address, package: "cds-lfstack", targets: &["--test", "stress"], tests: &[], long: true },
    Lane { tool: Tool::Address, package: "cds-wfqueue", targets: &["--test", "stress"], tests: &[], long: true },
    Lane { tool: Tool::Address, package: "cds-lfht", targets: &["--test", "map_stress"], tests: &[], long: true },
    Lane { tool: Tool::Thread, package: "urcu-core", targets: &["--test", "orders"], tests: &[], long: false },
    Lane {
        tool: Tool::Thread,
        package: "urcu-mb",
        targets: &["--test", "conformance"],
        tests: &["suite::ages::one_updater"],
        long: true,
    },
    Lane { tool: Tool::Thread, package: "cds-list", targets: &["--test", "stress"], tests: &["::mb"], long: true },
    Lane { tool: Tool::Thread, package: "cds-lfht", targets: &["--test", "map_basic"], tests: &["::mb"], long: true },
    Lane { tool: Tool::Valgrind, package: "urcu-examples", targets: &["--test", "c_program"], tests: &[], long: true },
];

/// `-rdynamic`: shared objects find the sanitizer's functions in the program that loads them.
const ADDRESS_FLAGS: &str =
    "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer -Clink-arg=-rdynamic --cfg sanitized";

/// The same for ThreadSanitizer.
pub(crate) const THREAD_FLAGS: &str =
    "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg sanitized --cfg urcu_tsan";
/// What it is to be silent about, and why.
pub(crate) const THREAD_SUPPRESSIONS: &str = "xtask/sanitizers/thread.supp";

/// The sanitizer's options: the first report ends the program.
pub(crate) fn thread_options(suppressions: &Path) -> String {
    format!("halt_on_error=1 report_signal_unsafe=0 suppressions={}", suppressions.display())
}

/// Of a program whose children are checked too, but not the compiler that it calls. One thread runs at a time, and they take
/// turns: a reader that never sleeps would else keep the others waiting for minutes.
const VALGRIND: &str = "valgrind --quiet --fair-sched=try --error-exitcode=99 --trace-children=yes \
                        --trace-children-skip=*cc*,*/as,*/ld*,*collect2* --leak-check=full \
                        --show-leak-kinds=definite --errors-for-leak-kinds=definite";

/// Sanitizers exist for more targets, but naming one is what keeps build scripts out of it.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn run(flags: &SanitizeFlags) -> Result<ExitCode> {
    job::alone("sanitize", "tests under sanitizers", |job| check(job, flags))
}

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    check(job, &SanitizeFlags { package: None, all: false })
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

fn has_valgrind(job: &Job<'_>) -> bool {
    let mut version = Command::new("valgrind");
    version.arg("--version");
    job.probe(version, Duration::from_secs(20))
}

fn check(job: &mut Job<'_>, flags: &SanitizeFlags) -> Result<Verdict> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Verdict::Skipped("set up for x86-64 only".to_owned()));
    }
    job.echo();
    let chosen: Vec<&Lane> = LANES
        .iter()
        .filter(|lane| flags.package.as_deref().is_none_or(|package| package == lane.package))
        .filter(|lane| flags.all || !lane.long)
        .collect();
    let nightly_is_there = has_nightly(job);
    let mut passed = true;
    let mut ran = 0;
    let mut skipped = Vec::new();
    for lane in chosen {
        let present = if lane.tool == Tool::Valgrind { has_valgrind(job) } else { nightly_is_there };
        if !present {
            skipped.push(lane);
            continue;
        }
        ran += 1;
        let command = command(job, lane);
        let before = job.results().passed;
        let ended_well = job.run(command)?;
        passed &= ended_well;
        if ended_well && job.results().passed == before {
            job.count_failure("no test was run");
            passed = false;
        }
    }
    for lane in &skipped {
        let why = match lane.tool {
            Tool::Valgrind => "there is no valgrind",
            _ => "there is no nightly toolchain; `rustup toolchain install nightly`",
        };
        job.say(format!("skipped: {:?} on {}: {why}", lane.tool, lane.package));
    }
    if ran == 0 {
        return Ok(Verdict::Skipped("neither a nightly toolchain nor valgrind for what was chosen".to_owned()));
    }
    Ok(Verdict::of(passed))
}

fn command(job: &Job<'_>, lane: &Lane) -> Command {
    let root = &job.workspace.root;
    let mut command = match lane.tool {
        Tool::Valgrind => job.cargo(&[]),
        _ => nightly(),
    };
    command.current_dir(root).env("URCU_PATIENCE", "4");
    command.args(["test", "--no-fail-fast", "--package", lane.package]);
    match lane.tool {
        Tool::Address => {
            command.env("RUSTFLAGS", ADDRESS_FLAGS).args(["--target", TARGET]);
            command.arg("--target-dir").arg(job.workspace.target.join("sanitize"));
        }
        Tool::Thread => {
            command.env("RUSTFLAGS", THREAD_FLAGS).args(["--target", TARGET]);
            command.env("TSAN_OPTIONS", thread_options(&root.join(THREAD_SUPPRESSIONS)));
            command.arg("--target-dir").arg(job.workspace.target.join("sanitize-thread"));
        }
        Tool::Valgrind => {
            command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", VALGRIND);
        }
    }
    // Line numbers are all that a report needs.
    command.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    command.args(lane.targets).arg("--").args(lane.tests);
    command
}

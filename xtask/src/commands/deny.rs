//! `cargo xtask deny`: what comes from elsewhere. Licences, sources, duplicates and advisories by cargo-deny, the oldest
//! compiler by itself, breaking changes by cargo-semver-checks. Each is skipped, and said, where its tool is not installed.
//!
//! What needs no tool is checked with every change: clippy knows since when the standard library has what is used
//! (`incompatible_msrv`), and tidy bounds what published crates depend on.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

use crate::job::{self, Job, Verdict};

const SHORT: Duration = Duration::from_secs(20);

pub(crate) fn run() -> Result<ExitCode> {
    job::alone("deny", "what comes from elsewhere", check)
}

fn check(job: &mut Job<'_>) -> Result<Verdict> {
    job.echo();
    let mut passed = true;
    let mut ran = 0;
    if job.probe(job.cargo(&["deny", "--version"]), SHORT) {
        ran += 1;
        passed &= job.run(job.cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]))?;
        // The database may never have been fetched, and there may be no network.
        if !job.run(job.cargo(&["deny", "check", "advisories"]))? {
            let fetched = job.run(job.cargo(&["deny", "fetch", "db"]))?;
            if fetched {
                passed = false;
            } else {
                job.say("advisories skipped: no database, and none could be fetched".to_owned());
            }
        }
    } else {
        job.say("skipped: cargo-deny; `cargo install cargo-deny`".to_owned());
    }
    let oldest = oldest_compiler(job)?;
    let mut version = Command::new("rustup");
    version.args(["run", &oldest, "cargo", "--version"]);
    if job.probe(version, SHORT) {
        ran += 1;
        let mut command = Command::new("rustup");
        command.current_dir(&job.workspace.root).args(["run", &oldest, "cargo", "check", "--all-features"]);
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        command.arg("--target-dir").arg(job.workspace.target.join("oldest"));
        for package in job.workspace.published() {
            command.args(["--package", &package.name]);
        }
        passed &= job.run(command)?;
    } else {
        job.say(format!("skipped: the oldest compiler; `rustup toolchain install {oldest}`"));
    }
    if job.probe(job.cargo(&["semver-checks", "--version"]), SHORT) {
        ran += 1;
        passed &= job.run(job.cargo(&["semver-checks", "--baseline-rev", "HEAD~1"]))?;
    } else {
        job.say("skipped: cargo-semver-checks; `cargo install cargo-semver-checks`".to_owned());
    }
    if ran == 0 {
        return Ok(Verdict::Skipped("none of the tools is installed".to_owned()));
    }
    Ok(Verdict::of(passed))
}

/// What the workspace's manifest says.
fn oldest_compiler(job: &Job<'_>) -> Result<String> {
    let text = std::fs::read_to_string(job.workspace.root.join("Cargo.toml"))?;
    let manifest: toml::Table = text.parse()?;
    let version = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("package")?.get("rust-version")?.as_str())
        .unwrap_or("stable");
    Ok(version.to_owned())
}

//! `cargo xtask deny`: what comes from elsewhere. Licences, sources, duplicates and advisories by cargo-deny, breaking changes
//! by cargo-semver-checks. Each is skipped, and said, where its tool is not installed.
//!
//! What needs no tool is checked with every change: tidy bounds what published crates depend on.

use std::process::ExitCode;
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

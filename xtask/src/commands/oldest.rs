//! A step of `cargo xtask test`: the published crates with the oldest compiler that their manifests promise, where it is
//! installed.
//!
//! Clippy knows since when the standard library has what is used (`incompatible_msrv`), but not what a compiler takes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::job::{Job, Verdict};

const SHORT: Duration = Duration::from_secs(20);

pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    let oldest = oldest_compiler(job)?;
    let mut version = Command::new("rustup");
    version.args(["run", &oldest, "cargo", "--version"]);
    if !job.probe(version, SHORT) {
        return Ok(Verdict::Skipped(format!("not installed; `rustup toolchain install {oldest} --profile minimal`")));
    }
    let mut command = Command::new("rustup");
    command.current_dir(&job.workspace.root).args(["run", &oldest, "cargo", "check", "--all-features"]);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command.arg("--target-dir").arg(job.workspace.target.join("oldest"));
    for package in job.workspace.published() {
        command.args(["--package", &package.name]);
    }
    Ok(Verdict::of(job.run(command)?))
}

/// What the workspace's manifest says.
fn oldest_compiler(job: &Job<'_>) -> Result<String> {
    let text = fs::read_to_string(job.workspace.root.join("Cargo.toml"))?;
    let manifest: toml::Table = text.parse()?;
    let version = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("package")?.get("rust-version")?.as_str())
        .context("the workspace's manifest has no `rust-version`")?;
    Ok(version.to_owned())
}

//! `cargo xtask torture`: builds the torture program in release mode and hands everything over to it.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::flags::TortureFlags;
use crate::job::{Job, Verdict};
use crate::workspace::{self, Workspace};

const PACKAGE: &str = "urcu-torture";
/// How long each flavor, beside the others, is tortured with each change.
const SHORT: &str = "--duration=8";

pub(crate) fn run(flags: &TortureFlags) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    if workspace.package(PACKAGE).is_none() {
        bail!("there is no package `{PACKAGE}` in this workspace");
    }
    let status = workspace::cargo()
        .args(["run", "--release", "--package", PACKAGE, "--manifest-path"])
        .arg(workspace.root.join("Cargo.toml"))
        .arg("--")
        .args(&flags.arguments)
        .status()
        .context("cannot start cargo")?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => bail!("the torture was ended: {status}"),
    })
}

/// All flavors at once, for a few seconds.
pub(crate) fn step(job: &mut Job<'_>) -> Result<Verdict> {
    job.echo();
    let command = job.cargo(&["run", "--release", "--package", PACKAGE, "--", SHORT]);
    let passed = job.run(command)?;
    if !passed {
        job.count_failure("a flavor did not stand the torture");
    }
    Ok(Verdict::of(passed))
}

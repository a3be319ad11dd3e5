//! `cargo xtask bench`: builds the benchmarks in release mode and hands everything over to them.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::flags::BenchFlags;
use crate::workspace::{self, Workspace};

const PACKAGE: &str = "urcu-benches";

pub(crate) fn run(flags: &BenchFlags) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    if workspace.package(PACKAGE).is_none() {
        bail!("there is no package `{PACKAGE}` in this workspace");
    }
    outlive_interrupts();
    // Relative file names among the arguments mean the caller's folder, so this child stays in it.
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
        None => bail!("the benchmarks were ended: {status}"),
    })
}

/// Ctrl-C is for the benchmarks, which print what they have measured so far; this process waits for them. A handler and not
/// the signal's being ignored: that the child would inherit.
fn outlive_interrupts() {
    extern "C" fn nothing(_: std::ffi::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing.
    let _ = unsafe { sigaction(Signal::SIGINT, &action) };
}

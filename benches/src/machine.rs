//! Where, from which source and by which command the figures come.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use nix::sys::utsname::uname;

/// The facts that belong to every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The processor.
    pub machine: String,
    /// Cores that the run may use.
    pub cores: usize,
    /// Kernel and release.
    pub kernel: String,
    /// The commit, with `-dirty` when the working tree differs from it.
    pub commit: String,
    /// What was typed.
    pub command: String,
    /// The compiler.
    pub rustc: String,
    /// The C library's version, or `absent`.
    pub liburcu: String,
    /// Seconds since 1970 at the start of the run.
    pub time: u64,
}

impl Machine {
    /// Looks around.
    pub fn detect(cores: usize) -> Self {
        Self {
            machine: processor(),
            cores,
            kernel: uname().map_or_else(
                |_| "unknown".into(),
                |name| format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
            ),
            commit: commit(),
            command: command(env::args()),
            rustc: env!("URCU_BENCH_RUSTC").into(),
            liburcu: env!("URCU_BENCH_LIBURCU").into(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }
}

fn processor() -> String {
    let facts = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = facts
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or("unknown", str::trim);
    format!("{} ({model})", env::consts::ARCH)
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(hash) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".into();
    };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => hash,
        _ => hash + "-dirty",
    }
}

/// The command without the path of the program, which says nothing elsewhere.
fn command(mut arguments: impl Iterator<Item = String>) -> String {
    arguments.next();
    std::iter::once("cargo xtask bench".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_command_can_be_typed_again() {
        let arguments = ["/home/me/target/release/urcu-benches", "--only", "read"];
        assert_eq!(command(arguments.into_iter().map(String::from)), "cargo xtask bench --only read");
    }

    #[test]
    fn something_is_known_about_any_machine() {
        let machine = Machine::detect(3);
        assert_eq!(machine.cores, 3);
        assert!(machine.kernel.starts_with("Linux "));
        assert!(!machine.commit.is_empty());
    }
}

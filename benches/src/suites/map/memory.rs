//! Memory per entry, as the kernel sees it: in a process that does nothing else.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Size, lines};
use crate::harness::plan::{Better, Case, Pace, Sample};

pub(super) fn case(size: Size) -> Case {
    let contenders = lines()
        .into_iter()
        .map(|line| line.contender(move |_| in_a_process(line.name, size.entries).map(Sample::figure)))
        .collect();
    Case {
        name: format!("raw-memory-{}", size.name),
        about: "Resident memory per entry: nodes with key and value, and the table.",
        unit: "bytes",
        better: Better::Lower,
        threads: 1,
        pace: Pace::Once(Duration::from_secs(2)),
        contenders,
    }
}

fn in_a_process(name: &str, entries: u64) -> Result<f64, String> {
    let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let output = Command::new(program)
        .args(["--map-memory", name, "--map-entries", &entries.to_string()])
        .output()
        .map_err(|error| format!("the process does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("the process ended with {} and said {:?}", output.status, text.trim()))
}

/// What such a process does.
///
/// # Errors
/// When the table is not there.
#[allow(clippy::cast_precision_loss, reason = "exact: nobody has 2^52 bytes")]
pub fn bytes_per_entry(name: &str, entries: u64) -> Result<f64, String> {
    let line =
        lines().into_iter().find(|line| line.name == name).ok_or_else(|| format!("there is no table `{name}`"))?;
    // Whatever is made once.
    drop(super::Table::new(line, 1).get()?);
    let before = resident()?;
    let map = super::Table::new(line, entries).get()?;
    let after = resident()?;
    drop(map);
    Ok(after.saturating_sub(before) as f64 / entries as f64)
}

fn resident() -> Result<u64, String> {
    let text = fs::read_to_string("/proc/self/statm").map_err(|error| error.to_string())?;
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).ok_or("no statm")?;
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * page.unsigned_abs())
}

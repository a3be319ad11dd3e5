//! Processes that fill one map, and the memory that it takes.
//!
//! The program starts itself once more for each: in one process a map would be made of the memory of the one before.

use std::env;
use std::process::Command;

use crate::maps::{FACE, RAW, value_of};

/// Bytes of memory per entry of the map `name` with so many entries, in a process of its own.
///
/// # Errors
/// When that fails.
pub fn bytes_per_entry(name: &str, entries: u64) -> Result<f64, String> {
    let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let output = Command::new(program)
        .args(["--map-process", name, "--map-entries", &entries.to_string()])
        .output()
        .map_err(|error| format!("a process does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(bytes) if output.status.success() => Ok(bytes),
        _ => Err(format!("the process ended with {} and said {:?}", output.status, text.trim())),
    }
}

/// What such a process does: resident bytes per entry, after the allocator has given back what it can.
///
/// # Errors
/// When the map is not there, or loses an entry.
pub fn measure(name: &str, entries: u64) -> Result<f64, String> {
    let mut all = FACE.iter().chain(&RAW);
    let entrant = all.find(|entrant| entrant.name == name).ok_or_else(|| format!("there is no map `{name}`"))?;
    let keys: Vec<u64> = (0..entries).map(|number| (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    // Whatever is made once.
    entrant.empty(1)?.session().insert(&keys[..1]);
    let before = resident()?;
    let map = entrant.empty(entries)?;
    let mut session = map.session();
    keys.chunks(512).for_each(|keys| session.insert(keys));
    let found = session.get(&keys);
    let sum = keys.iter().fold(0_u64, |sum, key| sum.wrapping_add(value_of(*key)));
    if (found.keys, found.sum) != (entries, sum) {
        return Err("wrong answer: an entry was lost".into());
    }
    // Whatever is reclaimed later has time to be.
    std::thread::sleep(std::time::Duration::from_millis(200));
    #[cfg(target_env = "gnu")]
    // SAFETY: takes nothing but a number.
    unsafe {
        libc::malloc_trim(0);
    }
    let after = resident()?;
    // Exact: nobody has 2^52 bytes.
    Ok(after.saturating_sub(before) as f64 / entries as f64)
}

fn resident() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").map_err(|error| format!("smaps_rollup: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("smaps_rollup has no Rss")?;
    let kilobytes: u64 =
        line.trim().trim_end_matches("kB").trim().parse().map_err(|error| format!("smaps_rollup: {error}"))?;
    Ok(kilobytes * 1024)
}

//! What the machine, or the container, has to spare.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

/// What a thread that does little takes, in user's and in the kernel's memory.
const THREAD: u64 = 64 << 10;
/// Mappings of a thread: its stack, that of its handlers, and what guards them.
const MAPPINGS: u64 = 6;

/// How many threads a test may make, `wanted` at most, so that whatever else runs at the same time can make some, too: half of what
/// all limits leave that are known here.
pub fn threads_to_spare(wanted: usize) -> usize {
    let running = running();
    let mut spare = wanted as u64;
    let mut at_most = |number: Option<u64>| spare = spare.min(number.unwrap_or(u64::MAX));
    for limit in ["/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max"] {
        at_most(number(limit).map(|limit| limit.saturating_sub(running) / 2));
    }
    at_most(number("/proc/sys/vm/max_map_count").map(|limit| limit / MAPPINGS));
    at_most(processes().map(|limit| limit.saturating_sub(running) / 2));
    at_most(left("pids", "pids.max", "pids.current").map(|left| left / 2));
    at_most(available_memory().map(|left| left / 2 / THREAD));
    at_most(left("memory", "memory.max", "memory.current").map(|left| left / 2 / THREAD));
    spare as usize
}

/// A folder for files of so many bytes in all that processes map: in memory if there is room, which in containers there often is not.
pub fn folder_for_mappings(bytes: u64) -> PathBuf {
    const IN_MEMORY: &CStr = c"/dev/shm";
    // SAFETY: plain data, for which zero is "nothing".
    let mut room: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a valid string, and a valid pointer to a local.
    let code = unsafe { libc::statvfs(IN_MEMORY.as_ptr(), &raw mut room) };
    // SAFETY: a valid string.
    let may_write = unsafe { libc::access(IN_MEMORY.as_ptr(), libc::W_OK | libc::X_OK) } == 0;
    // Half of it, for whatever else runs at the same time.
    if code == 0 && may_write && room.f_bavail.saturating_mul(room.f_frsize) / 2 >= bytes {
        Path::new("/dev/shm").to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn number(file: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// All threads of all users: more than those that a limit is about.
fn running() -> u64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let total = text.split_whitespace().nth(3).and_then(|field| field.split_once('/')?.1.parse().ok());
    total.unwrap_or(0)
}

/// The limit of the user's processes; root has none.
fn processes() -> Option<u64> {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } == 0 {
        return None;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid pointer to a local.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) };
    (code == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// What control groups leave of something, this process's own and those above it.
fn left(controller: &str, limit: &str, current: &str) -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut least = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let top = match controllers {
            "" => PathBuf::from("/sys/fs/cgroup"),
            _ if controllers.split(',').any(|one| one == controller) => Path::new("/sys/fs/cgroup").join(controller),
            _ => continue,
        };
        let own = top.join(path.trim_start_matches('/'));
        for folder in own.ancestors().take_while(|folder| folder.starts_with(&top)) {
            let left = number(folder.join(limit)).zip(number(folder.join(current)));
            let left = left.map(|(limit, current)| limit.saturating_sub(current));
            least = least.into_iter().chain(left).min();
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_wanted() {
        assert_eq!(threads_to_spare(0), 0);
        assert!(threads_to_spare(10) <= 10);
    }

    #[test]
    fn a_folder_that_has_no_room_is_not_taken() {
        assert!(folder_for_mappings(1).is_dir());
        assert_eq!(folder_for_mappings(u64::MAX), std::env::temp_dir());
    }
}

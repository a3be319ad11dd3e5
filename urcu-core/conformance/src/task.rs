//! The kernel's view of this process's threads.

use std::fs;

/// The calling thread's id.
pub fn id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// All threads of this process.
pub fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Keeps the calling thread, and all threads that it makes, on the processor that it runs on.
pub fn stay_here() {
    // SAFETY: takes nothing.
    let processor = usize::try_from(unsafe { libc::sched_getcpu() }).expect("a processor");
    // SAFETY: plain data, for which zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: an index within the set.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: a valid pointer to a local of the given size.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}

/// The state of a thread of this process: `R` running or ready, `S` asleep, ...; none when there is no such thread.
pub fn state(tid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).ok()?;
    // The name before it is in parentheses and may contain anything.
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// Whether a thread sleeps in a system call.
pub fn is_asleep(tid: i32) -> bool {
    state(tid) == Some('S')
}

//! Linux system calls: thread identity, futex, `membarrier(2)`, anonymous memory, the initial environment.

use core::ffi::{CStr, c_int, c_long, c_void};
use core::ptr;
use core::time::Duration;

use crate::sync::{AtomicU32, in_model};

/// The kernel's id of the calling thread. Async-signal-safe.
pub fn thread_id() -> i32 {
    // SAFETY: gettid takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// The id of this process. Async-signal-safe.
pub fn process_id() -> i32 {
    // SAFETY: getpid takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

/// Whether a thread of this process with this id exists. Async-signal-safe.
///
/// An id may be used again by a later thread, so `true` can be a stranger; `false` is certain.
pub fn thread_exists(tid: i32) -> bool {
    send_signal(tid, 0).is_ok() || errno() != libc::ESRCH
}

/// Whether a thread of this process has ended: it does not exist, or is a zombie (a leader that exited before the others).
/// Async-signal-safe.
///
/// An id may be used again by a later thread, so `false` can be a stranger; `true` is certain.
pub fn thread_has_ended(tid: i32) -> bool {
    // Only a leader stays as a zombie; `/proc` takes ten times as long as asking whether a thread exists.
    !thread_exists(tid) || (tid == process_id() && matches!(thread_state(tid), Some(b'Z' | b'X')))
}

/// The letter that `/proc` has for a thread's state. Async-signal-safe.
fn thread_state(tid: i32) -> Option<u8> {
    let mut stat = [0_u8; 64];
    thread_stat(tid, &mut stat)?.first().copied()
}

/// Whether this process was forked and has not executed a program since; `false` in doubt.
pub(crate) fn was_forked() -> bool {
    /// `PF_FORKNOEXEC` in the kernel. Its first thread is the one that tells: all others are marked in any case.
    const FORKED: u64 = 0x40;
    let mut stat = [0_u8; 192];
    let flags = thread_stat(process_id(), &mut stat).and_then(|stat| {
        // Behind the state: the ids of parent, group, session, terminal and its group.
        str::from_utf8(stat.split(|&byte| byte == b' ').nth(6)?).ok()?.parse::<u64>().ok()
    });
    flags.is_some_and(|flags| flags & FORKED != 0)
}

/// What `/proc` says of a thread, as far as there is room, from its state on. By bare system calls and on the stack:
/// async-signal-safe.
fn thread_stat(tid: i32, stat: &mut [u8]) -> Option<&[u8]> {
    use std::io::Write;

    let mut path = [0_u8; 48];
    // One byte stays zero. Formatting an integer into a slice allocates nothing.
    write!(&mut path[..47], "/proc/self/task/{tid}/stat").ok()?;
    // SAFETY: a valid C string and constant flags.
    let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    // SAFETY: the buffer is valid for its length.
    let count = unsafe { libc::read(file, stat.as_mut_ptr().cast(), stat.len()) };
    // SAFETY: the descriptor is ours and not used again.
    unsafe { libc::close(file) };
    let stat = &stat[..usize::try_from(count).ok()?];
    // Behind the name, which is in parentheses, may contain any character, and has at most 15 of them.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(name_end + 2..)
}

/// Sends `signal` to one thread of this process; 0 only checks that the thread exists.
///
/// # Errors
///
/// The error number, `ESRCH` when there is no such thread.
pub fn send_signal(tid: i32, signal: c_int) -> Result<(), i32> {
    // SAFETY: tgkill takes plain integers; a wrong id is an error, not undefined behaviour.
    let code = unsafe { libc::syscall(libc::SYS_tgkill, process_id(), tid, signal) };
    if code == 0 { Ok(()) } else { Err(errno()) }
}

/// The calling thread's `errno`.
pub fn errno() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: a valid pointer to the thread's own errno.
    unsafe { *errno }
}

/// Sets the calling thread's `errno`; for signal handlers, which must leave it as they found it.
pub fn set_errno(value: i32) {
    // SAFETY: takes nothing and cannot fail.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: a valid pointer to the thread's own errno.
    unsafe { *errno = value };
}

/// The calling thread's name as the kernel knows it, for messages.
pub fn thread_name() -> String {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, zero included, into the buffer.
    let code = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    if code != 0 {
        return String::from("?");
    }
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}

/// The name of a thread of this process.
pub fn thread_name_of(tid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Monotonic time with the resolution of the scheduler's tick, in nanoseconds; a few nanoseconds to ask.
pub fn coarse_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid pointer to a local; the clock exists since Linux 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Which processor the calling thread runs on, for the moment.
pub fn current_cpu() -> Option<usize> {
    // SAFETY: takes nothing; fails by returning a negative number.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// One more than the highest processor id that this machine can ever have.
pub fn possible_cpus() -> usize {
    let listed = std::fs::read_to_string("/sys/devices/system/cpu/possible").ok();
    let highest = listed.as_deref().and_then(|list| list.trim_end().rsplit([',', '-']).next()?.parse::<usize>().ok());
    highest.map_or_else(
        || {
            // SAFETY: asks for a number.
            usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(1).max(1)
        },
        |highest| highest + 1,
    )
}

/// Whether the calling thread may run on processor `cpu`.
pub fn may_run_on(cpu: usize) -> bool {
    // SAFETY: plain data that sched_getaffinity overwrites.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: a valid pointer to a local of the given size.
    let code = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    // SAFETY: an initialised set; an index within it.
    code == 0 && cpu < libc::CPU_SETSIZE as usize && unsafe { libc::CPU_ISSET(cpu, &set) }
}

/// Puts the calling thread on a processor and under `SCHED_FIFO`, as far as asked.
///
/// # Errors
///
/// The error number.
pub fn set_scheduling(cpu: Option<usize>, realtime: Option<c_int>) -> Result<(), i32> {
    run_like_the_process();
    if let Some(cpu) = cpu {
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(libc::EINVAL);
        }
        // SAFETY: plain data, for which zero is the empty set.
        let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
        // SAFETY: an index within the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        // SAFETY: a valid pointer to a local of the given size.
        let code = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
        if code != 0 {
            return Err(errno());
        }
    }
    if let Some(priority) = realtime {
        let parameters = libc::sched_param { sched_priority: priority };
        // SAFETY: a valid pointer to a local; 0 is the calling thread.
        let code = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
        if code != 0 {
            return Err(errno());
        }
    }
    Ok(())
}

/// Undoes what the calling thread has inherited from a thread that is pinned to a processor, or runs in real time or only
/// when nothing else does: it may run where the process's first thread may, in the normal scheduling class. Failures leave it as
/// it is.
fn run_like_the_process() {
    // SAFETY: plain data, for which zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a valid pointer to a local of the given size.
    if unsafe { libc::sched_getaffinity(process_id(), size, &raw mut set) } == 0 {
        // SAFETY: as above; 0 is the calling thread.
        unsafe { libc::sched_setaffinity(0, size, &raw const set) };
    }
    // SAFETY: takes an integer; 0 is the calling thread.
    let class = unsafe { libc::sched_getscheduler(0) };
    if class != libc::SCHED_OTHER {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: a valid pointer to a local.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) };
    }
}

/// Gives the processor away for now.
pub fn yield_now() {
    if in_model() {
        return crate::sync::spin_loop();
    }
    // SAFETY: sched_yield takes nothing and has no memory effects.
    unsafe { libc::sched_yield() };
}

/// Sleeps until `word` is woken, was not `expected` to begin with, or `timeout` has passed. May return early.
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    #[cfg(urcu_loom)]
    if in_model() {
        return crate::sync::futex_wait(word, expected, timeout.is_some());
    }
    let _ = futex_wait_raw(word.as_ptr(), expected, timeout);
}

/// Like [`futex_wait`], on half of a larger atomic. Whether the time was up.
pub(crate) fn futex_wait_raw(word: *const u32, expected: u32, timeout: Option<Duration>) -> bool {
    if in_model() {
        // Limited in time, so it may end at once.
        crate::sync::spin_loop();
        return true;
    }
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: c_long::from(timeout.subsec_nanos()),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel reads the word atomically and the timeout, both valid for the call; a bad address would be
    // an error, not undefined behaviour.
    let code =
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, timeout) };
    code != 0 && errno() == libc::ETIMEDOUT
}

/// Wakes up to `count` threads that sleep on `word`. Async-signal-safe.
pub fn futex_wake(word: &AtomicU32, count: i32) {
    futex_wake_raw(word.as_ptr(), count);
}

/// Like [`futex_wake`], on half of a larger atomic.
pub(crate) fn futex_wake_raw(word: *const u32, count: i32) {
    #[cfg(urcu_loom)]
    if in_model() {
        return crate::sync::futex_wake(word.addr(), count);
    }
    // SAFETY: FUTEX_WAKE uses the address as a key and does not access the memory.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count) };
}

/// Wakes up to `count` threads, of whatever process, that sleep on `word`. Async-signal-safe.
pub(crate) fn futex_wake_shared(word: *const u32, count: i32) {
    // SAFETY: FUTEX_WAKE uses the address as a key and does not access the memory.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, count) };
}

/// Registers this process for expedited membarriers. Async-signal-safe.
///
/// # Errors
///
/// The error number: `ENOSYS` on old kernels, `EPERM` under some seccomp filters.
pub fn membarrier_register() -> Result<(), i32> {
    let commands = membarrier(libc::MEMBARRIER_CMD_QUERY)?;
    if commands & c_long::from(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0 {
        return Err(libc::ENOSYS);
    }
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED).map(|_| ())
}

/// A full memory barrier on every running thread of this process, and on the caller.
///
/// Threads that are not running have passed through the scheduler, which is a full barrier too.
///
/// # Errors
///
/// The error number, when the kernel refuses although [`membarrier_register`] succeeded: there has been no barrier.
pub fn membarrier_expedited() -> Result<(), i32> {
    membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED).map(|_| ())
}

fn membarrier(command: c_int) -> Result<c_long, i32> {
    // SAFETY: membarrier takes plain integers and touches no memory of ours.
    let code = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if code >= 0 { Ok(code) } else { Err(errno()) }
}

/// Fresh zeroed pages, or `None`. Async-signal-safe, unlike an allocator.
pub fn map_pages(bytes: usize) -> Option<*mut c_void> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: an anonymous mapping at an address of the kernel's choice replaces nothing.
    let pages = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    (pages != libc::MAP_FAILED).then_some(pages)
}

/// Gives back what [`map_pages`] returned.
///
/// # Safety
///
/// `pages` and `bytes` are those of one `map_pages` call, and nothing refers to the memory any more.
pub unsafe fn unmap_pages(pages: *mut c_void, bytes: usize) {
    // SAFETY: the caller owns exactly this mapping.
    unsafe { libc::munmap(pages, bytes) };
}

/// Every signal blocked in the calling thread until this is dropped. Async-signal-safe.
#[derive(Debug)]
pub struct SignalsBlocked {
    before: libc::sigset_t,
}

impl SignalsBlocked {
    /// Blocks every signal that can be blocked.
    pub fn new() -> Self {
        // SAFETY: sigset_t is plain data; sigfillset overwrites it.
        let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
        // SAFETY: sigset_t is plain data; pthread_sigmask overwrites it.
        let mut before: libc::sigset_t = unsafe { core::mem::zeroed() };
        // SAFETY: a valid pointer to a local set.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: valid pointers to two local sets.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
        Self { before }
    }
}

impl Default for SignalsBlocked {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: `before` was filled by pthread_sigmask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

/// Whether the environment that this process was *started* with holds exactly `entry` (`NAME=value`).
///
/// Reads `/proc/self/environ` by bare system calls: no lock, no allocation, not affected by later changes of the
/// environment. Async-signal-safe.
pub fn started_with_environment(entry: &CStr) -> bool {
    let wanted = entry.to_bytes();
    // SAFETY: a valid C string and constant flags.
    let file = unsafe { libc::open(c"/proc/self/environ".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return false;
    }
    let mut buffer = [0u8; 512];
    // `matched` bytes of `wanted` agree with the current entry so far; None: this entry is a different one.
    let (mut matched, mut found) = (Some(0), false);
    loop {
        // SAFETY: the buffer is valid for its length.
        let count = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Ok(count @ 1..) = usize::try_from(count) else {
            break;
        };
        for &byte in &buffer[..count] {
            match (byte, matched) {
                (0, _) => {
                    found |= matched == Some(wanted.len());
                    matched = Some(0);
                }
                (byte, Some(at)) if wanted.get(at) == Some(&byte) => matched = Some(at + 1),
                _ => matched = None,
            }
        }
    }
    // SAFETY: the descriptor is ours and not used again.
    unsafe { libc::close(file) };
    found
}

/// The file of the shared object, or program, that contains `address`.
pub fn shared_object_of(address: usize) -> Option<String> {
    // SAFETY: Dl_info is plain pointers; dladdr overwrites it.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: dladdr only compares the address with the loaded objects.
    let known = unsafe { libc::dladdr(ptr::without_provenance(address), &raw mut info) };
    if known == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a C string that the loader owns, as long as the object is loaded, and here it is read at once.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(name.to_string_lossy().into_owned())
}

/// Keeps the shared object that contains `code` loaded until the process ends, whatever `dlclose` says.
///
/// Thread-exit destructors live in the object that registered them; unloading it under a thread that has yet to run
/// one would crash that thread. Not async-signal-safe.
pub fn pin_shared_object(code: usize) {
    // SAFETY: Dl_info is plain pointers; dladdr overwrites it.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: dladdr only compares the address with the loaded objects.
    let known = unsafe { libc::dladdr(ptr::without_provenance(code), &raw mut info) };
    if known == 0 || info.dli_fname.is_null() {
        return;
    }
    // The extra reference of a successful dlopen is kept on purpose. Failure (a static executable) needs no pin.
    // SAFETY: the name is a C string that the loader owns; NOLOAD runs no code of the object.
    unsafe { libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_thread_exists_and_a_wild_one_does_not() {
        assert!(thread_exists(thread_id()));
        assert_eq!(thread_state(thread_id()), Some(b'R'));
        assert!(!thread_has_ended(thread_id()) && thread_has_ended(i32::MAX));
        assert!(!thread_exists(i32::MAX));
    }

    #[test]
    fn environment_is_matched_whole() {
        let Ok(path) = std::env::var("PATH") else {
            return;
        };
        let entry = |text: &str| std::ffi::CString::new(text).expect("no zero byte");
        assert!(started_with_environment(&entry(&format!("PATH={path}"))));
        assert!(!started_with_environment(&entry(&format!("PATH={path}x"))));
        assert!(!started_with_environment(&entry("PATH")));
    }

    #[test]
    fn a_forked_process_is_told_from_one_that_was_started() {
        assert!(!was_forked());
        // SAFETY: the child makes bare system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: takes a plain integer.
            unsafe { libc::_exit(i32::from(was_forked())) };
        }
        let mut status = 0;
        // SAFETY: our child; a valid pointer to a local.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(libc::WEXITSTATUS(status), 1);
    }

    #[test]
    fn futex_wait_returns_when_the_value_differs() {
        futex_wait(&AtomicU32::new(1), 0, None);
    }
}

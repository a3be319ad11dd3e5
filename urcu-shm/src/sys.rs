//! What this crate asks of the operating system beyond what `urcu_core::sys` does.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::time::Duration;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use urcu_core::sync::AtomicU32;

/// A system call's result with its error as [`io::Error`].
fn checked(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// The size of a page.
pub(crate) fn page_size() -> usize {
    urcu_core::sys::page_size()
}

/// What `/proc` says about a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessStatus {
    pub(crate) state: u8,
    pub(crate) threads: u64,
    /// Clock ticks since the machine started.
    pub(crate) started: u64,
}

impl ProcessStatus {
    /// Whether the whole process has exited. (A leader that exited alone is a zombie with threads.)
    pub(crate) fn is_zombie(self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }

    /// Whether somebody has stopped it.
    pub(crate) fn is_stopped(self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// `None` if there is no such process or `/proc` does not tell.
pub(crate) fn process_status(pid: i32) -> Option<ProcessStatus> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which is in parentheses and may contain anything.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = core::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // The state is field 3 of the manual's table, the number of threads field 20, the start field 22.
    let threads = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(ProcessStatus { state, threads, started })
}

/// The command name of a process: what it says itself, so without anything that a terminal would do more with than show it.
pub(crate) fn process_name(pid: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).chars().map(|c| if is_harmless(c) { c } else { '?' }).collect())
}

/// Neither a control character nor one of those that change the direction or cannot be seen.
fn is_harmless(c: char) -> bool {
    let is_invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_invisible
}

/// Whether there is a process with this id.
pub(crate) fn process_exists(pid: i32) -> bool {
    // SAFETY: signal 0 checks and sends nothing.
    let code = unsafe { libc::kill(pid, 0) };
    code == 0 || urcu_core::sys::errno() != libc::ESRCH
}

/// A descriptor that becomes readable when the process exits. Errors are error numbers.
pub(crate) fn open_pidfd(pid: i32) -> Result<OwnedFd, i32> {
    // SAFETY: takes plain integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(fd) {
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(urcu_core::sys::errno()),
    }
}

/// Whether the descriptor is readable now.
pub(crate) fn is_readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry.
    let count = unsafe { libc::poll(&raw mut poll, 1, 0) };
    count == 1 && poll.revents & libc::POLLIN != 0
}

/// What names the namespaces that process ids and their start times mean something in: the inodes of those of processes and of
/// time (Linux 5.6 shows start times as of the clock of who asks). 0 if `/proc` does not tell.
pub(crate) fn pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let inode = |name| std::fs::metadata(name).map_or(0, |meta| meta.ino());
    inode("/proc/self/ns/pid") ^ inode("/proc/self/ns/time").rotate_left(32)
}

/// What tells this run of the machine from others.
pub(crate) fn boot_id() -> u64 {
    std::fs::read("/proc/sys/kernel/random/boot_id").map_or(0, |id| crate::layout::hash(&id))
}

/// The user that the process acts as.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// A new unnamed file in memory that may be sealed.
pub(crate) fn create_memfd(name: &str) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Not executable for ever, where the kernel knows of that (Linux 6.3; some are told to insist on it).
    // SAFETY: a valid C string and constant flags.
    let fd = checked(unsafe { libc::memfd_create(name.as_ptr(), flags | libc::MFD_NOEXEC_SEAL) })
        // SAFETY: as above.
        .or_else(|_| checked(unsafe { libc::memfd_create(name.as_ptr(), flags) }))?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whatever the file turns out to be: no terminal becomes this process's own, no pipe is waited for, no child inherits it.
const HARMLESS: libc::c_int = libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;

/// Opens a file; never through a symbolic link at the end of the path. `mode` only matters with `O_CREAT`.
pub(crate) fn open(path: &Path, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    open_with(path, flags | libc::O_NOFOLLOW, mode)
}

/// Opens `/proc/<pid>/fd/<n>`, which is a link.
pub(crate) fn open_descriptor(path: &Path) -> io::Result<OwnedFd> {
    open_with(path, libc::O_RDWR, 0)
}

fn open_with(path: &Path, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a valid C string.
    let fd = checked(unsafe { libc::open(path.as_ptr(), flags | HARMLESS, mode) })?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A second name for a file; fails if the name is taken.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)
}

/// What `fstat` tells that matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStatus {
    pub(crate) regular: bool,
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) size: u64,
}

pub(crate) fn file_status(fd: BorrowedFd<'_>) -> io::Result<FileStatus> {
    // SAFETY: plain data, which fstat overwrites.
    let mut stat: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: a valid pointer to a local.
    checked(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) })?;
    Ok(FileStatus {
        regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
        mode: stat.st_mode & 0o7777,
        user: stat.st_uid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
    })
}

pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: takes plain integers.
    checked(unsafe { libc::fchmod(fd.as_raw_fd(), mode) }).map(drop)
}

/// Sets the size of a fresh file, and has the system set the memory aside if `reserve`.
pub(crate) fn set_size(fd: BorrowedFd<'_>, bytes: u64, reserve: bool) -> io::Result<()> {
    let bytes = libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: takes plain integers.
    checked(unsafe { libc::ftruncate(fd.as_raw_fd(), bytes) })?;
    if reserve {
        loop {
            // SAFETY: takes plain integers; returns an error number.
            match unsafe { libc::posix_fallocate(fd.as_raw_fd(), 0, bytes) } {
                0 => break,
                // It takes long.
                libc::EINTR => {}
                error => return Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
    Ok(())
}

/// Forbids for ever to shrink or grow the file. Only a memfd can be sealed.
pub(crate) fn seal_size(fd: BorrowedFd<'_>) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: takes plain integers.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// Whether nobody can shrink the file any more.
pub(crate) fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: takes plain integers.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// Reads exactly `buffer.len()` bytes at `position`.
pub(crate) fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let position = libc::off_t::try_from(position).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: the buffer is valid for its length.
    let count = unsafe { libc::pread(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), position) };
    match usize::try_from(count) {
        Ok(count) if count == buffer.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Writes all of `bytes` at `position`.
pub(crate) fn write_at(fd: BorrowedFd<'_>, bytes: &[u8], position: u64) -> io::Result<()> {
    let position = libc::off_t::try_from(position).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: the buffer is valid for its length.
    let count = unsafe { libc::pwrite(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), position) };
    match usize::try_from(count) {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Maps the first `bytes` of a file, read-only, shared with everybody who maps it.
pub(crate) fn map(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<NonNull<u8>> {
    let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED | libc::MAP_NORESERVE);
    // SAFETY: a mapping at an address of the kernel's choice replaces nothing.
    let pages = unsafe { libc::mmap(core::ptr::null_mut(), bytes, protection, flags, fd.as_raw_fd(), 0) };
    if pages == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(pages.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Gives a mapping back.
///
/// # Safety
///
/// `pages` and `bytes` are those of one [`map`] call, and nothing refers to the memory any more.
pub(crate) unsafe fn unmap(pages: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller owns exactly this mapping.
    unsafe { libc::munmap(pages.as_ptr().cast::<c_void>(), bytes) };
}

/// Makes a part of a mapping writable, or read-only again.
///
/// # Safety
///
/// The range is whole pages of one [`map`] call; if it becomes read-only, nobody writes to it afterwards.
pub(crate) unsafe fn protect(pages: NonNull<u8>, bytes: usize, writable: bool) -> io::Result<()> {
    let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    // SAFETY: the caller's own mapping.
    checked(unsafe { libc::mprotect(pages.as_ptr().cast::<c_void>(), bytes, protection) }).map(drop)
}

/// Sleeps until another process wakes `word`, or it was not `expected` to begin with, or the timeout has passed.
pub(crate) fn shared_futex_wait(word: *const u32, expected: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    };
    // SAFETY: the kernel reads the word atomically and the timeout, which is valid for the call; a bad address would be
    // an error, not undefined behaviour.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, &raw const timeout) };
}

/// Wakes everybody who sleeps on `word`, in whatever process.
pub(crate) fn shared_futex_wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE uses the address as a key and does not access the memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

fn membarrier(command: libc::c_int) -> Result<(), i32> {
    // SAFETY: membarrier takes plain integers and touches no memory of ours.
    let code = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if code >= 0 { Ok(()) } else { Err(urcu_core::sys::errno()) }
}

/// Lets barriers of other processes reach this one. Errors are error numbers.
pub(crate) fn register_global_membarrier() -> Result<(), i32> {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
}

/// A full memory barrier on every running thread of every registered process.
///
/// # Panics
///
/// When the kernel refuses although it granted the registration: going on would be unsound.
pub(crate) fn global_membarrier() {
    if let Err(error) = membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED) {
        panic!("membarrier(GLOBAL_EXPEDITED) failed with error {error} after it had been registered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes_do_nothing_to_terminals() {
        std::thread::spawn(|| {
            // Fifteen bytes.
            let name = c"\x1b[2J\u{9b}\u{202e}\r\nab";
            // SAFETY: a C string that the kernel copies.
            assert_eq!(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }, 0);
            assert_eq!(process_name(urcu_core::sys::thread_id()).as_deref(), Some("?[2J????ab"));
        })
        .join()
        .expect("no panic");
    }
}

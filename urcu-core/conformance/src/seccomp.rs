//! System calls that the kernel refuses.

use std::io;

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Whom a filter reaches, beside the threads that they make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The calling thread.
    Thread,
    /// All threads of the process.
    Process,
}

/// From now on, `membarrier(2)` fails with `EPERM` in the calling thread and those it makes, as under the filters of
/// some container runtimes. Cannot be undone.
///
/// # Errors
///
/// Where the kernel has no filters, or a filter forbids them.
pub fn refuse_membarrier() -> io::Result<()> {
    refuse(&[libc::SYS_membarrier], libc::EPERM, Reach::Thread)
}

/// From now on, no thread (and no process) can be made: `EAGAIN`, as when there are too many. Cannot be undone.
///
/// # Errors
///
/// As [`refuse_membarrier`].
pub fn refuse_threads() -> io::Result<()> {
    refuse(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN, Reach::Thread)
}

/// From now on, these system calls fail with `errno`. Cannot be undone.
///
/// # Errors
///
/// As [`refuse_membarrier`].
pub fn refuse(calls: &[libc::c_long], errno: i32, reach: Reach) -> io::Result<()> {
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The number of the call is the first field of what a filter looks at. (Calls of other architectures' tables are not
    // told apart: the tests make none.)
    let mut filter = vec![instruction(LOAD_WORD, 0, 0, 0)];
    for call in calls {
        filter.push(instruction(JUMP_IF_EQUAL, 0, 1, u32::try_from(*call).expect("small")));
        filter.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    }
    filter.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain integers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = if reach == Reach::Process { libc::SECCOMP_FILTER_FLAG_TSYNC } else { 0 };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program and its instructions are valid for the call.
    match unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the kernel has `membarrier(PRIVATE_EXPEDITED)` for this process.
pub fn membarrier_works() -> bool {
    // SAFETY: plain integers; only asks.
    let commands = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_QUERY, 0, 0) };
    commands >= 0 && commands & libc::c_long::from(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0
}

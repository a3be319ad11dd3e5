//! Children of `fork` that go on in the same program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::watchdog;

/// A child process.
#[derive(Debug)]
#[must_use = "a child has to be waited for"]
pub struct Forked(i32);

/// Forks and runs `body` in the child, which ends with it.
///
/// The child is ended by the kernel when it takes too long. Its other threads do not exist, and nobody else must be
/// writing to the standard streams at this moment.
pub fn start(body: impl FnOnce()) -> Forked {
    // SAFETY: the child runs `body`, made for it by the test, and leaves by `_exit`; the allocator is one that the
    // system's `fork` takes care of.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            watchdog::end_by_alarm(watchdog::patient(watchdog::LIMIT));
            // Does not outlive a parent that its own watchdog ends.
            // SAFETY: plain integers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
            // SAFETY: takes a plain integer; the parent's exit handlers are not run.
            unsafe { libc::_exit(code) }
        }
        child => Forked(child),
    }
}

/// Like [`start`], and waits for the end.
#[track_caller]
pub fn run(body: impl FnOnce()) {
    start(body).succeeded();
}

impl Forked {
    /// Waits for the child, whose body has to run to its end.
    #[track_caller]
    pub fn succeeded(self) {
        let mut status = 0;
        loop {
            // SAFETY: `self.0` is a child that nobody else waits for; a valid pointer to a local.
            let ended = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
            if ended == self.0 {
                break;
            }
            let error = std::io::Error::last_os_error();
            assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "waitpid: {error}");
        }
        assert_eq!(status, 0, "the forked child failed (wait status {status:#x}); what it said is above");
    }
}

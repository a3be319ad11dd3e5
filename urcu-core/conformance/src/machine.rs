//! Who has the machine: many tests together, or one alone.
//!
//! Tests run side by side, also those of several programs. One with thousands of threads would keep the others from
//! running at all, and would not get far beside them: it waits until it is alone.

use std::env;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Held while a test runs. Given back when dropped, and by the kernel when the process ends.
#[derive(Debug)]
pub(crate) struct Share(#[expect(dead_code, reason = "the lock is the open file's")] Option<File>);

impl Share {
    /// Waits until nobody has the machine alone.
    pub(crate) fn take() -> Self {
        Self::lock(libc::LOCK_SH)
    }

    /// Waits until no other test runs.
    pub(crate) fn take_all() -> Self {
        Self::lock(libc::LOCK_EX)
    }

    fn lock(operation: i32) -> Self {
        // SAFETY: takes nothing.
        let user = unsafe { libc::getuid() };
        let path = env::temp_dir().join(format!("urcu-conformance-{user}.lock"));
        // The lock is a courtesy: where no file can be made, tests take their chance.
        let Ok(file) = File::options().read(true).write(true).create(true).truncate(false).open(path) else {
            return Self(None);
        };
        loop {
            // SAFETY: takes an open file's descriptor.
            let locked = unsafe { libc::flock(file.as_raw_fd(), operation) } == 0;
            let error = std::io::Error::last_os_error();
            if locked || error.kind() != std::io::ErrorKind::Interrupted {
                return Self(Some(file));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn one_alone_or_many() {
        static MANY: AtomicUsize = AtomicUsize::new(0);
        static ALONE: AtomicUsize = AtomicUsize::new(0);
        let many = || {
            for _ in 0..100 {
                let share = Share::take();
                MANY.fetch_add(1, Ordering::SeqCst);
                assert_eq!(ALONE.load(Ordering::SeqCst), 0);
                MANY.fetch_sub(1, Ordering::SeqCst);
                drop(share);
            }
        };
        let alone = || {
            for _ in 0..10 {
                let share = Share::take_all();
                assert_eq!(ALONE.fetch_add(1, Ordering::SeqCst), 0);
                assert_eq!(MANY.load(Ordering::SeqCst), 0);
                ALONE.fetch_sub(1, Ordering::SeqCst);
                drop(share);
            }
        };
        thread::scope(|scope| {
            scope.spawn(many);
            scope.spawn(many);
            scope.spawn(alone);
            scope.spawn(alone);
        });
    }
}

//! Clocks that jump. The library uses the monotonic clock and lengths of time only, so setting the date is nothing to it; what can
//! jump all the same is the monotonic clock of a process that wakes up in another time namespace, or was stopped.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use urcu_conformance::{forked, libc, note, task};

use super::cast::{alone, assert_still_works, registered};
use super::deferred::barrier;
use crate::rcu;

static RAN: AtomicUsize = AtomicUsize::new(0);

fn count() {
    RAN.fetch_add(1, Ordering::Relaxed);
}

/// In a child whose monotonic clock is so many seconds away from its parent's.
fn in_another_time(seconds: i64) {
    (0..10).for_each(|_| rcu::defer(count));
    // SAFETY: plain integers; children of this process are in the new namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWTIME) } != 0 {
        note(&format!("not tested, since there are no time namespaces: {}", std::io::Error::last_os_error()));
        return;
    }
    let offset = format!("monotonic {seconds} 0\nboottime {seconds} 0\n");
    // The calling thread's: `self` would be the process's first one, which has not left.
    if let Err(error) = fs::write(format!("/proc/{}/timens_offsets", task::id()), offset) {
        note(&format!("not tested, since clocks cannot be set: {error}"));
        return;
    }
    rcu::raw::fork_before();
    let before = RAN.load(Ordering::Relaxed);
    let child = forked::start(|| {
        // SAFETY: follows `fork_before`, on the child's only thread.
        unsafe { rcu::raw::fork_after_child() };
        // A snapshot across the jump means nothing, but must not panic.
        assert!(rcu::stats().pending <= 10);
        barrier();
        assert_eq!(RAN.load(Ordering::Relaxed), 10, "{before} before the fork");
        (0..2_000).for_each(|_| rcu::retire(Box::new(String::from("later, or earlier"))));
        barrier();
        assert_eq!(rcu::stats().pending, 0);
        assert_still_works();
        assert_eq!(registered(), 0);
    });
    // SAFETY: follows `fork_before`.
    unsafe { rcu::raw::fork_after_parent() };
    child.succeeded();
    barrier();
    assert_eq!(RAN.load(Ordering::Relaxed), 10);
}

#[test]
fn a_day_ahead() {
    alone(|| in_another_time(24 * 60 * 60));
}

#[test]
fn back_to_almost_nothing() {
    let uptime = || {
        let text = fs::read_to_string("/proc/uptime").ok()?;
        text.split('.').next()?.parse::<i64>().ok()
    };
    alone(|| in_another_time(-(uptime().unwrap_or(60) - 30).max(0)));
}

/// The other half of the argument: nobody asks for the date.
#[test]
fn no_library_code_asks_for_the_date() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../urcu-core/src");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = 0;
    let mut folders = vec![core, own];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                files += 1;
                for word in ["SystemTime", "CLOCK_REALTIME", "FUTEX_CLOCK_REALTIME", "gettimeofday"] {
                    assert!(!text.contains(word), "{} uses {word}", path.display());
                }
            }
        }
    }
    assert!(files > 40, "{files}");
}

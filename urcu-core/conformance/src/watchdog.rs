//! A test that takes too long says what it was doing and ends its process.

use std::env;
use std::fs;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::task;

/// How long a test may take. Generous: it is there to end what hangs, not to measure. What takes a second on a quiet machine may
/// take minutes on a busy one.
pub const LIMIT: Duration = Duration::from_secs(900);

/// The environment variable that multiplies all limits: for instrumented programs and slow machines.
const PATIENCE: &str = "URCU_PATIENCE";

/// `limit`, multiplied by what the environment says.
pub fn patient(limit: Duration) -> Duration {
    let patience = env::var(PATIENCE).ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    limit.mul_f64(patience)
}

static STEP: Mutex<String> = Mutex::new(String::new());

/// Remembers what the test is doing, for the watchdog's message.
///
/// Skipped when another thread is just doing the same; so it is safe in a forked child, too.
pub fn step(what: impl Into<String>) {
    if let Ok(mut step) = STEP.try_lock() {
        *step = what.into();
    }
}

/// Ends this process by `SIGABRT` unless it has ended before `limit` has passed.
pub fn start(test: &str, limit: Duration) {
    // Should even the watchdog's thread not run any more, the kernel ends the process.
    end_by_alarm(limit + Duration::from_secs(30));
    std::mem::forget(guard(test, limit));
}

/// Until it is dropped, the process has so much time: for one of several tests in a process.
#[derive(Debug)]
#[must_use = "the time is over when this is dropped"]
pub struct Watch(#[allow(dead_code, reason = "its end is the message")] Sender<()>);

/// Ends this process by `SIGABRT` unless what is returned is dropped before `limit` has passed.
pub fn guard(test: &str, limit: Duration) -> Watch {
    let test = test.to_owned();
    let (ended, watched) = channel::<()>();
    let watch = move || {
        if watched.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let step = STEP.try_lock().map_or_else(|_| String::from("?"), |step| step.clone());
        let mut message = format!("watchdog: {test} has not ended within {limit:?}; last step: {step}\n");
        for tid in task::all() {
            let read = |file: &str| fs::read_to_string(format!("/proc/self/task/{tid}/{file}")).unwrap_or_default();
            let state = task::state(tid).unwrap_or('?');
            message += &format!("  thread {tid} {:<16} {state} {}\n", read("comm").trim(), read("wchan"));
        }
        // Not through the standard library's lock, which a hanging thread may hold.
        let _ = fs::File::options().write(true).open("/dev/stderr").and_then(|mut it| it.write_all(message.as_bytes()));
        std::process::abort();
    };
    thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a thread for the watchdog");
    Watch(ended)
}

/// Lets the kernel end this process after `limit`; for forked children, where no watchdog thread exists.
pub fn end_by_alarm(limit: Duration) {
    let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
    // SAFETY: takes a plain integer; the default action of SIGALRM ends the process.
    unsafe { libc::alarm(seconds) };
}

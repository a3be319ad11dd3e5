//! A test body that may not hang.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Memory may end, too.
pub use urcu_conformance::allocator;

/// The environment variable that multiplies the limit: for instrumented programs and slow machines.
const PATIENCE: &str = "URCU_PATIENCE";
/// Generous: it is there to end what hangs, not to measure.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs `body` on this thread; ends the whole process, naming `test`, if it takes too long.
pub fn within_limit<R>(test: &'static str, body: impl FnOnce() -> R) -> R {
    let patience = std::env::var(PATIENCE).ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let limit = LIMIT.mul_f64(patience);
    let (ended, watched) = channel::<()>();
    let watch = move || {
        if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("watchdog: {test} has not ended within {limit:?}");
            std::process::abort();
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a thread for the watchdog");
    let result = body();
    // Closes the channel: the thread ends.
    drop(ended);
    result
}

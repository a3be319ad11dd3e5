//! A test body that may not hang.

use urcu_conformance::watchdog::{self, LIMIT, patient};

/// Runs `body` on this thread; ends the whole process, naming `test`, if it takes too long.
pub fn within_limit<R>(test: &'static str, body: impl FnOnce() -> R) -> R {
    let _watch = watchdog::guard(test, patient(LIMIT));
    body()
}

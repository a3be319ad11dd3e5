//! A contender that hangs must not hang the run silently.
//!
//! A stuck measurement cannot be stopped from outside (its threads may hold any lock), so the
//! watchdog names it and ends the process; the cases before it are already printed and recorded.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Exit status of a run that got stuck.
pub const STUCK: i32 = 3;

#[derive(Debug, Default)]
struct State {
    /// What is being measured, and when it has taken too long.
    current: Option<(String, Instant)>,
    over: bool,
}

/// Watches one measurement at a time.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Watchdog {
    /// Starts watching; `stuck` is called with the name of a measurement that overran.
    pub fn start(stuck: impl Fn(&str) + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let watched = Arc::clone(&shared);
        thread::spawn(move || {
            let (state, changed) = &*watched;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            while !state.over {
                let wait = match &state.current {
                    Some((what, limit)) if *limit <= Instant::now() => {
                        stuck(what);
                        return;
                    }
                    // Seldom enough to stay out of the measurements' way.
                    _ => Duration::from_secs(5),
                };
                state = changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
        });
        Self { shared }
    }

    /// Watches `work`, which must end within `limit`.
    pub fn watch<R>(&self, what: &str, limit: Duration, work: impl FnOnce() -> R) -> R {
        self.set(Some((what.to_owned(), Instant::now() + limit)));
        let answer = work();
        self.set(None);
        answer
    }

    fn set(&self, current: Option<(String, Instant)>) {
        let (state, _) = &*self.shared;
        state.lock().unwrap_or_else(PoisonError::into_inner).current = current;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let (state, changed) = &*self.shared;
        state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        changed.notify_all();
    }
}

/// Ends the test process, loudly, when a test hangs. One at a time: as in the program, measurements have the process to
/// themselves.
#[cfg(test)]
pub(crate) fn watched(what: &str, test: impl FnOnce()) {
    static ONLY: Mutex<()> = Mutex::new(());
    let _only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    let watchdog = Watchdog::start(|what| {
        eprintln!("{what} hangs");
        std::process::abort();
    });
    // For busy machines; far beyond what it takes.
    watchdog.watch(what, Duration::from_secs(900), test);
}

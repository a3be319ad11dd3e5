//! A test body in a process of its own.
//!
//! Flavors have global state: a registry, an initialisation, a report hook. And a broken rule may end the process. So
//! each test runs the test program again, for itself alone, and looks at how it ended.

use std::any::type_name;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Output, exit};
use std::time::Duration;

use crate::machine::Share;
use crate::{leak, notes, seed, watchdog};

/// Says which body a process is there for.
const ROLE: &str = "URCU_CONFORMANCE_ROLE";
/// The exit code of a process whose body has run to its end. Not 0: a program that ran no test ends with that.
const DONE: i32 = 42;
const PANICKED: i32 = 101;

/// How a body is to be run.
#[derive(Clone, Debug)]
pub struct OwnProcess {
    test: Option<&'static str>,
    role: &'static str,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    limit: Duration,
    crowded: bool,
}

impl Default for OwnProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl OwnProcess {
    /// In the environment and the directory of this process.
    pub const fn new() -> Self {
        Self { test: None, role: "", environment: Vec::new(), directory: None, limit: watchdog::LIMIT, crowded: false }
    }

    /// Names the body: needed where one test has several.
    #[must_use]
    pub fn role(mut self, role: &'static str) -> Self {
        self.role = role;
        self
    }

    /// Says that the test is the function that closure type `B` is in: where a helper calls [`run`](Self::run).
    #[must_use]
    pub fn of_test<B>(mut self) -> Self {
        self.test = Some(test_of::<B>());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets several.
    #[must_use]
    pub fn environment(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |this, (name, value)| this.env(name, *value))
    }

    /// Runs in another directory.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Allows another time than the usual one.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs when no other test does: for bodies with thousands of threads.
    #[must_use]
    pub fn crowded(mut self) -> Self {
        self.crowded = true;
        self
    }

    /// Runs `body`, a closure inside a test function, in a new process.
    ///
    /// The new process runs the same test function up to here; this call does not return there. In the process of
    /// another body of the same test it does nothing.
    pub fn run<B: FnOnce()>(self, body: B) -> Outcome {
        let test = self.test.unwrap_or_else(test_of::<B>);
        let role = format!("{test}#{}", self.role);
        match env::var(ROLE) {
            Ok(here) if here == role => play(test, watchdog::patient(self.limit), body),
            Ok(_) => return Outcome(None),
            Err(_) => {}
        }
        let mut command = Command::new(env::current_exe().expect("the test program's path"));
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(seed::VARIABLE, seed::seed().to_string()).envs(self.environment).env(ROLE, &role);
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        let share = if self.crowded { Share::take_all() } else { Share::take() };
        let output = command.output().expect("the test program can be run again");
        drop(share);
        notes::pass_on(test, &String::from_utf8_lossy(&output.stderr));
        Outcome(Some((role, output)))
    }
}

/// The name under which the test program knows the function that a closure is in.
fn test_of<B>() -> &'static str {
    let path = type_name::<B>();
    let path = path.find("::{{").map_or(path, |end| &path[..end]);
    path.split_once("::").map_or(path, |(_, test)| test)
}

fn play<B: FnOnce()>(test: &str, limit: Duration, body: B) -> ! {
    watchdog::start(test, limit);
    // Printed here too, with what the body says.
    seed::seed();
    let ended = catch_unwind(AssertUnwindSafe(body));
    leak::settle();
    // Threads that the body has left behind end here.
    exit(if ended.is_ok() { DONE } else { PANICKED })
}

/// How a body's process ended; nothing in the process of another body.
#[derive(Debug)]
#[must_use = "a body that failed is noticed by what is asked of its outcome"]
pub struct Outcome(Option<(String, Output)>);

impl Outcome {
    /// The body has run to its end.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.check("did not succeed", |output| output.status.code() == Some(DONE))
    }

    /// The process was ended by `signal`.
    #[track_caller]
    pub fn ended_by(self, signal: i32) -> Self {
        self.check(&format!("was not ended by signal {signal}"), |output| output.status.signal() == Some(signal))
    }

    /// The process has written all `parts` to its standard error.
    #[track_caller]
    pub fn said(self, parts: &[&str]) -> Self {
        parts.iter().fold(self, |this, part| {
            this.check(&format!("did not say {part:?}"), |output| {
                String::from_utf8_lossy(&output.stderr).contains(part)
            })
        })
    }

    /// Exactly `times` lines of its standard error contain `part`.
    #[track_caller]
    pub fn said_in_lines(self, times: usize, part: &str) -> Self {
        self.check(&format!("did not say {part:?} in {times} lines"), |output| {
            String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains(part)).count() == times
        })
    }

    #[track_caller]
    fn check(self, complaint: &str, holds: impl FnOnce(&Output) -> bool) -> Self {
        if let Some((role, output)) = &self.0
            && !holds(output)
        {
            panic!(
                "the process of {role} {complaint}: {}\n--- its output\n{}--- its errors\n{}---",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_run_elsewhere_and_are_told_apart() {
        let here = std::process::id();
        let home = OwnProcess::new().env("HOME_OF_THIS_TEST", here.to_string());
        let elsewhere = || {
            assert_ne!(env::var("HOME_OF_THIS_TEST").ok(), Some(std::process::id().to_string()));
            eprintln!("one line");
        };
        let _ = home.clone().run(elsewhere).succeeded().said(&["one line"]).said_in_lines(1, "line");
        let _ = home.role("other").run(|| std::process::abort()).ended_by(libc::SIGABRT);
    }

    #[test]
    #[should_panic(expected = "did not succeed")]
    fn a_panic_is_noticed() {
        let _ = OwnProcess::new().run(|| panic!("on purpose")).succeeded();
    }

    #[test]
    fn an_abort_is_noticed() {
        let _ = OwnProcess::new().run(|| std::process::abort()).ended_by(libc::SIGABRT);
    }

    #[test]
    fn a_body_that_hangs_is_ended_and_says_where() {
        let body = || {
            loop {
                std::thread::park();
            }
        };
        // In the body's process as well, before its time begins: it may be over before the body has run at all.
        watchdog::step("waiting for nothing");
        let outcome = OwnProcess::new().limit(Duration::from_millis(300)).run(body);
        let _ = outcome.ended_by(libc::SIGABRT).said(&["watchdog: ", "a_body_that_hangs", "waiting for nothing"]);
    }
}

//! One piece of work: it runs commands under the watchdog, keeps their output and shows that it lives.

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::failures::{self, Failure, Failures};
use crate::progress::{Progress, seconds};
use crate::results::Results;
use crate::runner::{self, End, Event};
use crate::workspace::{self, Workspace};

/// How long a single command may run when nobody says otherwise.
pub(crate) const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How a piece of work ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// Nothing was checked, and why.
    Skipped(String),
}

impl Verdict {
    pub(crate) fn of(passed: bool) -> Verdict {
        if passed { Verdict::Passed } else { Verdict::Failed }
    }
}

pub(crate) struct Job<'a> {
    pub(crate) workspace: &'a Workspace,
    progress: &'a Progress,
    limit: Duration,
    /// Shows every line at once, where a log is written.
    echo: bool,
    log: Vec<String>,
    results: Results,
    failures: Failures,
}

impl<'a> Job<'a> {
    pub(crate) fn new(workspace: &'a Workspace, progress: &'a Progress, limit: Duration) -> Job<'a> {
        let (results, failures) = (Results::default(), Failures::default());
        Job { workspace, progress, limit, echo: false, log: Vec::new(), results, failures }
    }

    /// From now on a plain log shows every line as it comes.
    pub(crate) fn echo(&mut self) {
        self.echo = self.progress.is_plain();
    }

    /// `cargo <words>` at the top of the workspace.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let mut command = workspace::cargo();
        command.current_dir(&self.workspace.root).args(words);
        if !self.progress.is_plain() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }

    /// Runs a command and collects what it says. True when it ended well.
    pub(crate) fn run(&mut self, command: Command) -> Result<bool> {
        self.say(format!("$ {}", shown(&command)));
        let end = runner::run(command, self.limit, |event| match event {
            Event::Tick => self.progress.tick(),
            Event::Line(line) => {
                self.results.read(line);
                self.failures.read(line);
                if self.echo {
                    self.progress.line(line);
                } else {
                    self.progress.status(line);
                }
                self.log.push(line.to_owned());
            }
        })?;
        if let Some(end) = shown_end(&end) {
            self.say(end);
        }
        Ok(end.success())
    }

    /// Runs commands, each with its name, up to `jobs` of them at a time. Of those that end well one line is said, and what
    /// they have noted; of the others all. True when all of them ended well.
    pub(crate) fn run_side_by_side(&mut self, jobs: usize, commands: Vec<(String, Command)>) -> Result<bool> {
        let limit = self.limit;
        let total = commands.len();
        let waiting = Mutex::new(commands.into_iter());
        let (sender, ended) = mpsc::channel();
        let mut all_well = true;
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, runner::MOST) {
                let (sender, waiting) = (sender.clone(), &waiting);
                scope.spawn(move || {
                    let next = || waiting.lock().expect("nobody panics with it").next();
                    while let Some((name, command)) = next() {
                        let started = Instant::now();
                        let mut lines = Vec::new();
                        let end = runner::run(command, limit, |event| {
                            if let Event::Line(line) = event {
                                lines.push(line.to_owned());
                            }
                        });
                        if sender.send((name, started.elapsed(), end, lines)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let mut done = 0;
            loop {
                match ended.recv_timeout(Duration::from_millis(100)) {
                    Ok((name, time, end, lines)) => {
                        done += 1;
                        all_well &= self.ended(&format!("[{done}/{total}] {name}"), &name, time, &end?, lines);
                    }
                    Err(RecvTimeoutError::Timeout) => self.progress.tick(),
                    Err(RecvTimeoutError::Disconnected) => return Ok(all_well),
                }
            }
        })
    }

    /// One of several commands has ended.
    fn ended(&mut self, label: &str, name: &str, time: Duration, end: &End, lines: Vec<String>) -> bool {
        let (mut results, mut failures) = (Results::default(), Failures::default());
        failures.enter(name);
        for line in &lines {
            results.read(line);
            failures.read(line);
        }
        let verdict = if end.success() { "ok" } else { "FAILED" };
        self.say(format!("{label}: {verdict}, {} ({})", results.summary(), seconds(time)));
        for line in lines.iter().filter(|line| !end.success() || line.starts_with(NOTE)) {
            self.say(format!("    {line}"));
        }
        if let Some(how) = shown_end(end) {
            if failures.all().is_empty() {
                let mut message = failures::essence(&lines);
                message.push(how.clone());
                failures.add("", message);
                results.failed += 1;
            }
            self.say(how);
        }
        self.log.extend(lines);
        self.results.add(&results);
        self.failures.take_over(failures);
        end.success()
    }

    /// Runs a command and returns the lines of JSON that it prints, if it ended well; the others are its output.
    pub(crate) fn lines(&mut self, command: Command) -> Result<Option<Vec<String>>> {
        self.say(format!("$ {}", shown(&command)));
        let mut lines = Vec::new();
        let end = runner::run(command, self.limit, |event| match event {
            Event::Tick => self.progress.tick(),
            Event::Line(line) if line.starts_with('{') => lines.push(line.to_owned()),
            Event::Line(line) => {
                self.progress.status(line);
                self.log.push(line.to_owned());
            }
        })?;
        if !end.success() {
            self.echo = false;
        }
        Ok(end.success().then_some(lines))
    }

    /// Runs a command whose output nobody needs. True when it ended well, false when it did not or could not start.
    pub(crate) fn probe(&self, command: Command, limit: Duration) -> bool {
        runner::run(command, limit, |_| self.progress.tick()).is_ok_and(|end| end.success())
    }

    /// Adds a line of our own.
    pub(crate) fn say(&mut self, line: String) {
        if self.echo {
            self.progress.line(&line);
        } else {
            self.progress.status(&line);
        }
        self.log.push(line);
    }

    /// What the commands said, for a failure report. Empty when it was shown already.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = &str> {
        let log: &[String] = if self.echo { &[] } else { &self.log };
        log.iter().map(String::as_str).filter(|line| !is_passed_test(line))
    }

    /// Counts a failure that no test program reports, so that the sum of a red run is never "0 failed".
    pub(crate) fn count_failure(&mut self, why: &str) {
        self.say(format!("error: {why}; counted as one failed test"));
        self.results.failed += 1;
        self.failures.enter("");
        self.failures.add(why, Vec::new());
    }

    /// What failed. Where no output named a test, the end of the output has to do.
    pub(crate) fn failures(&mut self, place: &str) -> Vec<Failure> {
        if self.failures.all().is_empty() {
            self.failures.enter(place);
            let message = failures::essence(&self.log);
            self.failures.add("", message);
        }
        self.failures.all().to_vec()
    }

    pub(crate) fn results(&self) -> &Results {
        &self.results
    }
}

/// Runs one piece of work as a command of its own: what it says is the command's output.
pub(crate) fn alone(name: &str, about: &str, work: impl FnOnce(&mut Job<'_>) -> Result<Verdict>) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    let mut progress = Progress::new(1);
    progress.begin(1, 1, name, about);
    let mut job = Job::new(&workspace, &progress, LIMIT);
    let verdict = work(&mut job)?;
    progress.finish();
    job.unseen().for_each(|line| println!("{line}"));
    Ok(match verdict {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::Skipped(why) => {
            println!("skipped: {why}");
            ExitCode::SUCCESS
        }
    })
}

/// What tests note in passing begins with this.
const NOTE: &str = "NOTE: ";

/// How a command ended that did not end well.
fn shown_end(end: &End) -> Option<String> {
    match end {
        End::Exited(status) if !status.success() => Some(format!("({status})")),
        End::Exited(_) => None,
        End::TimedOut(limit) => Some(format!(
            "error: still running after {}; it and its children were ended. The last lines above say where it hung.",
            seconds(*limit)
        )),
    }
}

fn is_passed_test(line: &str) -> bool {
    line.starts_with("test ") && line.ends_with("... ok")
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        // How cargo colours its output is nobody's business.
        if let Some(value) = value
            && name != "CARGO_TERM_COLOR"
        {
            words.push(format!("{}={:?}", name.to_string_lossy(), value.to_string_lossy()));
        }
    }
    let program = std::path::Path::new(command.get_program());
    words.push(program.file_name().unwrap_or_default().to_string_lossy().into_owned());
    words.extend(command.get_args().map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains(' ') { format!("\"{word}\"") } else { word.into_owned() }
    }));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["doc", "--no-deps", ""]).env("RUSTDOCFLAGS", "-D warnings").env("CARGO_TERM_COLOR", "always");
        assert_eq!(shown(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps \"\"");
    }
}

//! One piece of work: it runs commands under the watchdog, keeps their output and shows that it lives.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

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
}

impl<'a> Job<'a> {
    pub(crate) fn new(workspace: &'a Workspace, progress: &'a Progress, limit: Duration) -> Job<'a> {
        Job { workspace, progress, limit, echo: false, log: Vec::new(), results: Results::default() }
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
                if self.echo {
                    self.progress.line(line);
                } else {
                    self.progress.status(line);
                }
                self.log.push(line.to_owned());
            }
        })?;
        match &end {
            End::Exited(status) if !status.success() => self.say(format!("({status})")),
            End::Exited(_) => {}
            End::TimedOut(limit) => self.say(format!(
                "error: still running after {}; it and its children were ended. \
                 The last lines above say where it hung.",
                seconds(*limit)
            )),
        }
        Ok(end.success())
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

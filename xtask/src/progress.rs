//! What a person or a CI log sees while work goes on.
//!
//! On a terminal: one moving line with step, elapsed time and the latest output. Elsewhere: one line
//! when a step begins, a sign of life while it is silent, one line when it ends.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long a plain log may stay silent.
const SILENCE: Duration = Duration::from_secs(30);

pub(crate) struct Progress {
    /// On a terminal only.
    bar: Option<ProgressBar>,
    /// The running step as a plain log names it.
    label: String,
    began: Instant,
    last_sign: Cell<Instant>,
}

impl Progress {
    /// Prepares to show `total` steps.
    pub(crate) fn new(total: usize) -> Progress {
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        // What is redirected is a log, and a log wants the plain form.
        let moving = std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && !in_ci;
        Progress {
            bar: moving.then(|| {
                let style = "{spinner} {bar:12} {elapsed:>4} {prefix:.bold}  {wide_msg:.dim}";
                let style = ProgressStyle::with_template(style).expect("a valid template");
                ProgressBar::new(total as u64).with_style(style)
            }),
            label: String::new(),
            began: Instant::now(),
            last_sign: Cell::new(Instant::now()),
        }
    }

    /// Whether output goes to a log instead of a terminal.
    pub(crate) fn is_plain(&self) -> bool {
        self.bar.is_none()
    }

    /// A step begins; `position` counts from one.
    pub(crate) fn begin(&mut self, position: usize, total: usize, name: &str, about: &str) {
        self.began = Instant::now();
        self.last_sign.set(self.began);
        self.label = format!("[{position}/{total}] {name}");
        match &self.bar {
            Some(bar) => {
                bar.set_position(position as u64 - 1);
                bar.set_prefix(self.label.clone());
                bar.set_message(about.to_owned());
                bar.tick();
            }
            None => say(&format!("{}: {about}", self.label)),
        }
    }

    /// The latest that is known about the running step; it is shown in passing.
    pub(crate) fn status(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&self) {
        match &self.bar {
            Some(bar) => bar.tick(),
            None if self.last_sign.get().elapsed() >= SILENCE => {
                say(&format!("{}: still running, {}", self.label, seconds(self.began.elapsed())));
                self.last_sign.set(Instant::now());
            }
            None => {}
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => {
                say(text);
                self.last_sign.set(Instant::now());
            }
        }
    }

    /// The running step has ended with `result`.
    pub(crate) fn end(&self, result: &str) {
        self.line(&format!("{}: {result} ({})", self.label, seconds(self.began.elapsed())));
    }

    /// All steps have ended.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints a line, whether or not anybody still reads it.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A duration as people read it: `7.3 s`, `2 min 05 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(seconds(Duration::from_millis(7_340)), "7.3 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}

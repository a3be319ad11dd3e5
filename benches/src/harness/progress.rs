//! How far the run is and how long it will still take.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on a terminal, one line per case elsewhere.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    terminal: bool,
}

impl Progress {
    /// A run of so many cases that should take about `expected`.
    pub fn new(cases: usize, expected: Duration) -> Self {
        let terminal = stderr().is_terminal();
        let bar = ProgressBar::new(millis(expected));
        // No ticking thread: it would wake up in the middle of measurements.
        bar.set_draw_target(if terminal {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/blue} {percent:>3}%  {prefix} left  {wide_msg}") {
            bar.set_style(style);
            bar.set_prefix(clock(expected));
        }
        if !terminal && cases != 0 {
            eprintln!("{cases} cases, about {}", HumanDuration(expected));
        }
        Self { bar, start: Instant::now(), terminal }
    }

    /// A case begins, with so much time left to the end of the run.
    pub fn case(&self, title: &str, left: Duration) {
        if !self.terminal {
            eprintln!("measuring {title} (about {} left)", HumanDuration(left));
        }
    }

    /// A measurement begins, with so much time left to the end of the run.
    pub fn shot(&self, what: &str, left: Duration) {
        if self.terminal {
            let elapsed = self.start.elapsed();
            self.bar.set_length(millis(elapsed + left));
            self.bar.set_position(millis(elapsed));
            self.bar.set_prefix(clock(left));
            self.bar.set_message(what.to_owned());
        }
    }

    /// Prints on stdout without tearing the bar.
    pub fn print(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// The run is over.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Minutes and seconds, always as wide.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:>2}:{:02}", seconds / 60, seconds % 60)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_in_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_millis(119_900)), " 1:59");
        assert_eq!(clock(Duration::ZERO), " 0:00");
    }
}

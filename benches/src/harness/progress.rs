//! How far the run is and how long it will still take.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on a terminal, one line per case elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    /// A run of `shots` measurements that should take about `expected`.
    pub fn new(shots: u64, expected: Duration) -> Self {
        let terminal = stderr().is_terminal();
        let bar = ProgressBar::new(millis(expected));
        // No ticking thread: it would wake up in the middle of measurements.
        bar.set_draw_target(if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30.cyan/blue} {percent:>3}%  {elapsed} elapsed, about {eta} left  {msg}")
        {
            bar.set_style(style);
        }
        if !terminal {
            eprintln!("{shots} measurements, about {}", indicatif::HumanDuration(expected));
        }
        Self { bar, terminal }
    }

    /// A case begins.
    pub fn case(&self, title: &str) {
        if !self.terminal {
            let left = self.bar.eta();
            if self.bar.position() == 0 {
                eprintln!("measuring {title}");
            } else {
                eprintln!("measuring {title} (about {} left)", indicatif::HumanDuration(left));
            }
        }
    }

    /// A measurement begins.
    pub fn shot(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// A measurement is over that was expected to take so long.
    pub fn done(&self, expected: Duration) {
        self.bar.inc(millis(expected));
    }

    /// Prints on stdout without tearing the bar.
    pub fn print(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// The run is over.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

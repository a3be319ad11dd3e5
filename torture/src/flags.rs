//! The command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// A flavor by its short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlavorName {
    Qsbr,
    Mb,
    Membarrier,
    Signal,
    Bp,
}

impl FlavorName {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Qsbr => "qsbr",
            Self::Mb => "mb",
            Self::Membarrier => "membarrier",
            Self::Signal => "signal",
            Self::Bp => "bp",
        }
    }
}

/// What is to happen. Readers with sections are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Updaters that wait.
    Synchronize,
    /// Updaters that hand heads to a worker.
    CallRcu,
    /// Updaters that defer closures, functions, and what only frees memory.
    Defer,
    /// Updaters that ask whether a grace period has ended, or await it.
    Poll,
    /// Floods of calls against low limits; workers that come and go.
    Flood,
    /// Reader threads that register, leave and end all the time.
    Churn,
    /// Sections in sections.
    Nest,
    /// Sections in which the thread sleeps.
    Sleep,
    /// Signals at any instruction, with handlers that sleep, yield, and read where the flavor allows it.
    Signals,
    /// A reader whose store buffer is full when it enters. Named alone, nothing else runs: it finds missing barriers, as long as
    /// there are processors to spare.
    Race,
    /// Forks, with children that go on.
    Fork,
    /// Processors taken away and given back: more threads than processors.
    Affinity,
}

impl Mode {
    fn is_updater(self) -> bool {
        matches!(self, Self::Synchronize | Self::CallRcu | Self::Defer | Self::Poll)
    }
}

/// Objects age by one with each grace period; readers must never see one that is older than one.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask torture")]
pub(crate) struct Flags {
    /// Which flavors; each runs in a process of its own.
    #[arg(long, value_name = "FLAVOR", value_delimiter = ',', default_value = "qsbr,mb,membarrier,signal,bp")]
    pub(crate) flavor: Vec<FlavorName>,
    /// For how many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) duration: u64,
    /// Repeats the random choices of another run. (The scheduler's remain its own.)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// What is to happen; everything when none is named. Updaters that wait are added when no updater is named.
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub(crate) mode: Vec<Mode>,
    /// How many reader threads; twice the processors and one, at most nine, unless said otherwise.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) readers: Option<u64>,
    /// One flavor after the other instead of all at once.
    #[arg(long)]
    pub(crate) one_by_one: bool,
    /// This is the process of one flavor.
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

impl Flags {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.duration)
    }

    /// Whether `mode` was chosen.
    pub(crate) fn does(&self, mode: Mode) -> bool {
        self.mode.is_empty()
            || self.mode.contains(&mode)
            || (mode == Mode::Synchronize && !self.is_race_alone() && !self.mode.iter().any(|mode| mode.is_updater()))
    }

    /// The race needs the processors for itself.
    pub(crate) fn is_race_alone(&self) -> bool {
        self.mode == [Mode::Race]
    }

    pub(crate) fn readers(&self) -> u64 {
        if self.is_race_alone() {
            return 0;
        }
        let processors = std::thread::available_parallelism().map_or(2, usize::from) as u64;
        self.readers.unwrap_or(2 * processors.min(4) + 1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn there_is_always_an_updater() {
        let flags = |words: &[&str]| Flags::parse_from(["torture"].iter().chain(words));
        assert!(flags(&[]).does(Mode::Synchronize) && flags(&[]).does(Mode::Fork));
        let churn = flags(&["--mode", "churn,call-rcu"]);
        assert!(churn.does(Mode::CallRcu) && !churn.does(Mode::Synchronize) && !churn.does(Mode::Fork));
        assert!(flags(&["--mode", "race,nest"]).does(Mode::Synchronize));
        assert!(!flags(&["--mode", "race"]).does(Mode::Synchronize));
    }
}

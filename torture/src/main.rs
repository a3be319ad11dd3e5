//! Torture: `cargo xtask torture`.
//!
//! Objects age by one with each grace period after they were unlinked. A reader may find an object that is current (age
//! 0) or has just been unlinked (age 1). An older one has survived a grace period under the reader's eyes: then the flavor
//! is broken.
//!
//! Each flavor runs in a process of its own, so that a crash or a hang of one is a finding and not the end: [`parent`] starts
//! and watches them, [`child`] is one of them. [`world`] has what readers and updaters share, [`object`] what they look at.
//!
//! | who | where |
//! |---|---|
//! | readers: joining, leaving, nesting, sleeping, preempted at marked points | [`reader`] |
//! | updaters: synchronize, call_rcu, defer, polling | [`updater`] |
//! | floods of calls against low limits, and workers that come and go | [`flood`] |
//! | a reader whose store buffer is full: the one race that barriers are for | [`race`] |
//! | signals at any instruction, whose handlers sleep, yield and read | [`signals`] |
//! | forks, processors taken away | [`disturbance`] |
//!
//! There is nothing expedited to be tried apart: every grace period is run at once, by whoever waits for it.

mod child;
mod disturbance;
mod flags;
mod flood;
mod object;
mod parent;
mod race;
mod reader;
mod record;
mod signals;
mod updater;
mod world;

use std::process::ExitCode;

use clap::Parser;

use flags::Flags;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.child {
        return child::run(&flags);
    }
    parent::run(&flags).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

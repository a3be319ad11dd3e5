//! `cargo xtask fuzz`: random programs over all structures and flavors, for as long as one likes. A short run is part of the tests.

use std::process::ExitCode;

use anyhow::Result;

use crate::flags::FuzzFlags;
use crate::job::{self, Verdict};

/// The test program's variables: how long each flavor's programs go on, and what they are made up from.
const LENGTH: &str = "URCU_FUZZ_SECONDS";
const SEED: &str = "URCU_SEED";

pub(crate) fn run(flags: &FuzzFlags) -> Result<ExitCode> {
    job::alone("fuzz", "random programs of three threads", |job| {
        job.echo();
        let mut command = job.cargo(&["test", "--release", "--package", "urcu-fuzz", "--test", "programs", "--"]);
        command.args(["--nocapture", "--test-threads", "1"]).args(&flags.flavor);
        // All five share the time; the limits of tests grow with it.
        let each = (flags.duration as f64 / flags.flavor.len().max(1) as f64).max(0.1);
        let each = if flags.flavor.is_empty() { flags.duration as f64 / 5.0 } else { each };
        command.env(LENGTH, each.to_string()).env("URCU_PATIENCE", (1.0 + each / 60.0).to_string());
        if let Some(seed) = flags.seed {
            command.env(SEED, seed.to_string());
        }
        Ok(Verdict::of(job.run(command)?))
    })
}

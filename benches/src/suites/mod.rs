//! The suites, one file each.

pub mod grace;
pub mod read;

use crate::harness::plan::Suite;

/// All of them, in the order of the run.
pub const ALL: [Suite; 2] = [read::SUITE, grace::SUITE];

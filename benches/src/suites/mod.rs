//! The suites, one file or folder each.

pub mod grace;
pub mod map;
pub mod read;
pub mod reclaim;
pub mod route;

use crate::harness::plan::Suite;

/// All of them, in the order of the run.
pub const ALL: [Suite; 5] = [read::SUITE, grace::SUITE, reclaim::SUITE, map::SUITE, route::SUITE];

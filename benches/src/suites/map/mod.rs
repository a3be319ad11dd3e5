//! Suite `map`: concurrent hash maps.

mod face;

use crate::harness::plan::Suite;

/// The suite.
pub const SUITE: Suite =
    Suite { name: "map", about: "Concurrent hash maps: lookups, updates, growth, memory.", cases: face::cases };

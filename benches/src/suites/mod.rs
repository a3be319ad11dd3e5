//! The suites, one file or folder each.

pub mod grace;
pub mod instructions;
pub mod list;
pub mod map;
pub mod mixing;
pub mod queue;
pub mod quick;
pub mod read;
pub mod reclaim;
pub mod route;
pub mod scale;
pub mod shm;
pub mod stack;

use crate::harness::plan::Suite;

/// All of them, in the order of the run.
pub const ALL: [Suite; 12] = [
    read::SUITE,
    grace::SUITE,
    reclaim::SUITE,
    list::SUITE,
    stack::SUITE,
    queue::SUITE,
    map::SUITE,
    route::SUITE,
    mixing::SUITE,
    scale::SUITE,
    shm::SUITE,
    instructions::SUITE,
];

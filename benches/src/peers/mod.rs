//! Other people's schemes for reading a shared pointer safely, one small adapter each.

pub mod crossbeam_epoch;
pub mod haphazard;
pub mod kovan;
pub mod seize;

use crate::workload::Subject;

/// A peer that reads a shared pointer.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The crate's name.
    pub name: &'static str,
    /// Whether its sections nest.
    pub nests: bool,
    /// Makes what its threads share.
    pub subject: fn() -> Box<dyn Subject>,
}

/// All of them, in the order of the tables.
pub const ALL: [Peer; 4] = [crossbeam_epoch::PEER, kovan::PEER, seize::PEER, haphazard::PEER];

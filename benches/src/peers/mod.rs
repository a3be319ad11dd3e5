//! Other people's schemes for reading a shared pointer safely and freeing what has been unlinked, one small adapter each.

pub mod arc_swap;
pub mod cell;
pub mod crossbeam_epoch;
pub mod haphazard;
pub mod kovan;
pub mod lists;
pub mod locks;
pub mod sdd;
pub mod seize;
pub mod treiber;

use crate::reclaim::Reclaimer;

/// A peer.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The crate's name.
    pub name: &'static str,
    /// Whether its sections nest.
    pub nests: bool,
    /// Makes what its threads share.
    pub subject: fn() -> Box<dyn Reclaimer>,
}

/// All of them, in the order of the tables.
pub const ALL: [Peer; 10] = [
    crossbeam_epoch::PEER,
    kovan::PEER,
    seize::PEER,
    sdd::PEER,
    haphazard::PEER,
    arc_swap::PEER,
    locks::STD_RWLOCK,
    locks::PARKING_LOT_RWLOCK,
    locks::STD_MUTEX,
    locks::PARKING_LOT_MUTEX,
];

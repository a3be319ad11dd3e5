//! What the tests of every structure share.
//!
//! | tool | where |
//! |---|---|
//! | one test body under each of the five flavors | [`on_every_flavor!`], [`Tested`] |
//! | a test with a time limit | [`within_limit`] |
//! | a test in a process of its own, or in a forked child | [`OwnProcess`], [`forked`] |
//! | random numbers that can be repeated, objects that count their drops | [`seed`], [`Counted`] |
//! | allocations that fail | [`allocator`] |
//! | concurrent histories, checked against a sequential model | [`linearizability`], [`linearizability::Rounds`] |

mod flavors;
mod limit;
pub mod linearizability;

pub use flavors::Tested;
pub use limit::within_limit;
pub use urcu_bp::Flavor as Bp;
pub use urcu_conformance::{Counted, Counts, Gate, OwnProcess, allocator, forked, seed, until};
pub use urcu_core::{FlavorVtable, Thread};
pub use urcu_mb::Flavor as Mb;
pub use urcu_membarrier::Flavor as Membarrier;
pub use urcu_qsbr::Flavor as Qsbr;
pub use urcu_signal::Flavor as Signal;

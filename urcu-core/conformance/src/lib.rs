//! The tools of the contract suite.
//!
//! The suite itself is source text, in `suite/`: it is written once over `crate::rcu`, and each flavor's
//! `tests/conformance.rs` includes it. What is in this library does not depend on the flavor.
//!
//! | tool | where |
//! |---|---|
//! | what flavors may differ in | [`Traits`] |
//! | a test in a process of its own, with a time limit | [`OwnProcess`], [`watchdog`], [`note`] |
//! | deterministic interleavings | [`Gate`], [`Count`], [`until`], [`task`] |
//! | random numbers that can be repeated | [`seed`] |
//! | ends of processes and threads | [`forked`], [`c_thread`], [`panics`] |
//! | signals, refused system calls, allocations that fail | [`signal`], [`seccomp`], [`allocator`] |
//! | objects that notice being reclaimed | [`Shelf`], [`Counted`] |
//! | what is left behind on purpose | [`leak()`] |
//! | what the machine can bear | [`spare`] |
//! | programs that must not compile | [`compile_fail`] |
//!
//! | in the environment | |
//! |---|---|
//! | `URCU_SEED=<number>` | repeats a run's random numbers |
//! | `URCU_PATIENCE=<factor>` | multiplies all time limits: for sanitizers and slow machines |
//! | `URCU_BLESS=1` | takes what the compiler says for what it has to say |

pub mod allocator;
pub mod c_thread;
pub mod compile_fail;
pub mod forked;
mod gate;
mod leak;
mod machine;
mod notes;
mod objects;
mod own_process;
pub mod panics;
pub mod seccomp;
pub mod seed;
pub mod signal;
pub mod spare;
#[cfg(target_arch = "x86_64")]
pub mod stepper;
pub mod task;
mod traits;
pub mod watchdog;

pub use gate::{Count, Gate, RaisedAtEnd, until};
pub use leak::leak;
pub use libc;
pub use notes::note;
pub use objects::{Counted, Counts, Object, Shelf};
pub use own_process::{Outcome, OwnProcess};
pub use traits::{InHandlers, Traits};

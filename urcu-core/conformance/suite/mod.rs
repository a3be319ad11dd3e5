//! The contract of every flavor, as tests over `crate::rcu`.
//!
//! Included by each flavor's `tests/conformance.rs`, which names the flavor `rcu` and its answers `TRAITS`. Each test
//! runs in a process of its own, so counts of registered threads are exact and a broken rule may end the process.
//!
//! One file per idea. Every file is about the API that all flavors share; where a flavor forbids or adds something, a
//! constant of [`Traits`](urcu_conformance::Traits) says so, and the test checks that instead.

#![allow(
    clippy::assertions_on_constants,
    clippy::absurd_extreme_comparisons,
    clippy::unit_arg,
    reason = "what is a constant for one flavor is not for another"
)]

pub(crate) mod cast;

mod ages;
mod allocations;
mod clocks;
mod counted;
mod deferred;
mod deferred_fork;
mod dyn_threads;
mod exit;
mod exit_destructors;
mod faults;
mod fork;
mod grace_periods;
mod handlers;
mod limits;
mod misuse;
mod nesting;
mod no_worker;
mod offline;
mod pointers;
mod raw_tier;
mod registration;
mod scale;
#[cfg(target_arch = "x86_64")]
mod stepped;
// ThreadSanitizer has no threads in the children of a program with threads.
#[cfg(all(target_arch = "x86_64", not(sanitized)))]
mod stepped_forks;
mod stopped;
mod store_buffers;
mod vtable;
mod wake;
mod workers;

//! Lock-free and wait-free stacks.

pub mod raw;

// The model checker explores the raw tier; its atomics cannot be in memory that is used again without being dropped.
#[cfg(not(urcu_loom))]
mod batch;
#[cfg(not(urcu_loom))]
mod cache;
#[cfg(not(urcu_loom))]
mod guarded;
#[cfg(not(urcu_loom))]
mod kind;
#[cfg(not(urcu_loom))]
mod lock;
#[cfg(not(urcu_loom))]
mod locked;
#[cfg(not(urcu_loom))]
mod node;
#[cfg(not(urcu_loom))]
mod serial;
#[cfg(not(urcu_loom))]
mod stack;

#[cfg(not(urcu_loom))]
pub use {
    batch::{Batch, Batches},
    cache::trim_node_cache,
    guarded::{Guarded, LfStack, WfStack},
    kind::Kind,
    locked::LockedStack,
    serial::{Consumer, Serial, SerialLfStack, SerialWfStack},
    stack::{Protection, Stack},
};

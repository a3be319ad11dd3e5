//! The hash tables under the model checker.
#![cfg(urcu_loom)]

#[path = "loom/map.rs"]
mod map;
#[path = "loom/raw.rs"]
mod raw;

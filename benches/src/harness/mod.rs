//! The harness: interleaved rounds, medians, ratios, tables.

pub mod beside;
pub mod interrupt;
pub mod log;
pub mod plan;
pub mod progress;
pub mod run;
pub mod share;
pub mod stats;
pub mod table;
pub mod threads;
pub mod watchdog;

//! The benchmark matrix: every flavor against its peers and the physical limit.
//!
//! `suites` says what is measured, `contenders` and `peers` who takes part, `limits` what the
//! machine could do, `harness` how it is measured. The program (`cargo xtask bench`) and the
//! criterion benches share all of it. See the README of this folder for how to read the figures.

pub mod baseline;
pub mod blocks;
pub mod cli;
pub mod clock;
pub mod contenders;
pub mod counting;
pub mod extent;
pub mod harness;
pub mod idle_process;
pub mod idle_threads;
pub mod limits;
pub mod lists;
pub mod machine;
pub mod map_process;
pub mod maps;
pub mod output;
pub mod peers;
pub mod pool;
pub mod publish;
pub mod queues;
pub mod reasons;
pub mod reclaim;
pub mod record;
pub mod report;
pub mod shm;
pub mod stacks;
pub mod suites;
pub mod verdict;
pub mod workload;

//! The C library's model: intrusive nodes that the caller allocates, unsafe functions.
//!
//! | C header | here |
//! |---|---|
//! | `urcu/wfcqueue.h` (`cds_wfcq_*`) | [`wfcqueue`] |
//! | `urcu/rculfqueue.h` (`cds_lfq_*_rcu`) | [`lfqueue`] |
//! | `urcu/wfqueue.h` (`cds_wfq_*`) | deprecated there in favour of `wfcqueue.h`, and absent here: see [`wfcqueue`] |
//!
//! Structures have the size, the alignment and the field offsets of liburcu 0.13 and later on x86-64.

pub mod lfqueue;
pub mod wfcqueue;

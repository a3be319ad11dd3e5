//! The heavy barrier: `membarrier(2)`, or a full fence where it is missing.

use urcu_core::Membarrier;

pub(crate) static MEMBARRIER: Membarrier = Membarrier::new();

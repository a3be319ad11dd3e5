//! The contract of every flavor, for this one where `membarrier(2)` is missing: readers on full fences.

use urcu_conformance::{InHandlers, Traits};
use urcu_membarrier as rcu;

const TRAITS: Traits = Traits {
    registers_itself: false,
    quiescent_states: false,
    in_handlers: InHandlers::OnceRegistered,
    spans_processes: false,
    environment: &[("URCU_MEMBARRIER", "off")],
};

#[path = "../../urcu-core/conformance/suite/mod.rs"]
mod suite;

//! The contract of every flavor, for this one where `membarrier(2)` is missing: readers on full fences.

use urcu_bp as rcu;
use urcu_conformance::{InHandlers, Traits};

const TRAITS: Traits = Traits {
    registers_itself: true,
    quiescent_states: false,
    in_handlers: InHandlers::Always,
    spans_processes: false,
    environment: &[("URCU_MEMBARRIER", "off")],
};

#[path = "../../urcu-core/conformance/suite/mod.rs"]
mod suite;

//! The contract of every flavor, for this one.

use urcu_bp as rcu;
use urcu_conformance::{InHandlers, Traits};

const TRAITS: Traits = Traits {
    registers_itself: true,
    quiescent_states: false,
    in_handlers: InHandlers::Always,
    environment: &[],
    spans_processes: false,
};

#[path = "../../urcu-core/conformance/suite/mod.rs"]
mod suite;

#[path = "../../urcu-core/conformance/membarrier/mod.rs"]
mod membarrier;

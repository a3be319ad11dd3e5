//! The contract of every flavor, for this one.

use urcu_conformance::{InHandlers, Traits};
use urcu_membarrier as rcu;

const TRAITS: Traits = Traits {
    registers_itself: false,
    quiescent_states: false,
    in_handlers: InHandlers::OnceRegistered,
    spans_processes: false,
    environment: &[],
};

#[path = "../../urcu-core/conformance/suite/mod.rs"]
mod suite;

#[path = "../../urcu-core/conformance/membarrier/mod.rs"]
mod membarrier;

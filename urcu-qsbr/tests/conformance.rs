//! The contract of every flavor, for this one.

use urcu_conformance::{InHandlers, Traits};
use urcu_qsbr as rcu;

const TRAITS: Traits = Traits {
    registers_itself: false,
    quiescent_states: true,
    in_handlers: InHandlers::Never,
    environment: &[],
    spans_processes: false,
};

#[path = "../../urcu-core/conformance/suite/mod.rs"]
mod suite;

//! The contract of every flavor, for this one: in a process that may write, with barriers by `membarrier`.

use urcu_conformance::{InHandlers, Traits};
use urcu_shm as rcu;
use urcu_shm::{Access, Barriers};

const TRAITS: Traits = Traits {
    registers_itself: false,
    quiescent_states: false,
    in_handlers: InHandlers::OnceRegistered,
    spans_processes: true,
    environment: &[],
};

#[path = "own_segment/mod.rs"]
mod own_segment;

#[path = "../../urcu-core/conformance/suite/mod.rs"]
mod suite;

own_segment::attach_at_start!(Barriers::Membarrier, Access::Write);

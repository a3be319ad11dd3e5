//! Model checking: every interleaving, and every value that the memory model lets a load see.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release --target-dir target/loom -p urcu-core --test loom`, or
//! `cargo xtask loom`. What `explore` is called with bounds the preemptions.
#![cfg(urcu_loom)]

#[path = "loom/completion.rs"]
mod completion;
#[path = "loom/deferred.rs"]
mod deferred;
#[path = "loom/event.rs"]
mod event;
#[path = "loom/flavor.rs"]
mod flavor;
#[path = "loom/grace_period.rs"]
mod grace_period;
#[path = "loom/objects.rs"]
mod objects;
#[path = "loom/pointers.rs"]
mod pointers;
#[path = "loom/queue.rs"]
mod queue;
#[path = "loom/refcount.rs"]
mod refcount;

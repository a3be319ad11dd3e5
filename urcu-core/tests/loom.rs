//! Model checking: every interleaving, and every value that the memory model lets a load see.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release --target-dir target/loom -p urcu-core --test loom`, or
//! `cargo xtask loom`.
#![cfg(urcu_loom)]

#[path = "loom/event.rs"]
mod event;
#[path = "loom/refcount.rs"]
mod refcount;

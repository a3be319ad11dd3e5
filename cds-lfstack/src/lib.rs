//! Stacks for many threads: last in, first out, without locks or with the fastest one.
//!
//! | type | push | pop | pops need | choose it |
//! |---|---|---|---|---|
//! | [`LfStack`] | lock-free | lock-free | a section of the stack's flavor | when no thread may hold up another, and many pop |
//! | [`WfStack`] | wait-free | waits for a push that is half done | a section of the stack's flavor | when pushes must end in a bounded number of steps |
//! | [`SerialLfStack`], [`SerialWfStack`] | the same two | wait-free, or waits for a half-done push | the one [`Consumer`] at a time | when one thread pops, or few take turns |
//! | [`LockedStack`] | blocks | blocks | nothing | when throughput is all that counts |
//!
//! Progress is that of the stack's own steps. Allocating a node, when the thread's cache has none, is as good as the allocator; and
//! one guarded pop in eight retires a group of nodes, which may wait beyond the flavor's hard limit.
//!
//! All are linearizable, each by itself: what two threads see of two stacks may differ on machines whose memory order is weak. Values are moved in and out; a popped value is the caller's at once, whatever becomes of the
//! node that it was in. The raw tier, with intrusive nodes and the C library's model, is [`raw`].
//!
//! ```
//! use cds_lfstack::LfStack;
//! use urcu_membarrier as rcu;
//!
//! let stack = LfStack::new(rcu::vtable());
//! std::thread::scope(|scope| {
//!     for worker in 0..4 {
//!         let stack = &stack;
//!         scope.spawn(move || {
//!             stack.push(worker);
//!             let thread = rcu::register().unwrap();
//!             let popped = stack.pop(&thread.read_lock());
//!             // Whoever comes here has pushed one more than it has popped.
//!             assert!(popped.is_some());
//!         });
//!     }
//! });
//! assert!(stack.is_empty());
//! ```
//!
//! # Who excludes whom
//!
//! | | `push`, `push_all`, `is_empty` | `pop`, `try_pop` | `pop_all` |
//! |---|---|---|---|
//! | [`LfStack`], [`WfStack`] | any context, at any time | inside a section, at any time | any context, at any time |
//! | serial ones | any context, at any time | one consumer at a time: by the handle, or a lock per call | as `pop` |
//!
//! A pop reads the link of a node that another pop may take away meanwhile. That node must not be freed, nor pushed again
//! before the first pop has ended (the ABA problem). The C library leaves the choice of a remedy to the caller; here it is
//! the type's: [`Guarded`] stacks retire the memory of nodes through the flavor's grace periods, and [`Serial`] ones give
//! out the right to pop once at a time. A consumer takes all that was pushed by one exchange and then pops without any
//! locked instruction. None of these must be called in a signal handler.
//!
//! # What it costs, and why it is built so
//!
//! Orders of magnitude on a current x86-64 server processor: a locked instruction takes 5 ns, handing a cache line to
//! another processor 50 to 100 ns, `malloc` and `free` together 20 to 30 ns.
//!
//! - **A pair** of push and pop on one thread is two locked instructions, 11 ns, on the raw tier and in [`LockedStack`];
//!   14 to 17 ns with nodes and sections. A mutex around a vector takes four locked instructions, 22 ns.
//! - **Nodes** come from caches per thread, by size, and full lists go through a depot that threads share: a few
//!   nanoseconds instead of the allocator's 25. Under [`Guarded`] they are retired eight at a time, so that a grace period is
//!   shared by some four thousand nodes. Eight is a compromise: with many more, the nodes that wait do not fit the
//!   processor's caches; with one, each call of deferred reclamation would cost as much as a locked instruction. What is kept
//!   is bounded (512 KiB per size of node, plus 17 lists of 32 per thread); [`trim_node_cache`] gives it back.
//! - **Contention**: who loses a race [stays away](urcu_core::Absence) for one to three microseconds, and for ten to twenty at
//!   most if it loses again and again. The winner keeps the cache line meanwhile and does dozens of operations at the speed
//!   of one processor. The price is a longer wait for the one operation that has lost.
//! - **[`LockedStack`]** is what remains when nobody's progress counts: no nodes, and a lock given back by a plain store,
//!   where a mutex needs a second locked instruction. The price is that a thread that is stopped inside stops all others.
//!   Where one thread pops, a [`Consumer`] that is kept is faster still: 8 ns a pair in bursts.
//! - Not chosen: elimination and flat combining. With one locked instruction per operation and the line kept by the winner,
//!   they have little left to save on few processors, and cost each operation that does not need them.
//!
//! The measurements: `cargo xtask bench --only stack`.
//!
//! # fork
//!
//! A forked child may go on with the lock-free and wait-free stacks if the flavor's hooks were called; a push that another
//! thread was in the middle of is lost there, and with a [`WfStack`] what is below it cannot be reached: pops wait for ever. It
//! must not use a serial or locked stack in which another thread may have been.

pub mod raw;

// The model checker explores the raw tier: its atomics cannot lie in memory that is used again without being dropped.
#[cfg(not(urcu_loom))]
mod batch;
#[cfg(not(urcu_loom))]
mod cache;
#[cfg(not(urcu_loom))]
mod guarded;
#[cfg(not(urcu_loom))]
mod kind;
#[cfg(not(urcu_loom))]
mod locked;
#[cfg(not(urcu_loom))]
mod node;
#[cfg(not(urcu_loom))]
mod serial;
#[cfg(not(urcu_loom))]
mod stack;

#[cfg(not(urcu_loom))]
pub use {
    batch::{Batch, Batches},
    cache::trim_node_cache,
    guarded::{Guarded, LfStack, WfStack},
    kind::Kind,
    locked::LockedStack,
    serial::{Consumer, Serial, SerialLfStack, SerialWfStack},
    stack::{Protection, Stack},
};

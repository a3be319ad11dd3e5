//! Queues: first in, first out, wait-free or lock-free, under any flavor of RCU or under none.
//!
//! | | producers | consumers | enqueue | dequeue | needs |
//! |---|---|---|---|---|---|
//! | [`WfcQueue`] | many | one at a time | **wait-free** | waits for a half done enqueue | nothing |
//! | [`SegmentQueue`] | many | one at a time | lock-free except at the end of an array | waits for a half done enqueue | nothing |
//! | [`LfQueue`] | many | many | lock-free | **lock-free** | sections of one flavor |
//! | [`BoundedQueue`] | many | many | one locked instruction; says when it is full | one locked instruction; both wait for a half done operation on their slot | room for all its values, beforehand |
//! | [`LockedQueue`] | many | many | waits for the lock | waits for the lock | nothing |
//! | [`raw::wfcqueue`] | many | one at a time | wait-free | blocking, or says that it would | your nodes |
//! | [`raw::lfqueue`] | many | many | lock-free | lock-free | your nodes, sections |
//!
//! All of them are linearizable (but for `LfQueue::is_empty`, which is a hint): what one thread enqueues comes out in that order, and so does what different threads enqueue one after
//! the other. What was done before an enqueue happens before what follows the value's dequeue.
//!
//! # Which one
//!
//! - **[`SegmentQueue`]** if one thread consumes: nothing here is faster. A value costs a slot in an array and one locked instruction.
//! - **[`BoundedQueue`]** if several do and a limit is known: the fastest where several threads use both ends, and the only one
//!   that makes producers that are faster than their consumers notice. It allocates once.
//! - **[`LockedQueue`]** if several do, there is no limit, and a thread that stops in the middle of an operation may stop the others.
//! - **[`LfQueue`]** if it may not. A section is part of the price.
//! - **[`WfcQueue`]** if an enqueue must never wait for another thread, whatever that one has been stopped in, or if whole queues are to be
//!   moved in constant time ([`WfcQueue::splice_from`]).
//! - **[`raw`]** to link objects that exist already, as in C.
//!
//! All but [`BoundedQueue`] are unbounded: producers that are faster than their consumers fill the memory.
//!
//! # Waiting for values
//!
//! [`WfcQueue::split`] and [`SegmentQueue::split`] give [`Producer`]s, one for each thread, and the [`Consumer`], which takes no lock, since
//! there is no other, and can sleep.
//!
//! ```
//! use std::time::Duration;
//! use cds_wfqueue::{Disconnected, RecvTimeoutError, SegmentQueue};
//!
//! let (producer, mut consumer) = SegmentQueue::new().split();
//! assert_eq!(consumer.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
//! let worker = std::thread::spawn({
//!     let mut producer = producer.clone();
//!     move || producer.enqueue("done").unwrap()
//! });
//! assert_eq!(consumer.recv(), Ok("done"));
//! drop(producer);
//! worker.join().unwrap();
//! assert_eq!(consumer.recv(), Err(Disconnected));
//! ```
//!
//! | | |
//! |---|---|
//! | all producers are gone | what is there still comes; then `recv` returns [`Disconnected`], also if it slept |
//! | the consumer is gone | `enqueue` gives the value back in [`Rejected`]; what it races with is dropped with the queue |
//! | the consumer sleeps | the next `enqueue` makes a system call to wake it; further ones do not |
//! | inside a section (QSBR: online) | do not wait: every grace period would wait for you |
//!
//! # Under a flavor
//!
//! An [`LfQueue`] is made for one flavor, and its operations ask for a guard of that one. Another flavor's guard is a panic.
//!
//! ```
//! let queue = cds_wfqueue::LfQueue::new(urcu_bp::vtable());
//! let guard = urcu_bp::read_lock();
//! queue.enqueue("first", &guard);
//! queue.enqueue("second", &guard);
//! assert_eq!(queue.dequeue(&guard), Some("first"));
//! ```
//!
//! # Draining and moving
//!
//! ```
//! use cds_wfqueue::{Spliced, WfcQueue};
//!
//! let (urgent, all) = (WfcQueue::from_iter([1, 2]), WfcQueue::from_iter([0]));
//! assert_eq!(all.splice_from(&urgent), Spliced::DestNonEmpty);
//! assert!(urgent.is_empty());
//! assert!(all.drain().eq([0, 1, 2]));
//! ```
//!
//! # Who excludes whom
//!
//! The faces see to it themselves: by a lock, by `&mut`, by the type [`Consumer`]. Of the C library's model:
//!
//! | `wfcqueue` | enqueue | dequeue | splice from | splice to | first, next | empty |
//! |---|---|---|---|---|---|---|
//! | **enqueue**     | - | - | - | - | - | - |
//! | **dequeue**     | - | x | x | - | x | - |
//! | **splice from** | - | x | - | - | x | - |
//! | **splice to**   | - | - | - | - | - | - |
//! | **first, next** | - | x | x | - | - | - |
//!
//! x: by the dequeue lock, or because one thread does both. A dequeued node may be freed or used again at once.
//!
//! | `lfqueue` | enqueue | dequeue |
//! |---|---|---|
//! | **enqueue** | - | - |
//! | **dequeue** | - | - |
//!
//! Both inside sections; a dequeued node may be freed or used again after a grace period.
//!
//! # What was measured, and chosen
//!
//! By the suite `queue` of the benchmarks, on virtual machines; orders of magnitude.
//!
//! - **A locked instruction costs 5 ns** where nobody else uses the cache line, and the line's way to another core 50 ns or more. So
//!   what counts is how many locked instructions an operation has, and how many lines it shares.
//! - **A node per value** costs 10 to 15 ns for the allocator and the caches, a slot in an array less than one. [`WfcQueue`] therefore
//!   uses nodes again, which saves half; the arrays of [`SegmentQueue`] are used again at once, since the consumer knows when all producers
//!   have left one; those of [`LfQueue`] are freed after a grace period, which costs next to nothing per value.
//! - **Turns are slow.** Two threads that take turns on a cache line pay its way for each value; if each goes through a row of values while
//!   the other stays away, both are several times faster. So whoever loses a race stays away for [a few
//!   microseconds](urcu_core::Absence), ten to twenty at most if it loses again and again, and whoever meets another producer's half done enqueue for a fraction of one. The first absence
//!   has to be long at once: beginning with one pause and doubling, as back-off is often done, was two to six times slower here, since most
//!   operations lose once and succeed then. That is bounded: wait-free stays wait-free. The price is a longer wait for the one
//!   operation that has lost.
//! - **A lock with the same absences** in front of a ring ([`LockedQueue`]) is faster than the lock-free unbounded queues on one thread, and
//!   as fast on two; the ring with a claim per slot ([`BoundedQueue`]) is faster than both, since a claim is all that is shared.
//! - **A consumer at its producer's heels** takes the producer's lines away for each value. When one finds the queue empty just
//!   after a value, it lingers for about a tenth of a microsecond: a factor of three for one producer and one consumer.
//! - **An atomic addition claims a slot without ever failing, and is slower** than compare-and-swap when two threads do it: it never finds
//!   out that it should stay away.
//!
//! # `fork`
//!
//! A child may go on with queues that no other thread was using at the fork. A lock that another thread held then stays locked,
//! and an enqueue that was half done stays so.

mod bounded_queue;
mod channel;
mod lf_queue;
mod lock;
mod locked_queue;
mod nodes;
pub mod raw;
mod segment;
mod segment_queue;
mod wfc_queue;

pub use bounded_queue::{BoundedQueue, Full};
pub use channel::{Consumer, Disconnected, Producer, Queue, RecvTimeoutError, Rejected, TryRecvError, Value};
pub use lf_queue::LfQueue;
pub use locked_queue::LockedQueue;
pub use raw::wfcqueue::{Spliced, WouldBlock};
pub use segment_queue::SegmentQueue;
pub use wfc_queue::{Enqueuer, WfcQueue};

/// The iterators of the queues.
pub mod iter {
    /// Of a [`BoundedQueue`](crate::BoundedQueue).
    pub mod bounded_queue {
        pub use crate::bounded_queue::IntoIter;
    }
    /// Of a [`LfQueue`](crate::LfQueue).
    pub mod lf_queue {
        pub use crate::lf_queue::IntoIter;
    }
    /// Of a [`SegmentQueue`](crate::SegmentQueue).
    pub mod segment_queue {
        pub use crate::segment_queue::{Drain, IntoIter};
    }
    /// Of a [`WfcQueue`](crate::WfcQueue).
    pub mod wfc_queue {
        pub use crate::wfc_queue::{Drain, IntoIter};
    }
}

//! The flavor-neutral core of userspace RCU.
//!
//! Programs depend on a flavor crate (`urcu-membarrier`, `urcu-qsbr`, `urcu-mb`, `urcu-signal`, `urcu-bp`, `urcu-shm`), which
//! presents everything here under its own name; structure crates depend on this one and take a flavor's
//! [`FlavorVtable`]. To learn what RCU is and how to use it, read the [`guide`].
//!
//! | concept | where |
//! |---|---|
//! | section, as a value | [`Guard`] |
//! | registered thread, quiescent states, offline | [`Thread`], [`Offline`] |
//! | RCU-protected pointer, unlinked value | [`Rcu`], [`RcuBox`], [`Retired`] |
//! | counted values that outlive sections, reference counts | [`RcuArcCell`], [`RcuArc`], [`RcuArcRef`], [`RefCount`] |
//! | flavor: static, and as a table for C and structures | [`Flavor`], [`FlavorVtable`], [`DomainId`] |
//! | section and registration of any flavor, for structures and libraries | [`AnyGuard`], [`DynGuard`], [`DynThread`] |
//! | grace periods and their proof | [`grace_period`], [`asymmetric`], [`quiescence`], [`mirror`], [`word`], [`registry`] |
//! | deferred reclamation | [`Retired`], [`Limits`], [`FlushOnDrop`], [`WorkerBuilder`], [`GracePeriod`] |
//! | sleeping until something has happened, for queues | [`Event`] |
//! | contention: a lock for turns of nanoseconds, staying away from a cache line, waiting in growing steps | [`Turn`], [`Absence`], [`Backoff`] |
//! | where a structure lives, and how its links name what they point to | [`space`] |
//! | the C library's model | [`raw`] |
//! | what cannot be returned as an error | [`Report`], [`set_report_hook`] |

mod absence;
mod arc;
mod arc_cell;
pub mod asymmetric;
mod backoff;
mod boxed;
#[cfg_attr(not(urcu_loom), allow(unreachable_pub, reason = "public for the model alone"))]
mod completion;
mod defer;
mod domain;
mod dyn_thread;
mod dynamic;
mod error;
mod event;
mod flavor;
mod fork;
mod generation;
pub mod grace_period;
mod guard;
#[cfg(doc)]
pub mod guide;
mod head;
mod lock;
mod membarrier;
pub mod mirror;
mod patience;
mod pointer;
mod poll;
pub mod quiescence;
pub mod raw;
mod reader;
mod reclaim;
mod refcount;
mod registration;
pub mod registry;
mod report;
mod section;
pub mod space;
#[doc(hidden)]
pub mod sync;
#[doc(hidden)]
pub mod sys;
mod thread;
mod turn;
mod util;
mod vtable;
pub mod word;
pub mod workers;

pub use absence::Absence;
pub use arc::{RcuArc, RcuArcRef};
pub use arc_cell::{RcuArcCell, RcuArcExchangeError};
pub use asymmetric::LightBarrier;
pub use backoff::Backoff;
pub use boxed::RcuBox;
#[cfg(urcu_loom)]
#[doc(hidden)]
pub use completion::Completion;
pub use defer::{Limits, Stats, WorkerBuilder, WorkerHandle};
#[cfg(urcu_loom)]
#[doc(hidden)]
pub use defer::{put_default_worker_aside, queue_model, stop_default_worker};
pub use domain::{Domain, DomainId};
pub use dyn_thread::DynThread;
pub use dynamic::{AnyGuard, DynGuard};
pub use error::{BarrierError, InitError, RegisterError, WorkerError};
pub use event::Event;
pub use flavor::{Flavor, ReadSide};
#[doc(hidden)]
pub use fork::repair_children;
pub use generation::Generation;
#[cfg(urcu_loom)]
#[doc(hidden)]
pub use grace_period::asked_about::{begin, has_elapsed};
pub use guard::Guard;
pub use head::{Callback, RcuHead};
pub use membarrier::Membarrier;
pub use pointer::{CompareExchangeError, Polled, Rcu, Retired};
pub use poll::{GracePeriod, Synchronize};
pub use reader::{Reader, ThreadRecord};
#[doc(hidden)]
pub use reclaim::catch;
pub use reclaim::{FlushOnDrop, barrier, defer, limits, retire_box, set_limits, set_stall_limit, stats};
pub use refcount::RefCount;
#[doc(hidden)]
pub use registration::prepare;
pub use report::{Report, ReportHook, set_report_hook};
#[doc(hidden)]
pub use report::{Stall, report};
pub use thread::{Offline, Thread, read_lock, synchronize};
pub use turn::{Turn, TurnGuard};
pub use vtable::{FlavorVtable, VTABLE_VERSION, VtableError};

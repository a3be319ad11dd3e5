//! Userspace RCU whose readers cost nothing at all: the quiescent-state-based flavor.
//!
//! A section emits no instruction. In return every reader thread announces, now and then, that it holds no references
//! ([`Thread::quiescent_state`]), or takes itself out while it waits ([`Thread::offline`], [`Thread::while_offline`]). The
//! borrow checker sees to it that no guard is alive when it does. A thread that stays online and never announces holds up
//! all reclamation in the process.
//!
//! Choose it for programs built around work loops or event loops: packet processing, DNS servers, storage engines with
//! their own threads. Not for libraries: they do not own the threads.
//!
//! ```
//! use urcu_qsbr as rcu;
//!
//! let config = rcu::Rcu::new("first".to_string());
//!
//! let mut thread = rcu::register()?;
//! let guard = thread.read_lock();
//! assert_eq!(config.load(&guard).map(String::as_str), Some("first"));
//! drop(guard);
//!
//! let old = config.publish("second".to_string()).expect("there was a value");
//! assert_eq!(old.synchronize_with(&mut thread), "first");
//! # Ok::<(), rcu::RegisterError>(())
//! ```
//!
//! # The five flavors
//!
//! | | [qsbr] | [membarrier] | [signal] | [bp] | [mb] |
//! |---|---|---|---|---|---|
//! | a section costs | nothing | two stores, two loads | as membarrier | as membarrier | one locked exchange more |
//! | a grace period costs | a scan | one `membarrier(2)` and a scan | a signal to every registered thread | as membarrier | a scan |
//! | registration | explicit | explicit | explicit | by itself at the first section | explicit |
//! | quiescent states | announced by every reader | none | none | none | none |
//! | blocking inside a section | holds up grace periods, as does blocking *online* | holds up grace periods | the same | the same | the same |
//! | in signal handlers | no | after registration | after registration | always | after registration |
//! | needs | an application built around it | Linux 4.14, else full fences | a signal number | as membarrier | nothing |
//!
//! Sections in all flavors: may nest, may block, belong to their thread. Not allowed inside one: waiting for a grace period
//! of the same flavor, in any disguise (a lock whose holder does so, a join of such a thread).
//!
//! [qsbr]: https://docs.rs/urcu-qsbr
//! [membarrier]: https://docs.rs/urcu-membarrier
//! [signal]: https://docs.rs/urcu-signal
//! [bp]: https://docs.rs/urcu-bp
//! [mb]: https://docs.rs/urcu-mb
//!
//! # Forbidden and limited uses
//!
//! - **Fork.** When parent and child both go on using RCU, call [`raw::fork_before`] before `fork` and one of
//!   [`raw::fork_after_parent`], [`raw::fork_after_child`] after it. `fork` followed by `exec` needs nothing.
//! - **Thread exit.** A thread that ends without dropping its [`Thread`] is unregistered by its exit. One that ends inside a
//!   section has the section ended, and a [`Report`] says so.
//! - **`dlclose`.** Thread-exit destructors need their code, so the shared object that holds this crate stays loaded once a
//!   thread has been registered.

mod barrier;
mod flavor;
pub mod raw;

pub use flavor::Qsbr;
use urcu_core::FlavorVtable;
pub use urcu_core::{
    CompareExchangeError, DomainId, InitError, RcuBox, RegisterError, Report, ReportHook, set_report_hook,
};

/// This crate's flavor, under the name that it has in every flavor crate.
pub type Flavor = Qsbr;
/// The calling thread's registration.
pub type Thread = urcu_core::Thread<Flavor>;
/// A registered thread that grace periods do not wait for.
pub type Offline = urcu_core::Offline<Flavor>;
/// A read-side critical section.
pub type Guard<'t> = urcu_core::Guard<'t, Flavor>;
/// An RCU-protected pointer.
pub type Rcu<T> = urcu_core::Rcu<T, Flavor>;
/// An unlinked value that readers may still be using.
pub type Retired<T> = urcu_core::Retired<T, Flavor>;

/// This flavor as a table of functions, for structures and C.
// SAFETY: `DOMAIN` is what `Flavor::domain` returns.
pub static FLAVOR: FlavorVtable = unsafe { FlavorVtable::new::<Flavor>(&flavor::DOMAIN, c"urcu-qsbr") };

/// [`FLAVOR`].
#[inline]
pub fn vtable() -> &'static FlavorVtable {
    &FLAVOR
}

/// Prepares the flavor ahead of its first use; optional. Any thread, not in a signal handler.
///
/// # Errors
///
/// None in this flavor.
#[doc(alias = "rcu_init")]
pub fn init() -> Result<(), InitError> {
    raw::init()
}

/// Registers the calling thread until the [`Thread`] is dropped.
///
/// Lock-free: never waits for a grace period. Not in a signal handler.
///
/// # Errors
///
/// [`RegisterError`]: already registered, the thread is ending, no memory or keys, or [`init`] failed.
#[doc(alias = "rcu_register_thread")]
pub fn register() -> Result<Thread, RegisterError> {
    Thread::register()
}

/// Enters a read-side critical section on the calling thread.
///
/// For registered threads that are online. Wait-free. Nests. Costs a thread-local counter, which
/// [`Thread::read_lock`] does not: use that where the `Thread` is at hand.
///
/// # Panics
///
/// When the thread is not registered or not online, with advice.
#[doc(alias = "rcu_read_lock")]
#[inline]
#[track_caller]
pub fn read_lock() -> Guard<'static> {
    urcu_core::read_lock()
}

/// Waits for a grace period: until every section that is open now, on any thread, has ended.
///
/// Blocks; a full barrier on both ends. Any thread, registered or not, outside every section, not online.
///
/// # Panics
///
/// Inside a section, and when the thread is online (use [`Thread::synchronize`], which takes it offline): it would wait for itself.
#[doc(alias = "synchronize_rcu")]
#[track_caller]
pub fn synchronize() {
    urcu_core::synchronize::<Flavor>();
}

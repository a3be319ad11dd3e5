//! Workers: the threads that run deferred calls.
//!
//! Without any of this, one default worker serves all, started at the first deferred call. Callbacks go to the calling
//! thread's own worker if it has one, else to its processor's, else to the default one.

use core::ffi::c_int;

pub use urcu_core::WorkerError;
use urcu_core::workers;

use crate::Flavor;

/// Makes a worker.
pub type Builder = urcu_core::WorkerBuilder<Flavor>;

/// A worker beside the default one.
pub type Handle = urcu_core::WorkerHandle<Flavor>;

/// The kernel's id of the default worker's thread, once there is one. Any context.
#[doc(alias = "get_default_call_rcu_data")]
pub fn default_tid() -> Option<i32> {
    workers::default_tid::<Flavor>()
}

/// The calling thread's own worker. Any context.
#[doc(alias = "get_thread_call_rcu_data")]
pub fn of_thread() -> Option<Handle> {
    workers::of_thread()
}

/// Sends the calling thread's callbacks to `worker`, or where they would go without one. Any context.
///
/// Meant for callbacks ([`raw::call_rcu`](crate::raw::call_rcu), [`defer`](crate::defer())); retired values go through the
/// thread's own queue to the default worker.
#[doc(alias = "set_thread_call_rcu_data")]
pub fn set_of_thread(worker: Option<Handle>) {
    workers::set_of_thread(worker);
}

/// The worker of processor `cpu`. Any context.
#[doc(alias = "get_cpu_call_rcu_data")]
pub fn of_cpu(cpu: usize) -> Option<Handle> {
    workers::of_cpu(cpu)
}

/// Installs the worker of processor `cpu`, or removes it and returns it. Any context.
///
/// # Errors
///
/// [`WorkerError::NoSuchCpu`]; [`WorkerError::CpuTaken`] when it has one and another is to be installed.
#[doc(alias = "set_cpu_call_rcu_data")]
pub fn set_of_cpu(cpu: usize, worker: Option<Handle>) -> Result<Option<Handle>, WorkerError> {
    workers::set_of_cpu(cpu, worker)
}

/// One worker for each processor that has none and that this process may run on, under `SCHED_FIFO` with the given
/// priority if there is one; how many were made. Blocks until they run.
///
/// # Errors
///
/// As [`Builder::spawn`](urcu_core::WorkerBuilder::spawn); those made so far stay.
#[doc(alias = "create_all_cpu_call_rcu_data")]
pub fn create_for_all_cpus(realtime: Option<c_int>) -> Result<usize, WorkerError> {
    workers::create_for_all_cpus::<Flavor>(realtime)
}

/// Removes and stops the workers of all processors; what they have left goes to the default one. Blocks; outside every
/// section.
///
/// # Errors
///
/// [`WorkerError::InCallback`].
///
/// # Panics
///
/// Inside a section.
#[doc(alias = "free_all_cpu_call_rcu_data")]
#[track_caller]
pub fn stop_for_all_cpus() -> Result<(), WorkerError> {
    workers::stop_for_all_cpus::<Flavor>()
}

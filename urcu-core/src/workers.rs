//! Worker management, generic over the flavor: flavor crates present it without the parameter.

use core::ffi::c_int;

use crate::defer::{self, WorkerHandle};
use crate::error::WorkerError;
use crate::flavor::Flavor;

/// See a flavor's `workers::of_thread`.
pub fn of_thread<F: Flavor>() -> Option<WorkerHandle<F>> {
    defer::thread_worker()
}

/// See a flavor's `workers::set_of_thread`.
pub fn set_of_thread<F: Flavor>(worker: Option<WorkerHandle<F>>) {
    defer::set_thread_worker(worker);
}

/// See a flavor's `workers::of_cpu`.
pub fn of_cpu<F: Flavor>(cpu: usize) -> Option<WorkerHandle<F>> {
    defer::cpu_worker(cpu)
}

/// See a flavor's `workers::set_of_cpu`.
///
/// # Errors
///
/// [`WorkerError::NoSuchCpu`], [`WorkerError::CpuTaken`].
pub fn set_of_cpu<F: Flavor>(
    cpu: usize,
    worker: Option<WorkerHandle<F>>,
) -> Result<Option<WorkerHandle<F>>, WorkerError> {
    defer::set_cpu_worker(cpu, worker)
}

/// See a flavor's `workers::create_for_all_cpus`.
///
/// # Errors
///
/// As [`WorkerBuilder::spawn`](crate::WorkerBuilder::spawn); the workers made so far stay.
pub fn create_for_all_cpus<F: Flavor>(realtime: Option<c_int>) -> Result<usize, WorkerError> {
    defer::create_all_cpu_workers::<F>(realtime)
}

/// See a flavor's `workers::stop_for_all_cpus`.
///
/// # Errors
///
/// [`WorkerError::InCallback`].
#[track_caller]
pub fn stop_for_all_cpus<F: Flavor>() -> Result<(), WorkerError> {
    defer::free_all_cpu_workers::<F>()
}

/// See a flavor's `workers::default_tid`.
pub fn default_tid<F: Flavor>() -> Option<i32> {
    let worker = &F::domain().deferred.default_worker;
    worker.exists().then(|| worker.tid())
}

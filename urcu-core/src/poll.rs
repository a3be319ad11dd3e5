//! Grace periods that are asked about instead of waited for.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use crate::completion::Completion;
use crate::flavor::Flavor;
use crate::{fork, grace_period, reclaim, thread};

/// A grace period that starts after it was asked for.
#[doc(alias = "urcu_gp_poll_state")]
pub struct GracePeriod<F: Flavor> {
    number: u64,
    flavor: PhantomData<F>,
}

impl<F: Flavor> GracePeriod<F> {
    /// See a flavor's `start_poll`.
    pub fn start() -> Self {
        Self { number: start::<F>(), flavor: PhantomData }
    }

    /// Whether it has ended. Any context; wait-free. Once true, always true.
    #[doc(alias = "poll_state_synchronize_rcu")]
    pub fn is_done(&self) -> bool {
        is_done::<F>(self.number)
    }

    /// Waits for its end. Blocks; outside every section.
    ///
    /// # Panics
    ///
    /// As the flavor's `synchronize`.
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_done() {
            fork::check::<F>();
            thread::assert_outside::<F>(F::reader(), "waits for a grace period");
            thread::assert_no_hidden_guard::<F>(F::reader());
            thread::offline_while::<F, _>(F::reader(), || grace_period::wait_for_number::<F>(self.number));
        }
    }
}

impl<F: Flavor> Clone for GracePeriod<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Flavor> Copy for GracePeriod<F> {}

impl<F: Flavor> fmt::Debug for GracePeriod<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GracePeriod({}, {})", F::NAME, self.number)
    }
}

/// The number of a grace period that starts after this call; the default worker runs it.
pub(crate) fn start<F: Flavor>() -> u64 {
    fork::check::<F>();
    let domain = F::domain();
    let number = domain.grace_periods.next();
    let worker = &domain.deferred.default_worker;
    if worker.exists() || worker.start_or_report::<F>() {
        worker.poll_for(number);
    }
    number
}

/// Whether that grace period has ended.
pub(crate) fn is_done<F: Flavor>(number: u64) -> bool {
    F::domain().grace_periods.has_completed(number)
}

/// What `synchronize_async` returns: ready once a grace period has ended that started after it was made.
///
/// Belongs to no executor. The worker chosen for the thread that made it wakes the task.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Synchronize<F: Flavor> {
    completion: Arc<Completion>,
    flavor: PhantomData<fn() -> F>,
}

impl<F: Flavor> Synchronize<F> {
    /// See a flavor's `synchronize_async`.
    pub fn start() -> Self {
        let completion = Arc::new(Completion::new());
        let shared = Arc::clone(&completion);
        reclaim::defer::<_, F>(move || shared.complete());
        Self { completion, flavor: PhantomData }
    }
}

impl<F: Flavor> Future for Synchronize<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: no other call, since the completion is in one `Synchronize` only, which is borrowed exclusively.
        unsafe { self.completion.poll(context) }
    }
}

impl<F: Flavor> fmt::Debug for Synchronize<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Synchronize({})", F::NAME)
    }
}

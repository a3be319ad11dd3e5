//! Many threads that are registered with every implementation at once and sleep.
//!
//! One set of threads serves all contenders of a case: what another implementation has registered
//! does not concern the one that is measured, and ten thousand threads are slow to make.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::contenders::{self, api::Api};
use crate::harness::plan::not_here;
use crate::harness::threads::caught;

/// Enough for the thread-local words of everything linked in, and small enough for 10,000 of them.
const STACK: usize = 128 * 1024;

#[derive(Debug, Default)]
struct State {
    registered: usize,
    over: bool,
    /// What the implementations said that could not register all threads.
    failures: Vec<(&'static str, String)>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the one that waits for the registrations.
    registered: Condvar,
    /// Wakes the sleepers; apart from the other, so that no registration wakes ten thousand threads.
    over: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads; dropping the value ends them.
#[derive(Debug)]
pub struct IdleThreads {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl IdleThreads {
    /// Starts `count` threads and waits until all of them are registered, QSBR ones offline.
    ///
    /// # Errors
    /// When the system does not give that many threads.
    pub fn start(count: usize) -> Result<Self, String> {
        let mut idle = Self { shared: Arc::default(), threads: Vec::with_capacity(count) };
        for index in 0..count {
            let shared = Arc::clone(&idle.shared);
            let thread = Builder::new()
                .stack_size(STACK)
                .spawn(move || sleep_registered(&shared))
                // Dropping `idle` ends the threads that there are.
                .map_err(|error| not_here(&format!("only {index} of {count} threads can be started ({error})")))?;
            idle.threads.push(thread);
        }
        drop(
            idle.shared
                .registered
                .wait_while(idle.shared.state(), |state| state.registered < count)
                .unwrap_or_else(PoisonError::into_inner),
        );
        Ok(idle)
    }

    /// Whether all threads are registered with `api`.
    ///
    /// # Errors
    /// What the implementation said when they are not.
    pub fn check(&self, api: &Api) -> Result<(), String> {
        self.shared
            .state()
            .failures
            .iter()
            .find(|(name, _)| *name == api.name)
            .map_or(Ok(()), |(_, reason)| Err(reason.clone()))
    }
}

impl Drop for IdleThreads {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.over.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has been reported on stderr; the figures are out already.
            let _ = thread.join();
        }
    }
}

fn sleep_registered(shared: &Shared) {
    let mut readers = Vec::new();
    let mut failures = Vec::new();
    for entry in contenders::all() {
        let Ok(api) = entry.api else { continue };
        match caught(|| api.register()) {
            Ok(reader) => readers.push(reader),
            Err(reason) => failures.push((api.name, reason)),
        }
    }
    let offline: Vec<_> = readers.iter_mut().map(|reader| reader.offline()).collect();

    let mut state = shared.state();
    state.registered += 1;
    state.failures.extend(failures);
    shared.registered.notify_one();
    drop(shared.over.wait_while(state, |state| !state.over).unwrap_or_else(PoisonError::into_inner));
    drop(offline);
}

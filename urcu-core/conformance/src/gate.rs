//! What deterministic interleavings are made of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::watchdog::step;

/// Opened once; waiting for it ends then.
#[derive(Debug, Default)]
pub struct Gate(Count);

impl Gate {
    /// Closed.
    pub const fn new() -> Self {
        Self(Count::new())
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        self.0.arrive();
    }

    /// Waits until it is open.
    pub fn wait(&self) {
        self.0.wait_for(1);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.0.arrived() != 0
    }
}

/// Counts arrivals; one can wait for a number of them.
#[derive(Debug, Default)]
pub struct Count {
    arrived: Mutex<usize>,
    changed: Condvar,
}

impl Count {
    /// Nobody yet.
    pub const fn new() -> Self {
        Self { arrived: Mutex::new(0), changed: Condvar::new() }
    }

    /// One more.
    pub fn arrive(&self) {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits until `number` have arrived.
    pub fn wait_for(&self, number: usize) {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(arrived, |arrived| *arrived < number));
    }

    /// How many have arrived.
    pub fn arrived(&self) -> usize {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Polls until `condition` holds. The watchdog bounds it, and its message says `what` was waited for.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    step(format!("waiting until {what}"));
    let mut polls = 0_u32;
    while !condition() {
        polls += 1;
        // Yields first; later it polls less often, so that those it waits for have the processor. Not by a sleep, which
        // the kernel prolongs with each signal: with enough of them it never ends.
        if polls < 100 { thread::yield_now() } else { thread::park_timeout(Duration::from_micros(200)) }
    }
}

/// Raises a flag when dropped, also by a panic, so that threads which loop until then end in any case.
#[derive(Debug)]
pub struct RaisedAtEnd<'a>(pub &'a AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

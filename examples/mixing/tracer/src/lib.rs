//! A tracer: threads that it has never heard of call it, and it can neither register them nor see them end. So it is on
//! bp, which does both by itself.
//!
//! Linked, it is a value; loaded by `dlopen`, the [plug-in](mod@plugin).

pub mod plugin;

use std::sync::Arc;

pub use rcu;
use urcu_example_interface::{KEYS, Ledger, Queue, Table, Tally};

/// The last event of each source, and all events in order.
#[derive(Debug)]
pub struct Tracer {
    last: Arc<Table>,
    events: Arc<Queue>,
    ledger: Ledger,
}

impl Tracer {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self {
            last: Arc::new(Table::new(rcu::vtable())),
            events: Arc::new(Queue::new(rcu::vtable())),
            ledger: Ledger::new(),
        }
    }

    /// The last event of each source, for others.
    pub fn last(&self) -> &Arc<Table> {
        &self.last
    }

    /// The events, for others.
    pub fn events(&self) -> &Arc<Queue> {
        &self.events
    }

    /// The entries that this library has made.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Something has happened. On any thread, registered with anything or with nothing.
    pub fn trace(&self, number: u64) -> Tally {
        let guard = rcu::read_lock();
        self.events.enqueue(self.ledger.entry(number), &guard);
        self.last.insert(number % KEYS, self.ledger.entry(number), &guard);
        Tally { enqueued: 1, put: 1, ..Tally::default() }
    }

    /// Takes up to `most` events off, and forgets their sources.
    pub fn drain(&self, most: u64) -> Tally {
        let mut tally = Tally::default();
        let guard = rcu::read_lock();
        while tally.dequeued < most {
            let Some(event) = self.events.dequeue(&guard) else { break };
            tally.dequeued += 1;
            tally.taken += u64::from(self.last.remove(&(event.number() % KEYS), &guard).is_some());
        }
        tally
    }
}

impl Default for Tracer {
    fn default() -> Self {
        Self::new()
    }
}

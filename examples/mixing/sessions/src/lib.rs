//! The library of an application whose threads run in loops: on QSBR, whose readers cost nothing.
//!
//! It hands its table and its queue to whoever wants to use them, and does not know who that is.

use std::sync::Arc;

pub use rcu;
use urcu_example_interface::{KEYS, Ledger, Queue, Table, Tally};

/// Sessions by number, and the requests that wait.
#[derive(Debug)]
pub struct Sessions {
    table: Arc<Table>,
    requests: Arc<Queue>,
    ledger: Ledger,
}

impl Sessions {
    /// None yet.
    pub fn new() -> Self {
        Self {
            table: Arc::new(Table::new(rcu::vtable())),
            requests: Arc::new(Queue::new(rcu::vtable())),
            ledger: Ledger::new(),
        }
    }

    /// The table, for others.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The queue, for others.
    pub fn requests(&self) -> &Arc<Queue> {
        &self.requests
    }

    /// The entries that this library has made.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// One round of an application's loop: a request in, one out, some lookups, a session begins, a session ends.
    pub fn work(&self, thread: &mut rcu::Thread, round: u64) -> Tally {
        let mut tally = Tally::default();
        {
            // Vanishes: a section of QSBR is what lies between two quiescent states.
            let guard = thread.read_lock();
            self.requests.enqueue(self.ledger.entry(round), &guard);
            tally.enqueued += 1;
            if let Some(request) = self.requests.dequeue(&guard) {
                tally.dequeued += 1;
                let session = self.table.get(&(request.number() % KEYS), &guard);
                tally.seen += u64::from(session.is_some_and(|session| session.number() < u64::MAX));
            }
            self.table.insert(round % KEYS, self.ledger.entry(round), &guard);
            tally.put += 1;
            tally.taken += u64::from(self.table.remove(&(round.wrapping_mul(5) % KEYS), &guard).is_some());
        }
        thread.quiescent_state();
        tally
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

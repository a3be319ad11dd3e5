//! A cache for whoever says which of its threads read: on membarrier, whose readers need not announce anything.

use std::sync::Arc;

pub use rcu;
use urcu_example_interface::{KEYS, Ledger, Queue, Table, Tally};

/// Answers by number, and the numbers that want to be looked up again.
#[derive(Debug)]
pub struct Cache {
    table: Arc<Table>,
    stale: Arc<Queue>,
    ledger: Ledger,
}

/// A thread that uses the cache. Its registration is the cache's affair: nobody else sees which flavor that is.
#[derive(Debug)]
pub struct Reader<'c> {
    cache: &'c Cache,
    thread: rcu::Thread,
}

impl Cache {
    /// Empty.
    pub fn new() -> Self {
        Self {
            table: Arc::new(Table::new(rcu::vtable())),
            stale: Arc::new(Queue::new(rcu::vtable())),
            ledger: Ledger::new(),
        }
    }

    /// Lets the calling thread use the cache.
    ///
    /// # Errors
    ///
    /// When it does so already, or cannot be registered.
    pub fn reader(&self) -> Result<Reader<'_>, rcu::RegisterError> {
        Ok(Reader { cache: self, thread: rcu::register()? })
    }

    /// The table, for others.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The queue, for others.
    pub fn stale(&self) -> &Arc<Queue> {
        &self.stale
    }

    /// The entries that this library has made.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Reader<'_> {
    /// Looks a number up; what is missing is put in, and something else thrown out.
    pub fn get(&mut self, number: u64) -> Tally {
        let mut tally = Tally::default();
        let cache = self.cache;
        let guard = self.thread.read_lock();
        match cache.table.get(&(number % KEYS), &guard) {
            Some(answer) => {
                assert_eq!(answer.number() % KEYS, number % KEYS, "the answer to another question");
                tally.seen += 1;
                cache.stale.enqueue(cache.ledger.entry(number), &guard);
                tally.enqueued += 1;
            }
            None => {
                cache.table.insert(number % KEYS, cache.ledger.entry(number), &guard);
                tally.put += 1;
            }
        }
        if let Some(stale) = cache.stale.dequeue(&guard) {
            tally.dequeued += 1;
            tally.taken += u64::from(cache.table.remove(&(stale.number() % KEYS), &guard).is_some());
        }
        tally
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

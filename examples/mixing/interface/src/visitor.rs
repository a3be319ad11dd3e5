//! Work on a structure of somebody else, whose flavor one does not know.

use urcu_core::{DynThread, FlavorVtable, RegisterError};

use crate::{Entry, KEYS, Ledger, Queue, Table};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries looked at.
    pub seen: u64,
    /// Entries put into tables: added, or in place of others.
    pub put: u64,
    /// Entries taken out of tables.
    pub taken: u64,
    /// Entries put into queues.
    pub enqueued: u64,
    /// Entries taken out of queues.
    pub dequeued: u64,
}

impl Tally {
    /// Both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            put: self.put + other.put,
            taken: self.taken + other.taken,
            enqueued: self.enqueued + other.enqueued,
            dequeued: self.dequeued + other.dequeued,
        }
    }
}

/// The calling thread as a reader of one structure's flavor, whatever that is.
#[derive(Debug)]
pub struct Visitor {
    /// `None` where the thread was registered already: by a library that knows the flavor, or by itself.
    thread: Option<DynThread>,
}

impl Visitor {
    /// Makes the calling thread a reader, unless it is one.
    ///
    /// # Errors
    ///
    /// When the flavor refuses.
    pub fn of(flavor: &'static FlavorVtable) -> Result<Self, RegisterError> {
        Ok(Self { thread: flavor.register_if_needed()? })
    }

    /// Some lookups, an update and a removal, around `key`. The number of an entry of `key` is a multiple of [`KEYS`] above it.
    pub fn use_table(&mut self, table: &Table, key: u64, ledger: &Ledger) -> Tally {
        let mut tally = Tally::default();
        {
            let table = table.pin();
            for near in key..key + 8 {
                if let Some(entry) = table.get(&(near % KEYS)) {
                    assert_eq!(entry.number() % KEYS, near % KEYS, "the entry of another key");
                    tally.seen += 1;
                }
            }
            // What was there goes through the table's flavor, and is dropped by this code all the same.
            let before = table.insert(key % KEYS, ledger.entry(key));
            tally.put += 1;
            tally.seen += u64::from(before.is_some_and(|entry| entry.number() % KEYS == key % KEYS));
            tally.taken += u64::from(table.remove(&(key.wrapping_mul(7) % KEYS)).is_some());
        }
        self.rest();
        tally
    }

    /// Something in, and something out.
    pub fn use_queue(&mut self, queue: &Queue, number: u64, ledger: &Ledger) -> Tally {
        let mut tally = Tally::default();
        {
            let guard = queue.flavor().pin();
            queue.enqueue(ledger.entry(number), &guard);
            tally.enqueued += 1;
            let first: Option<Entry> = queue.dequeue(&guard);
            tally.dequeued += u64::from(first.is_some());
            tally.seen += u64::from(first.is_some_and(|entry| entry.number() < u64::MAX));
        }
        self.rest();
        tally
    }

    /// Holds nothing: needed by QSBR, nothing in the other flavors. A thread that was registered by somebody else is somebody
    /// else's to announce for.
    fn rest(&mut self) {
        if let Some(thread) = &mut self.thread {
            thread.quiescent_state();
        }
    }

    /// Blocks, or does something long: grace periods do not wait for it.
    pub fn away<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        match &mut self.thread {
            Some(thread) => thread.while_offline(wait),
            None => wait(),
        }
    }
}

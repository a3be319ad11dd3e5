//! Other people's lists and sequences that may be read by many: behind parking_lot's locks, and crossbeam-skiplist, an
//! ordered set under epochs, which is the list among the public crates on crossbeam-epoch.

use std::collections::LinkedList;

use crossbeam_epoch as epoch;
use crossbeam_skiplist::SkipList;
use parking_lot::RwLock;

use crate::lists::standing::{Payload, STANDING, Shared};
use crate::lists::{ELEMENTS, Value, Walks};
use crate::reclaim::Reclaimer;
use crate::workload::{Looped, Subject, Worker};

/// A peer whose elements are walked.
#[derive(Clone, Copy, Debug)]
pub struct Walked {
    /// The name in the record.
    pub name: &'static str,
    /// Makes what its threads share.
    pub subject: fn() -> Box<dyn Subject>,
}

/// All of them.
pub const WALKED: [Walked; 3] = [
    Walked {
        name: "rwlock-linked-list",
        subject: || Box::new(Locked(RwLock::new(ones().collect::<LinkedList<Value>>()))),
    },
    Walked { name: "crossbeam-skiplist", subject: || Box::new(Skips::new()) },
    Walked { name: "rwlock-vec", subject: || Box::new(Locked(RwLock::new(ones().collect::<Vec<Value>>()))) },
];

fn ones() -> impl Iterator<Item = Value> {
    (0..ELEMENTS).map(|_| Value::ONE)
}

/// Read under the lock for the length of a walk.
struct Locked<L>(RwLock<L>);

impl<L: Send + Sync> Subject for Locked<L>
where
    for<'l> &'l L: IntoIterator<Item = &'l Value>,
{
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Walks(|| {
            let mut sum = 0;
            for value in &*self.0.read() {
                sum += value.0;
            }
            sum
        }))))
    }
}

struct Skips(SkipList<u64, Value>);

impl Skips {
    fn new() -> Self {
        let list = SkipList::new(epoch::default_collector().clone());
        let guard = epoch::pin();
        for (key, value) in (0..ELEMENTS).zip(ones()) {
            list.insert(key, value, &guard).release(&guard);
        }
        Self(list)
    }
}

impl Subject for Skips {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(Walks(|| {
            let guard = epoch::pin();
            let mut sum = 0;
            let mut at = self.0.front(&guard);
            while let Some(entry) = at {
                sum += entry.value().0;
                at = entry.next();
            }
            sum
        }))))
    }
}

/// A linked list behind a lock, to be updated; what is taken out is freed at once, since no reader is there.
pub fn rwlock_updates() -> Box<dyn Reclaimer> {
    let list: LinkedList<Payload> = (0..STANDING).map(|_| Payload::filled()).collect();
    Box::new(Shared {
        list: RwLock::new(list),
        pair: |list: &RwLock<LinkedList<Payload>>| {
            // Allocated before the lock is taken and freed after it has been given back, as by the others.
            let mut fresh = LinkedList::from([Payload::filled()]);
            let mut list = list.write();
            list.append(&mut fresh);
            let rest = list.split_off(1);
            let first = std::mem::replace(&mut *list, rest);
            drop(list);
            drop(first);
        },
        walk: |list: &RwLock<LinkedList<Payload>>| {
            list.read().iter().fold(0, |wrong, payload| wrong | payload.wrong()) == 0
        },
    })
}

//! What is linearizable: looking one key up, beside updaters that take turns. (A walk as a whole is not: see the crate page.)
#![cfg(not(urcu_loom))]

use std::cell::Cell;
use std::thread;

use cds_list::{Kind, List, RcuHList, RcuList};
use structure_conformance::linearizability::{Choice, Map, MapOp, MapRet, Queue, QueueOp, QueueRet, Rounds};
use structure_conformance::{Tested, Thread, on_every_flavor};

const KEYS: u64 = 3;

/// Lets another thread go on in the middle of a call, every now and then: also where there are fewer processors than threads.
fn linger() {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    CALLS.set(CALLS.get() + 1);
    if CALLS.get().is_multiple_of(3) {
        thread::yield_now();
    }
}

fn choose(choice: &mut Choice) -> MapOp {
    let key = choice.random.below(KEYS);
    match choice.random.below(10) {
        0..5 => MapOp::Get(key),
        5 => MapOp::Insert(key, choice.value()),
        6 => MapOp::InsertIfAbsent(key, choice.value()),
        7 => MapOp::Replace(key, choice.value()),
        8 => MapOp::Remove(key),
        _ => MapOp::Clear,
    }
}

fn perform<F: Tested, K: Kind>(list: &List<(u64, u64), K>, thread: &Thread<F>, op: &MapOp) -> MapRet {
    let by = |key: u64| {
        move |pair: &(u64, u64)| {
            linger();
            pair.0 == key
        }
    };
    MapRet::Value(match *op {
        MapOp::Get(key) => list.find(&thread.read_lock(), by(key)).map(|pair| pair.1),
        MapOp::Insert(key, value) => {
            let mut updater = list.lock();
            let mut cursor = updater.cursor_at(by(key));
            match cursor.replace((key, value)) {
                Ok(old) => Some(old.1),
                Err(pair) => {
                    // At the end or at the front, by chance.
                    if value % 2 == 0 {
                        cursor.insert_before(pair)
                    } else {
                        updater.push_front(pair)
                    }
                    None
                }
            }
        }
        MapOp::InsertIfAbsent(key, value) => {
            let mut updater = list.lock();
            let mut cursor = updater.cursor_at(by(key));
            let there = cursor.current().map(|pair| pair.1);
            if there.is_none() {
                cursor.insert_before((key, value));
            }
            there
        }
        MapOp::Replace(key, value) => list.lock().cursor_at(by(key)).replace((key, value)).ok().map(|old| old.1),
        MapOp::Remove(key) => list.lock().cursor_at(by(key)).remove().map(|old| old.1),
        MapOp::Len => return MapRet::Len(list.lock().len()),
        MapOp::Clear => {
            let mut updater = list.lock();
            let mut all: Vec<(u64, u64)> = updater.iter().copied().collect();
            updater.clear();
            all.sort_unstable();
            return MapRet::All(all);
        }
    })
}

on_every_flavor! {
    fn one_key_of_a_list<F>() {
        let overlapped = Rounds::<Map>::new(400).closing((0..KEYS).map(MapOp::Get)).run::<F, _>(
            |_| (Map::default(), RcuList::new(F::vtable())),
            choose,
            |list, thread, op| perform(list, thread, op),
        );
        assert!(overlapped > 0);
    }

    fn one_key_of_an_hlist<F>() {
        let overlapped = Rounds::<Map>::new(400).closing((0..KEYS).map(MapOp::Get)).run::<F, _>(
            |_| (Map::default(), RcuHList::new(F::vtable())),
            choose,
            |list, thread, op| perform(list, thread, op),
        );
        assert!(overlapped > 0);
    }

    fn the_first_element<F>() {
        let overlapped = Rounds::<Queue>::new(400).closing([QueueOp::Drain]).run::<F, _>(
            |_| (Queue::default(), RcuList::new(F::vtable())),
            |choice| match choice.random.below(6) {
                0..2 => QueueOp::Enqueue(choice.value()),
                2 => QueueOp::Dequeue,
                3 => QueueOp::IsEmpty,
                _ => QueueOp::Peek,
            },
            |list, thread, op| match *op {
                QueueOp::Enqueue(value) => {
                    let mut updater = list.lock();
                    linger();
                    updater.push_back(value);
                    linger();
                    QueueRet::Done
                }
                QueueOp::EnqueueTelling(value) => {
                    let mut updater = list.lock();
                    let was_empty = updater.is_empty();
                    updater.push_back(value);
                    QueueRet::WasEmpty(was_empty)
                }
                QueueOp::Dequeue => {
                    let mut updater = list.lock();
                    linger();
                    let first = updater.pop_front().copied();
                    linger();
                    QueueRet::One(first)
                }
                QueueOp::Peek => QueueRet::One(list.first(&thread.read_lock()).copied()),
                QueueOp::Drain => QueueRet::All(list.lock().detach_all().iter().copied().collect()),
                QueueOp::IsEmpty => QueueRet::WasEmpty(list.is_empty()),
            },
        );
        assert!(overlapped > 0);
    }
}

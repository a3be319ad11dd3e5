//! Random programs, against a multimap of the standard library; and concurrent ones, against all orders of their calls.
#![cfg(not(urcu_loom))]

mod raw_common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cds_lfht::raw::{BucketMemory, Options, ReplaceError};
use proptest::prelude::*;
use raw_common::{Entries, good_hash, memories};
use structure_conformance::linearizability::{Choice, Map, MapOp, MapRet, MultiMap, MultiMapOp, MultiMapRet, Rounds};
use structure_conformance::{Mb, Thread, on_every_flavor};

#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    AddUnique(u64),
    AddReplace(u64),
    Replace(u64),
    Remove(u64),
    RemoveLast(u64),
    Lookup(u64),
    Resize(u32),
    Walk,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..24_u64;
    let step = prop_oneof![
        3 => key().prop_map(Step::Add),
        3 => key().prop_map(Step::AddUnique),
        3 => key().prop_map(Step::AddReplace),
        2 => key().prop_map(Step::Replace),
        3 => key().prop_map(Step::Remove),
        1 => key().prop_map(Step::RemoveLast),
        2 => key().prop_map(Step::Lookup),
        1 => (0..8_u32).prop_map(Step::Resize),
        1 => Just(Step::Walk),
    ];
    proptest::collection::vec(step, 0..160)
}

/// Half of the keys share a hash, some share a bucket for a long time.
fn poor_hash(key: u64) -> usize {
    match key % 3 {
        0 => 0x40,
        1 => (key as usize) << 60,
        _ => good_hash(key),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_a_multimap(steps in steps(), poor: bool, memory in 0..3_usize) {
        let hash = if poor { poor_hash } else { good_hash };
        let entries = Entries::hashed::<Mb>(memories()[memory].auto_resize(false), hash);
        let thread = Thread::<Mb>::register().unwrap();
        // Per key, values in the order in which duplicates are met.
        let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (value, step) in (0..).zip(steps) {
            if let Step::Resize(order) = step {
                prop_assert_eq!(entries.table().resize(1 << order), Ok(()));
                prop_assert_eq!(entries.table().size(), 1 << order);
                continue;
            }
            let guard = thread.read_lock();
            match step {
                Step::Add(key) => {
                    entries.add(key, value, &guard);
                    model.entry(key).or_default().push(value);
                }
                Step::AddUnique(key) => {
                    let found = entries.add_unique(key, value, &guard).map(|entry| entry.value);
                    let values = model.entry(key).or_default();
                    prop_assert_eq!(found, values.first().copied());
                    if found.is_none() {
                        values.push(value);
                    }
                }
                Step::AddReplace(key) => {
                    let old = entries.add_replace(key, value, &guard).map(|entry| entry.value);
                    let values = model.entry(key).or_default();
                    prop_assert_eq!(old, values.first().copied());
                    match values.first_mut() {
                        Some(first) => *first = value,
                        None => values.push(value),
                    }
                }
                Step::Replace(key) => {
                    let at = entries.find(key, &guard);
                    let replaced = entries.replace_at(at, key, value, &guard);
                    match model.get_mut(&key).and_then(|values| values.first_mut()) {
                        Some(first) => {
                            prop_assert_eq!(replaced, Ok(()));
                            *first = value;
                        }
                        None => prop_assert_eq!(replaced, Err(ReplaceError::NotFound)),
                    }
                }
                Step::Remove(key) => {
                    let values = model.entry(key).or_default();
                    let first = (!values.is_empty()).then(|| values.remove(0));
                    prop_assert_eq!(entries.remove(key, &guard), first);
                }
                Step::RemoveLast(key) => {
                    let mut last = None;
                    let mut iter = entries.find(key, &guard);
                    while iter.node().is_some() {
                        last = Some(iter);
                        iter = entries.next_duplicate(iter, key);
                    }
                    let removed = model.entry(key).or_default().pop();
                    prop_assert_eq!(last.is_some_and(|last| entries.remove_at(last, &guard)), removed.is_some());
                }
                Step::Lookup(key) => {
                    let values: Vec<u64> = entries.duplicates(key, &guard).iter().map(|entry| entry.value).collect();
                    prop_assert_eq!(&values, model.entry(key).or_default());
                }
                Step::Walk | Step::Resize(_) => {
                    let mut walked: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
                    for entry in entries.all(&guard) {
                        walked.entry(entry.key).or_default().push(entry.value);
                    }
                    model.retain(|_, values| !values.is_empty());
                    prop_assert_eq!(&walked, &model);
                }
            }
        }
    }
}

/// Now and then, inside of a call, another size.
fn storm<F: structure_conformance::Tested>(entries: &Entries, thread: &mut Thread<F>) {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    if call.is_multiple_of(5) {
        thread.while_offline(|| {
            // Somebody else may be inside a section that it waits for, but not for ever.
            entries.table().resize(1 << (call / 5 % 4)).expect("outside of sections");
        });
    } else if call.is_multiple_of(3) {
        std::thread::yield_now();
    }
}

fn options() -> Options {
    Options::new().auto_resize(false).memory(BucketMemory::Order)
}

/// Four keys in two buckets, two of them with equal hashes.
fn crowded(key: u64) -> usize {
    [0, 0, 2, 1][key as usize % 4]
}

on_every_flavor! {
    fn unique_keys_are_linearizable<F>() {
        let choose = |choice: &mut Choice| {
            let (key, value) = (choice.random.below(4), choice.value());
            match choice.random.below(8) {
                0..2 => MapOp::Get(key),
                2..4 => MapOp::InsertIfAbsent(key, value),
                4 => MapOp::Insert(key, value),
                5 => MapOp::Replace(key, value),
                _ => MapOp::Remove(key),
            }
        };
        let concurrent = Rounds::<Map>::new(150).calls(6).closing((0..4).map(MapOp::Get)).run::<F, _>(
            |_| (Map::default(), Entries::hashed::<F>(options(), crowded)),
            choose,
            |entries, thread: &mut Thread<F>, op| {
                storm(entries, thread);
                let guard = thread.read_lock();
                MapRet::Value(match *op {
                    MapOp::Get(key) => entries.lookup(key, &guard).map(|entry| entry.value),
                    MapOp::Insert(key, value) => entries.add_replace(key, value, &guard).map(|entry| entry.value),
                    MapOp::InsertIfAbsent(key, value) => {
                        entries.add_unique(key, value, &guard).map(|entry| entry.value)
                    }
                    MapOp::Replace(key, value) => loop {
                        let at = entries.find(key, &guard);
                        let Some(old) = at.node().map(|node| raw_common::entry_of(node, &guard).value) else {
                            break None;
                        };
                        if entries.replace_at(at, key, value, &guard).is_ok() {
                            break Some(old);
                        }
                    },
                    MapOp::Remove(key) => entries.remove(key, &guard),
                    _ => unreachable!("not chosen"),
                })
            },
        );
        assert_ne!(concurrent, 0, "no calls overlapped");
    }

    fn duplicates_are_linearizable<F>() {
        let choose = |choice: &mut Choice| {
            let key = choice.random.below(2);
            match choice.random.below(6) {
                0..3 => MultiMapOp::Add(key, choice.value()),
                3 => MultiMapOp::Any(key),
                _ => MultiMapOp::RemoveAny(key),
            }
        };
        let concurrent = Rounds::<MultiMap>::new(150).closing([MultiMapOp::All(0), MultiMapOp::All(1)]).run::<F, _>(
            |_| (MultiMap::default(), Entries::hashed::<F>(options(), crowded)),
            choose,
            |entries, thread: &mut Thread<F>, op| {
                storm(entries, thread);
                let guard = thread.read_lock();
                match *op {
                    MultiMapOp::Add(key, value) => {
                        entries.add(key, value, &guard);
                        MultiMapRet::Done
                    }
                    MultiMapOp::Any(key) => MultiMapRet::One(entries.lookup(key, &guard).map(|entry| entry.value)),
                    MultiMapOp::RemoveAny(key) => MultiMapRet::One(entries.remove(key, &guard)),
                    MultiMapOp::All(key) => {
                        let mut all: Vec<u64> = entries.duplicates(key, &guard).iter().map(|entry| entry.value).collect();
                        all.sort_unstable();
                        MultiMapRet::All(all)
                    }
                    _ => unreachable!("not chosen"),
                }
            },
        );
        assert_ne!(concurrent, 0, "no calls overlapped");
    }
}

//! `LfHashMap` on one thread: each operation, against a standard map.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;

use cds_lfht::map::{Computed, Operation};
use cds_lfht::{LfHashMap, LfHashSet};
use proptest::prelude::*;
use structure_conformance::{Bp, Counts, Tested, on_every_flavor, within_limit};

on_every_flavor! {
    /// Each operation of the face does what it says.
    fn each_operation<F>() {
        let thread = urcu_core::Thread::<F>::register().expect("not registered yet");
        let map = LfHashMap::<String, u64>::new(F::vtable());
        {
            let guard = thread.read_lock();
            assert_eq!(map.insert("one".into(), 1, &guard), None);
            assert_eq!(map.insert("two".into(), 2, &guard), None);
            assert_eq!(map.insert("one".into(), 11, &guard), Some(&1));
            assert_eq!(map.get("one", &guard), Some(&11));
            assert_eq!(map.get_key_value("two", &guard), Some((&"two".to_owned(), &2)));
            assert!(!map.contains("three", &guard));
            let occupied = map.try_insert("one".into(), 5, &guard).expect_err("it is there");
            assert_eq!((*occupied.current, occupied.key.as_str(), occupied.value), (11, "one", 5));
            assert_eq!(map.try_insert("three".into(), 3, &guard).copied().ok(), Some(3));
            assert_eq!(map.get_or_insert("three".into(), 4, &guard), &3);
            assert_eq!(map.get_or_insert_with("four".into(), || 4, &guard), &4);
            assert_eq!(map.replace("five".into(), 5, &guard), Err(("five".into(), 5)));
            assert_eq!(map.replace("four".into(), 44, &guard), Ok(&4));
            assert_eq!(map.update("four".into(), |value| value + 1, &guard), Some((&44, &45)));
            assert_eq!(map.update("six".into(), |value| value + 1, &guard), None);
            let computed = map.compute("six".into(), |_| Operation::Insert(6), &guard);
            assert_eq!(computed, Computed::Inserted(&"six".to_owned(), &6));
            let computed = map.compute("six".into(), |_| Operation::Remove, &guard);
            assert_eq!(computed, Computed::Removed(&"six".to_owned(), &6));
            assert_eq!(map.compute("six".into(), |_| Operation::Remove, &guard), Computed::Kept(None));
            assert_eq!(map.len(), 4);
            assert_eq!(map.get_many(["one", "none", "four"], &guard), [Some(&11), None, Some(&45)]);
            let mut keys: Vec<_> = map.keys(&guard).cloned().collect();
            keys.sort();
            assert_eq!(keys, ["four", "one", "three", "two"]);
            assert_eq!(map.values(&guard).sum::<u64>(), 11 + 2 + 3 + 45);
            assert_eq!(map.remove_if("one", |_, value| *value == 1, &guard), None);
            assert_eq!(map.remove_if("one", |_, value| *value == 11, &guard).map(|entry| *entry.1), Some(11));
            assert_eq!(map.remove("two", &guard), Some(&2));
            assert_eq!(map.remove("two", &guard), None);
            map.retain(|_, value| *value != 3, &guard);
            assert_eq!(map.iter(&guard).map(|(key, value)| (key.as_str(), *value)).collect::<Vec<_>>(), [("four", 45)]);
            map.insert_duplicate("four".into(), 46, &guard);
            let mut all: Vec<_> = map.get_all("four", &guard).copied().collect();
            all.sort_unstable();
            assert_eq!(all, [45, 46]);
            assert_eq!(map.remove_all("four", &guard), 2);
            assert!(map.is_empty());
            map.insert("x".into(), 1, &guard);
            map.clear(&guard);
            assert_eq!(map.iter(&guard).count(), 0);
        }
        let pinned = map.pin();
        assert_eq!(pinned.insert("seven".into(), 7), None);
        assert_eq!(pinned.get("seven"), Some(&7));
        assert_eq!(format!("{pinned:?}"), r#"{"seven": 7}"#);
        drop(pinned);
        assert_eq!(map.into_iter().collect::<Vec<_>>(), [("seven".to_owned(), 7)]);
    }

    /// A map that grew a thousandfold and was emptied is as small as it was, and nothing was lost on the way.
    fn grows_and_shrinks_back<F>() {
        let thread = urcu_core::Thread::<F>::register().expect("not registered yet");
        let map = LfHashMap::<u64, u64>::new(F::vtable());
        let least = map.capacity(&thread.read_lock());
        for key in 0..50_000 {
            assert_eq!(map.insert(key, !key, &thread.read_lock()), None);
        }
        let guard = thread.read_lock();
        assert!(map.capacity(&guard) >= 50_000);
        assert!((0..50_000).all(|key| map.get(&key, &guard) == Some(&!key)));
        assert!((50_000..100_000).all(|key| map.get(&key, &guard).is_none()));
        assert_eq!(map.iter(&guard).map(|(key, _)| key).sum::<u64>(), 50_000 * 49_999 / 2);
        drop(guard);
        for key in 0..50_000 {
            assert_eq!(map.remove(&key, &thread.read_lock()), Some(&!key));
        }
        assert_eq!(map.len(), 0);
        assert_eq!(map.capacity(&thread.read_lock()), least);
    }

    /// All that was put in is dropped once: what was replaced, removed, refused, or is there at the end.
    fn everything_is_dropped_once<F>() {
        let thread = urcu_core::Thread::<F>::register().expect("not registered yet");
        let counts = Counts::new();
        {
            let map = LfHashMap::<u64, structure_conformance::Counted>::new(F::vtable());
            let guard = thread.read_lock();
            for round in 0..3 {
                for key in 0..1000 {
                    map.insert(key, counts.make(round), &guard);
                }
            }
            for key in 0..500 {
                assert_eq!(map.remove(&key, &guard).expect("inserted").value(), 2);
            }
            for key in 400..600 {
                let _ = map.try_insert(key, counts.make(9), &guard);
            }
            drop(guard);
            let mut taken = map.into_iter();
            assert!(taken.next().is_some());
        }
        F::vtable().wait_for_retired().ok();
        drop(thread);
        F::vtable().wait_for_retired().expect("not inside a section");
        assert_eq!(counts.dropped(), counts.made());
    }
}

#[test]
fn sets() {
    let flavor = Bp::vtable();
    let set = LfHashSet::<String>::new(flavor);
    let pinned = set.pin();
    assert!(pinned.insert("a".into()));
    assert!(!pinned.insert("a".into()));
    assert_eq!(pinned.replace("a".into()), Some(&"a".to_owned()));
    assert_eq!(pinned.get("a"), Some(&"a".to_owned()));
    assert_eq!(format!("{pinned:?}"), r#"{"a"}"#);
    assert_eq!(pinned.remove("a"), Some(&"a".to_owned()));
    assert!(pinned.is_empty());
    drop(pinned);
    let set = LfHashSet::from_entries(["x", "y", "x"], flavor);
    let mut values: Vec<_> = set.into_iter().collect();
    values.sort_unstable();
    assert_eq!(values, ["x", "y"]);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32),
    TryInsert(u16, u32),
    Another(u16, u32),
    Remove(u16),
    RemoveAll(u16),
    RemoveIf(u16, u32),
    Replace(u16, u32),
    Compute(u16, u32),
    Get(u16),
    GetAll(u16),
    Retain(u32),
    Iterate,
    Reserve(u16),
    Resize(u16),
    Shrink,
}

fn step(duplicates: bool) -> impl Strategy<Value = Step> {
    let key = || 0..200_u16;
    let value = || 0..4_u32;
    prop_oneof![
        12 => (key(), value()).prop_map(|(key, value)| Step::Insert(key, value)),
        4 => (key(), value()).prop_map(|(key, value)| Step::TryInsert(key, value)),
        4 => (key(), value()).prop_map(move |(key, value)| {
            if duplicates { Step::Another(key, value) } else { Step::Insert(key, value) }
        }),
        8 => key().prop_map(Step::Remove),
        1 => key().prop_map(Step::RemoveAll),
        3 => (key(), value()).prop_map(|(key, value)| Step::RemoveIf(key, value)),
        3 => (key(), value()).prop_map(|(key, value)| Step::Replace(key, value)),
        3 => (key(), value()).prop_map(|(key, value)| Step::Compute(key, value)),
        8 => key().prop_map(Step::Get),
        4 => key().prop_map(Step::GetAll),
        1 => value().prop_map(Step::Retain),
        1 => Just(Step::Iterate),
        1 => (0..2000_u16).prop_map(Step::Reserve),
        1 => (0..2000_u16).prop_map(Step::Resize),
        1 => Just(Step::Shrink),
    ]
}

/// Hashes badly: few buckets, few tags.
#[derive(Clone, Default)]
struct Bad(u64);

impl std::hash::BuildHasher for Bad {
    type Hasher = BadHasher;

    fn build_hasher(&self) -> BadHasher {
        BadHasher { mask: self.0, hash: 0 }
    }
}

struct BadHasher {
    mask: u64,
    hash: u64,
}

impl std::hash::Hasher for BadHasher {
    fn finish(&self) -> u64 {
        self.hash & self.mask
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        }
    }
}

/// Runs the steps on a map and on a model of it: a list of values per key.
fn run<S: std::hash::BuildHasher>(steps: Vec<Step>, hasher: S) {
    let map = LfHashMap::<u16, u32, S>::with_hasher(hasher, Bp::vtable());
    let mut model: HashMap<u16, Vec<u32>> = HashMap::new();
    // Takes one of the values from the model.
    fn take(model: &mut HashMap<u16, Vec<u32>>, key: u16, value: u32) {
        let values = model.get_mut(&key).expect("the map has it");
        let at = values.iter().position(|other| *other == value).expect("the map has it");
        values.swap_remove(at);
        if values.is_empty() {
            model.remove(&key);
        }
    }
    for step in steps {
        let map = map.pin();
        match step {
            Step::Insert(key, value) => {
                let old = map.insert(key, value).copied();
                assert_eq!(old.is_some(), model.contains_key(&key));
                if let Some(old) = old {
                    take(&mut model, key, old);
                }
                model.entry(key).or_default().push(value);
            }
            Step::TryInsert(key, value) => {
                let inserted = map.try_insert(key, value).is_ok();
                assert_eq!(inserted, !model.contains_key(&key));
                if inserted {
                    model.insert(key, vec![value]);
                }
            }
            Step::Another(key, value) => {
                assert_eq!(map.insert_duplicate(key, value), &value);
                model.entry(key).or_default().push(value);
            }
            Step::Remove(key) => {
                let old = map.remove(&key).copied();
                assert_eq!(old.is_some(), model.contains_key(&key));
                if let Some(old) = old {
                    take(&mut model, key, old);
                }
            }
            Step::RemoveAll(key) => {
                assert_eq!(map.remove_all(&key), model.remove(&key).map_or(0, |values| values.len()));
            }
            Step::RemoveIf(key, value) => {
                let seen = std::cell::Cell::new(None);
                let old = map.remove_if(&key, |_, there| {
                    seen.set(Some(*there));
                    *there == value
                });
                assert_eq!(seen.get().is_some(), model.contains_key(&key));
                assert_eq!(old.is_some(), seen.get() == Some(value));
                if let Some((_, old)) = old {
                    take(&mut model, key, *old);
                }
            }
            Step::Replace(key, value) => match map.replace(key, value) {
                Ok(old) => {
                    take(&mut model, key, *old);
                    model.entry(key).or_default().push(value);
                }
                Err(given) => {
                    assert_eq!(given, (key, value));
                    assert!(!model.contains_key(&key));
                }
            },
            Step::Compute(key, value) => {
                let computed = map.compute(key, |there| match there {
                    Some((_, 0)) => Operation::Remove,
                    Some((_, 1)) => Operation::Keep,
                    _ => Operation::Insert(value),
                });
                match computed {
                    Computed::Inserted(..) => assert!(model.insert(key, vec![value]).is_none()),
                    Computed::Updated { old, .. } => {
                        take(&mut model, key, *old);
                        model.entry(key).or_default().push(value);
                    }
                    Computed::Removed(_, old) => {
                        assert_eq!(*old, 0);
                        take(&mut model, key, 0);
                    }
                    Computed::Kept(there) => assert_eq!(there.map(|it| *it.1), Some(1)),
                }
            }
            Step::Get(key) => {
                let found = map.get(&key).copied();
                assert_eq!(found.is_some(), model.contains_key(&key));
                assert!(found.is_none_or(|found| model[&key].contains(&found)));
                let both = map.get_many([&key, &(key + 1)]);
                assert_eq!(both.map(|it| it.is_some()), [model.contains_key(&key), model.contains_key(&(key + 1))]);
            }
            Step::GetAll(key) => {
                let mut found: Vec<_> = map.get_all(&key).copied().collect();
                found.sort_unstable();
                let mut expected = model.get(&key).cloned().unwrap_or_default();
                expected.sort_unstable();
                assert_eq!(found, expected);
            }
            Step::Retain(value) => {
                map.retain(|_, there| *there != value);
                model.retain(|_, values| {
                    values.retain(|there| *there != value);
                    !values.is_empty()
                });
            }
            Step::Iterate => {
                let mut found: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
                found.sort_unstable();
                let mut expected: Vec<_> =
                    model.iter().flat_map(|(key, values)| values.iter().map(|value| (*key, *value))).collect();
                expected.sort_unstable();
                assert_eq!(found, expected);
            }
            Step::Reserve(entries) => map.reserve(entries.into()),
            Step::Resize(entries) => {
                map.resize(entries.into());
            }
            Step::Shrink => {
                map.shrink_to_fit();
            }
        }
        assert_eq!(map.len(), model.values().map(Vec::len).sum::<usize>());
    }
    let mut left: Vec<_> = map.into_iter().collect();
    left.sort_unstable();
    let mut expected: Vec<_> =
        model.into_iter().flat_map(|(key, values)| values.into_iter().map(move |it| (key, it))).collect();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn does_what_a_multimap_does(steps in prop::collection::vec(step(true), 1..400)) {
        within_limit("does_what_a_multimap_does", || run(steps, RandomState::new()));
    }

    #[test]
    fn does_what_a_map_does(steps in prop::collection::vec(step(false), 1..400)) {
        within_limit("does_what_a_map_does", || run(steps, RandomState::new()));
    }

    #[test]
    fn bad_hashes_are_only_slow(steps in prop::collection::vec(step(true), 1..200), mask in prop_oneof![
        Just(0), Just(3), Just(1 << 60), Just(0xff), Just(0xff00_0000_0000_00ff), Just(0xffff_0000)
    ]) {
        within_limit("bad_hashes_are_only_slow", || run(steps, Bad(mask)));
    }
}

//! `LfHashMap` under several threads: what readers may rely on while everything changes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::thread;

use cds_lfht::LfHashMap;
use cds_lfht::map::{Computed, Operation};
use structure_conformance::{Counted, Counts, Tested, on_every_flavor, seed::Random};
use urcu_core::{Guard, Thread};

type Map<S = RandomState> = LfHashMap<u64, Counted, S>;

/// Values that tell their key.
fn value(counts: &Counts, key: u64, random: &mut Random) -> Counted {
    counts.make(key << 32 | random.below(1 << 20))
}

#[track_caller]
fn check(key: u64, value: &Counted) {
    assert_eq!(value.value() >> 32, key, "a value of another key");
}

/// An operation that any number of threads may do at any time.
type Act<F> = fn(&Map, &Counts, u64, &mut Random, &Guard<'_, F>) -> isize;

/// Each of them: what it adds to the number of entries.
fn acts<F: Tested>() -> Vec<(&'static str, Act<F>)> {
    vec![
        ("insert", |map, counts, key, random, guard| {
            let old = map.insert(key, value(counts, key, random), guard);
            old.inspect(|old| check(key, old)).is_none().into()
        }),
        ("try_insert", |map, counts, key, random, guard| {
            match map.try_insert(key, value(counts, key, random), guard) {
                Ok(value) => {
                    check(key, value);
                    1
                }
                Err(occupied) => {
                    check(key, occupied.current);
                    0
                }
            }
        }),
        ("get_or_insert_with", |map, counts, key, random, guard| {
            let mut made = false;
            let there = map.get_or_insert_with(
                key,
                || {
                    made = true;
                    value(counts, key, random)
                },
                guard,
            );
            check(key, there);
            // Whether it was inserted is not told: counted by nobody, so it is removed from the count by hand.
            let _ = made;
            0
        }),
        ("remove", |map, _, key, _, guard| {
            -isize::from(map.remove(&key, guard).inspect(|old| check(key, old)).is_some())
        }),
        ("remove_if", |map, _, key, _, guard| {
            -isize::from(map.remove_if(&key, |_, old| old.value() & 1 == 0, guard).is_some())
        }),
        ("replace", |map, counts, key, random, guard| {
            if let Ok(old) = map.replace(key, value(counts, key, random), guard) {
                check(key, old);
            }
            0
        }),
        ("update", |map, counts, key, random, guard| {
            if let Some((old, new)) = map.update(key, |_| value(counts, key, random), guard) {
                check(key, old);
                check(key, new);
            }
            0
        }),
        ("compute", |map, counts, key, random, guard| {
            let computed = map.compute(
                key,
                |there| match there {
                    None => Operation::Insert(value(counts, key, random)),
                    Some((_, old)) if old.value() & 1 == 0 => Operation::Remove,
                    Some(_) => Operation::Keep,
                },
                guard,
            );
            match computed {
                Computed::Inserted(..) => 1,
                Computed::Removed(..) => -1,
                _ => 0,
            }
        }),
        ("get", |map, _, key, _, guard| {
            if let Some((stored, value)) = map.get_key_value(&key, guard) {
                assert_eq!(*stored, key);
                check(key, value);
            }
            0
        }),
        ("get_all", |map, _, key, _, guard| {
            map.get_all(&key, guard).for_each(|value| check(key, value));
            0
        }),
        ("get_many", |map, _, key, _, guard| {
            for (offset, found) in map.get_many([&key, &(key ^ 1), &(key ^ 2)], guard).into_iter().enumerate() {
                found.into_iter().for_each(|found| check(key ^ offset as u64, found));
            }
            0
        }),
        ("iter", |map, _, _, random, guard| {
            if random.once_in(16) {
                let mut seen = HashMap::new();
                for (key, value) in map.iter(guard) {
                    check(*key, value);
                    assert!(seen.insert(*key, ()).is_none(), "key {key} was met twice");
                }
            }
            0
        }),
        ("retain", |map, _, key, random, guard| {
            if !random.once_in(16) {
                return 0;
            }
            map.retain(
                |other, value| {
                    check(*other, value);
                    *other != key || value.value() & 1 == 0
                },
                guard,
            );
            0
        }),
        ("reserve", |map, _, key, _, guard| {
            map.reserve((key * 16) as usize, guard);
            0
        }),
        ("resize", |map, _, key, _, guard| {
            map.resize((key * 16) as usize, guard);
            0
        }),
        ("shrink_to_fit", |map, _, _, _, guard| {
            map.shrink_to_fit(guard);
            0
        }),
        ("len", |map, _, _, _, _| {
            assert!(map.len() <= 4 * KEYS as usize);
            0
        }),
    ]
}

const KEYS: u64 = 64;

/// What counts its own changes.
fn counts_itself(name: &str) -> bool {
    !matches!(name, "get_or_insert_with" | "retain")
}

on_every_flavor! {
    /// Every two operations at the same time, beside a table that is moved to and fro.
    fn all_pairs<F>() {
        let acts = acts::<F>();
        for (first, &(one, _)) in acts.iter().enumerate() {
            for (second, &(other, _)) in acts.iter().enumerate().skip(first) {
                let counts = Counts::new();
                let map = Map::new(F::vtable());
                let balance = AtomicIsize::new(0);
                let start = Barrier::new(2);
                thread::scope(|scope| {
                    for (number, which) in [first, second].into_iter().enumerate() {
                        let (acts, map, counts, balance, start) = (&acts, &map, &counts, &balance, &start);
                        scope.spawn(move || {
                            let thread = Thread::<F>::register().expect("not registered yet");
                            let mut random = Random::new((first * 1000 + second * 10 + number) as u64);
                            start.wait();
                            for round in 0..120 {
                                let key = random.below(KEYS);
                                let guard = thread.read_lock();
                                // Something has to be there, and to go, and the table has to move.
                                let act = match random.below(8) {
                                    0 => acts[0].1,
                                    1 => acts[3].1,
                                    2 if round % 8 == number => acts[14].1,
                                    _ => acts[which].1,
                                };
                                balance.fetch_add(act(map, counts, key, &mut random, &guard), Ordering::Relaxed);
                            }
                        });
                    }
                });
                let thread = Thread::<F>::register().expect("not registered yet");
                let guard = thread.read_lock();
                let entries = map.iter(&guard).inspect(|(key, value)| check(**key, value)).count();
                assert_eq!(entries, map.len(), "{one} beside {other}");
                if counts_itself(one) && counts_itself(other) {
                    assert_eq!(entries as isize, balance.load(Ordering::Relaxed), "{one} beside {other}");
                }
            }
        }
    }

    /// Keys that stay are found by every lookup and once in every traversal, and those that are only replaced, too, while
    /// others come and go and the table grows and shrinks.
    fn what_stays_is_always_found<F>() {
        const STAYING: u64 = 200;
        let counts = Counts::new();
        let map = Map::new(F::vtable());
        let stop = AtomicBool::new(false);
        let moves = AtomicUsize::new(0);
        {
            let thread = Thread::<F>::register().expect("not registered yet");
            let mut random = Random::new(1);
            let guard = thread.read_lock();
            (0..STAYING).for_each(|key| assert!(map.insert(key, value(&counts, key, &mut random), &guard).is_none()));
        }
        thread::scope(|scope| {
            // One replaces them, one lets others come and go, one resizes by hand.
            let updater = |which: u64| {
                let (map, counts, stop, moves) = (&map, &counts, &stop, &moves);
                move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let mut random = Random::new(10 + which);
                    let mut transient = STAYING;
                    while !stop.load(Ordering::Relaxed) {
                        let guard = thread.read_lock();
                        match which {
                            0 => {
                                let key = random.below(STAYING);
                                assert!(map.insert(key, value(counts, key, &mut random), &guard).is_some());
                            }
                            1 => {
                                for key in transient..transient + 64 {
                                    assert!(map.insert(key, value(counts, key, &mut random), &guard).is_none());
                                }
                                if transient > STAYING + 4096 {
                                    for key in STAYING..transient + 64 {
                                        assert!(map.remove(&key, &guard).is_some());
                                    }
                                    transient = STAYING;
                                } else {
                                    transient += 64;
                                }
                            }
                            _ => {
                                map.resize(random.below(20_000) as usize, &guard);
                                moves.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                }
            };
            (0..3).for_each(|which| drop(scope.spawn(updater(which))));
            for reader in 0..2 {
                let (map, stop, moves) = (&map, &stop, &moves);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let _stops = Stops(stop);
                    let mut random = Random::new(20 + reader);
                    let mut round = 0;
                    while round < 300 || moves.load(Ordering::Relaxed) < 20 {
                        round += 1;
                        let guard = thread.read_lock();
                        for _ in 0..100 {
                            let key = random.below(STAYING);
                            check(key, map.get(&key, &guard).expect("it is never removed"));
                        }
                        let keys: [u64; 8] = std::array::from_fn(|_| random.below(STAYING));
                        assert!(map.get_many(keys.each_ref(), &guard).iter().all(Option::is_some));
                        if round % 8 == 0 {
                            let mut seen = vec![false; STAYING as usize];
                            for (key, value) in map.iter(&guard) {
                                check(*key, value);
                                if let Some(seen) = seen.get_mut(*key as usize) {
                                    assert!(!std::mem::replace(seen, true), "met twice");
                                }
                            }
                            assert!(seen.iter().all(|seen| *seen), "not met");
                        }
                    }
                });
            }
        });
        drop(map);
        F::vtable().wait_for_retired().expect("not inside a section");
        assert_eq!(counts.made(), counts.dropped());
    }

    /// Of those that insert the same key one succeeds, of those that remove it, too; whatever the table does.
    fn one_wins<F>() {
        const THREADS: usize = 3;
        let counts = Counts::new();
        let map = Map::new(F::vtable());
        let turns = Barrier::new(THREADS);
        let (inserted, removed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (map, counts, turns, inserted, removed) = (&map, &counts, &turns, &inserted, &removed);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let mut random = Random::new(number as u64);
                    for round in 0..40_u64 {
                        let keys = 100 + round * 50;
                        turns.wait();
                        for key in 0..keys {
                            let guard = thread.read_lock();
                            let won = map.try_insert(key, value(counts, key, &mut random), &guard).is_ok();
                            inserted.fetch_add(won.into(), Ordering::Relaxed);
                        }
                        turns.wait();
                        assert_eq!(inserted.load(Ordering::Relaxed) as u64, keys);
                        turns.wait();
                        inserted.store(0, Ordering::Relaxed);
                        for key in 0..keys {
                            let guard = thread.read_lock();
                            removed.fetch_add(map.remove(&key, &guard).is_some().into(), Ordering::Relaxed);
                        }
                        turns.wait();
                        assert_eq!(removed.load(Ordering::Relaxed) as u64, keys);
                        assert!(map.is_empty());
                        turns.wait();
                        removed.store(0, Ordering::Relaxed);
                    }
                });
            }
        });
    }

    /// A table that is being left is dropped with everything, in whatever state it is.
    fn dropped_while_resizing<F>() {
        let counts = Counts::new();
        for entries in (1..400).step_by(7) {
            let map = Map::new(F::vtable());
            let thread = Thread::<F>::register().expect("not registered yet");
            let mut random = Random::new(entries);
            for key in 0..entries {
                map.insert(key, value(&counts, key, &mut random), &thread.read_lock());
            }
            if entries % 2 == 0 {
                assert_eq!(map.into_iter().count() as u64, entries);
            }
        }
        F::vtable().wait_for_retired().expect("not inside a section");
        assert_eq!(counts.made(), counts.dropped());
    }
}

/// Stops the others when this thread ends, also by a panic.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All keys in one bucket with one tag.
#[derive(Clone, Default)]
struct Constant;

impl BuildHasher for Constant {
    type Hasher = ConstantHasher;

    fn build_hasher(&self) -> ConstantHasher {
        ConstantHasher
    }
}

struct ConstantHasher;

impl std::hash::Hasher for ConstantHasher {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}
}

on_every_flavor! {
    /// A hash that says nothing makes the map slow and nothing else.
    fn constant_hash<F>() {
        let counts = Counts::new();
        let map: Map<Constant> = LfHashMap::with_hasher(Constant, F::vtable());
        thread::scope(|scope| {
            for number in 0..3_u64 {
                let (map, counts) = (&map, &counts);
                scope.spawn(move || {
                    let thread = Thread::<F>::register().expect("not registered yet");
                    let mut random = Random::new(number);
                    for round in 0..600 {
                        let guard = thread.read_lock();
                        let key = number * 100 + random.below(100);
                        if round % 3 == 0 {
                            map.remove(&key, &guard);
                        } else {
                            map.insert(key, value(counts, key, &mut random), &guard);
                            check(key, map.get(&key, &guard).expect("just inserted, by this thread alone"));
                        }
                        map.get(&random.below(300), &guard);
                    }
                });
            }
        });
        let thread = Thread::<F>::register().expect("not registered yet");
        assert_eq!(map.iter(&thread.read_lock()).count(), map.len());
    }
}

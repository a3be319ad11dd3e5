//! The guarantees of `raw::design`, letter by letter, beside resizes and updates by others.
#![cfg(not(urcu_loom))]

mod raw_common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{scope, yield_now};
use std::time::{Duration, Instant};

use cds_lfht::raw::Options;
use raw_common::{Entries, Entry, good_hash, memories};
use structure_conformance::seed::Random;
use structure_conformance::{Tested, Thread, on_every_flavor};

/// How long each test makes trouble.
const TROUBLE: Duration = Duration::from_millis(250);

/// Half of the keys share hashes, so that runs of equal hashes are long.
fn crowded(key: u64) -> usize {
    if key.is_multiple_of(2) { good_hash(key % 16) } else { good_hash(key) }
}

fn table<F: Tested>(test: u64) -> Entries {
    Entries::hashed::<F>(memories()[test as usize % 3].auto_resize(false), crowded)
}

type Role<'r, F> = &'r (dyn Fn(&Thread<F>, &mut Random) + Sync);

/// Runs all of `roles`, one thread each, beside a thread that resizes all the time. A role is called again and again, with a
/// quiescent state in between.
fn beside_resizes<F: Tested>(entries: &Entries, roles: &[Role<'_, F>]) {
    let ended = AtomicBool::new(false);
    scope(|scope| {
        let (ended, entries) = (&ended, entries);
        let mut threads = Vec::new();
        for (number, role) in roles.iter().enumerate() {
            threads.push(scope.spawn(move || {
                let mut thread = Thread::<F>::register().unwrap();
                let mut random = Random::new(number as u64);
                while !ended.load(Ordering::Relaxed) {
                    role(&thread, &mut random);
                    thread.quiescent_state();
                    random.dawdle();
                }
            }));
        }
        threads.push(scope.spawn(move || {
            let mut random = Random::new(99);
            while !ended.load(Ordering::Relaxed) {
                entries.table().resize(1 << random.below(9)).expect("outside of sections");
            }
        }));
        let start = Instant::now();
        while start.elapsed() < TROUBLE && threads.iter().all(|thread| !thread.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        ended.store(true, Ordering::Relaxed);
    });
}

/// Adds and removes other keys, all of the time, with equal hashes as well.
fn trouble<'e, F: Tested>(entries: &'e Entries) -> impl Fn(&Thread<F>, &mut Random) + Sync + 'e {
    move |thread, random| {
        let guard = thread.read_lock();
        for _ in 0..16 {
            let key = 1000 + random.below(64);
            match random.below(4) {
                0 => entries.add(key, key, &guard),
                1 => {
                    entries.add_unique(key, key, &guard);
                }
                2 => {
                    entries.add_replace(key, key, &guard);
                }
                _ => {
                    entries.remove(key, &guard);
                }
            }
        }
    }
}

fn keys_of(entries: &[&Entry]) -> BTreeMap<u64, usize> {
    let mut keys = BTreeMap::new();
    for entry in entries {
        *keys.entry(entry.key).or_insert(0) += 1;
    }
    keys
}

on_every_flavor! {
    fn a_b_e_reads_after_and_before_updates_and_after_grace_periods<F>() {
        let entries = table::<F>(0);
        let own = |thread: &Thread<F>, random: &mut Random, first: u64| {
            let key = first + random.below(8);
            let guard = thread.read_lock();
            assert!(entries.lookup(key, &guard).is_none());
            assert!(entries.add_unique(key, 1, &guard).is_none());
            assert_eq!(entries.lookup(key, &guard).map(|entry| entry.value), Some(1));
            assert_eq!(entries.add_replace(key, 2, &guard).map(|entry| entry.value), Some(1));
            assert_eq!(entries.duplicates(key, &guard).iter().map(|entry| entry.value).collect::<Vec<_>>(), [2]);
            let met = entries.all(&guard).iter().filter(|entry| entry.key == key).count();
            assert_eq!(met, 1);
            assert_eq!(entries.remove(key, &guard), Some(2));
            assert!(entries.lookup(key, &guard).is_none());
            assert!(entries.all(&guard).iter().all(|entry| entry.key != key));
        };
        // E: entries are poisoned when they are reclaimed, and looked at whenever they are met.
        beside_resizes::<F>(&entries, &[
            &|thread, random| own(thread, random, 0),
            &|thread, random| own(thread, random, 8),
            &trouble(&entries),
        ]);
    }

    fn c_lookups_of_what_is_there_throughout<F>() {
        let entries = table::<F>(1);
        {
            let thread = Thread::<F>::register().unwrap();
            (0..100).for_each(|key| entries.add(key, !key, &thread.read_lock()));
        }
        beside_resizes::<F>(&entries, &[
            &|thread, random| {
                let guard = thread.read_lock();
                for _ in 0..32 {
                    let key = random.below(100);
                    assert_eq!(entries.lookup(key, &guard).map(|entry| entry.value), Some(!key));
                    assert!(entries.lookup(key + 100, &guard).is_none());
                }
            },
            &trouble(&entries),
            &trouble(&entries),
        ]);
    }

    fn d_lookups_do_not_go_back_in_time<F>() {
        let entries = table::<F>(2);
        let version = AtomicU64::new(0);
        let read = |thread: &Thread<F>, _: &mut Random| {
            let mut last = 0;
            let guard = thread.read_lock();
            for _ in 0..64 {
                let now = entries.lookup(5, &guard).map_or(last, |entry| entry.value);
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
        };
        beside_resizes::<F>(&entries, &[
            // One writer: the versions rise.
            &|thread, random| {
                let guard = thread.read_lock();
                if random.once_in(8) {
                    entries.remove(5, &guard);
                }
                entries.add_replace(5, version.fetch_add(1, Ordering::Relaxed) + 1, &guard);
            },
            &read,
            &read,
        ]);
    }

    fn f_unique_keys_are_never_met_twice<F>() {
        let entries = table::<F>(3);
        let update = |thread: &Thread<F>, random: &mut Random| {
            let guard = thread.read_lock();
            let key = random.below(16);
            match random.below(3) {
                0 => {
entries.add_unique(key, 0, &guard);
}
                1 => {
entries.add_replace(key, 0, &guard);
}
                _ => {
                    entries.remove(key, &guard);
                }
            }
        };
        beside_resizes::<F>(&entries, &[
            &update,
            &update,
            // Adds others with the same hashes.
            &trouble(&entries),
            &|thread, random| {
                let guard = thread.read_lock();
                let met = keys_of(&entries.all(&guard));
                assert!(met.iter().all(|(key, count)| *key >= 1000 || *count == 1), "{met:?}");
                assert!(entries.duplicates(random.below(16), &guard).len() <= 1);
            },
        ]);
    }

    fn g_keys_that_are_only_replaced_are_found_exactly_once<F>() {
        let entries = table::<F>(4);
        {
            let thread = Thread::<F>::register().unwrap();
            (0..16).for_each(|key| assert!(entries.add_unique(key, 0, &thread.read_lock()).is_none()));
        }
        let replace = |thread: &Thread<F>, random: &mut Random| {
            let guard = thread.read_lock();
            let key = random.below(16);
            if random.once_in(2) {
                assert!(entries.add_replace(key, 1, &guard).is_some());
            } else {
                let at = entries.find(key, &guard);
                // Another one may have replaced it.
                let _ = entries.replace_at(at, key, 2, &guard);
            }
        };
        beside_resizes::<F>(&entries, &[
            &replace,
            &replace,
            &trouble(&entries),
            &|thread, _| {
                let guard = thread.read_lock();
                for key in 0..16 {
                    assert_eq!(entries.duplicates(key, &guard).len(), 1, "key {key}");
                }
                let met = keys_of(&entries.all(&guard));
                assert!((0..16).all(|key| met.get(&key) == Some(&1)), "{met:?}");
            },
        ]);
    }

    fn h_i_exactly_one_caller_succeeds<F>() {
        let entries = table::<F>(5);
        let balance: [AtomicU64; 8] = Default::default();
        let update = |thread: &Thread<F>, random: &mut Random| {
            let guard = thread.read_lock();
            let key = random.below(8);
            // I: a refused entry is freed at once, and would be met poisoned.
            if random.once_in(2) {
                if entries.add_unique(key, 0, &guard).is_none() {
                    balance[key as usize].fetch_add(1, Ordering::Relaxed);
                }
            } else if entries.remove_at(entries.find(key, &guard), &guard) {
                balance[key as usize].fetch_sub(1, Ordering::Relaxed);
            }
        };
        beside_resizes::<F>(&entries, &[&update, &update, &update, &trouble(&entries)]);
        let thread = Thread::<F>::register().unwrap();
        let guard = thread.read_lock();
        for (key, balance) in (0..).zip(&balance) {
            let there = entries.lookup(key, &guard).is_some();
            assert_eq!(balance.load(Ordering::Relaxed), u64::from(there), "key {key}");
        }
    }

    fn j_k_l_traversals_meet_what_is_there_throughout_once<F>() {
        let entries = table::<F>(6);
        {
            let thread = Thread::<F>::register().unwrap();
            for key in 0..60 {
                entries.add(key, 0, &thread.read_lock());
            }
            // Duplicates, in this order.
            for value in 1..6 {
                entries.add(7, value, &thread.read_lock());
            }
        }
        beside_resizes::<F>(&entries, &[
            &|thread, _| {
                let guard = thread.read_lock();
                let met = entries.all(&guard);
                let hashes: Vec<usize> = met.iter().map(|entry| crowded(entry.key).reverse_bits()).collect();
                assert!(hashes.is_sorted(), "not in split order");
                let mut keys = keys_of(&met);
                assert_eq!(keys.remove(&7), Some(6));
                assert!((0..60).filter(|key| *key != 7).all(|key| keys.get(&key) == Some(&1)), "{keys:?}");
                let values: Vec<u64> = entries.duplicates(7, &guard).iter().map(|entry| entry.value).collect();
                assert_eq!(values, [0, 1, 2, 3, 4, 5]);
                yield_now();
            },
            // L: a traversal that removes where it stands, with others doing the same.
            &|thread, random| {
                let guard = thread.read_lock();
                let mut met = 0;
                entries.for_each(&guard, |at, entry| {
                    met += usize::from(entry.key < 60);
                    if entry.key >= 1000 && random.once_in(2) {
                        entries.remove_at(at, &guard);
                    }
                });
                assert_eq!(met, 65);
            },
            &trouble(&entries),
            &trouble(&entries),
        ]);
    }

    fn m_contents_survive_any_sequence_of_sizes<F>() {
        let entries = table::<F>(7);
        let mut thread = Thread::<F>::register().unwrap();
        let mut random = Random::new(7);
        (0..500).for_each(|key| entries.add(key, key, &thread.read_lock()));
        for _ in 0..24 {
            let size = 1 << random.below(13);
            thread.while_offline(|| entries.table().resize(size)).unwrap();
            assert_eq!(entries.table().size(), size);
            let guard = thread.read_lock();
            assert!((0..500).all(|key| entries.lookup(key, &guard).is_some()));
            assert_eq!(entries.count(&guard), 500);
        }
    }

    /// All operations beside all others, with automatic resizes.
    fn everything_at_once<F>() {
        let options = Options::new().max(1 << 16);
        let entries = Entries::new::<F>(options);
        let net: [AtomicI64; 4] = Default::default();
        scope(|scope| {
            for number in 0..4_u64 {
                let (entries, net) = (&entries, &net[number as usize]);
                scope.spawn(move || {
                    let mut thread = Thread::<F>::register().unwrap();
                    let mut random = Random::new(number);
                    // Below zero on a thread that removes what others added.
                    let mut count = 0_i64;
                    for wave in 0..6 {
                        // Up and down, so that the table has to grow and to shrink.
                        let inserts = if wave % 2 == 0 { 7 } else { 2 };
                        for _ in 0..4000 {
                            let guard = thread.read_lock();
                            let key = random.below(20_000);
                            match random.below(10) {
                                choice if choice < inserts => match random.below(3) {
                                    0 => {
                                        entries.add(key, 0, &guard);
                                        count += 1;
                                    }
                                    1 => count += i64::from(entries.add_unique(key, 0, &guard).is_none()),
                                    _ => count += i64::from(entries.add_replace(key, 0, &guard).is_none()),
                                },
                                choice if choice < 9 => {
                                    if random.once_in(64) {
                                        entries.for_each(&guard, |_, entry| entry.check());
                                    }
                                    count -= i64::from(entries.remove(key, &guard).is_some());
                                }
                                _ => {
                                    let _ = entries.replace_at(entries.find(key, &guard), key, 1, &guard);
                                }
                            }
                            drop(guard);
                            thread.quiescent_state();
                        }
                    }
                    net.store(count, Ordering::Relaxed);
                });
            }
        });
        let thread = Thread::<F>::register().unwrap();
        let guard = thread.read_lock();
        let net: i64 = net.iter().map(|net| net.load(Ordering::Relaxed)).sum();
        assert_eq!(entries.count(&guard) as i64, net);
        assert_eq!(entries.table().approximate_len(), net);
    }
}

/// The pattern of the module page: found under RCU, changed under the object's own lock.
mod lock_for_each_object {
    use std::ptr::NonNull;
    use std::sync::Mutex;

    use cds_lfht::raw::{Node, Table};

    use super::*;

    #[repr(C)]
    struct Account {
        node: Node,
        number: u64,
        state: Mutex<State>,
    }

    struct State {
        balance: u64,
        deleted: bool,
    }

    fn is(number: u64) -> impl FnMut(NonNull<Node>) -> bool {
        // SAFETY: all nodes of this table are the first fields of accounts.
        move |node| unsafe { node.cast::<Account>().as_ref() }.number == number
    }

    fn find<'g, F: Tested>(table: &Table, number: u64, _guard: &'g urcu_core::Guard<'_, F>) -> Option<&'g Account> {
        // SAFETY: inside a section.
        let node = unsafe { table.lookup(good_hash(number), is(number)) }.node()?;
        // SAFETY: found in this section.
        Some(unsafe { node.cast::<Account>().as_ref() })
    }

    on_every_flavor! {
        fn nothing_is_paid_into_a_closed_account<F>() {
            let table = Table::new(F::vtable(), Options::new()).unwrap();
            let (paid, got) = (AtomicU64::new(0), AtomicU64::new(0));
            let ended = AtomicBool::new(false);
            scope(|scope| {
                let mut threads = Vec::new();
                for number in 0..3 {
                    let (table, paid, got, ended) = (&*table, &paid, &got, &ended);
                    threads.push(scope.spawn(move || {
                        let mut thread = Thread::<F>::register().unwrap();
                        let mut random = Random::new(number);
                        while !ended.load(Ordering::Relaxed) {
                            let number = random.below(4);
                            let guard = thread.read_lock();
                            match (random.below(4), find::<F>(table, number, &guard)) {
                                (0, None) => {
                                    let state = Mutex::new(State { balance: 0, deleted: false });
                                    let account = Box::new(Account { node: Node::new(), number, state });
                                    let node = NonNull::from(Box::leak(account)).cast();
                                    // SAFETY: inside a section; a fresh node.
                                    let found = unsafe { table.add_unique(good_hash(number), node, is(number)) };
                                    if found.is_some() {
                                        // SAFETY: refused: still ours alone.
                                        drop(unsafe { Box::from_raw(node.cast::<Account>().as_ptr()) });
                                    }
                                }
                                (1, Some(account)) => {
                                    let mut state = account.state.lock().unwrap();
                                    if !state.deleted {
                                        state.deleted = true;
                                        got.fetch_add(state.balance, Ordering::Relaxed);
                                        let node = NonNull::from(account).cast();
                                        // SAFETY: found in this section; whoever has set the flag removes it.
                                        unsafe { table.del(node) }.unwrap();
                                        drop(state);
                                        // SAFETY: removed by this thread.
                                        unsafe { F::vtable().retire_raw(node.cast::<Account>().as_ptr()) };
                                    }
                                }
                                (_, Some(account)) => {
                                    let mut state = account.state.lock().unwrap();
                                    if !state.deleted {
                                        state.balance += 1;
                                        paid.fetch_add(1, Ordering::Relaxed);
                                    }
                                }
                                _ => {}
                            }
                            drop(guard);
                            thread.quiescent_state();
                        }
                    }));
                }
                let start = Instant::now();
                while start.elapsed() < TROUBLE && threads.iter().all(|thread| !thread.is_finished()) {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                ended.store(true, Ordering::Relaxed);
            });
            let thread = Thread::<F>::register().unwrap();
            let guard = thread.read_lock();
            let mut left = 0;
            for number in 0..4 {
                if let Some(account) = find::<F>(&table, number, &guard) {
                    left += account.state.lock().unwrap().balance;
                    let node = NonNull::from(account).cast();
                    // SAFETY: found in this section.
                    unsafe { table.del(node) }.unwrap();
                    // SAFETY: removed by this thread.
                    unsafe { F::vtable().retire_raw(node.cast::<Account>().as_ptr()) };
                }
            }
            assert_eq!(got.load(Ordering::Relaxed) + left, paid.load(Ordering::Relaxed));
            drop(guard);
            table.destroy().expect("all accounts are closed");
        }
    }
}

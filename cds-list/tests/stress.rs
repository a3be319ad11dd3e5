//! Readers beside an updater that does all that it can, under each of the five flavors.
#![cfg(not(urcu_loom))]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cds_list::{Chain, Doubly, Hlist, Kind, List, RcuList};
use structure_conformance::{Counted, Counts, Tested, Thread, on_every_flavor};
use urcu_conformance::seed::Random;

/// Keys of a sorted list; what is divisible by [`STAYS`] is there all the time.
const KEYS: u64 = 64;
const STAYS: u64 = 8;
/// Far more than a walk can meet, even of elements that are being moved.
const ENDLESS: usize = 10_000_000;

/// Raised at its end, also by a panic, so that the readers end too.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What a reader does in a round.
type Read<'a, F> = &'a (dyn Fn(&Thread<F>) + Sync);

/// Runs `read` again and again, each time in a section, until `updates` has ended.
fn beside<F: Tested>(readers: &[Read<'_, F>], updates: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for read in readers {
            let stop = &stop;
            scope.spawn(move || {
                let mut thread = Thread::<F>::register().expect("a thread of its own");
                let mut rounds = 0_u64;
                while !stop.load(Ordering::Acquire) || rounds == 0 {
                    read(&thread);
                    thread.quiescent_state();
                    rounds += 1;
                }
            });
        }
        let _stop = Raised(&stop);
        updates();
    });
}

/// A walk over a sorted list meets each key at most once, in order, live, and all that stay.
fn check_sorted<'g>(walk: impl Iterator<Item = &'g Counted>, keys: impl Iterator<Item = u64>) {
    let mut staying = keys.filter(|key| key % STAYS == 0);
    let mut last: Option<u64> = None;
    let mut step = 0;
    for counted in walk {
        let key = counted.value();
        if let Some(last) = last {
            assert!(key != last, "met twice: {key}");
            let rises = key > last;
            assert!(step == 0 || rises == (step > 0), "out of order: {key} after {last}");
            step = if rises { 1 } else { -1 };
        }
        if key % STAYS == 0 {
            assert_eq!(Some(key), staying.next(), "a key that stays was missed");
        }
        last = Some(key);
    }
    assert_eq!(staying.next(), None, "the walk ended before the list");
}

/// A random update that keeps the list sorted.
fn churn<K: Kind>(list: &List<Counted, K>, counts: &Counts, random: &mut Random) {
    let key = random.below(KEYS);
    let mut updater = list.lock();
    let kind = random.below(64);
    let mut cursor = updater.cursor_at(|counted| counted.value() >= key);
    let is_there = cursor.current().is_some_and(|counted| counted.value() == key);
    match kind {
        // Out for a grace period, and back again.
        0 => {
            let detached = updater.detach_if(|counted| counted.value() / 8 == key / 8 && counted.value() % STAYS != 0);
            drop(updater);
            for counted in detached.synchronize().expect("outside of sections") {
                let key = counted.value();
                let mut updater = list.lock();
                let mut cursor = updater.cursor_at(|counted| counted.value() >= key);
                if cursor.current().is_none_or(|there| there.value() != key) {
                    cursor.insert_before(counted);
                }
            }
        }
        1 => updater.retain(|counted| counted.value() % STAYS == 0 || counted.value() % 3 != key % 3),
        // All at once into a gap, before or after its neighbour.
        2..=9 => {
            let end = cursor.current().map_or(KEYS, Counted::value);
            let chain: Chain<Counted, K> = (key..end).map(|key| counts.make(key)).collect();
            if kind.is_multiple_of(2) {
                cursor.splice_before(chain);
            } else if cursor.peek_prev().is_some() {
                cursor.move_prev();
                cursor.splice_after(chain);
            }
        }
        10..=25 if is_there => {
            let replaced = cursor.replace(counts.make(key)).expect("not at the end");
            assert_eq!(replaced.value(), key);
        }
        26..=45 if is_there && !key.is_multiple_of(STAYS) => {
            assert_eq!(cursor.remove().map(Counted::value), Some(key));
        }
        _ if !is_there => cursor.insert_before(counts.make(key)),
        _ => {}
    }
}

fn sorted<K: Kind>(vtable: &'static structure_conformance::FlavorVtable, counts: &Counts) -> List<Counted, K> {
    List::from_values(vtable, (0..KEYS).filter(|key| key % STAYS == 0 || key % 2 == 0).map(|key| counts.make(key)))
}

fn all_dropped<F: Tested>(counts: &Counts) {
    F::vtable().wait_for_retired().expect("outside of sections");
    assert_eq!(counts.made(), counts.dropped());
}

on_every_flavor! {
    fn walks_both_ways_are_sorted_and_whole<F>() {
        let counts = Counts::new();
        let list = sorted::<Doubly>(F::vtable(), &counts);
        let forward = |thread: &Thread<F>| check_sorted(list.iter(&thread.read_lock()), 0..KEYS);
        let backward = |thread: &Thread<F>| check_sorted(list.iter_rev(&thread.read_lock()), (0..KEYS).rev());
        beside::<F>(&[&forward, &backward], || {
            let mut random = Random::new(1);
            (0..3000).for_each(|_| churn(&list, &counts, &mut random));
        });
        drop(list);
        all_dropped::<F>(&counts);
    }

    fn walks_of_an_hlist_are_sorted_and_whole<F>() {
        let counts = Counts::new();
        let list = sorted::<Hlist>(F::vtable(), &counts);
        let forward = |thread: &Thread<F>| check_sorted(list.iter(&thread.read_lock()), 0..KEYS);
        beside::<F>(&[&forward, &forward], || {
            let mut random = Random::new(2);
            (0..3000).for_each(|_| churn(&list, &counts, &mut random));
        });
        drop(list);
        all_dropped::<F>(&counts);
    }

    fn updaters_take_turns<F>() {
        let counts = Counts::new();
        let list = sorted::<Doubly>(F::vtable(), &counts);
        let forward = |thread: &Thread<F>| check_sorted(list.iter(&thread.read_lock()), 0..KEYS);
        let look = |thread: &Thread<F>| {
            let guard = thread.read_lock();
            let ends = [list.first(&guard), list.last(&guard)].map(|end| end.map(Counted::value));
            assert!(ends[0] == Some(0) && ends[1] >= Some(KEYS - STAYS), "{ends:?}");
            assert_eq!(list.find(&guard, |counted| counted.value() == STAYS).map(Counted::value), Some(STAYS));
            assert!(!list.is_empty());
            // A guess, as long as updaters are at work, but never far off.
            assert!(list.len() as u64 <= KEYS);
            assert!(format!("{list:?}").len() > 10);
            drop(list.try_lock());
        };
        beside::<F>(&[&forward, &look], || thread::scope(|scope| {
            for stream in 0..3 {
                let (list, counts) = (&list, &counts);
                scope.spawn(move || {
                    let mut random = Random::new(10 + stream);
                    (0..800).for_each(|_| churn(list, counts, &mut random));
                });
            }
        }));
        let len = list.len();
        assert_eq!(list.into_iter().count(), len);
        all_dropped::<F>(&counts);
    }

    fn walks_among_moving_elements_end_and_meet_live_ones<F>() {
        const ELEMENTS: u64 = 16;
        let counts = Counts::new();
        let list = RcuList::from_values(F::vtable(), (0..ELEMENTS).map(|number| counts.make(number)));
        let forward = |thread: &Thread<F>| {
            let met = list.iter(&thread.read_lock()).take(ENDLESS).filter(|counted| counted.value() < ELEMENTS).count();
            assert!(met < ENDLESS, "a walk does not end");
        };
        let backward = |thread: &Thread<F>| {
            let met = list.iter_rev(&thread.read_lock()).take(ENDLESS).filter(|counted| counted.value() < ELEMENTS).count();
            assert!(met < ENDLESS, "a walk does not end");
        };
        beside::<F>(&[&forward, &backward], || {
            let mut random = Random::new(3);
            for _ in 0..3000 {
                let number = random.below(ELEMENTS);
                let mut updater = list.lock();
                let mut cursor = updater.cursor_at(|counted| counted.value() == number);
                match random.below(6) {
                    0 => assert!(cursor.move_to_front()),
                    1 => assert!(cursor.move_to_back()),
                    2 => assert!(cursor.shift_forward(random.below(9) as usize) < 9),
                    3 => assert!(cursor.shift_back(random.below(9) as usize) < 9),
                    4 => assert_eq!(cursor.replace(counts.make(number)).expect("there").value(), number),
                    _ => {
                        cursor.remove();
                        updater.push_front(counts.make(number));
                    }
                }
            }
        });
        let mut numbers: Vec<u64> = list.into_iter().map(|counted| counted.value()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..ELEMENTS).collect::<Vec<_>>());
        all_dropped::<F>(&counts);
    }

    /// Each walk stays in its list: it meets a prefix of what was moved in, in order, though all of it goes to and fro.
    fn walks_beside_splices_between_lists<F>() {
        let counts = Counts::new();
        let lists = [
            RcuList::from_values(F::vtable(), (0..16).map(|number| counts.make(number))),
            RcuList::new(F::vtable()),
        ];
        let read = |thread: &Thread<F>| {
            for list in &lists {
                let guard = thread.read_lock();
                let met: Vec<u64> = list.iter(&guard).map(Counted::value).collect();
                assert!(met.is_empty() || met == (0..16).collect::<Vec<_>>(), "met {met:?}");
            }
        };
        beside::<F>(&[&read, &read], || {
            for round in 0..200 {
                let (from, to) = (&lists[round % 2], &lists[1 - round % 2]);
                let moved = if round % 3 == 0 { to.prepend_from(from) } else { to.append_from(from) };
                assert_eq!(moved.expect("outside of sections"), 16);
            }
        });
        drop(lists);
        all_dropped::<F>(&counts);
    }

    /// A thread inside a section may become the updater, beside others that retire; nobody waits for it there.
    fn updaters_inside_sections<F>() {
        let counts = Counts::new();
        let list = sorted::<Doubly>(F::vtable(), &counts);
        let both = |thread: &Thread<F>| {
            let guard = thread.read_lock();
            let first = list.first(&guard).expect("it stays").value();
            let mut updater = list.lock();
            updater.cursor_front().replace(counts.make(first)).expect("there");
            drop(updater);
            check_sorted(list.iter(&guard), 0..KEYS);
        };
        beside::<F>(&[&both, &both], || {
            let mut random = Random::new(4);
            (0..1500).for_each(|_| churn(&list, &counts, &mut random));
        });
        drop(list);
        all_dropped::<F>(&counts);
    }
}

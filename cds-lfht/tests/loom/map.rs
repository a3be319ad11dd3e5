//! The map's protocol under the model checker: lookups beside insertions, removals and moves to another table.
//!
//! At most three preemptions per run. Entries and tables that are retired are freed at the end of each run, so an early free
//! is not what this looks for (the stress tests do), but a double one is, and a leak.

use cds_lfht::map::model::Model;
use loom::sync::Arc;
use loom::thread;
use structure_conformance::{Bp, Tested};

#[path = "map_orders.rs"]
mod orders;

/// Keys of the same bucket and tag: hashes that differ in the middle.
const KEYS: [u64; 9] = [0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000, 0x5_0000, 0x6_0000, 0x7_0000, 0x8_0000, 0x9_0000];

fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 50_000;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&runs);
    model.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        body();
    });
    let runs = runs.load(std::sync::atomic::Ordering::Relaxed);
    println!("{runs} executions");
    // Fewer would mean that the model checker does not see the map's atomics.
    assert!(runs > 20, "{runs} executions only");
}

fn map(keys: &[u64], bits: u32) -> Arc<Model> {
    let map = Arc::new(Model::new(bits, Bp::vtable()));
    for &key in keys {
        assert_eq!(map.insert(key, key), None);
    }
    map
}

#[test]
fn one_of_two_insertions_succeeds() {
    explore(3, || {
        let map = map(&[], 0);
        let other = Arc::clone(&map);
        let thread = thread::spawn(move || other.try_insert(KEYS[0], 1));
        let own = map.try_insert(KEYS[0], 2);
        let others = thread.join().expect("no panic");
        assert!(matches!((own, others), (None, Some(2)) | (Some(1), None)), "{own:?} {others:?}");
    });
}

#[test]
fn a_key_that_is_replaced_is_always_found() {
    explore(3, || {
        let map = map(&KEYS[..1], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get(KEYS[0]));
        assert_eq!(map.insert(KEYS[0], 2), Some(KEYS[0]));
        assert!(matches!(reader.join().expect("no panic"), Some(2 | 0x1_0000)));
        assert_eq!(map.get(KEYS[0]), Some(2));
    });
}

#[test]
fn the_entry_that_makes_room_for_a_link_is_always_found() {
    explore(3, || {
        // The eighth entry moves the seventh to another line.
        let map = map(&KEYS[..7], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get(KEYS[6]));
        map.insert(KEYS[7], 1);
        map.remove(KEYS[7]);
        assert_eq!(reader.join().expect("no panic"), Some(KEYS[6]));
        assert_eq!(map.get(KEYS[6]), Some(KEYS[6]));
        assert_eq!(map.get(KEYS[7]), None);
    });
}

/// Keys of the same bucket, each with a tag of its own: the link to a second line says which tags are not behind it.
const TAGGED: [u64; 9] = [1 << 56, 2 << 56, 3 << 56, 4 << 56, 5 << 56, 6 << 56, 7 << 56, 8 << 56, 9 << 56];

#[test]
fn what_is_behind_a_link_is_found_from_its_insertion_on() {
    explore(2, || {
        let map = map(&TAGGED[..8], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || (reader.get(TAGGED[8]), reader.get(TAGGED[8])));
        map.insert(TAGGED[8], 2);
        let (first, second) = reader.join().expect("no panic");
        assert!([None, Some(2)].contains(&first) && [first, Some(2)].contains(&second), "{first:?} {second:?}");
        assert_eq!(map.get(TAGGED[8]), Some(2));
    });
}

#[test]
fn what_made_room_for_a_link_is_found_when_more_is_behind_it() {
    explore(2, || {
        let map = map(&TAGGED[..7], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get(TAGGED[6]));
        map.insert(TAGGED[7], 1);
        map.insert(TAGGED[8], 2);
        assert_eq!(reader.join().expect("no panic"), Some(TAGGED[6]));
    });
}

#[test]
fn what_comes_to_a_chain_that_is_made_again_is_found_from_then_on() {
    explore(2, || {
        let map = map(&TAGGED[..8], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || [10 << 56, 10 << 56, TAGGED[5]].map(|key| reader.get(key)));
        map.remove(TAGGED[6]);
        map.remove(TAGGED[7]);
        for key in [TAGGED[8], 10 << 56] {
            map.insert(key, key);
        }
        let [first, second, stays] = reader.join().expect("no panic");
        assert!([None, Some(10 << 56)].contains(&first) && [first, Some(10 << 56)].contains(&second));
        assert_eq!(stays, Some(TAGGED[5]));
    });
}

/// All of it happens between the lookup's load of the tags and that of the link: while it compares another key that has the tag.
#[test]
fn one_of_several_entries_is_found_though_its_chain_is_cut_and_made_again() {
    loom::model(|| {
        let (key, alike) = (8 << 56, 8 << 56 | 5 << 16);
        let map = map(&TAGGED[..5], 2);
        map.insert(alike, 0);
        map.insert(TAGGED[6], 0);
        map.insert(key, 80);
        let mut has_changed = false;
        let found = map.get_with(key, |other| {
            if other == alike && !core::mem::replace(&mut has_changed, true) {
                map.remove(TAGGED[0]);
                map.insert_duplicate(key, 81);
                map.remove(TAGGED[6]);
                assert_eq!(map.remove_entry(key, 80), Some(80));
                map.insert(9 << 56, 9);
                map.insert(10 << 56, 10);
            }
        });
        assert_eq!((found, has_changed), (Some(81), true));
    });
}

#[test]
fn keys_that_are_looked_up_together_are_looked_up_in_order() {
    explore(2, || {
        // The first one's tag is there before it, and so it is looked for in the slot that it comes into.
        let (alike, key, before) = (1 << 56 | 1 << 16, 1 << 56 | 2 << 16, 2 << 56);
        let map = map(&[alike], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get_many([key, before, key]));
        map.insert(before, 20);
        map.remove(alike);
        map.insert(key, 10);
        let found = reader.join().expect("no panic");
        assert!(
            [
                [None; 3],
                [None, None, Some(10)],
                [None, Some(20), None],
                [None, Some(20), Some(10)],
                [Some(10), Some(20), Some(10)]
            ]
            .contains(&found),
            "{found:?}"
        );
    });
}

#[test]
fn what_stays_is_found_while_the_table_grows() {
    explore(2, || {
        let map = map(&KEYS[..2], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || (reader.get(KEYS[0]), reader.get(KEYS[1])));
        assert!(map.resize(1));
        assert_eq!(reader.join().expect("no panic"), (Some(KEYS[0]), Some(KEYS[1])));
        assert_eq!(map.get(KEYS[1]), Some(KEYS[1]));
    });
}

#[test]
fn what_stays_is_found_while_the_table_shrinks() {
    explore(2, || {
        let map = map(&[2, 3], 1);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || (reader.get(2), reader.get(3)));
        assert!(map.resize(0));
        assert_eq!(reader.join().expect("no panic"), (Some(2), Some(3)));
        assert_eq!((map.get(2), map.get(3)), (Some(2), Some(3)));
    });
}

#[test]
fn an_insertion_survives_a_move() {
    explore(2, || {
        let map = map(&[2], 1);
        let other = Arc::clone(&map);
        let thread = thread::spawn(move || other.resize(0));
        assert_eq!(map.insert(3, 3), None);
        assert_eq!(map.get(3), Some(3));
        thread.join().expect("no panic");
        assert_eq!((map.get(2), map.get(3)), (Some(2), Some(3)));
    });
}

#[test]
fn a_removal_beside_a_move_removes() {
    explore(2, || {
        let map = map(&[2, 3], 0);
        let other = Arc::clone(&map);
        let thread = thread::spawn(move || other.resize(1));
        assert_eq!(map.remove(3), Some(3));
        assert_eq!(map.get(3), None);
        thread.join().expect("no panic");
        assert_eq!((map.get(2), map.get(3)), (Some(2), None));
    });
}

#[test]
fn one_of_two_removals_succeeds() {
    explore(3, || {
        let map = map(&KEYS[..1], 0);
        let other = Arc::clone(&map);
        let thread = thread::spawn(move || other.remove(KEYS[0]));
        let own = map.remove(KEYS[0]);
        let others = thread.join().expect("no panic");
        assert!(own.is_some() != others.is_some());
    });
}

/// Looks a key up twice: what the first lookup has found of the new entry, the second finds.
fn assert_in_order(map: &Arc<Model>, key: u64, new: u64) -> thread::JoinHandle<()> {
    let reader = Arc::clone(map);
    thread::spawn(move || {
        let seen = (reader.get(key), reader.get(key));
        assert!(!(seen.0 == Some(new) && seen.1 != Some(new)), "back in time: {seen:?}");
    })
}

#[test]
fn lookups_do_not_go_back_in_time_when_a_slot_is_used_again() {
    explore(3, || {
        let map = map(&KEYS[..1], 0);
        let reader = assert_in_order(&map, KEYS[0], 2);
        assert_eq!(map.remove(KEYS[0]), Some(KEYS[0]));
        assert_eq!(map.insert(KEYS[0], 2), None);
        reader.join().expect("in order");
    });
}

#[test]
fn lookups_do_not_go_back_in_time_when_a_line_is_added_again() {
    /// With a tag of its own.
    const OTHER: u64 = 2 << 56;
    explore(2, || {
        let map = map(&KEYS[..7], 0);
        map.insert(OTHER, 1);
        let reader = assert_in_order(&map, OTHER, 2);
        // The second line goes, and comes again with both.
        assert_eq!((map.remove(OTHER), map.remove(KEYS[6])), (Some(1), Some(KEYS[6])));
        assert_eq!((map.insert(KEYS[6], 3), map.insert(OTHER, 2)), (None, None));
        reader.join().expect("in order");
    });
}

#[test]
fn a_key_whose_copies_come_and_go_is_always_found() {
    explore(3, || {
        let map = map(&KEYS[..1], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get(KEYS[0]));
        // A copy comes where a lookup may not look any more, the first one goes, and another key takes its place; and once more,
        // for the lookup that looks again.
        map.insert_duplicate(KEYS[0], 2);
        assert_eq!(map.remove_entry(KEYS[0], KEYS[0]), Some(KEYS[0]));
        assert_eq!(map.insert(KEYS[1], 1), None);
        map.insert_duplicate(KEYS[0], 3);
        assert_eq!(map.remove_entry(KEYS[0], 2), Some(2));
        assert_eq!(map.insert(KEYS[2], 1), None);
        assert!(reader.join().expect("no panic").is_some());
    });
}

#[test]
fn a_key_whose_copy_goes_from_another_line_is_always_found() {
    explore(2, || {
        // The last is in the second line.
        let map = map(&KEYS[..8], 0);
        let reader = Arc::clone(&map);
        let reader = thread::spawn(move || reader.get(KEYS[7]));
        assert!(map.remove(KEYS[0]).is_some());
        map.insert_duplicate(KEYS[7], 2);
        // Not the first one that is found.
        assert_eq!(map.remove_entry(KEYS[7], KEYS[7]), Some(KEYS[7]));
        assert!(reader.join().expect("no panic").is_some());
    });
}

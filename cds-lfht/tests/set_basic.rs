//! `LfHashSet` on one thread: each operation, with a guard and pinned; what the tables' types and errors show.
#![cfg(not(urcu_loom))]

use std::collections::HashSet;
use std::collections::hash_map::RandomState;

use cds_lfht::raw::{NewError, NotFound, Options, ReplaceError, ResizeError, Table, TableBox};
use cds_lfht::{LfHashMap, LfHashSet};
use structure_conformance::{Mb, Tested, Thread, on_every_flavor, within_limit};

/// A value whose equality is not all of it.
#[derive(Debug, Clone)]
struct Named(u32, &'static str);

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Named {}

impl std::hash::Hash for Named {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

on_every_flavor! {
    fn each_operation_of_a_set<F>() {
        let thread = Thread::<F>::register().expect("not registered yet");
        let set = LfHashSet::<Named, RandomState>::with_hasher(RandomState::new(), F::vtable());
        assert_eq!(set.flavor().name(), F::vtable().name());
        let guard = thread.read_lock();
        assert!(set.is_empty());
        assert!(set.insert(Named(1, "first"), &guard));
        assert!(!set.insert(Named(1, "second"), &guard), "the one that is there stays");
        assert_eq!(set.get(&Named(1, ""), &guard).map(|named| named.1), Some("first"));
        assert_eq!(set.replace(Named(1, "second"), &guard).map(|named| named.1), Some("first"));
        assert_eq!(set.get(&Named(1, ""), &guard).map(|named| named.1), Some("second"));
        assert!(set.replace(Named(2, "two"), &guard).is_none());
        assert!(set.contains(&Named(2, ""), &guard) && !set.contains(&Named(3, ""), &guard));
        assert_eq!(set.len(), 2);
        assert_eq!(set.remove_if(&Named(2, ""), |named| named.1 == "no", &guard), None);
        assert_eq!(set.remove_if(&Named(2, ""), |named| named.1 == "two", &guard).map(|named| named.1), Some("two"));
        assert_eq!(set.remove(&Named(2, ""), &guard), None);
        assert_eq!(set.remove(&Named(1, ""), &guard).map(|named| named.1), Some("second"));
        assert!(set.is_empty());
    }

    fn sets_keep_grow_and_forget<F>() {
        let mut thread = Thread::<F>::register().expect("not registered yet");
        let set = LfHashSet::<u32>::with_capacity(64, F::vtable());
        {
            let guard = thread.read_lock();
            let room = set.capacity(&guard);
            assert!(room >= 64);
            set.reserve(4 * room, &guard);
            (0..100).for_each(|value| assert!(set.insert(value, &guard)));
            set.retain(|value| value % 3 == 0, &guard);
            assert_eq!(set.iter(&guard).copied().collect::<HashSet<_>>(), (0..100).step_by(3).collect());
        }
        thread.quiescent_state();
        {
            let guard = thread.read_lock();
            set.shrink_to_fit(&guard);
            assert_eq!(set.len(), 34);
            assert_eq!(format!("{set:?}"), format!("LfHashSet {{ flavor: {:?}, len: 34, .. }}", F::vtable().name()));
            set.clear(&guard);
            assert!(set.is_empty());
        }
        let pinned = set.pin();
        assert!(pinned.insert(7) && pinned.insert(8) && pinned.len() == 2);
        pinned.retain(|value| *value == 7);
        assert_eq!(format!("{pinned:?}"), "{7}");
        pinned.clear();
        assert!(pinned.is_empty());
    }
}

/// What a map and its parts show, and what is said about it.
#[test]
fn maps_show_themselves() {
    within_limit("maps_show_themselves", || {
        let thread = Thread::<Mb>::register().expect("not registered yet");
        let map = LfHashMap::<u32, u64>::new(Mb::vtable());
        let guard = thread.read_lock();
        let empty = map.memory(&guard);
        assert!(empty > 0);
        (0..10_000).for_each(|key| assert!(map.insert(key, key.into(), &guard).is_none()));
        assert!(map.memory(&guard) >= empty + 10_000 * size_of::<(u32, u64)>());
        assert_eq!(format!("{map:?}"), format!("LfHashMap {{ flavor: {:?}, len: 10000, .. }}", Mb::vtable().name()));
        let occupied = map.try_insert(5, 6, &guard).expect_err("it is there");
        assert_eq!(occupied.to_string(), "there is an entry with this key already");
        assert_eq!(format!("{occupied:?}"), "Occupied { current: 5, key: 5, value: 6 }");
        assert!(format!("{:?}", map.iter(&guard)).starts_with("Iter { bucket: "));
        assert_eq!(format!("{:?}", map.get_all(&5, &guard)), "GetAll");
        let pinned = map.pin();
        assert_eq!(pinned.get_or_insert(5, 7), &5);
        assert_eq!(pinned.get_or_insert(10_000, 7), &7);
        pinned.clear();
        assert!(map.is_empty());
        drop(pinned);
        drop(guard);
        assert_eq!(format!("{:?}", map.into_iter()), "IntoIter { .. }");
    });
}

#[test]
fn a_table_in_other_hands_is_the_same() {
    within_limit("a_table_in_other_hands_is_the_same", || {
        let _thread = Thread::<Mb>::register().expect("not registered yet");
        let table = Table::new(Mb::vtable(), Options::default()).expect("a table");
        let shown = format!("{table:?}");
        assert_eq!(shown, format!("Table {{ size: {}, .. }}", table.size()));
        let raw = table.into_raw();
        // SAFETY: from `into_raw`, once.
        let table = unsafe { TableBox::from_raw(raw) };
        assert_eq!(format!("{table:?}"), shown);
    });
}

/// Each error says another thing, with its numbers.
#[test]
fn errors_say_what_is_wrong() {
    let none_of_it = Options { initial: 0, ..Options::default() };
    let error = Table::new(Mb::vtable(), none_of_it).expect_err("no buckets");
    assert!(error.to_string().ends_with("number of buckets is zero"), "{error}");
    let odd = Options { initial: 3, ..Options::default() };
    let error = Table::new(Mb::vtable(), odd).expect_err("three buckets");
    assert!(error.to_string().ends_with("number of buckets is 3, not a power of two"), "{error}");
    let above = NewError::MinAboveMax { min: 8, max: 4 }.to_string();
    assert_eq!(above, "the table's least number of buckets (8) is above the greatest (4)");
    assert_eq!(NewError::OutOfMemory.to_string(), "no memory for the table's buckets");
    let resize = [
        ResizeError::NotPowerOfTwo { value: 3 },
        ResizeError::InsideSection,
        ResizeError::NotRegistered,
        ResizeError::OutOfMemory,
        ResizeError::Corrupt,
    ];
    let mut said: HashSet<String> = resize.iter().map(ToString::to_string).collect();
    said.extend([ReplaceError::NotFound.to_string(), ReplaceError::Mismatch.to_string(), NotFound.to_string()]);
    assert_eq!(said.len(), resize.len() + 3);
    assert!(said.contains("a table cannot have 3 buckets: not a power of two"));
}

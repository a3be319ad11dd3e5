//! Random programs against the standard library's structures, with an account of every byte.

use std::collections::{BTreeMap, HashMap, VecDeque};

use cds_shm::{Bytes, Heap, ShmError};
use proptest::prelude::*;
use urcu_shm::Segment;

fn segment(bytes: usize) -> Segment {
    Segment::create_memfd("cds-shm-test", bytes).expect("a segment")
}

fn heap(segment: &Segment) -> Heap {
    Heap::open(segment.writer().expect("the role")).expect("a heap")
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    Remove(u64),
    Clear,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (0..300_u64, any::<u64>()).prop_map(|(key, value)| Step::Insert(key, value)),
        30 => (0..300_u64).prop_map(Step::Remove),
        1 => Just(Step::Clear),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_map_is_a_map_and_every_byte_is_accounted_for(steps in prop::collection::vec(step(), 0..1500)) {
        let segment = segment(2 << 20);
        let mut heap = self::heap(&segment);
        let mut map = heap.map::<u64, u64>("numbers").unwrap();
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(key, value) => prop_assert_eq!(map.insert(&key, &value).unwrap(), model.insert(key, value)),
                Step::Remove(key) => prop_assert_eq!(map.remove(&key).unwrap(), model.remove(&key)),
                Step::Clear => {
                    map.clear().unwrap();
                    model.clear();
                }
                Step::Reopen => {
                    drop((map, heap));
                    heap = self::heap(&segment);
                    map = heap.map("numbers").unwrap();
                }
            }
            prop_assert_eq!(map.len(), model.len());
        }
        for key in 0..300 {
            prop_assert_eq!(map.peek(&key).unwrap(), model.get(&key).copied());
        }
        let balance = heap.check().unwrap();
        prop_assert_eq!(balance.lost, 0);
        map.clear().unwrap();
        heap.flush();
        let balance = heap.check().unwrap();
        prop_assert_eq!((balance.lost, balance.retired), (0, 0));
        prop_assert!(balance.reachable_blocks <= 8, "{:?}", balance);
        prop_assert_eq!(balance.total, balance.free + balance.states + balance.reachable);
    }

    #[test]
    fn byte_strings_of_any_length(pairs in prop::collection::vec(
        (prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..9000)), 0..60)) {
        let segment = segment(4 << 20);
        let heap = heap(&segment);
        let mut map = heap.map::<Bytes, Bytes>("strings").unwrap();
        let mut model = BTreeMap::new();
        for (key, value) in pairs {
            prop_assert_eq!(map.insert(&key, &value).unwrap(), model.insert(key, value));
        }
        for (key, value) in &model {
            prop_assert_eq!(map.peek(key).unwrap(), Some(value.clone()));
            let mut longer = key.clone();
            longer.push(0);
            prop_assert_eq!(map.peek(&longer).unwrap(), model.get(&longer).cloned());
        }
        for (key, value) in model {
            prop_assert_eq!(map.remove(&key).unwrap(), Some(value));
        }
        heap.flush();
        let balance = heap.check().unwrap();
        prop_assert_eq!((balance.lost, balance.retired), (0, 0));
        prop_assert!(balance.reachable_blocks <= 8, "{:?}", balance);
    }

    #[test]
    fn a_list_is_a_list(steps in prop::collection::vec((0..5_u8, any::<u32>()), 0..300)) {
        let segment = segment(1 << 20);
        let heap = heap(&segment);
        let mut list = heap.list::<u32>("numbers").unwrap();
        let mut model = VecDeque::new();
        for (step, value) in steps {
            match step {
                0 => { list.push_back(&value).unwrap(); model.push_back(value); }
                1 => { list.push_front(&value).unwrap(); model.push_front(value); }
                2 => prop_assert_eq!(list.pop_front().unwrap(), model.pop_front()),
                3 => {
                    let before = model.len();
                    model.retain(|&found| found % 7 != value % 7);
                    let out = list.retain(|&found| found % 7 != value % 7).unwrap();
                    prop_assert_eq!(out, before - model.len());
                }
                _ => {
                    let there = model.iter_mut().find(|found| **found % 3 == value % 3);
                    let replaced = list.replace_first(|&found| found % 3 == value % 3, &value).unwrap();
                    prop_assert_eq!(replaced, there.is_some());
                    if let Some(found) = there { *found = value; }
                }
            }
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert_eq!(list.to_vec().unwrap(), Vec::from(model));
        list.retain(|_| false).unwrap();
        heap.flush();
        let balance = heap.check().unwrap();
        prop_assert_eq!((balance.lost, balance.retired, balance.reachable_blocks), (0, 0, 1));
    }
}

#[test]
fn a_map_grows_and_shrinks_and_its_memory_comes_back() {
    let segment = segment(64 << 20);
    let heap = heap(&segment);
    let mut map = heap.map::<u64, u64>("numbers").unwrap();
    let empty = heap.check().unwrap();
    for round in 0..2 {
        for key in 0..200_000_u64 {
            assert_eq!(map.insert(&key, &(key ^ round)).unwrap(), None);
        }
        assert!(map.buckets() >= 100_000, "{}", map.buckets());
        for key in 0..200_000_u64 {
            assert_eq!(map.peek(&key).unwrap(), Some(key ^ round));
        }
        for key in 0..200_000_u64 {
            assert_eq!(map.remove(&key).unwrap(), Some(key ^ round));
        }
        // Shrinking is the updates' work.
        for key in 0..200_000_u64 {
            map.insert(&key, &key).unwrap();
            map.remove(&key).unwrap();
        }
        assert!(map.buckets() <= 1024, "{}", map.buckets());
        map.clear().unwrap();
    }
    heap.flush();
    let balance = heap.check().unwrap();
    assert_eq!((balance.lost, balance.retired), (0, 0));
    assert!(balance.reachable <= empty.reachable + 16384, "{balance:?} after {empty:?}");
}

#[test]
fn a_full_segment_says_so_and_works_on() {
    let segment = segment(1 << 20);
    let heap = heap(&segment);
    let mut map = heap.map::<u64, [u64; 100]>("blocks").unwrap();
    let mut count = 0;
    let refused = loop {
        match map.insert(&count, &[count; 100]) {
            Ok(old) => assert_eq!(old, None),
            Err(refused) => break refused,
        }
        count += 1;
    };
    assert!(matches!(refused, ShmError::Full { retired: 0 }), "{refused}");
    assert!(count > 800, "{count}");
    assert_eq!(heap.check().unwrap().lost, 0);
    for key in 0..count {
        assert_eq!(map.remove(&key).unwrap(), Some([key; 100]));
    }
    // Whole spans come back, for a block of another size.
    let mut large = heap.map::<u64, Bytes>("large").unwrap();
    large.insert(&1, &[7; 600_000]).unwrap();
    assert_eq!(large.peek(&1).unwrap(), Some(vec![7; 600_000]));
    assert_eq!(large.insert(&1, &vec![7; 6_000_000]).unwrap_err(), ShmError::TooLarge);
}

#[test]
fn structures_are_found_by_name_and_layout() {
    let segment = segment(1 << 20);
    let heap = heap(&segment);
    assert!(matches!(cds_shm::ShmHashMap::<u64, u64>::open(&segment, "a"), Err(ShmError::Missing)));
    let mut map = heap.map::<u64, u64>("a").unwrap();
    map.insert(&1, &2).unwrap();
    assert!(matches!(heap.map::<u64, u64>("a"), Err(ShmError::InUse)));
    assert!(matches!(heap.map::<u64, u32>("a"), Err(ShmError::OtherLayout)));
    assert!(matches!(heap.list::<u64>("a"), Err(ShmError::OtherLayout)));
    assert!(cds_shm::ShmHashMap::<u64, u64>::open(&segment, "a").is_ok());
    assert!(matches!(cds_shm::ShmHashMap::<u64, [u64; 2]>::open(&segment, "a"), Err(ShmError::OtherLayout)));
    drop(map);
    assert_eq!(heap.map::<u64, u64>("a").unwrap().peek(&1).unwrap(), Some(2));
    let lists: Vec<_> = (0..62).map(|number| heap.list::<u64>(&format!("list {number}")).unwrap()).collect();
    assert!(matches!(heap.list::<u64>("one too many"), Err(ShmError::TooMany)));
    drop(lists);
    assert!(segment.writer().is_err(), "the heap has the role");
}

//! What structures in a segment and their errors show, and operations that find nothing to do.

use std::collections::HashSet;
use std::error::Error;

use cds_shm::{Heap, ShmError, Stop};
use urcu_shm::Segment;

#[test]
fn errors_say_what_is_wrong() {
    let stop = Stop::Link { name: 0x40 };
    assert_eq!(ShmError::from(stop).to_string(), stop.to_string());
    assert!(stop.to_string().contains("0x40"));
    let full = ShmError::Full { retired: 77 }.to_string();
    assert_eq!(full, "the segment is full; 77 bytes wait for readers");
    let all = [
        ShmError::Corrupt(Stop::Endless),
        ShmError::Corrupt(Stop::Nonsense),
        ShmError::TooLarge,
        ShmError::Missing,
        ShmError::OtherLayout,
        ShmError::InUse,
        ShmError::TooMany,
    ];
    assert_eq!(all.iter().map(ToString::to_string).collect::<HashSet<_>>().len(), all.len());
    assert!(all[0].source().is_some() && all[2].source().is_none());
}

#[test]
fn structures_show_what_they_hold() {
    let segment = Segment::create_memfd("cds-shm-test", 1 << 20).expect("a segment");
    let heap = Heap::open(segment.writer().expect("the role")).expect("a heap");
    assert!(format!("{heap:?}").starts_with("Heap { segment: "));
    assert_eq!(heap.retired_bytes(), 0);
    let mut map = heap.map::<u64, u64>("map").expect("a map");
    assert!(map.is_empty());
    assert!(map.try_insert(&1, &10).expect("room"));
    assert!(!map.try_insert(&1, &11).expect("room"), "the first one stays");
    assert_eq!(map.peek(&1), Ok(Some(10)));
    assert_eq!(format!("{map:?}"), "MapWriter { len: 1, .. }");
    map.insert(&1, &12).expect("room");
    assert!(map.heap().retired_bytes() > 0, "readers may look at the value before");
    let mut list = heap.list::<u64>("list").expect("a list");
    assert!(list.is_empty());
    list.push_back(&5).expect("room");
    assert!(!list.is_empty());
    assert_eq!(format!("{list:?}"), "ListWriter { len: 1, .. }");
    assert!(format!("{:?}", list.as_list()).starts_with("ShmList { segment: "));
    assert_eq!(heap.list::<u64>("list").expect_err("twice"), ShmError::InUse);
}

//! Maps and sets are written and read.
#![cfg(feature = "serde")]

use cds_lfht::map::InFlavor;
use cds_lfht::{LfHashMap, LfHashSet};
use serde::de::DeserializeSeed;
use structure_conformance::{Bp, Tested};

#[test]
fn what_is_written_is_read() {
    let flavor = Bp::vtable();
    let map = LfHashMap::from_entries([("a".to_owned(), 1), ("b".to_owned(), 2)], flavor);
    let text = serde_json::to_string(&map).expect("a map");
    let seed = InFlavor::<LfHashMap<String, u32>>::new(flavor);
    let read = seed.deserialize(&mut serde_json::Deserializer::from_str(&text)).expect("what was written");
    assert_eq!((read.len(), read.pin().get("a"), read.pin().get("b")), (2, Some(&1), Some(&2)));

    let set = LfHashSet::from_entries([3_u64, 4], flavor);
    let text = serde_json::to_string(&set).expect("a set");
    let seed = InFlavor::<LfHashSet<u64>>::new(flavor);
    let read = seed.deserialize(&mut serde_json::Deserializer::from_str(&text)).expect("what was written");
    assert!(read.len() == 2 && read.pin().contains(&3) && read.pin().contains(&4));
    let wrong =
        InFlavor::<LfHashSet<u64>>::new(flavor).deserialize(&mut serde_json::Deserializer::from_str("[1, \"x\"]"));
    assert!(wrong.is_err());
}

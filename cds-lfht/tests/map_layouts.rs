//! Entries of any size and alignment: none at all, a cache line, a page, more than a chunk takes.

use std::hash::Hash;
use std::ptr;

use cds_lfht::{LfHashMap, LfHashSet};
use structure_conformance::{Bp, Tested, within_limit};

/// More than a map has in allocations of their own.
const ENTRIES: u64 = 200;

trait Like: Clone + Send + Sync + 'static {
    fn like(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Like for u8 {
    fn like(number: u64) -> Self {
        number as u8
    }

    fn number(&self) -> u64 {
        u64::from(*self)
    }
}

macro_rules! aligned {
    ($($name:ident $align:literal $bytes:literal,)*) => { $(
        #[derive(Clone, PartialEq, Eq, Hash)]
        #[repr(align($align))]
        struct $name([u8; $bytes]);

        impl Like for $name {
            fn like(number: u64) -> Self {
                Self([number as u8; $bytes])
            }

            fn number(&self) -> u64 {
                assert!(self.0.iter().all(|byte| *byte == self.0[0]), "torn");
                u64::from(self.0[0])
            }
        }
    )* };
}

aligned! {
    Odd 1 11,
    Line 64 64,
    TwoLines 128 1,
    Page 4096 1,
    Large 8 5000,
    Half 8 2040,
}

fn comes_and_goes<V: Like>() {
    let map = LfHashMap::<u64, V>::new(Bp::vtable());
    for round in 0..3 {
        let map = map.pin();
        for key in 0..ENTRIES {
            assert!(map.insert(key, V::like(key)).is_none());
        }
        for key in 0..ENTRIES {
            let value = map.get(&key).expect("inserted");
            assert_eq!(ptr::from_ref(value).addr() % align_of::<V>(), 0);
            assert_eq!(value.number(), key);
            if (key + round).is_multiple_of(3) {
                map.insert(key, V::like(key ^ 1));
            }
        }
        let sum: u64 = map.values().map(Like::number).sum();
        let expected: u64 = (0..ENTRIES).map(|key| if (key + round).is_multiple_of(3) { key ^ 1 } else { key }).sum();
        assert_eq!(sum, expected);
        for key in 0..ENTRIES {
            assert!(map.remove(&key).is_some());
        }
    }
    assert!(map.is_empty());
    let mut map = map;
    map.extend((0..ENTRIES).map(|key| (key, V::like(key))));
    assert_eq!(map.into_iter().map(|(_, value)| value.number()).sum::<u64>(), (0..ENTRIES).sum::<u64>());
}

fn keys<K: Like + Hash + Eq>() {
    let set = LfHashSet::<K>::new(Bp::vtable());
    let set = set.pin();
    for number in 0..ENTRIES {
        assert!(set.insert(K::like(number)));
        assert!(!set.insert(K::like(number)));
    }
    for number in 0..ENTRIES {
        let key = set.get(&K::like(number)).expect("inserted");
        assert_eq!(ptr::from_ref(key).addr() % align_of::<K>(), 0);
        assert_eq!(key.number(), number);
        assert!(set.remove(&K::like(number)).is_some());
    }
    assert!(set.is_empty());
}

#[test]
fn values_of_any_layout() {
    within_limit("values_of_any_layout", || {
        comes_and_goes::<u8>();
        comes_and_goes::<Odd>();
        comes_and_goes::<Line>();
        comes_and_goes::<TwoLines>();
        comes_and_goes::<Page>();
        comes_and_goes::<Large>();
        comes_and_goes::<Half>();
    });
}

#[test]
fn keys_of_any_layout() {
    within_limit("keys_of_any_layout", || {
        keys::<Odd>();
        keys::<Line>();
        keys::<TwoLines>();
        keys::<Page>();
        keys::<Large>();
        keys::<Half>();
    });
}

#[test]
fn entries_of_no_size() {
    within_limit("entries_of_no_size", || {
        let set = LfHashSet::<()>::new(Bp::vtable());
        for _ in 0..ENTRIES {
            assert!(set.pin().insert(()));
            assert!(!set.pin().insert(()));
            assert!(set.pin().remove(&()).is_some());
        }
        let map = LfHashMap::<(), ()>::new(Bp::vtable());
        let map = map.pin();
        for number in 1..=ENTRIES as usize {
            map.insert_duplicate((), ());
            assert_eq!((map.get_all(&()).count(), map.iter().count(), map.len()), (number, number, number));
        }
        assert_eq!(map.remove_all(&()), ENTRIES as usize);
    });
}

//! Histories of `LfHashMap` are linearizable: few keys, in buckets that are crowded and that move.

use std::hash::{BuildHasher, Hasher};

use cds_lfht::LfHashMap;
use structure_conformance::linearizability::{Map, MapOp, MapRet, Rounds};
use structure_conformance::on_every_flavor;

/// Keeps `0` bits of a key: the buckets are crowded.
#[derive(Clone)]
struct Few(u64);

impl BuildHasher for Few {
    type Hasher = FewHasher;

    fn build_hasher(&self) -> FewHasher {
        FewHasher { mask: self.0, hash: 0 }
    }
}

struct FewHasher {
    mask: u64,
    hash: u64,
}

impl Hasher for FewHasher {
    fn finish(&self) -> u64 {
        self.hash & self.mask
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = self.hash << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.hash = number;
    }
}

const KEYS: u64 = 10;

on_every_flavor! {
    /// Lookups, insertions, replacements and removals, while the table moves.
    fn histories<F>() {
        let concurrent = Rounds::<Map>::new(1500).closing((0..KEYS).map(MapOp::Get)).run::<F, _>(
            |random| {
                let mut map = LfHashMap::<u64, u64, Few>::with_hasher(Few([0, 1, 7][random.below(3) as usize]), F::vtable());
                let start: std::collections::BTreeMap<u64, u64> =
                    (0..KEYS).filter(|_| random.once_in(2)).map(|key| (key, 1000 + key)).collect();
                map.extend(start.clone());
                (Map(start), map)
            },
            |choice| {
                let key = choice.random.below(KEYS);
                match choice.random.below(10) {
                    0..3 => MapOp::Get(key),
                    3..5 => MapOp::Insert(key, choice.value()),
                    5..7 => MapOp::InsertIfAbsent(key, choice.value()),
                    7 => MapOp::Replace(key, choice.value()),
                    _ => MapOp::Remove(key),
                }
            },
            |map, thread, op| {
                let guard = thread.read_lock();
                MapRet::Value(match *op {
                    MapOp::Get(key) => map.get(&key, &guard).copied(),
                    MapOp::Insert(key, value) => {
                        // Something that does not show, now and then: the table moves.
                        if value % 3 == 0 {
                            map.resize((value as usize % 5) * 64, &guard);
                        }
                        map.insert(key, value, &guard).copied()
                    }
                    MapOp::InsertIfAbsent(key, value) => map.try_insert(key, value, &guard).err().map(|it| *it.current),
                    MapOp::Replace(key, value) => map.replace(key, value, &guard).ok().copied(),
                    MapOp::Remove(key) => map.remove(&key, &guard).copied(),
                    ref other => unreachable!("{other:?} is not chosen"),
                })
            },
        );
        println!("{concurrent} rounds with calls that overlapped");
    }
}

//! More maps of other crates, one per prefix length.

use super::{ByLength, Route, Tables, by_length, longest, of_length};
use crate::maps::{Hasher, hasher};

struct SccMap(ByLength<scc::HashMap<u32, u64, Hasher>>);

pub(super) fn scc_map(routes: &[Route]) -> Box<dyn Tables> {
    Box::new(SccMap(by_length(routes, || scc::HashMap::with_hasher(hasher()))))
}

impl Tables for SccMap {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&self.0, *address, |table, prefix| table.read_sync(prefix, |_, value| *value));
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        assert!(of_length(&self.0, length).insert_sync(address, value).is_ok());
    }

    fn withdraw(&self, address: u32, length: u8) {
        assert!(of_length(&self.0, length).remove_sync(&address).is_some());
    }
}

struct SccIndex(ByLength<scc::HashIndex<u32, u64, Hasher>>);

pub(super) fn scc_index(routes: &[Route]) -> Box<dyn Tables> {
    Box::new(SccIndex(by_length(routes, || scc::HashIndex::with_hasher(hasher()))))
}

impl Tables for SccIndex {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        // One guard for the batch: it serves all tables.
        let guard = sdd::Guard::new();
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&self.0, *address, |table, prefix| table.peek(prefix, &guard).copied());
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        assert!(of_length(&self.0, length).insert_sync(address, value).is_ok());
    }

    fn withdraw(&self, address: u32, length: u8) {
        assert!(of_length(&self.0, length).remove_sync(&address));
    }
}

struct Flurry(ByLength<flurry::HashMap<u32, u64, Hasher>>);

pub(super) fn flurry(routes: &[Route]) -> Box<dyn Tables> {
    Box::new(Flurry(by_length(routes, || flurry::HashMap::with_hasher(hasher()))))
}

impl Tables for Flurry {
    fn look_up(&self, addresses: &[(u32, Option<usize>)], answers: &mut [Option<u64>]) {
        // One guard per table, which are all entered before the lookups.
        let pinned: Vec<_> = self.0.iter().map(|(length, table)| (*length, table.pin())).collect();
        for ((address, _), answer) in addresses.iter().zip(answers) {
            *answer = longest(&pinned, *address, |table, prefix| table.get(prefix).copied());
        }
    }

    fn announce(&self, address: u32, length: u8, value: u64) {
        assert!(of_length(&self.0, length).pin().insert(address, value).is_none());
    }

    fn withdraw(&self, address: u32, length: u8) {
        assert!(of_length(&self.0, length).pin().remove(&address).is_some());
    }
}

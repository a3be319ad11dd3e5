//! Readers share values, so what may not be shared may not be in a shared map.

use std::cell::Cell;

use cds_lfht::LfHashMap;

fn shared<T: Sync>(_: T) {}

fn main() {
    shared(LfHashMap::<u64, Cell<u64>>::new(urcu_mb::vtable()));
}

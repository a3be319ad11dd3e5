//! Nor longer than the map.

use cds_lfht::LfHashMap;

fn main() {
    let thread = urcu_mb::register().unwrap();
    let map: LfHashMap<u64, u64> = LfHashMap::new(urcu_mb::vtable());
    let guard = thread.read_lock();
    let value = map.get(&1, &guard);
    drop(map);
    println!("{value:?}");
}

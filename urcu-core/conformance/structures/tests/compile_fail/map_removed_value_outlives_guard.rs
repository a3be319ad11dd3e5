//! A value that has been removed is reclaimed after the section, too.

use cds_lfht::LfHashMap;

fn main() {
    let thread = urcu_mb::register().unwrap();
    let map: LfHashMap<u64, u64> = LfHashMap::new(urcu_mb::vtable());
    let removed = {
        let guard = thread.read_lock();
        map.remove(&1, &guard)
    };
    println!("{removed:?}");
}

//! A section belongs to its thread, also the one inside of a pinned map.

use cds_lfht::LfHashMap;

fn main() {
    let map: LfHashMap<u64, u64> = LfHashMap::new(urcu_bp::vtable());
    let pinned = map.pin();
    std::thread::scope(|scope| {
        scope.spawn(move || pinned.get(&1).copied());
    });
}

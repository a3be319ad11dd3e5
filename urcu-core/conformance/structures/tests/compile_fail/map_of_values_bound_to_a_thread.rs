//! Values are dropped on other threads.

use std::rc::Rc;

use cds_lfht::LfHashMap;

fn main() {
    let thread = urcu_mb::register().unwrap();
    let map: LfHashMap<u64, Rc<u64>> = LfHashMap::new(urcu_mb::vtable());
    let guard = thread.read_lock();
    map.insert(1, Rc::new(1), &guard);
}

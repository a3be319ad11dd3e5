//! Values are dropped at any time after their removal, so they borrow nothing.

use cds_lfht::LfHashMap;

fn main() {
    let thread = urcu_mb::register().unwrap();
    let text = String::from("short-lived");
    let map = LfHashMap::new(urcu_mb::vtable());
    let guard = thread.read_lock();
    map.insert(1, text.as_str(), &guard);
}

//! What a walk meets lives no longer than the section.

use cds_list::RcuList;

fn main() {
    let thread = urcu_mb::register().unwrap();
    let list = RcuList::<u64>::new(urcu_mb::vtable());
    let guard = thread.read_lock();
    let first = list.first(&guard);
    drop(guard);
    println!("{first:?}");
}

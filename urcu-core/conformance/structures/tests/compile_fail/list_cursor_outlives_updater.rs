//! A place in a list is the updater's.

use cds_list::RcuList;

fn main() {
    let list = RcuList::<u64>::new(urcu_mb::vtable());
    let mut updater = list.lock();
    let cursor = updater.cursor_front();
    drop(updater);
    println!("{:?}", cursor.current());
}

//! Exclusive access ends with no reader inside.

use cds_list::RcuList;

fn main() {
    let thread = urcu_mb::register().unwrap();
    let mut list = RcuList::<u64>::new(urcu_mb::vtable());
    let guard = thread.read_lock();
    let mut walk = list.iter(&guard);
    list.drain();
    println!("{:?}", walk.next());
}

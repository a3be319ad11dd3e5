//! One place at a time: a cursor may remove what another one stands at.

use cds_list::RcuList;

fn main() {
    let list = RcuList::<u64>::new(urcu_mb::vtable());
    let mut updater = list.lock();
    let mut one = updater.cursor_front();
    let mut other = updater.cursor_front();
    one.remove();
    other.remove();
}

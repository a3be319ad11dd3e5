//! Who pops is another thread.

use std::rc::Rc;

use cds_lfstack::LfStack;

fn shared<T: Sync>(_: T) {}

fn main() {
    shared(LfStack::<Rc<u64>>::new(urcu_mb::vtable()));
}

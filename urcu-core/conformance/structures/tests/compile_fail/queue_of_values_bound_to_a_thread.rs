//! Who dequeues is another thread.

use std::rc::Rc;

use cds_wfqueue::LfQueue;

fn shared<T: Sync>(_: T) {}

fn main() {
    shared(LfQueue::<Rc<u64>>::new(urcu_mb::vtable()));
}

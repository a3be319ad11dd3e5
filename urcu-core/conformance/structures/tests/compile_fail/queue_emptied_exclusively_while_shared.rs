//! Dequeueing without a section is for who has the queue alone.

use cds_wfqueue::LfQueue;

fn main() {
    let mut queue = LfQueue::<u64>::new(urcu_mb::vtable());
    let shared = &queue;
    queue.dequeue_mut();
    let _ = shared.flavor();
}

//! And whoever receives has it alone.

use cds_wfqueue::WfcQueue;

fn main() {
    let (_producer, consumer) = WfcQueue::<u64>::new().split();
    let shared = &consumer;
    println!("{:?}", shared.try_recv());
}

//! There is one consumer.

use cds_wfqueue::WfcQueue;

fn main() {
    let (producer, consumer) = WfcQueue::<u64>::new().split();
    let another = consumer.clone();
    drop((producer, consumer, another));
}

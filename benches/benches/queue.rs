//! Cases of the suite `queue` under criterion: queues.

mod common;

use criterion::Criterion;
use urcu_benches::suites::queue::SUITE;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    common::measure(&mut criterion, SUITE, &["wfcqueue-pairs", "lfqueue-pairs", "pairs", "burst"]);
    criterion.final_summary();
}

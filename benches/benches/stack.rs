//! Cases of the suite `stack` under criterion: stacks.

mod common;

use criterion::Criterion;
use urcu_benches::suites::stack::SUITE;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    common::measure(&mut criterion, SUITE, &["lfs-pairs", "wfs-pairs", "pairs", "bursts"]);
    criterion.final_summary();
}

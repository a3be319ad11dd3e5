//! Cases of the suite `route` under criterion: the routing table.

mod common;

use criterion::Criterion;
use urcu_benches::suites::route::SUITE;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    common::measure(&mut criterion, SUITE, &["lookups"]);
    criterion.final_summary();
}

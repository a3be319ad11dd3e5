//! Cases of the suite `mixing` under criterion: lookups across shared objects.

mod common;

use criterion::Criterion;
use urcu_benches::suites::mixing::SUITE;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    common::measure(&mut criterion, SUITE, &["lookup"]);
    criterion.final_summary();
}

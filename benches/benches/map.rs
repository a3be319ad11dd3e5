//! Cases of the suite `map` under criterion: hash maps.

mod common;

use criterion::Criterion;
use urcu_benches::suites::map::SUITE;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    common::measure(&mut criterion, SUITE, &["raw-hit-1k", "hit-1k", "hit-100k", "mix-1k"]);
    criterion.final_summary();
}

//! The workload `grace/synchronize` under criterion: one call beside a busy reader.

use std::time::Duration;

use criterion::Criterion;
use urcu_benches::contenders;
use urcu_benches::harness::threads::Cores;
use urcu_benches::suites::grace::synchronize_calls;

fn grace(criterion: &mut Criterion) {
    let cores = Cores::detect();
    let mut group = criterion.benchmark_group("grace/synchronize");
    group.warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    group.sample_size(20);
    for entry in contenders::all() {
        let api = match entry.api {
            Ok(api) => api,
            Err(reason) => {
                eprintln!("{}: unavailable: {reason}", entry.name);
                continue;
            }
        };
        group.bench_function(entry.name, |bencher| {
            bencher.iter_custom(|calls| {
                synchronize_calls(api, &cores, calls).unwrap_or_else(|reason| panic!("{}: {reason}", entry.name))
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    grace(&mut criterion);
    criterion.final_summary();
}

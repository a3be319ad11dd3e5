//! The workloads `reclaim/retire-1` and `reclaim/retire-drop-1` under criterion: blocks retired and freed by one updater.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use urcu_benches::harness::threads::Cores;
use urcu_benches::reclaim::{CHUNK, retire_and_free};
use urcu_benches::suites::reclaim::{WORKLOADS, lines};

fn reclaim(criterion: &mut Criterion) {
    let cores = Cores::detect();
    for workload in WORKLOADS.iter().filter(|workload| workload.crew.size() == 1) {
        let mut group = criterion.benchmark_group(format!("reclaim/{}", workload.name));
        // An iteration is a chunk of blocks; the last of a measurement are freed within its time, too.
        group.throughput(Throughput::Elements(CHUNK));
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        group.sample_size(20);
        for line in lines() {
            let probe = line.measure(|make| retire_and_free(make, workload.crew.manner, &cores, 1));
            if let Err(reason) = probe {
                eprintln!("{}: left out: {reason}", line.name);
                continue;
            }
            group.bench_function(line.name, |bencher| {
                bencher.iter_custom(|chunks| {
                    line.measure(|make| retire_and_free(make, workload.crew.manner, &cores, chunks))
                        .unwrap_or_else(|reason| panic!("{}: {reason}", line.name))
                });
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    reclaim(&mut criterion);
    criterion.final_summary();
}

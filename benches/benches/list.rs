//! The walks of the suite `list` under criterion: one thread.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use urcu_benches::lists::{ELEMENTS, WALKS};
use urcu_benches::suites::list::{Walk, batch};

fn walks(criterion: &mut Criterion) {
    for (name, _, walk) in Walk::ALL {
        let mut group = criterion.benchmark_group(format!("list/{name}"));
        // An iteration is a block of walks, ended by a quiescent state.
        group.throughput(Throughput::Elements(WALKS * ELEMENTS));
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        for line in walk.lines() {
            let subject = match (line.subject)() {
                Ok(subject) => subject,
                Err(reason) => {
                    eprintln!("{}: unavailable: {reason}", line.name);
                    continue;
                }
            };
            let mut worker = subject.worker().unwrap_or_else(|reason| panic!("{}: {reason}", line.name));
            group.bench_function(line.name, |bencher| {
                bencher.iter_custom(|blocks| {
                    let start = Instant::now();
                    let answer = batch(worker.as_mut(), blocks);
                    let elapsed = start.elapsed();
                    answer.unwrap_or_else(|reason| panic!("{}: {reason}", line.name));
                    elapsed
                });
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    walks(&mut criterion);
    criterion.final_summary();
}

//! The workloads of the suite `read` under criterion: one thread, for work on a single section.

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use urcu_benches::contenders::ours::Path;
use urcu_benches::suites::read::{Line, Loop, lines};
use urcu_benches::workload::READ_LENGTH;

fn read(criterion: &mut Criterion) {
    for (name, path, measured) in [
        ("read/thread", Path::Thread, Loop::Flat),
        ("read/free", Path::Free, Loop::Flat),
        ("read/raw", Path::Raw, Loop::Flat),
        ("read/nested", Path::Thread, Loop::Nested),
    ] {
        let mut group = criterion.benchmark_group(name);
        // An iteration is a block of sections, ended by a quiescent state.
        group.throughput(Throughput::Elements(READ_LENGTH));
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        for line in lines(path, measured) {
            bench(&mut group, &line, measured);
        }
        group.finish();
    }
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, line: &Line, measured: Loop) {
    let subject = match (line.subject)() {
        Ok(subject) => subject,
        Err(reason) => {
            eprintln!("{}: unavailable: {reason}", line.name);
            return;
        }
    };
    match subject.worker() {
        Ok(mut worker) => {
            group.bench_function(line.name, |bencher| {
                bencher.iter_custom(|blocks| {
                    let start = Instant::now();
                    let answer = measured.batch(worker.as_mut(), blocks);
                    let elapsed = start.elapsed();
                    if let Err(reason) = answer {
                        panic!("{}: {reason}", line.name);
                    }
                    elapsed
                });
            });
        }
        Err(reason) => eprintln!("{}: failed: {reason}", line.name),
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    read(&mut criterion);
    criterion.final_summary();
}

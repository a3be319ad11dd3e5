//! The cases of a suite under criterion: each sample is one measurement of the matrix' own closure.

use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use urcu_benches::harness::plan::{Better, Options, Pace, Shot, Suite};
use urcu_benches::harness::threads::{Cores, caught};

/// How long one measurement takes.
const BUDGET: Duration = Duration::from_millis(5);

/// Measures those cases of a suite that have rounds: the time of one operation, also where the matrix shows a rate.
pub(crate) fn measure(criterion: &mut Criterion, suite: Suite, cases: &[&str]) {
    let cores = Cores::detect();
    for case in (suite.cases)(&Options { threads: vec![1], quick: true }) {
        if !cases.contains(&case.name.as_str()) || !matches!(case.pace, Pace::Rounds(_)) || case.threads > cores.count()
        {
            continue;
        }
        let mut group = criterion.benchmark_group(format!("{}/{}", suite.name, case.name));
        group.sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(50));
        group.measurement_time(Duration::from_millis(500));
        group.sample_size(10);
        for contender in case.contenders {
            let name = contender.name;
            let mut measure = match contender.measure {
                Ok(measure) => measure,
                Err(reason) => {
                    eprintln!("{name}: unavailable: {reason}");
                    continue;
                }
            };
            let shot = Shot { budget: BUDGET, cores: &cores };
            if let Err(reason) = caught(|| measure(&shot)) {
                eprintln!("{name}: failed: {reason}");
                continue;
            }
            group.bench_function(name.as_str(), |bencher| {
                bencher.iter_custom(|count| {
                    let sample = measure(&shot).unwrap_or_else(|reason| panic!("{name}: {reason}"));
                    let seconds = if case.better == Better::Higher { 1.0 / sample.value } else { sample.value / 1e9 };
                    // Exact: nobody asks for 2^52 operations.
                    #[allow(clippy::cast_precision_loss)]
                    Duration::from_secs_f64(seconds * count as f64)
                });
            });
        }
        group.finish();
    }
}

//! Timing single operations that are not much longer than reading the clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::harness::stats::midmean;

/// Calls that one round of a latency measurement stops at, however fast they are.
const MAX_CALLS: usize = 20_000;
/// Calls that it makes at least, however slow they are.
const MIN_CALLS: usize = 3;

/// What reading the clock twice costs, in nanoseconds; measured once.
fn overhead() -> f64 {
    static OVERHEAD: OnceLock<f64> = OnceLock::new();
    *OVERHEAD.get_or_init(|| {
        let empty: Vec<f64> = (0..10_001).map(|_| nanoseconds(Instant::now().elapsed())).collect();
        // Not the median: it is a whole number of ticks, and ticks can be longer than this takes.
        midmean(&empty).unwrap_or(0.0)
    })
}

/// A duration in nanoseconds.
pub fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// The time of one call, less what the clock itself takes. A single one can come out negative, by a
/// tick of the clock; many of them average out.
pub fn time<R>(call: impl FnOnce() -> R) -> f64 {
    let overhead = overhead();
    let start = Instant::now();
    let answer = call();
    let elapsed = start.elapsed();
    drop(answer);
    nanoseconds(elapsed) - overhead
}

/// Repeats a call that reports its own time until the budget is spent, after a tenth of it as
/// warm-up.
///
/// # Errors
/// The first error of a call.
pub fn repeat(budget: Duration, mut call: impl FnMut() -> Result<f64, String>) -> Result<Vec<f64>, String> {
    let start = Instant::now();
    loop {
        call()?;
        if start.elapsed() >= budget / 10 {
            break;
        }
    }
    let start = Instant::now();
    let mut times = Vec::with_capacity(MAX_CALLS);
    while times.len() < MIN_CALLS || (times.len() < MAX_CALLS && start.elapsed() < budget) {
        times.push(call()?);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_repeated_even_when_the_budget_is_nothing() {
        let mut calls = 0;
        let times = repeat(Duration::ZERO, || {
            calls += 1;
            Ok(f64::from(calls))
        });
        assert_eq!(times, Ok(vec![2.0, 3.0, 4.0]));
    }

    #[test]
    fn the_first_error_ends_the_measurement() {
        let answer = repeat(Duration::ZERO, || Err("broken".to_owned()));
        assert_eq!(answer, Err("broken".into()));
    }
}

//! Random programs under each flavor. `cargo xtask fuzz` runs them for as long as one likes.

use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use structure_conformance::{Tested, on_every_flavor, seed};
use urcu_fuzz::{program, run};

/// How often each program is run: threads meet differently each time.
const TIMES: usize = 4;
/// Programs per flavor in a short run.
const CASES: u32 = 40;
/// How long it goes on instead, in seconds.
const LENGTH: &str = "URCU_FUZZ_SECONDS";

fn fuzz<F: Tested>(stream: u64) {
    let length = std::env::var(LENGTH).ok().map(|text| Duration::from_secs_f64(text.parse().expect("seconds")));
    let started = Instant::now();
    let mut random = seed::Random::new(stream);
    let mut programs = 0;
    loop {
        let bytes: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
        let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let result = runner.run(&program::programs(), |program| {
            (0..TIMES).for_each(|_| run::<F>(&program));
            Ok(())
        });
        if let Err(failure) = result {
            panic!("{}: {failure}", F::NAME);
        }
        programs += CASES;
        if length.is_none_or(|length| started.elapsed() >= length) {
            break;
        }
    }
    println!("{}: {programs} programs, {TIMES} times each", F::NAME);
}

on_every_flavor! {
    fn random_programs<F>() {
        fuzz::<F>(F::NAME.bytes().map(u64::from).sum());
    }
}

//! Random numbers that can be repeated: `URCU_SEED=<number>` in the environment.

use std::env;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The environment variable that fixes the seed.
pub const VARIABLE: &str = "URCU_SEED";

/// The seed of this run; printed when it is first asked for.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let chosen = env::var(VARIABLE).ok().map(|text| text.parse().expect("URCU_SEED is a number"));
        let seed = chosen.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Random(now.as_nanos() as u64 ^ u64::from(std::process::id()) << 32).next()
        });
        println!("seed: {VARIABLE}={seed}");
        seed
    })
}

/// SplitMix64: small, and good enough to shuffle threads.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Stream `stream` of this run's seed.
    pub fn new(stream: u64) -> Self {
        let mut random = Self(seed() ^ stream.wrapping_mul(0xD129_0AE1_4C2B_71E5));
        random.next();
        random
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait, reason = "never ends, so it is no iterator that one would loop over")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Does nothing for a random while: mostly at once, sometimes some spinning, sometimes a yield.
    pub fn dawdle(&mut self) {
        match self.below(32) {
            0 => std::thread::yield_now(),
            1..4 => (0..self.below(200)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }
}

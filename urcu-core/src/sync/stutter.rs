//! Schedules that a machine seldom shows (`--cfg urcu_mutants`): at some accesses threads stay away for a while.
//!
//! `URCU_STUTTER=<number>` chooses, by that number, one in sixteen of the places in the source that name a memory order. Whoever gets there
//! yields, or sleeps for up to three milliseconds: always the first times, later now and then, so that programs still end. `cargo xtask
//! stutter` runs the tests so.

use core::cell::Cell;
use core::panic::Location;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

/// Of how many places one is chosen.
const PLACES: u64 = 16;
/// How many sleeps a process does in full.
const BUDGET: u32 = 2_000;
/// Of how many visits one sleeps after that.
const SELDOM: u64 = 256;

static SEED: OnceLock<Option<u64>> = OnceLock::new();
static SLEPT: AtomicU32 = AtomicU32::new(0);

std::thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// At an access that `place` names.
pub(super) fn at(place: &Location<'_>) {
    let parse = || std::env::var("URCU_STUTTER").ok().map(|text| text.parse().expect("URCU_STUTTER: a number"));
    let Some(seed) = *SEED.get_or_init(parse) else { return };
    let file = place.file().bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let chosen = mix(seed ^ file.wrapping_shl(20) ^ u64::from(place.line()) << 8 ^ u64::from(place.column()));
    if !chosen.is_multiple_of(PLACES) {
        return;
    }
    // Each thread's own, by where its stack is.
    let mut random = RANDOM.get();
    random = mix(if random == 0 { chosen ^ (&raw const random).addr() as u64 } else { random });
    RANDOM.set(random);
    // Relaxed: a budget.
    let late = SLEPT.load(Ordering::Relaxed) > BUDGET;
    if late && !random.is_multiple_of(SELDOM) {
        return;
    }
    if random.is_multiple_of(4) {
        std::thread::yield_now();
    } else {
        // Relaxed: the same.
        SLEPT.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros((random >> 20 & 0x7ff) + (random >> 40 & 0x3ff)));
    }
}

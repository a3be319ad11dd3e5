//! Signals at any instruction of readers: their handlers sleep, yield, and read where the flavor allows it.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use urcu_conformance::seed::Random;
use urcu_conformance::signal;
use urcu_core::{Flavor, raw};

use crate::world::{World, world};

/// Not the one that the signal flavor uses.
const SIGNAL: i32 = libc::SIGUSR2;

thread_local! {
    static MAY_READ: Cell<bool> = const { Cell::new(false) };
    static STATE: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) };
}

/// Whether handlers on this thread may enter sections.
pub(crate) fn allow_reading(allowed: bool) {
    MAY_READ.set(allowed);
}

fn next() -> u64 {
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    state
}

/// The handler's action. Async-signal-safe: atomics, thread-locals without initialiser, two system calls.
fn interrupt<F: Flavor>() {
    match next() % 32 {
        0 => {
            let time = libc::timespec { tv_sec: 0, tv_nsec: (next() % 1_000_000) as i64 };
            // SAFETY: a valid pointer to a local.
            unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
        }
        1..12 => {
            // SAFETY: takes nothing.
            unsafe { libc::sched_yield() };
        }
        _ => (0..next() % 500).for_each(|_| std::hint::spin_loop()),
    }
    if MAY_READ.get() {
        read::<F>();
    }
}

fn read<F: Flavor>() {
    let world = world();
    // SAFETY: unlocked below; `MAY_READ` says that the thread may read.
    unsafe { raw::read_lock::<F>() };
    let seen = world.look(next() as usize);
    (0..next() % 200).for_each(|_| std::hint::spin_loop());
    let bucket = seen.bucket();
    // SAFETY: locked above.
    unsafe { raw::read_unlock::<F>() };
    world.counts.handler_sections.fetch_add(1, Ordering::Relaxed);
    // Too old is found by the count: a handler cannot tell.
    world.add_bucket(bucket);
}

/// Sends signals to readers until the end.
pub(crate) fn run<F: Flavor>(world: &'static World, stream: u64) {
    signal::handle(SIGNAL, interrupt::<F>);
    let (mut random, never) = (Random::new(stream), AtomicBool::new(false));
    while !world.ended() {
        let tid = world.target(random.below(64));
        if tid == 0 {
            random.dawdle();
            continue;
        }
        let once = Cell::new(true);
        signal::storm(SIGNAL, &mut random, &never, |_| once.take().then_some(tid));
    }
}

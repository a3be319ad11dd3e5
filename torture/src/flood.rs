//! Floods: more calls than the limits allow, in bursts, inside sections and outside, and workers that come and go.

use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use urcu_conformance::seed::Random;
use urcu_core::{Flavor, Limits, Thread, WorkerBuilder, raw, workers};

use crate::world::{World, world};

/// Low, so that the hard limit is reached all the time.
const LIMITS: Limits = Limits { soft_items: 2_000, soft_bytes: 1 << 20, hard_items: 8_000, hard_bytes: 4 << 20 };

/// Executed when it is dropped.
struct Drop1(#[allow(dead_code, reason = "makes it as large as other values")] [u64; 4]);

impl Drop for Drop1 {
    fn drop(&mut self) {
        world().counts.flood_executed.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe extern "C" fn free(memory: *mut c_void) {
    world().counts.flood_executed.fetch_add(1, Ordering::Relaxed);
    // SAFETY: made by `Box::into_raw` below.
    drop(unsafe { Box::from_raw(memory.cast::<[u64; 4]>()) });
}

/// Bursts until the end.
pub(crate) fn run<F: Flavor>(world: &'static World, stream: u64) {
    let mut random = Random::new(stream);
    urcu_core::set_limits::<F>(LIMITS);
    while !world.ended() {
        let size = random.below(20_000);
        if random.once_in(2) {
            let mut thread = Thread::<F>::register().expect("not registered");
            let guard = random.once_in(2).then(|| thread.read_lock());
            // Inside a section, the end of it is what waits.
            burst::<F>(world, &mut random, size);
            drop(guard);
            thread.quiescent_state();
        } else {
            burst::<F>(world, &mut random, size);
        }
        if random.once_in(4) {
            urcu_core::barrier::<F>().expect("not in a deferred call");
        }
        if random.once_in(3) {
            own_worker::<F>(world, &mut random);
        }
        if random.once_in(20) {
            let changed = if random.once_in(2) { Limits::default() } else { LIMITS };
            urcu_core::set_limits::<F>(changed);
        }
        // Others need the processor, too.
        thread::sleep(Duration::from_millis(random.below(20)));
    }
}

fn burst<F: Flavor>(world: &World, random: &mut Random, size: u64) {
    for _ in 0..size {
        world.counts.flooded.fetch_add(1, Ordering::Relaxed);
        if random.once_in(2) {
            urcu_core::retire_box::<_, F>(Box::new(Drop1([0; 4])));
        } else {
            let memory = Box::into_raw(Box::new([0_u64; 4])).cast();
            // SAFETY: never published; the function only frees memory.
            unsafe { raw::defer_free::<F>(free, memory, 32) };
        }
    }
}

/// A worker for this thread, or one for each processor, for a while.
fn own_worker<F: Flavor>(world: &World, random: &mut Random) {
    world.counts.workers.fetch_add(1, Ordering::Relaxed);
    if random.once_in(4) {
        workers::create_for_all_cpus::<F>(None).expect("threads can be made");
        burst::<F>(world, random, 1_000);
        workers::stop_for_all_cpus::<F>().expect("not in a deferred call");
        return;
    }
    let worker = WorkerBuilder::<F>::new().spawn().expect("threads can be made");
    workers::set_of_thread(Some(worker));
    burst::<F>(world, random, 1_000);
    worker.stop().expect("not in a deferred call");
    workers::set_of_thread::<F>(None);
}

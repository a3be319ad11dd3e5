//! Bounds on what is deferred: who waits, who does not, and that the process recovers.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use urcu_conformance::{Gate, leak, until};

use super::cast::{Inside, NAME, Updater, Way, alone, in_section, join, named, on_a_thread, register};
use super::deferred::barrier;
use crate::TRAITS;
use crate::rcu::{self, Limits, workers};

const HARD: usize = 4096;
/// Blocks are counted when they are full, and each of the two queues of a thread has one that is not.
const SLACK: u64 = 2 * 512;

fn limit() {
    rcu::set_limits(Limits { soft_items: 1024, hard_items: HARD, ..Limits::UNLIMITED });
    assert_eq!(rcu::limits().hard_items, HARD);
}

/// Retires until told otherwise, and says how many.
fn produce<T: Send + 'static>(stop: &AtomicBool, made: &AtomicU64, make: fn(u64) -> T) {
    while !stop.load(Ordering::Relaxed) {
        rcu::retire(Box::new(make(made.fetch_add(1, Ordering::Relaxed))));
    }
}

fn stays_bounded<T: Send + 'static>(make: fn(u64) -> T) {
    limit();
    let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
    let made: &'static AtomicU64 = leak(Box::new(AtomicU64::new(0)));
    let inside = Inside::enter();
    let producers = [0, 1].map(|_| Updater::calling(move || produce(stop, made, make)));
    // Both end up waiting for room.
    until("the hard limit is reached", || made.load(Ordering::Relaxed) >= HARD as u64);
    producers.iter().for_each(Updater::assert_waiting);
    let pending = rcu::stats().pending;
    assert!(pending <= HARD as u64 + 2 * SLACK, "{pending} pending, the limit being {HARD}");
    inside.leave();
    // And both go on.
    let before = made.load(Ordering::Relaxed);
    until("the producers go on", || made.load(Ordering::Relaxed) > before + 10 * HARD as u64);
    stop.store(true, Ordering::Relaxed);
    producers.into_iter().for_each(Updater::finish);
    barrier();
    assert_eq!((rcu::stats().pending, rcu::stats().bytes_pending), (0, 0));
}

#[test]
fn memory_behind_a_stalled_reader_stays_bounded() {
    alone(|| stays_bounded(|number| [number; 8]));
}

#[test]
fn so_do_values_with_destructors() {
    alone(|| stays_bounded(|number| vec![number; 2]));
}

#[test]
fn bytes_are_bounded_too() {
    alone(|| {
        rcu::set_limits(Limits { hard_bytes: 1 << 20, ..Limits::UNLIMITED });
        let inside = Inside::enter();
        let producer = Updater::calling(|| (0..4096).for_each(|_| rcu::retire(Box::new([0_u8; 1024]))));
        until("the hard limit is reached", || rcu::stats().bytes_pending > 1 << 20);
        producer.assert_waiting();
        let pending = rcu::stats().bytes_pending;
        assert!((1 << 20..(1 << 20) + (1 << 20)).contains(&pending), "{pending} bytes pending");
        inside.leave();
        producer.finish();
        barrier();
        assert_eq!(rcu::stats().bytes_pending, 0);
    });
}

#[test]
fn nobody_waits_inside_a_section() {
    alone(|| {
        limit();
        // Its own section would hold it up for ever.
        in_section(Way::Thread, || (0..4 * HARD).for_each(|at| rcu::retire(Box::new([at; 8]))));
        assert!(rcu::stats().queued >= 4 * HARD as u64);
        barrier();
        assert_eq!(rcu::stats().pending, 0);
    });
}

#[test]
fn an_online_thread_pays_at_its_next_quiescent_state() {
    alone(|| {
        limit();
        let inside = Inside::enter();
        let producer = named("producer", || {
            let mut thread = register();
            for round in 0..8 * HARD {
                rcu::retire(Box::new([round; 8]));
                if round % 64 == 0 {
                    thread.quiescent_state();
                }
            }
        });
        until("the hard limit is reached", || rcu::stats().pending >= HARD as u64);
        until("nothing is added any more", || {
            let before = rcu::stats().queued;
            (0..1000).for_each(|_| std::thread::yield_now());
            before == rcu::stats().queued
        });
        assert!(rcu::stats().pending <= HARD as u64 + 2 * SLACK + 64, "{:?}", rcu::stats());
        inside.leave();
        join(producer);
        barrier();
    });
}

#[test]
fn the_end_of_a_section_pays_for_what_was_retired_inside() {
    alone(|| {
        limit();
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let inside = Inside::enter();
        let producer = named("producer", move || {
            let mut thread = register();
            while !stop.load(Ordering::Relaxed) {
                // Not a divisor of a block's length: most blocks become full somewhere inside.
                let guard = thread.read_lock();
                (0..100_u64).for_each(|at| rcu::retire(Box::new([at; 8])));
                drop(guard);
                thread.quiescent_state();
            }
        });
        until("the hard limit is reached", || rcu::stats().pending >= HARD as u64);
        until("nothing is added any more", || {
            let before = rcu::stats().queued;
            (0..1000).for_each(|_| std::thread::yield_now());
            before == rcu::stats().queued
        });
        assert!(rcu::stats().pending <= HARD as u64 + 2 * SLACK + 100, "{:?}", rcu::stats());
        inside.leave();
        let before = rcu::stats().queued;
        until("the producer goes on", || rcu::stats().queued > before + 10 * HARD as u64);
        stop.store(true, Ordering::Relaxed);
        join(producer);
        barrier();
    });
}

#[test]
fn large_values_count_before_a_block_is_full() {
    const SIZE: usize = 1 << 18;
    alone(|| {
        rcu::set_limits(Limits { hard_bytes: 16 * SIZE, ..Limits::UNLIMITED });
        let inside = Inside::enter();
        let made: &'static AtomicU64 = leak(Box::new(AtomicU64::new(0)));
        let producer = Updater::calling(move || {
            for _ in 0..100 {
                rcu::retire(Box::new([0_u8; SIZE]));
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        until("the hard limit is reached", || made.load(Ordering::Relaxed) >= 16);
        producer.assert_waiting();
        // A block is sealed at 1 MiB.
        assert!(made.load(Ordering::Relaxed) <= 16 + 4, "{made:?} values");
        inside.leave();
        producer.finish();
        barrier();
        assert_eq!(rcu::stats().bytes_pending, 0);
    });
}

#[test]
fn a_wait_for_room_that_takes_long_is_reported() {
    static WAITS: AtomicU64 = AtomicU64::new(0);
    alone(|| {
        rcu::set_report_hook(|report| {
            if let rcu::Report::RetireStalled { flavor, items, .. } = report {
                assert_eq!(*flavor, NAME);
                WAITS.fetch_add(u64::from(*items >= HARD), Ordering::Relaxed);
            }
        });
        rcu::set_stall_limit(Some(Duration::from_millis(20)));
        limit();
        static M: Mutex<()> = Mutex::new(());
        let held = M.lock().expect("nobody panics");
        // The worker waits for the lock, and this thread for the worker.
        rcu::defer(|| drop(M.lock()));
        let producer = Updater::calling(|| (0..2 * HARD).for_each(|at| rcu::retire(Box::new(vec![at]))));
        until("it is reported", || WAITS.load(Ordering::Relaxed) != 0);
        drop(held);
        producer.finish();
        barrier();
    });
}

/// The default worker has nothing to do, and so does not find out.
#[test]
fn nobody_waits_for_room_that_a_worker_of_ones_own_cannot_make_any_more() {
    alone(|| {
        on_a_thread(|| {
            let _thread = (!TRAITS.registers_itself).then(register);
            std::mem::forget(rcu::read_lock());
        });
        rcu::set_limits(Limits { hard_items: 4, ..Limits::UNLIMITED });
        let worker = workers::Builder::new().spawn().expect("a worker");
        on_a_thread(move || {
            workers::set_of_thread(Some(worker));
            // Each is beyond the limit.
            (0..64).for_each(|_| rcu::defer(|| unreachable!("after a grace period that never ends")));
        });
        until("all of them are pending", || {
            let stats = rcu::stats();
            (stats.queued, stats.executed, stats.pending) == (64, 0, 64)
        });
    });
}

#[test]
fn a_deferred_call_may_retire_beyond_the_limit() {
    static DONE: AtomicBool = AtomicBool::new(false);
    alone(|| {
        limit();
        // Only the worker that runs this could make room.
        rcu::defer(|| {
            (0..4 * HARD).for_each(|at| rcu::retire(Box::new(vec![at])));
            DONE.store(true, Ordering::Relaxed);
        });
        until("the call has returned", || DONE.load(Ordering::Relaxed));
        barrier();
        barrier();
        assert_eq!(rcu::stats().pending, 0);
    });
}

#[test]
fn leaving_does_not_cancel_the_debt() {
    alone(|| {
        limit();
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let inside = Inside::enter();
        let producer = named("producer", move || {
            while !stop.load(Ordering::Relaxed) {
                let thread = register();
                let guard = thread.read_lock();
                (0..700_u64).for_each(|at| rcu::retire(Box::new([at; 8])));
                drop(guard);
                drop(thread);
            }
        });
        until("the hard limit is reached", || rcu::stats().pending >= HARD as u64);
        until("nothing is added any more", || {
            let before = rcu::stats().queued;
            (0..1000).for_each(|_| std::thread::yield_now());
            before == rcu::stats().queued
        });
        assert!(rcu::stats().pending <= HARD as u64 + 2 * SLACK + 700, "{:?}", rcu::stats());
        inside.leave();
        stop.store(true, Ordering::Relaxed);
        join(producer);
        barrier();
    });
}

#[test]
fn blocks_that_were_emptied_while_being_filled_do_not_count() {
    alone(|| {
        // Every block is beyond the limit, so each waits until it has been emptied.
        rcu::set_limits(Limits { hard_items: 0, ..Limits::UNLIMITED });
        let made: &'static AtomicU64 = leak(Box::new(AtomicU64::new(0)));
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let producers = [
            Updater::calling(move || produce(stop, made, |at| at)),
            Updater::calling(move || produce(stop, made, |at| vec![at])),
        ];
        // Keeps the worker at it, which takes what is in the blocks that are being filled.
        until("many blocks have been filled", || {
            rcu::defer(|| ());
            made.load(Ordering::Relaxed) > 200_000
        });
        stop.store(true, Ordering::Relaxed);
        producers.into_iter().for_each(Updater::finish);
        barrier();
        assert_eq!((rcu::stats().pending, rcu::stats().bytes_pending), (0, 0));
    });
}

#[test]
fn what_is_retired_through_the_table_counts() {
    struct Loud([u8; 1 << 16]);
    impl Drop for Loud {
        fn drop(&mut self) {
            assert_eq!(self.0[1], 0);
        }
    }
    alone(|| {
        let inside = Inside::enter();
        (0..64).for_each(|_| rcu::vtable().retire(Box::new(Loud([0; 1 << 16]))));
        (0..64).for_each(|_| rcu::vtable().retire(Box::new([0_u8; 1 << 16])));
        assert_eq!(rcu::stats().bytes_pending, 128 << 16);
        inside.leave();
        rcu::vtable().wait_for_retired().expect("not in a deferred call");
        assert_eq!(rcu::stats().bytes_pending, 0);
    });
}

/// The hook breaks its rule; nothing that a reader sees is freed all the same.
#[test]
fn what_a_report_hook_retires_waits_for_a_grace_period_of_its_own() {
    static LATE: Mutex<Option<Inside>> = Mutex::new(None);
    static SEEN: AtomicBool = AtomicBool::new(false);
    static FREED: AtomicU64 = AtomicU64::new(0);
    static END: Gate = Gate::new();
    unsafe extern "C" fn free(_nothing: *mut c_void) {
        FREED.fetch_add(1, Ordering::Relaxed);
    }
    fn hook(report: &rcu::Report) {
        if matches!(report, rcu::Report::GracePeriodStalled { .. }) && !SEEN.swap(true, Ordering::Relaxed) {
            // Begins after the grace period that this thread leads, and before what it retires.
            *LATE.lock().expect("nobody panics") = Some(Inside::enter());
            // SAFETY: it only counts.
            unsafe { rcu::raw::defer_free(free, std::ptr::null_mut(), 0) };
        }
    }
    alone(|| {
        // Keeps the worker from leading.
        let running = Arc::new(Gate::new());
        let runs = Arc::clone(&running);
        rcu::defer(move || {
            runs.open();
            END.wait();
        });
        running.wait();
        rcu::set_report_hook(hook);
        rcu::set_stall_limit(Some(Duration::from_millis(20)));
        limit();
        let early = Inside::enter();
        let producer = Updater::calling(|| (0..2 * HARD).for_each(|at| rcu::retire(Box::new([at; 8]))));
        until("the hook has run", || LATE.lock().expect("nobody panics").is_some());
        early.leave();
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(50) {
            assert_eq!(FREED.load(Ordering::Relaxed), 0);
            producer.assert_waiting();
        }
        LATE.lock().expect("nobody panics").take().expect("the hook ran").leave();
        END.open();
        producer.finish();
        barrier();
        assert_eq!(FREED.load(Ordering::Relaxed), 1);
    });
}

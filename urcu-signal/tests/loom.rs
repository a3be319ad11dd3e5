//! Model checking: the barrier by signals, and the sections whose light barrier is the compiler's. The readers of a model run the
//! handler themselves, at the places where a model says that a signal may come.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release --target-dir target/loom -p urcu-signal --test loom`, or `cargo xtask loom`.
//! What `explore` is called with bounds the preemptions.
#![cfg(urcu_loom)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use loom::sync::Arc;
use loom::thread;
use urcu_core::sync::{AtomicBool, Ordering, explore};
use urcu_signal::model::{bound_sleeps, handle, handle_stray};

#[path = "../../urcu-core/tests/loom/objects.rs"]
#[allow(dead_code)]
mod objects;

use objects::{Object, Shelf};

/// How updaters sleep is one setting for all models.
fn with_sleeps(bounded: bool) -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    bound_sleeps(bounded);
    alone
}

fn reclaim(object: *mut Object) {
    // SAFETY: an object of the shelf's.
    unsafe { object.as_ref() }.expect("one was there").reclaim();
}

/// An updater beside `read`, which runs handlers.
fn beside_an_updater(preemptions: usize, read: impl Fn(&Shelf) + Send + Sync + 'static) {
    explore(preemptions, move || {
        urcu_signal::init().expect("nobody has the signal");
        let shelf = Shelf::new();
        let updater = {
            let shelf = shelf.clone();
            thread::spawn(move || {
                let old = shelf.take();
                urcu_signal::synchronize();
                reclaim(old);
            })
        };
        read(&shelf);
        updater.join().unwrap();
    });
}

/// The handler comes before the section, inside, or behind it.
#[test]
fn an_updater_waits_for_a_section() {
    let _sleeps = with_sleeps(true);
    beside_an_updater(2, |shelf| {
        let thread = urcu_signal::register().expect("a free slot");
        handle_stray();
        let guard = thread.read_lock();
        handle_stray();
        shelf.read();
        handle_stray();
        drop(guard);
    });
}

/// The scan may meet the second section, or the nested level in it, in place of the end of the first one.
#[test]
fn a_later_section_tells_of_the_end_of_the_one_before() {
    let _sleeps = with_sleeps(true);
    beside_an_updater(2, |shelf| {
        let thread = urcu_signal::register().expect("a free slot");
        let guard = thread.read_lock();
        handle_stray();
        shelf.read();
        drop(guard);
        let outer = thread.read_lock();
        let inner = thread.read_lock();
        drop(inner);
        drop(outer);
    });
}

/// Nobody wakes the updater but the handler that its own signal runs.
#[test]
fn a_handler_wakes_the_updater() {
    let _sleeps = with_sleeps(false);
    explore(3, || {
        urcu_signal::init().expect("nobody has the signal");
        let thread = urcu_signal::register().expect("a free slot");
        let done = Arc::new(AtomicBool::new(false));
        let updater = {
            let done = done.clone();
            thread::spawn(move || {
                urcu_signal::synchronize();
                done.store(true, Ordering::Relaxed);
            })
        };
        while !done.load(Ordering::Relaxed) {
            handle();
            urcu_core::sync::spin_loop();
        }
        drop(thread);
        updater.join().unwrap();
    });
}

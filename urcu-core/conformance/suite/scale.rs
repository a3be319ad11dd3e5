//! Ten thousand registered threads, where the machine has so many to spare.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use urcu_conformance::spare::threads_to_spare;
use urcu_conformance::watchdog::step;
use urcu_conformance::{Count, Shelf, note};

use super::cast::{Inside, Updater, Way, join, leaked_shelf, process, register, register_raw, registered};
use crate::rcu;

const THREADS: usize = 10_000;
/// Fewer than this is not worth the name.
const FEWEST: usize = 500;
const STACK: usize = 64 << 10;

/// A crowd of registered threads that are parked, offline.
struct Crowd {
    threads: Vec<JoinHandle<()>>,
    leave: Arc<AtomicBool>,
}

impl Crowd {
    /// As many as the machine can make and has to spare for a test; none if these are too few.
    fn gather(shelf: &'static Shelf) -> Option<Self> {
        let mut most = threads_to_spare(THREADS);
        loop {
            if most < FEWEST {
                note(&format!("not tested, since the machine has only {most} threads to spare"));
                return None;
            }
            if most < THREADS {
                note(&format!("only {most} of {THREADS} threads, since the machine has no more to spare"));
            }
            match Self::of(most, shelf) {
                Ok(crowd) => return Some(crowd),
                // Other tests need some, too.
                Err(made) => most = made / 2,
            }
        }
    }

    /// So many, or how many there were when the system refused another one.
    fn of(size: usize, shelf: &'static Shelf) -> Result<Self, usize> {
        let (there, leave) = (Arc::new(Count::new()), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::with_capacity(size);
        for at in 0..size {
            let (arrivals, told) = (Arc::clone(&there), Arc::clone(&leave));
            let life = move || {
                let wait = || {
                    arrivals.arrive();
                    while !told.load(Ordering::Acquire) {
                        thread::park();
                    }
                };
                if at % 2 == 0 {
                    let mut thread = register();
                    drop(thread.read_lock());
                    thread.while_offline(wait);
                    let guard = thread.read_lock();
                    shelf.look().check();
                    drop(guard);
                } else {
                    // Left to the end of the thread.
                    register_raw();
                    // SAFETY: no references, and no section before the next call.
                    unsafe { rcu::raw::thread_offline() };
                    wait();
                    // SAFETY: no `Offline` is in use.
                    unsafe { rcu::raw::thread_online() };
                    let guard = rcu::read_lock();
                    shelf.look().check();
                    drop(guard);
                }
            };
            match thread::Builder::new().stack_size(STACK).spawn(life) {
                Ok(thread) => threads.push(thread),
                Err(_) => {
                    Self { threads, leave }.leave();
                    return Err(at);
                }
            }
        }
        step("waiting until the crowd is there");
        there.wait_for(threads.len());
        Ok(Self { threads, leave })
    }

    fn leave(self) {
        self.leave.store(true, Ordering::Release);
        // One by one: ten thousand threads that wait for one lock are no test of ours.
        self.threads.iter().for_each(|thread| thread.thread().unpark());
        self.threads.into_iter().for_each(join);
    }
}

#[test]
fn ten_thousand_threads() {
    let body = || {
        let shelf = leaked_shelf();
        let Some(crowd) = Crowd::gather(shelf) else { return };
        let size = crowd.threads.len();
        assert_eq!(registered(), size);
        step("grace periods with a crowd");
        for _ in 0..5 {
            let old = shelf.replace();
            rcu::synchronize();
            old.reclaim();
        }
        // One reader among them is found.
        let inside = Inside::using(shelf, Way::Thread);
        assert_eq!(registered(), size + 1);
        let updater = Updater::calling(|| {
            let old = shelf.replace();
            rcu::synchronize();
            old.reclaim();
        });
        updater.assert_waiting();
        // Registration does not wait for it.
        drop(register());
        inside.leave();
        updater.finish();
        step("grace periods while the crowd leaves");
        let updater = Updater::calling(|| {
            for _ in 0..5 {
                let old = shelf.replace();
                rcu::synchronize();
                old.reclaim();
            }
        });
        crowd.leave();
        updater.finish();
        assert_eq!(registered(), 0);
        // Slots are used again.
        let inside = Inside::enter();
        assert_eq!(registered(), 1);
        inside.leave();
        rcu::synchronize();
    };
    let _ = process().crowded().run(body).succeeded();
}

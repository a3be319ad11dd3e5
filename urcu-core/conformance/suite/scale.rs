//! Ten thousand registered threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

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
    fn gather(shelf: &'static Shelf) -> Self {
        let (there, leave) = (Arc::new(Count::new()), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::with_capacity(THREADS);
        for at in 0..THREADS {
            let (there, leave) = (Arc::clone(&there), Arc::clone(&leave));
            let life = move || {
                let wait = || {
                    there.arrive();
                    while !leave.load(Ordering::Acquire) {
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
                Err(error) => {
                    note(&format!("only {at} of {THREADS} threads, since the machine cannot make more: {error}"));
                    break;
                }
            }
        }
        assert!(threads.len() >= FEWEST, "{} threads only", threads.len());
        step("waiting until the crowd is there");
        there.wait_for(threads.len());
        Self { threads, leave }
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
        let crowd = Crowd::gather(shelf);
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

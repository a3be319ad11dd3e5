//! Small programs in which every memory order of the core has something to do: plain memory that one thread writes and
//! another reads, with nothing but the core between them. Made for ThreadSanitizer (`cargo xtask sanitize`), which reports
//! an access that is not ordered even where the machine orders it; without it they test that nothing is lost.
//!
//! Threads meet through the core and through the atomics of `core` alone: what is compiled into the standard library is
//! not instrumented, so its channels and locks would either hide a missing order or report one that is there.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use structure_conformance::within_limit;
use urcu_core::sync::AtomicPtr;
use urcu_core::{Flavor, GracePeriod, Rcu, RcuBox, RcuHead, Thread, WorkerBuilder, raw, workers};
use urcu_mb::Mb;
use urcu_qsbr::Qsbr;

/// What readers look at: all of its words agree as long as it is live.
struct Plain {
    words: [u64; 4],
}

impl Plain {
    fn new(value: u64) -> Self {
        Self { words: [value; 4] }
    }

    fn check(&self) {
        assert!(self.words.iter().all(|word| *word == self.words[0]), "half an object");
    }
}

/// A pointer that threads share.
struct Shared<T>(AtomicPtr<T>);

impl Shared<Plain> {
    fn new() -> Self {
        Self(AtomicPtr::new(Box::into_raw(Box::new(Plain::new(0)))))
    }

    /// Inside a section.
    fn read(&self) {
        // SAFETY: what is unlinked is freed after a grace period.
        if let Some(plain) = unsafe { raw::dereference(&self.0).as_ref() } {
            plain.check();
        }
    }

    /// What was there before.
    fn put(&self, value: u64) -> *mut Plain {
        raw::exchange_pointer(&self.0, Box::into_raw(Box::new(Plain::new(value))))
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let last = self.0.load(Ordering::Acquire);
        if !last.is_null() {
            // SAFETY: nobody else is there any more.
            drop(unsafe { Box::from_raw(last) });
        }
    }
}

fn free(plain: *mut Plain) {
    // SAFETY: unlinked, and a grace period ago.
    drop(unsafe { Box::from_raw(plain) });
}

fn registered<F: Flavor>() -> Thread<F> {
    Thread::register().expect("a slot")
}

const ROUNDS: u64 = 150;

/// A reader that goes on until it is told to stop, with `pause` between its sections.
fn read_until<F: Flavor>(shared: &Shared<Plain>, stop: &AtomicBool, mut pause: impl FnMut(&mut Thread<F>)) {
    let mut thread = registered::<F>();
    while !stop.load(Ordering::Relaxed) {
        let guard = thread.read_lock();
        let inner = thread.read_lock();
        shared.read();
        drop(inner);
        shared.read();
        drop(guard);
        pause(&mut thread);
    }
}

/// Frees what is unlinked after `wait`, beside two readers.
fn beside_readers<F: Flavor>(pause: impl FnMut(&mut Thread<F>) + Copy + Send + Sync, update: impl Fn(&Shared<Plain>)) {
    let shared = Shared::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read_until::<F>(&shared, &stop, pause));
        }
        update(&shared);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn sections_end_before_what_they_read_is_freed() {
    within_limit("sections", || {
        beside_readers::<Mb>(
            |_| (),
            |shared| {
                for round in 1..ROUNDS {
                    let old = shared.put(round);
                    urcu_core::synchronize::<Mb>();
                    free(old);
                }
            },
        );
    });
}

#[test]
fn quiescent_states_come_before_what_was_read_is_freed() {
    within_limit("quiescent states", || {
        beside_readers::<Qsbr>(Thread::quiescent_state, |shared| {
            for round in 1..ROUNDS {
                let old = shared.put(round);
                urcu_core::synchronize::<Qsbr>();
                free(old);
            }
        });
    });
}

#[test]
fn offline_threads_have_read_what_is_freed() {
    within_limit("offline", || {
        beside_readers::<Qsbr>(
            |thread| thread.while_offline(|| ()),
            |shared| {
                for round in 1..ROUNDS {
                    let old = shared.put(round);
                    urcu_core::synchronize::<Qsbr>();
                    free(old);
                }
            },
        );
    });
}

/// The updater never sees the reader inside: it has gone when the scan comes.
#[test]
fn threads_that_have_gone_have_read_what_is_freed() {
    within_limit("threads that have gone", || {
        let shared = Shared::new();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let thread = registered::<Mb>();
                        let guard = thread.read_lock();
                        shared.read();
                        drop(guard);
                    }
                });
            }
            for round in 1..ROUNDS {
                let old = shared.put(round);
                urcu_core::synchronize::<Mb>();
                free(old);
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// Each is served by the other's grace periods now and then, and then has not looked at the readers itself.
#[test]
fn whoever_shares_a_grace_period_may_free() {
    within_limit("sharing", || {
        let shared = [(); 3].map(|()| Shared::new());
        let stop = AtomicBool::new(false);
        let left = AtomicUsize::new(shared.len());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let thread = registered::<Mb>();
                    while !stop.load(Ordering::Relaxed) {
                        let _guard = thread.read_lock();
                        shared.iter().for_each(Shared::read);
                    }
                });
            }
            for own in &shared {
                let (left, stop) = (&left, &stop);
                scope.spawn(move || {
                    for round in 1..ROUNDS {
                        let old = own.put(round);
                        urcu_core::synchronize::<Mb>();
                        free(old);
                    }
                    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        stop.store(true, Ordering::Relaxed);
                    }
                });
            }
        });
    });
}

#[test]
fn whoever_has_polled_may_free() {
    within_limit("polling", || {
        beside_readers::<Mb>(
            |_| (),
            |shared| {
                for round in 1..ROUNDS / 3 {
                    let old = shared.put(round);
                    let period = GracePeriod::<Mb>::start();
                    while !period.is_done() {
                        thread::yield_now();
                    }
                    free(old);
                }
            },
        );
    });
}

/// The reader stays inside until the updater is looking at it: what the updater sees then is the end, and nothing after.
#[test]
fn sections_that_are_waited_for_end_before_what_they_read_is_freed() {
    within_limit("waiting", || {
        let shared = Shared::new();
        let stop = AtomicBool::new(false);
        // How often the reader was inside, and how often it has been unlinked under its eyes.
        let (inside, unlinked) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let thread = registered::<Mb>();
                for round in 1..ROUNDS {
                    let guard = thread.read_lock();
                    // SAFETY: what is unlinked is freed after a grace period.
                    let found = unsafe { raw::dereference(&shared.0).as_ref() };
                    inside.store(round, Ordering::Relaxed);
                    while unlinked.load(Ordering::Relaxed) != round {
                        thread::yield_now();
                    }
                    // The grace period begins and comes to look.
                    (0..20).for_each(|_| thread::yield_now());
                    if let Some(plain) = found {
                        plain.check();
                    }
                    drop(guard);
                    while inside.load(Ordering::Relaxed) == round && !stop.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                }
            });
            for round in 1..ROUNDS {
                while inside.load(Ordering::Relaxed) != round {
                    thread::yield_now();
                }
                let old = shared.put(round);
                unlinked.store(round, Ordering::Relaxed);
                urcu_core::synchronize::<Mb>();
                free(old);
                inside.store(0, Ordering::Relaxed);
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// Freed by the retiring thread itself or by the worker, a block at a time.
#[test]
fn what_is_retired_is_freed_after_the_sections() {
    within_limit("retiring", || {
        beside_readers::<Mb>(
            |_| (),
            |shared| {
                for round in 1..6_000 {
                    let old = shared.put(round);
                    // SAFETY: made by `Box`, unlinked.
                    unsafe { raw::defer_free::<Mb>(free_plain, old.cast(), size_of::<Plain>()) };
                }
                urcu_core::barrier::<Mb>().expect("outside of calls");
            },
        );
    });
}

unsafe extern "C" fn free_plain(plain: *mut core::ffi::c_void) {
    free(plain.cast());
}

/// What the closure captured was written by the thread that deferred it; what it writes is read behind the barrier.
#[test]
fn calls_pass_plain_memory_to_the_worker_and_back() {
    within_limit("calls", || {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..40 {
                        let results: &'static mut [u64; 64] = Box::leak(Box::new([0; 64]));
                        let place = ptr::from_mut(results) as usize;
                        for index in 0..64 {
                            let plain = Box::new(Plain::new(index + round));
                            urcu_core::defer::<_, Mb>(move || {
                                plain.check();
                                let place = (place as *mut u64).wrapping_add(index as usize);
                                // SAFETY: this call's own element, which is read behind the barrier.
                                unsafe { place.write(plain.words[3] + 1) };
                            });
                        }
                        urcu_core::barrier::<Mb>().expect("outside of calls");
                        // SAFETY: all calls have run.
                        let results = unsafe { Box::from_raw(place as *mut [u64; 64]) };
                        assert!(results.iter().zip(round + 1..).all(|(found, wanted)| *found == wanted), "{results:?}");
                    }
                });
            }
        });
    });
}

/// Threads that end leave their queues to others, with what is in them.
#[test]
fn queues_pass_from_thread_to_thread() {
    within_limit("queues", || {
        let ran = AtomicU64::new(0);
        let counter = ptr::from_ref(&ran) as usize;
        for _ in 0..30 {
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for value in 0..20 {
                            let plain = Box::new(Plain::new(value));
                            urcu_core::defer::<_, Mb>(move || {
                                plain.check();
                                // SAFETY: it lives until after the barrier.
                                unsafe { &*(counter as *const AtomicU64) }.fetch_add(1, Ordering::Relaxed);
                            });
                        }
                    });
                }
            });
        }
        urcu_core::barrier::<Mb>().expect("outside of calls");
        assert_eq!(ran.load(Ordering::Relaxed), 30 * 3 * 20);
    });
}

#[repr(C)]
struct Headed {
    head: RcuHead,
    plain: Plain,
}

static FREED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn free_headed(head: *mut RcuHead) {
    // SAFETY: the head comes first.
    let headed = unsafe { Box::from_raw(head.cast::<Headed>()) };
    headed.plain.check();
    FREED.fetch_add(1, Ordering::Relaxed);
}

/// Heads handed to a worker of the thread's own.
#[test]
fn heads_pass_through_a_workers_inbox() {
    within_limit("heads", || {
        let worker = WorkerBuilder::<Mb>::new().spawn().expect("a thread");
        workers::set_of_thread(Some(worker));
        for round in 0..2_000 {
            let headed = Box::new(Headed { head: RcuHead::new(), plain: Plain::new(round) });
            // SAFETY: the head is in no queue; it is freed by its callback.
            unsafe { raw::call_rcu::<Mb>(Box::into_raw(headed).cast(), free_headed) };
        }
        urcu_core::barrier::<Mb>().expect("outside of calls");
        assert_eq!(FREED.load(Ordering::Relaxed), 2_000);
        workers::set_of_thread::<Mb>(None);
        worker.stop().expect("nobody else stops it");
    });
}

/// Workers of processors: threads come upon them that nobody has told of them.
#[test]
fn heads_find_the_workers_of_processors() {
    within_limit("workers of processors", || {
        static RAN: AtomicU64 = AtomicU64::new(0);

        unsafe extern "C" fn free_headed(head: *mut RcuHead) {
            // SAFETY: the head comes first.
            unsafe { Box::from_raw(head.cast::<Headed>()) }.plain.check();
            RAN.fetch_add(1, Ordering::Relaxed);
        }

        let stop = AtomicBool::new(false);
        let handed = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let headed = Box::new(Headed { head: RcuHead::new(), plain: Plain::new(1) });
                        // SAFETY: the head is in no queue; it is freed by its callback.
                        unsafe { raw::call_rcu::<Qsbr>(Box::into_raw(headed).cast(), free_headed) };
                        handed.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                    }
                });
            }
            for _ in 0..4 {
                workers::create_for_all_cpus::<Qsbr>(None).expect("threads");
                let before = handed.load(Ordering::Relaxed);
                while handed.load(Ordering::Relaxed) < before + 20 {
                    thread::yield_now();
                }
                workers::stop_for_all_cpus::<Qsbr>().expect("outside of calls");
            }
            stop.store(true, Ordering::Relaxed);
        });
        urcu_core::barrier::<Qsbr>().expect("outside of calls");
        assert_eq!(RAN.load(Ordering::Relaxed), handed.load(Ordering::Relaxed));
    });
}

/// The typed pointer, with all that changes it.
#[test]
fn typed_pointers_publish_what_they_point_to() {
    within_limit("typed pointers", || {
        let pointer: Rcu<Plain, Mb> = Rcu::new(Plain::new(0));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let thread = registered::<Mb>();
                    while !stop.load(Ordering::Relaxed) {
                        let guard = thread.read_lock();
                        if let Some(plain) = pointer.load(&guard) {
                            plain.check();
                        }
                    }
                });
            }
            scope.spawn(|| {
                let thread = registered::<Mb>();
                for round in 1..ROUNDS * 4 {
                    let guard = thread.read_lock();
                    let current = pointer.load(&guard);
                    match pointer.compare_exchange(current, RcuBox::new(Plain::new(round)), &guard) {
                        Ok(Some(old)) => old.defer_drop(),
                        Ok(None) => {}
                        Err(error) => error.current.into_iter().for_each(Plain::check),
                    }
                }
            });
            for round in 1..ROUNDS * 4 {
                if let Some(old) = pointer.publish(Plain::new(round)) {
                    old.defer_drop();
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        urcu_core::barrier::<Mb>().expect("outside of calls");
    });
}

//! Deferred reclamation: nothing before its grace period, everything after it, in order, exactly once.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seed::Random;
use urcu_conformance::{Counts, Gate, leak, libc, task, until};
use urcu_core::RcuHead;
use urcu_core::sync::AtomicPtr;

use super::cast::{
    Inside, NAME, Updater, Way, alone, in_section, join, leaked_shelf, named, on_a_thread, register, registered,
};
use crate::{TRAITS, rcu};

/// Waits until everything that was deferred has run.
#[track_caller]
pub(crate) fn barrier() {
    rcu::barrier().expect("not in a deferred call");
}

#[test]
fn a_value_is_dropped_after_its_grace_period_and_not_before() {
    alone(|| {
        let counts = Counts::new();
        let pointer = rcu::Rcu::new(counts.make(1));
        let inside = Inside::enter();
        // Dropping what comes out, deferring it, and the other ways to retire.
        drop(pointer.publish(counts.make(2)));
        pointer.take().expect("a value").defer_drop();
        rcu::retire(Box::new(counts.make(3)));
        rcu::RcuBox::new(counts.make(4)).retire::<rcu::Flavor>();
        // SAFETY: a fresh box, given up here.
        unsafe { rcu::raw::retire(Box::into_raw(Box::new(counts.make(5)))) };
        let deferred = counts.make(6);
        rcu::defer(move || drop(deferred));
        let waiter = Updater::calling(barrier);
        waiter.assert_waiting();
        until("all of them are pending", || rcu::stats().pending == 6);
        assert_eq!(counts.dropped(), 0);
        inside.leave();
        waiter.finish();
        assert_eq!(counts.dropped(), 6);
        let stats = rcu::stats();
        assert_eq!((stats.queued, stats.executed, stats.pending), (6, 6, 0), "{stats:?}");
    });
}

#[test]
fn memory_without_destructors_is_freed_too() {
    static FREED: AtomicU64 = AtomicU64::new(0);
    unsafe extern "C" fn free(argument: *mut c_void) {
        // SAFETY: a box that was given up for this call.
        drop(unsafe { Box::from_raw(argument.cast::<[u64; 8]>()) });
        FREED.fetch_add(1, Ordering::Relaxed);
    }
    const CALLS: u64 = 10_000;
    alone(|| {
        let inside = Inside::enter();
        for at in 0..CALLS {
            let memory = Box::into_raw(Box::new([at; 8]));
            // SAFETY: given up here; the function only frees.
            unsafe { rcu::raw::defer_free(free, memory.cast(), 64) };
        }
        // Not at once: those that the worker is just taking out of the queue count as executed for a moment.
        until("all of them are pending", || rcu::stats().pending == CALLS);
        assert_eq!(FREED.load(Ordering::Relaxed), 0, "freed inside a section that is older");
        inside.leave();
        barrier();
        assert_eq!(FREED.load(Ordering::Relaxed), CALLS);
        assert_eq!(rcu::stats().pending, 0);
        // A thread that goes on frees by itself what it retired before.
        for at in 0..100 * CALLS {
            let memory = Box::into_raw(Box::new([at; 8]));
            // SAFETY: as above.
            unsafe { rcu::raw::defer_free(free, memory.cast(), 64) };
        }
        assert!(FREED.load(Ordering::Relaxed) > 50 * CALLS, "nothing was freed on the way");
        barrier();
        assert_eq!(FREED.load(Ordering::Relaxed), 101 * CALLS);
    });
}

#[repr(C)]
struct Numbered {
    head: RcuHead,
    thread: usize,
    number: u64,
}

static LAST: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

unsafe extern "C" fn in_order(head: *mut RcuHead) {
    // SAFETY: the head is the first field of a box that was given up for this call.
    let numbered = unsafe { Box::from_raw(head.cast::<Numbered>()) };
    let last = LAST[numbered.thread].swap(numbered.number, Ordering::Relaxed);
    assert_eq!(numbered.number, last + 1, "callbacks of thread {} out of order", numbered.thread);
}

#[test]
fn one_threads_callbacks_run_in_order() {
    const CALLS: u64 = 20_000;
    alone(|| {
        let threads = [0, 1, 2, 3].map(|at| {
            named("producer", move || {
                let mut random = Random::new(at as u64);
                for number in 1..=CALLS {
                    let numbered = Box::into_raw(Box::new(Numbered { head: RcuHead::new(), thread: at, number }));
                    // SAFETY: a fresh head in a box that is given up here.
                    unsafe { rcu::raw::call_rcu(numbered.cast(), in_order) };
                    if random.once_in(500) {
                        random.dawdle();
                    }
                }
            })
        });
        threads.into_iter().for_each(join);
        barrier();
        assert!(LAST.iter().all(|last| last.load(Ordering::Relaxed) == CALLS));
    });
}

#[test]
fn a_barrier_covers_every_thread_also_those_that_have_ended() {
    alone(|| {
        let counts = Counts::new();
        for round in 1..=200 {
            let made = counts.clone();
            on_a_thread(move || {
                for at in 0..round % 7 {
                    rcu::retire(Box::new(made.make(at)));
                }
            });
            barrier();
            assert_eq!(counts.dropped(), counts.made());
        }
    });
}

#[test]
fn callbacks_may_use_everything_but_barriers() {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    alone(|| {
        let counts = Counts::new();
        let (first, second) = (counts.make(1), counts.make(2));
        rcu::defer(move || {
            drop(rcu::read_lock());
            rcu::synchronize();
            REFUSED.fetch_add(usize::from(rcu::barrier().is_err()), Ordering::Relaxed);
            // SAFETY: no reference is held.
            REFUSED.fetch_add(usize::from(unsafe { rcu::raw::barrier() }.is_err()), Ordering::Relaxed);
            // SAFETY: no reference is held.
            REFUSED.fetch_add(usize::from(unsafe { rcu::raw::defer_barrier_thread() }.is_err()), Ordering::Relaxed);
            drop(first);
            rcu::defer(move || {
                rcu::retire(Box::new(second));
            });
        });
        // Chained: one barrier for each link.
        (0..3).for_each(|_| barrier());
        assert_eq!(counts.dropped(), 2);
        assert_eq!(REFUSED.load(Ordering::Relaxed), 3);
    });
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn remember_panics(report: &rcu::Report) {
    if let rcu::Report::DeferredPanicked { message, .. } = report {
        PANICS.lock().expect("no panic").push(message.clone());
    }
}

#[test]
fn a_panic_is_reported_and_the_worker_goes_on() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("a bad destructor");
        }
    }
    alone(|| {
        rcu::set_report_hook(remember_panics);
        let counts = Counts::new();
        rcu::defer(|| panic!("a bad closure"));
        rcu::retire(Box::new(Bad));
        drop(rcu::Rcu::new(Bad).take());
        rcu::retire(Box::new(counts.make(1)));
        barrier();
        assert_eq!(counts.dropped(), 1);
        let said = PANICS.lock().expect("no panic").clone();
        assert_eq!(said, ["a bad closure", "a bad destructor", "a bad destructor"]);
    });
}

#[test]
fn waiting_inside_a_section_is_refused() {
    const WHY: &str = "inside a read-side critical section";
    alone(|| {
        in_section(Way::Free, || {
            assert_says(&message_of(|| rcu::barrier()), &[NAME, WHY]);
            assert_says(&message_of(|| rcu::start_poll().wait()), &[NAME, WHY]);
            assert_says(&message_of(|| drop(rcu::flush_on_drop())), &[NAME, WHY]);
            // SAFETY: any thread.
            assert_eq!(unsafe { (rcu::vtable().barrier)() }, -libc::EDEADLK);
            // Deferring is not.
            rcu::defer(|| ());
        });
        if TRAITS.quiescent_states {
            let thread = register();
            let guard = thread.read_lock();
            assert_says(&message_of(|| rcu::barrier()), &[NAME, "online"]);
            assert_says(&message_of(|| rcu::start_poll().wait()), &[NAME, "online"]);
            drop(guard);
            drop(thread);
        }
        barrier();
    });
}

#[test]
fn a_flush_guard_waits_when_it_is_dropped() {
    alone(|| {
        let counts = Counts::new();
        {
            let _flush = rcu::flush_on_drop();
            (0..1000).for_each(|at| rcu::retire(Box::new(counts.make(at))));
        }
        assert_eq!(counts.dropped(), 1000);
    });
}

#[test]
fn own_calls_run_on_the_caller() {
    static RAN_ON: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn note(argument: *mut c_void) {
        assert_eq!(argument.addr(), 7);
        RAN_ON.store(usize::try_from(task::id()).expect("an id"), Ordering::Relaxed);
    }
    alone(|| {
        let waiter = named("caller", || {
            for _ in 0..100 {
                // SAFETY: the function touches nothing of ours.
                unsafe { rcu::raw::defer(note, std::ptr::without_provenance_mut(7)) };
                // SAFETY: no reference is held.
                unsafe { rcu::raw::defer_barrier_thread() }.expect("not in a deferred call");
                assert_ne!(RAN_ON.swap(0, Ordering::Relaxed), 0, "it has not run, on whatever thread");
            }
        });
        join(waiter);
    });
}

#[test]
fn polling_tells_when_a_grace_period_has_ended() {
    alone(|| {
        let inside = Inside::enter();
        let (period, cookie) = (rcu::start_poll(), rcu::raw::start_poll());
        let counts = Counts::new();
        let retired = rcu::Rcu::new(counts.make(9)).take().expect("a value").start_poll();
        assert!(!period.is_done() && !rcu::raw::poll(cookie) && !retired.is_done());
        let retired = retired.try_into_box().expect_err("a section is open");
        let waiter = Updater::calling(move || period.wait());
        waiter.assert_waiting();
        inside.leave();
        waiter.finish();
        assert!(period.is_done());
        // The worker runs it without anybody waiting.
        until("the cookie's grace period ends", || rcu::raw::poll(cookie));
        until("the retired value's grace period ends", || retired.is_done());
        assert_eq!(retired.try_into_box().expect("done").value(), 9);
        assert_eq!(counts.dropped(), 1);
        assert!(period.is_done() && rcu::raw::poll(cookie));
    });
}

#[test]
fn a_future_is_ready_after_a_grace_period() {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    struct Opened(Gate);
    impl Wake for Opened {
        fn wake(self: Arc<Self>) {
            self.0.open();
        }
    }
    alone(|| {
        let inside = Inside::enter();
        let woken = Arc::new(Opened(Gate::new()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut future = pin!(rcu::synchronize_async());
        let mut context = Context::from_waker(&waker);
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(!woken.0.is_open());
        inside.leave();
        woken.0.wait();
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(()));
        // One that is dropped early does no harm.
        drop(rcu::synchronize_async());
        barrier();
    });
}

#[test]
fn what_a_dying_thread_retires_is_dropped() {
    thread_local! {
        static LATE: RunsLate = const { RunsLate(Cell::new(None)) };
    }
    struct RunsLate(Cell<Option<Box<dyn FnOnce()>>>);
    impl Drop for RunsLate {
        fn drop(&mut self) {
            if let Some(late) = self.0.take() {
                late();
            }
        }
    }
    alone(|| {
        let counts = Counts::new();
        for _ in 0..300 {
            let made = counts.clone();
            on_a_thread(move || {
                rcu::retire(Box::new(made.make(1)));
                LATE.with(|late| late.0.set(Some(Box::new(move || rcu::retire(Box::new(made.make(2)))))));
            });
        }
        barrier();
        assert_eq!((counts.made(), counts.dropped()), (600, 600));
    });
}

#[test]
fn storms_of_everything_lose_nothing_and_free_nothing_early() {
    const SLOTS: usize = 8;
    static POINTERS: [AtomicPtr<urcu_conformance::Counted>; SLOTS] =
        [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS];
    alone(|| {
        let counts: &'static Counts = leak(Box::new(Counts::new()));
        let stop: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let readers = [0, 1].map(|at| {
            named("reader", move || {
                let mut random = Random::new(100 + at);
                let mut own = Some(register());
                while !stop.load(Ordering::Relaxed) {
                    let mut thread = own.take().unwrap_or_else(register);
                    for _ in 0..100 {
                        let guard = thread.read_lock();
                        let slot = &POINTERS[usize::try_from(random.below(SLOTS as u64)).expect("small")];
                        // SAFETY: values are retired after they have been unlinked.
                        if let Some(value) = unsafe { rcu::raw::dereference(slot).as_ref() } {
                            random.dawdle();
                            value.value();
                        }
                        drop(guard);
                        thread.quiescent_state();
                    }
                    if random.once_in(4) { drop(thread) } else { own = Some(thread) }
                }
            })
        });
        let updaters = [0, 1, 2].map(|at| {
            named("updater", move || {
                let mut random = Random::new(200 + at);
                for number in 0..6_000 {
                    let fresh = Box::into_raw(Box::new(counts.make(number)));
                    let slot = &POINTERS[usize::try_from(random.below(SLOTS as u64)).expect("small")];
                    let old = rcu::raw::exchange_pointer(slot, fresh);
                    if old.is_null() {
                        continue;
                    }
                    if random.once_in(8) {
                        rcu::synchronize();
                        // SAFETY: unlinked, and a grace period ago.
                        drop(unsafe { Box::from_raw(old) });
                    } else {
                        // SAFETY: unlinked, retired once.
                        unsafe { rcu::raw::retire(old) };
                    }
                    if random.once_in(300) {
                        barrier();
                    }
                }
            })
        });
        updaters.into_iter().for_each(join);
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(join);
        for slot in &POINTERS {
            let last = rcu::raw::exchange_pointer(slot, std::ptr::null_mut());
            if !last.is_null() {
                // SAFETY: unlinked, retired once.
                unsafe { rcu::raw::retire(last) };
            }
        }
        barrier();
        assert_eq!(counts.dropped(), counts.made());
        assert_eq!(rcu::stats().pending, 0);
    });
}

#[test]
fn closures_wait_for_the_sections_that_are_open() {
    alone(|| {
        for way in Way::ALL {
            let shelf = leaked_shelf();
            let inside = Inside::using(shelf, way);
            let old = shelf.replace();
            rcu::defer(move || old.reclaim());
            let waiter = Updater::calling(barrier);
            waiter.assert_waiting();
            assert!(!old.is_reclaimed());
            inside.leave();
            waiter.finish();
            assert!(old.is_reclaimed());
        }
    });
}

#[test]
fn a_destructor_may_take_a_lock_whose_holder_waits_for_a_grace_period() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    struct Locks;
    impl Drop for Locks {
        fn drop(&mut self) {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            *LOCK.lock().expect("nobody panics") += 1;
        }
    }
    alone(|| {
        let ways: [fn(); 3] =
            [|| rcu::retire(Box::new(Locks)), || rcu::vtable().retire(Box::new(Locks)), || rcu::defer(|| drop(Locks))];
        for (defer, before) in ways.into_iter().cycle().zip(0..30) {
            let held = LOCK.lock().expect("nobody panics");
            defer();
            until("the worker wants the lock", || BEGUN.load(Ordering::Relaxed) > before);
            rcu::synchronize();
            drop(held);
            barrier();
        }
        assert_eq!(*LOCK.lock().expect("nobody panics"), 30);
    });
}

#[test]
fn a_deferred_call_may_read_and_keep_its_guard() {
    thread_local! {
        static KEPT: Cell<Option<rcu::Guard<'static>>> = const { Cell::new(None) };
    }
    static READ: AtomicU64 = AtomicU64::new(0);
    static WAITED_FOR: AtomicBool = AtomicBool::new(false);
    alone(|| {
        let pointer: &'static rcu::Rcu<u64> = leak(Box::new(rcu::Rcu::new(7)));
        rcu::defer(move || {
            let guard = rcu::read_lock();
            let inner = rcu::read_lock();
            drop(guard);
            READ.store(*pointer.load(&inner).expect("a value"), Ordering::Relaxed);
            until("somebody waits for it", || WAITED_FOR.load(Ordering::Relaxed));
            KEPT.set(Some(inner));
        });
        until("it has read", || READ.load(Ordering::Relaxed) == 7);
        let updater = Updater::calling(rcu::synchronize);
        updater.assert_waiting();
        WAITED_FOR.store(true, Ordering::Relaxed);
        // Kept beyond its call and its round, the section goes on holding it up.
        until("the round is over", || rcu::stats().pending == 0);
        // Longer than an updater sleeps before it looks again.
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(50) {
            updater.assert_waiting();
        }
        assert_eq!(registered(), 1);
        // The process ends with the section open.
        std::mem::forget(updater);
    });
}

#[test]
fn a_grace_period_that_is_under_way_does_not_count() {
    static FREED: AtomicU64 = AtomicU64::new(0);
    unsafe extern "C" fn free(_nothing: *mut c_void) {
        FREED.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: it only counts.
    let defer = |calls: u64| (0..calls).for_each(|_| unsafe { rcu::raw::defer_free(free, std::ptr::null_mut(), 0) });
    alone(move || {
        let early = Inside::enter();
        let updater = Updater::start_and_publish();
        updater.assert_waiting();
        // A section that began during that grace period, and before what follows is retired.
        let late = Inside::enter();
        defer(1024);
        early.leave();
        updater.finish();
        // Many looks at what may be freed.
        defer(2048);
        assert_eq!(FREED.load(Ordering::Relaxed), 0);
        late.leave();
        barrier();
        assert_eq!(FREED.load(Ordering::Relaxed), 3072);
    });
}

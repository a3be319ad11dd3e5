//! Signal handlers that read, at any instruction of a thread that reads, registers, waits or ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;

use urcu_conformance::forked;
use urcu_conformance::seed::Random;
use urcu_conformance::{Gate, InHandlers, RaisedAtEnd, Shelf, libc, signal, task, until};

use super::cast::{Inside, NAME, Updater, alone, join, named, on_a_thread, process, register, registered};
use crate::{TRAITS, rcu};

const SIGNAL: i32 = libc::SIGUSR2;
/// How many signals a storm consists of.
const SIGNALS: usize = 400;

static SHELF: OnceLock<Shelf> = OnceLock::new();
static BROKEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether the flavor allows a handler on this thread to read now.
    static MAY_READ: Cell<bool> = const { Cell::new(ANY_THREAD) };
}

const ANY_THREAD: bool = matches!(TRAITS.in_handlers, InHandlers::Always);

/// Lets handlers on this thread, which is registered, read from now on (or not any more), where the flavor allows it.
fn allow(reading: bool) {
    MAY_READ.set(reading && TRAITS.in_handlers != InHandlers::Never);
}

/// The handler: a section like any other.
fn read() {
    if !MAY_READ.get() {
        return;
    }
    let outer = rcu::read_lock();
    let object = SHELF.get().map(Shelf::look);
    let inner = rcu::read_lock();
    if object.is_some_and(|object| object.is_reclaimed()) {
        BROKEN.store(true, Ordering::Release);
    }
    drop(outer);
    drop(inner);
}

fn shelf() -> &'static Shelf {
    SHELF.get_or_init(Shelf::new)
}

/// Replaces objects until enough signals have been handled, and at least `periods` times.
fn update_until_handled(periods: usize) {
    let mut done = 0;
    while done < periods || signal::handled() < SIGNALS {
        let old = shelf().replace();
        rcu::synchronize();
        old.reclaim();
        done += 1;
    }
    assert!(!BROKEN.load(Ordering::Acquire), "an object was reclaimed inside a handler's section");
}

#[test]
fn at_a_thread_that_reads() {
    alone(|| {
        signal::handle(SIGNAL, read);
        let (stop, tid) = (AtomicBool::new(false), AtomicI32::new(0));
        shelf();
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            scope.spawn(|| {
                let mut random = Random::new(1);
                let mut thread = register();
                allow(true);
                tid.store(task::id(), Ordering::Release);
                while !stop.load(Ordering::Acquire) {
                    let guard = thread.read_lock();
                    let object = shelf().look();
                    let nested = rcu::read_lock();
                    random.dawdle();
                    object.check();
                    drop(guard);
                    object.check();
                    drop(nested);
                    assert_eq!(rcu::raw::read_ongoing(), TRAITS.quiescent_states);
                    thread.quiescent_state();
                }
                allow(false);
            });
            until("the reader runs", || tid.load(Ordering::Acquire) != 0);
            scope.spawn(|| {
                let target = tid.load(Ordering::Acquire);
                signal::storm(SIGNAL, &mut Random::new(2), &stop, |_| Some(target));
            });
            update_until_handled(50);
        });
    });
}

#[test]
fn at_a_thread_whose_section_is_waited_for() {
    alone(|| {
        signal::handle(SIGNAL, read);
        let (stop, tid) = (AtomicBool::new(false), AtomicI32::new(0));
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            scope.spawn(|| {
                until("the reader runs", || tid.load(Ordering::Acquire) != 0);
                let target = tid.load(Ordering::Acquire);
                signal::storm(SIGNAL, &mut Random::new(2), &stop, |_| Some(target));
            });
            let mut thread = register();
            allow(true);
            for _ in 0..10 {
                let guard = rcu::read_lock();
                let updater = Updater::start();
                tid.store(task::id(), Ordering::Release);
                // Handlers nest sections inside this one, and store over the updater's mark.
                let before = signal::handled();
                until("handlers have run", || signal::handled() > before + 20);
                updater.assert_waiting();
                drop(guard);
                thread.quiescent_state();
                thread.while_offline(|| updater.finish());
            }
            allow(false);
        });
    });
}

#[test]
fn at_threads_that_wait_for_grace_periods() {
    alone(|| {
        signal::handle(SIGNAL, read);
        shelf();
        let (stop, tids) = (AtomicBool::new(false), [AtomicI32::new(0), AtomicI32::new(0)]);
        let waits = AtomicUsize::new(0);
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            for tid in &tids {
                let (stop, waits) = (&stop, &waits);
                scope.spawn(move || {
                    let mut thread = register();
                    allow(true);
                    tid.store(task::id(), Ordering::Release);
                    while !stop.load(Ordering::Acquire) {
                        thread.synchronize();
                        waits.fetch_add(1, Ordering::Relaxed);
                    }
                    allow(false);
                });
            }
            until("both run", || tids.iter().all(|tid| tid.load(Ordering::Acquire) != 0));
            scope.spawn(|| {
                signal::storm(SIGNAL, &mut Random::new(2), &stop, |random| {
                    Some(tids[random.below(2) as usize].load(Ordering::Acquire))
                });
            });
            let inside = Inside::enter();
            until("handlers have run during a wait", || signal::handled() > SIGNALS / 4);
            inside.leave();
            until("grace periods end", || waits.load(Ordering::Relaxed) > 20 && signal::handled() > SIGNALS);
        });
        assert!(!BROKEN.load(Ordering::Acquire));
    });
}

/// A registration, where the section of a handler has not been earlier.
fn unless_a_handler_has<T>(registered: Result<T, rcu::RegisterError>) -> Option<T> {
    match registered {
        Ok(registration) => Some(registration),
        Err(rcu::RegisterError::AlreadyRegistered { .. }) if ANY_THREAD => None,
        Err(error) => panic!("a thread that is not registered yet: {error}"),
    }
}

#[test]
fn at_threads_that_come_and_go() {
    alone(|| {
        signal::handle(SIGNAL, read);
        shelf();
        static TARGET: AtomicI32 = AtomicI32::new(0);
        let stop = AtomicBool::new(false);
        let mut lives = 0;
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            scope.spawn(|| {
                signal::storm(SIGNAL, &mut Random::new(2), &stop, |_| Some(TARGET.load(Ordering::Acquire)));
            });
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    let old = shelf().replace();
                    rcu::synchronize();
                    old.reclaim();
                }
            });
            while signal::handled() < SIGNALS {
                lives += 1;
                // Joined, since a scope does not wait for the destructors of its threads.
                on_a_thread(move || {
                    TARGET.store(task::id(), Ordering::Release);
                    let thread = if lives % 2 == 0 {
                        unless_a_handler_has(rcu::register())
                    } else {
                        unless_a_handler_has(rcu::raw::register_thread());
                        None
                    };
                    allow(true);
                    let before = signal::handled();
                    for _ in 0..20 {
                        let guard = rcu::read_lock();
                        shelf().look().check();
                        drop(guard);
                    }
                    // Some lives last until the next signal.
                    if lives % 4 == 0 {
                        // SAFETY: no references, and no section before the next call.
                        unsafe { rcu::raw::thread_offline() };
                        until("a signal has come", || signal::handled() != before);
                        // SAFETY: no `Offline` is in use.
                        unsafe { rcu::raw::thread_online() };
                    }
                    allow(false);
                    // Else the registration is left to the end of the thread.
                    drop(thread);
                });
            }
        });
        assert!(!BROKEN.load(Ordering::Acquire));
        assert_eq!(registered(), 0, "after {lives} threads");
    });
}

#[test]
fn on_a_thread_that_has_never_read() {
    match TRAITS.in_handlers {
        InHandlers::Always => alone(|| {
            signal::handle(SIGNAL, read);
            for _ in 0..300 {
                let (send, receive) = mpsc::channel();
                let (done, wait) = mpsc::channel::<()>();
                let reader = named("innocent", move || {
                    send.send(task::id()).expect("the test waits");
                    let _ = wait.recv();
                });
                signal::interrupt(receive.recv().expect("the thread runs"), SIGNAL);
                assert_eq!(registered(), 1);
                drop(done);
                join(reader);
                assert_eq!(registered(), 0);
            }
        }),
        InHandlers::OnceRegistered => {
            let body = || {
                signal::handle_by_panic(SIGNAL, || drop(rcu::read_lock()));
                signal::interrupt(task::id(), SIGNAL);
            };
            let _ = process().run(body).ended_by(libc::SIGABRT).said(&[NAME, "not registered"]);
        }
        // A handler there has no business with sections at all.
        InHandlers::Never => {}
    }
}

#[test]
fn on_threads_that_have_never_read_until_the_registry_grows() {
    if TRAITS.in_handlers != InHandlers::Always {
        // Registration is explicit, and nothing for handlers.
        return;
    }
    alone(|| {
        signal::handle(SIGNAL, read);
        // In a forked child, the registered thread is the process's first one.
        forked::run(|| {
            drop(rcu::read_lock());
            register_in_handlers(300);
        });
        register_in_handlers(300);
    });
}

/// Makes threads that are registered by the handler that interrupts them.
fn register_in_handlers(threads: usize) {
    let before = registered();
    let leave = Arc::new(Gate::new());
    let threads: Vec<_> = (1..=threads)
        .map(|number| {
            let (send, receive) = mpsc::channel();
            let leave = Arc::clone(&leave);
            let reader = named("innocent", move || {
                send.send(task::id()).expect("the test waits");
                leave.wait();
            });
            signal::interrupt(receive.recv().expect("the thread runs"), SIGNAL);
            assert_eq!(registered(), before + number);
            reader
        })
        .collect();
    rcu::synchronize();
    leave.open();
    threads.into_iter().for_each(join);
    assert_eq!(registered(), before);
}

#[test]
fn in_the_middle_of_a_threads_first_section() {
    if TRAITS.in_handlers != InHandlers::Always {
        // Registration is explicit: its interruption is tested with threads that come and go.
        return;
    }
    alone(|| {
        signal::handle(SIGNAL, read);
        static TARGET: AtomicI32 = AtomicI32::new(0);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            // As fast as it can, as the right moment is short.
            scope.spawn(|| shower(&stop, &TARGET));
            for _ in 0..1_000 {
                on_a_thread(|| {
                    TARGET.store(task::id(), Ordering::Release);
                    drop(rcu::read_lock());
                    // Registered once, whoever was first.
                    assert_eq!(registered(), 1);
                    // A late signal must not register the thread again; that is another test.
                    allow(false);
                });
                assert_eq!(registered(), 0);
            }
            on_a_thread(rcu::synchronize);
        });
    });
}

/// Sends signals without waiting for their handlers; not without an end to one thread, which would do nothing else where handlers
/// take longer than signals.
fn shower(stop: &AtomicBool, target: &AtomicI32) {
    const MOST: u32 = 2_000;
    let (mut last, mut sent) = (0, 0);
    while !stop.load(Ordering::Acquire) {
        let tid = target.load(Ordering::Acquire);
        if tid != last {
            (last, sent) = (tid, 0);
        }
        if sent == MOST {
            thread::yield_now();
            continue;
        }
        signal::send(tid, SIGNAL);
        sent += 1;
        (0..50).for_each(|_| std::hint::spin_loop());
    }
}

#[test]
fn until_the_very_end_of_a_thread() {
    if TRAITS.in_handlers != InHandlers::Always {
        // A handler must not read on a thread that is not registered any more.
        return;
    }
    alone(|| {
        static TARGET: AtomicI32 = AtomicI32::new(0);
        signal::handle(SIGNAL, read);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            scope.spawn(|| shower(&stop, &TARGET));
            for _ in 0..2_000 {
                on_a_thread(|| TARGET.store(task::id(), Ordering::Release));
            }
        });
        // A reader of the very last moment is found gone when its slot is needed: one chunk of slots suffices.
        assert!(registered() <= 64, "{} registered", registered());
        rcu::synchronize();
    });
}

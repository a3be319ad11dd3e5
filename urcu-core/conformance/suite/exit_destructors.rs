//! Sections in the destructors that run when a thread ends: those of thread-locals, then those of thread-specific
//! keys, in up to four rounds. The library ends a registration by such a key, in one of them.

use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use urcu_conformance::c_thread::{self, ExitKey};
use urcu_conformance::panics::assert_says;
use urcu_conformance::{Gate, Object, Shelf};

use super::cast::{
    NAME, Updater, alone, assert_still_works, join, leaked_shelf, named, on_a_thread, register, register_raw,
    registered, remember, reports,
};
use crate::{TRAITS, rcu};

/// The system calls destructors of thread-specific keys in so many rounds.
const ROUNDS: usize = 4;

/// A guard that a thread keeps until its end.
struct Kept {
    guard: Option<rcu::Guard<'static>>,
    object: &'static Object,
}

static DYING: Gate = Gate::new();
static MAY_DIE: Gate = Gate::new();

impl Drop for Kept {
    fn drop(&mut self) {
        self.object.check();
        DYING.open();
        MAY_DIE.wait();
        self.object.check();
        self.guard = None;
    }
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
    static KEPT_THREAD: Cell<Option<rcu::Thread>> = const { Cell::new(None) };
    static LAST_WORDS: RefCell<Option<OnDrop>> = const { RefCell::new(None) };
}

/// Runs a function when the thread-local that holds it is destroyed.
struct OnDrop(fn());

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_guard_in_a_thread_local_protects_until_its_destructor_ends_it() {
    alone(|| {
        static SHELF: OnceLock<&'static Shelf> = OnceLock::new();
        rcu::set_report_hook(remember);
        let shelf: &'static Shelf = SHELF.get_or_init(leaked_shelf);
        let reader = named("keeper", || {
            register_raw();
            let guard = rcu::read_lock();
            KEPT.set(Some(Kept { guard: Some(guard), object: shelf.look() }));
        });
        DYING.wait();
        let updater = Updater::calling(move || {
            let old = shelf.replace();
            rcu::synchronize();
            old.reclaim();
        });
        updater.assert_waiting();
        MAY_DIE.open();
        join(reader);
        updater.finish();
        assert_eq!(registered(), 0);
        assert!(reports().is_empty());
    });
}

#[test]
fn a_registration_in_a_thread_local_ends_with_it() {
    alone(|| {
        rcu::set_report_hook(remember);
        on_a_thread(|| {
            KEPT_THREAD.set(Some(register()));
            drop(rcu::read_lock());
            assert_eq!(registered(), 1);
        });
        assert_eq!(registered(), 0);
        assert!(reports().is_empty());
    });
}

/// What a section in some destructor came to: `None` when it was allowed, else the panic's message.
fn try_reading() -> Option<String> {
    let read = || {
        let shelf = SHELF.get_or_init(Shelf::new);
        let guard = rcu::read_lock();
        let object = shelf.look();
        let nested = rcu::read_lock();
        object.check();
        drop((guard, nested));
    };
    let refused = catch_unwind(AssertUnwindSafe(read)).err()?;
    Some(refused.downcast_ref::<String>().map_or_else(|| "?".into(), Clone::clone))
}

static SHELF: OnceLock<Shelf> = OnceLock::new();
static RESULTS: Mutex<Vec<(&str, usize, Option<String>)>> = Mutex::new(Vec::new());

fn note(whose: &'static str, round: usize) {
    RESULTS.lock().expect("no panic").push((whose, round, try_reading()));
}

fn results() -> Vec<(&'static str, usize, Option<String>)> {
    mem::take(&mut RESULTS.lock().expect("no panic"))
}

#[test]
fn other_destructors_may_read() {
    alone(|| {
        rcu::set_report_hook(remember);
        let early = ExitKey::new();
        on_a_thread(|| drop(register()));
        let late = ExitKey::new();
        on_a_thread(move || {
            LAST_WORDS.set(Some(OnDrop(|| note("thread-local", 0))));
            register_raw();
            drop(rcu::read_lock());
            early.at_exit(ROUNDS, |round| note("early", round));
            late.at_exit(ROUNDS, |round| note("late", round));
        });
        let results = results();
        assert_eq!(results.len(), 1 + 2 * ROUNDS, "{results:?}");
        assert_eq!(results[0].0, "thread-local");
        // In this order: some may read, because the registration has not ended; those that come after its end find none.
        let mut ended = false;
        for (whose, round, refused) in results {
            match refused {
                None => assert!(!ended, "read in round {round} of {whose}, although the registration had ended"),
                Some(message) => {
                    let comes_first = whose == "thread-local" || (whose == "early" && round == 1);
                    assert!(!comes_first && !TRAITS.registers_itself, "refused in round {round} of {whose}: {message}");
                    assert_says(&message, &[NAME, "is ending"]);
                    ended = true;
                }
            }
        }
        assert!(registered() <= usize::from(TRAITS.registers_itself), "{} registered", registered());
        assert!(reports().is_empty());
        assert_still_works();
    });
}

#[test]
fn destructors_of_threads_that_are_not_registered() {
    alone(|| {
        // One that never was, and one whose registration has ended.
        for registers in [false, true] {
            let key = ExitKey::new();
            on_a_thread(move || {
                LAST_WORDS.set(Some(OnDrop(|| note("thread-local", 0))));
                key.at_exit(ROUNDS, |round| note("key", round));
                if registers {
                    drop(register());
                }
            });
            for (whose, round, refused) in results() {
                if TRAITS.registers_itself {
                    assert_eq!(refused, None, "in round {round} of {whose}");
                } else {
                    assert_says(refused.as_deref().unwrap_or("read"), &[NAME, "not registered"]);
                }
            }
        }
        assert!(registered() <= 2, "{} registered", registered());
    });
}

#[test]
fn late_readers_leave_no_slots() {
    alone(|| {
        const THREADS: usize = 3_000;
        static READ: AtomicUsize = AtomicUsize::new(0);
        // Older and younger than the library's own key.
        let early = ExitKey::new();
        on_a_thread(|| drop(register()));
        let late = ExitKey::new();
        for at in 0..THREADS {
            let life = move || {
                if !TRAITS.registers_itself {
                    register_raw();
                }
                let key = if at % 2 == 0 { early } else { late };
                key.at_exit(1 + at % ROUNDS, |_| {
                    READ.fetch_add(usize::from(try_reading_quietly()), Ordering::Relaxed);
                });
            };
            c_thread::start(life).join();
        }
        assert!(
            READ.load(Ordering::Relaxed) >= if TRAITS.registers_itself { THREADS } else { THREADS / 2 },
            "too few readers"
        );
        // A reader of the very last moment is found gone when its slot is needed: one chunk of slots suffices.
        assert!(registered() <= 64, "{} slots in use after {THREADS} threads", registered());
        assert_still_works();
    });
}

/// Like [`try_reading`], for rounds in which it may be too late; whether it was not.
fn try_reading_quietly() -> bool {
    // Asks first, since thousands of panics take their time.
    let too_late = !TRAITS.registers_itself
        && rcu::register().is_err_and(|error| matches!(error, rcu::RegisterError::ThreadExiting { .. }));
    !too_late && try_reading().is_none()
}

#[test]
fn registering_on_a_thread_that_is_ending() {
    alone(|| {
        on_a_thread(|| drop(register()));
        let late = ExitKey::new();
        on_a_thread(move || {
            mem::forget(register().offline());
            late.at_exit(ROUNDS, |round| {
                let result = rcu::register().map(rcu::Thread::offline);
                let mut results = RESULTS.lock().expect("no panic");
                results.push(("register", round, result.as_ref().err().map(ToString::to_string)));
                mem::forget(result);
            });
        });
        let results = results();
        assert_eq!(results.len(), ROUNDS);
        let mut ended = false;
        for (_, round, refused) in results {
            match refused.as_deref() {
                // The leaked `Offline` still stands for the registration.
                Some(message) if message.contains("already registered") => assert!(!ended, "in round {round}"),
                Some(message) => {
                    assert!(!TRAITS.registers_itself, "in round {round}: {message}");
                    assert_says(message, &[NAME, "ending"]);
                    ended = true;
                }
                None => assert!(TRAITS.registers_itself, "registered in round {round}"),
            }
        }
        // Leaked values, and readers of the very last moment: cleaned up when their slots are needed.
        assert!(registered() <= 1 + ROUNDS);
        assert_still_works();
    });
}

#[test]
fn the_end_of_a_registration_does_not_hold_up_or_get_lost() {
    alone(|| {
        // Destructors of the last round run while updaters wait for exactly this thread.
        let key = ExitKey::new();
        for _ in 0..100 {
            let reader = named("ending", move || {
                register_raw();
                let guard = rcu::read_lock();
                key.at_exit(ROUNDS, |_| drop(try_reading()));
                drop(guard);
            });
            rcu::synchronize();
            join(reader);
        }
        rcu::synchronize();
        // Readers of the very last moment are cleaned up when their slots are needed.
        assert!(registered() <= if TRAITS.registers_itself { 64 } else { 0 }, "{} slots in use", registered());
        assert_still_works();
    });
}

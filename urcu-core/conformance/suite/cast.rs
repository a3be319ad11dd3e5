//! Who plays in the tests: threads inside sections, threads that wait for grace periods.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use urcu_conformance::watchdog::step;
use urcu_conformance::{Gate, Object, OwnProcess, Shelf, leak, task, until};
use urcu_core::Flavor as _;

use crate::{TRAITS, rcu};

pub(crate) const NAME: &str = <rcu::Flavor as urcu_core::Flavor>::NAME;

/// A process for a test's body.
pub(crate) fn process() -> OwnProcess {
    OwnProcess::new().environment(TRAITS.environment)
}

/// Runs a test's body in a process of its own.
#[track_caller]
pub(crate) fn alone<B: FnOnce()>(body: B) {
    let _ = process().run(body).succeeded();
}

/// Registers the calling thread.
#[track_caller]
pub(crate) fn register() -> rcu::Thread {
    rcu::register().expect("a thread that is not registered yet")
}

/// Registers the calling thread by the raw tier: no value stands for it.
#[track_caller]
pub(crate) fn register_raw() {
    rcu::raw::register_thread().expect("a thread that is not registered yet");
}

/// How many threads are registered.
pub(crate) fn registered() -> usize {
    rcu::Flavor::domain().registry().len()
}

/// A way to a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `Thread::read_lock`.
    Thread,
    /// The free `read_lock()`.
    Free,
    /// `raw::read_lock`.
    Raw,
    /// The function table.
    Vtable,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Thread, Self::Free, Self::Raw, Self::Vtable];
}

/// Registers the calling thread, runs `body` inside a section, and ends both.
pub(crate) fn in_section<R>(way: Way, body: impl FnOnce() -> R) -> R {
    match way {
        Way::Thread => {
            let thread = register();
            let _guard = thread.read_lock();
            body()
        }
        Way::Free => {
            let _thread = (!TRAITS.registers_itself).then(register);
            let _guard = rcu::read_lock();
            body()
        }
        Way::Raw => {
            register_raw();
            // SAFETY: registered, and unlocked below.
            unsafe { rcu::raw::read_lock() };
            let result = body();
            // SAFETY: locked above; `body` keeps no reference.
            unsafe { rcu::raw::read_unlock() };
            // SAFETY: registered above by the raw tier.
            unsafe { rcu::raw::unregister_thread() };
            result
        }
        Way::Vtable => {
            let table = rcu::vtable();
            // SAFETY: any thread.
            assert_eq!(unsafe { (table.register_thread)() }, 0);
            // SAFETY: registered, and unlocked below.
            unsafe { (table.read_lock)() };
            let result = body();
            // SAFETY: locked above; `body` keeps no reference.
            unsafe { (table.read_unlock)() };
            // SAFETY: registered above by the raw tier.
            unsafe { (table.unregister_thread)() };
            result
        }
    }
}

/// A reader of a process whose child is to wait for a grace period: inside, unless that child waits for it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Bystander(Option<Inside>);

impl Bystander {
    pub(crate) fn enter() -> Self {
        Self((!TRAITS.spans_processes).then(Inside::enter))
    }

    pub(crate) fn leave(self) {
        self.0.into_iter().for_each(Inside::leave);
    }

    /// The reader, inside at last.
    pub(crate) fn or_enter(self) -> Inside {
        self.0.unwrap_or_else(Inside::enter)
    }
}

/// A thread inside a section, until it is told to leave.
#[derive(Debug)]
#[must_use]
pub(crate) struct Inside {
    leave: Arc<Gate>,
    thread: JoinHandle<()>,
}

impl Inside {
    /// Returns when the section has begun.
    pub(crate) fn enter() -> Self {
        Self::enter_by(Way::Thread)
    }

    /// The same, by one of the ways.
    pub(crate) fn enter_by(way: Way) -> Self {
        Self::with(way, || (), |()| ())
    }

    /// Loads an object at the beginning of the section and checks it at its end.
    pub(crate) fn using(shelf: &'static Shelf, way: Way) -> Self {
        Self::with(way, || shelf.look(), Object::check)
    }

    fn with<T>(way: Way, begin: impl FnOnce() -> T + Send + 'static, end: impl FnOnce(T) + Send + 'static) -> Self {
        let leave = Arc::new(Gate::new());
        let told = Arc::clone(&leave);
        let (entered, entry) = mpsc::channel();
        let life = move || {
            in_section(way, || {
                let begun = begin();
                entered.send(()).expect("the test waits for this");
                told.wait();
                end(begun);
            });
        };
        let thread = named("reader", life);
        step("waiting until a reader has entered its section");
        entry.recv().expect("the reader enters its section");
        Self { leave, thread }
    }

    /// Ends the section, and with it the thread.
    pub(crate) fn leave(self) {
        self.leave.open();
        join(self.thread);
    }
}

/// A thread that waits for a grace period.
#[derive(Debug)]
#[must_use]
pub(crate) struct Updater {
    tid: i32,
    returned: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Updater {
    /// Calls the free `synchronize()` on a thread that is not registered.
    pub(crate) fn start() -> Self {
        Self::calling(rcu::synchronize)
    }

    /// [`start`](Self::start); returns once the grace period has published its number, so that sections that are entered from
    /// now on are none of its business, and quiescent states count. (An updater may sleep long before that: until signals are
    /// answered.) Nobody else may be waiting for grace periods.
    pub(crate) fn start_and_publish() -> Self {
        let before = published();
        let updater = Self::start();
        until("a grace period publishes its number", || {
            // In this order: it publishes before it ends, if it does.
            let has_returned = updater.has_returned();
            let has_published = published() != before;
            assert!(has_published || !has_returned, "a grace period ended without a number");
            has_published
        });
        updater
    }

    /// Calls `wait`, which waits for a grace period. Returns when the thread is about to.
    pub(crate) fn calling(wait: impl FnOnce() + Send + 'static) -> Self {
        let returned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&returned);
        let (started, start) = mpsc::channel();
        let life = move || {
            started.send(task::id()).expect("the test waits for this");
            wait();
            flag.store(true, Ordering::Release);
        };
        let thread = named("updater", life);
        Self { tid: start.recv().expect("the updater starts"), returned, thread }
    }

    pub(crate) fn has_returned(&self) -> bool {
        self.returned.load(Ordering::Acquire)
    }

    /// Waits until the thread sleeps in the kernel without having returned: it does nothing there but wait.
    #[track_caller]
    pub(crate) fn assert_waiting(&self) {
        // Its sleeps are bounded, so seeing several of them says that it goes back to sleep.
        for _ in 0..3 {
            until("an updater sleeps", || {
                assert!(!self.has_returned(), "a grace period ended before a section that it has to wait for");
                assert!(!self.thread.is_finished(), "the updater ended");
                task::is_asleep(self.tid)
            });
            thread::yield_now();
        }
        assert!(!self.has_returned(), "a grace period ended before a section that it has to wait for");
    }

    /// Waits until the grace period has ended.
    #[track_caller]
    pub(crate) fn finish(self) {
        until("a grace period ends", || self.thread.is_finished());
        join(self.thread);
    }
}

/// The number of the last grace period that has published it, among other things.
pub(crate) fn published() -> String {
    format!("{:?}", rcu::Flavor::domain())
}

/// A thread with a name, for messages.
pub(crate) fn named<R: Send + 'static>(name: &str, life: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    thread::Builder::new().name(name.into()).spawn(life).expect("a thread")
}

/// Joins a thread and passes its panic on.
#[track_caller]
pub(crate) fn join<R>(thread: JoinHandle<R>) -> R {
    step("joining a thread");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs `life` on a thread of its own and waits for its end.
#[track_caller]
pub(crate) fn on_a_thread<R: Send + 'static>(life: impl FnOnce() -> R + Send + 'static) -> R {
    join(named("guest", life))
}

/// A shelf that lives until the process ends.
pub(crate) fn leaked_shelf() -> &'static Shelf {
    leak(Box::new(Shelf::new()))
}

/// Grace periods still do what they promise: what has to hold after every broken rule.
#[track_caller]
pub(crate) fn assert_still_works() {
    let shelf = leaked_shelf();
    let inside = Inside::using(shelf, Way::Thread);
    let updater = Updater::calling(move || {
        let old = shelf.replace();
        rcu::synchronize();
        old.reclaim();
    });
    updater.assert_waiting();
    inside.leave();
    updater.finish();
}

static REPORTS: Mutex<Vec<rcu::Report>> = Mutex::new(Vec::new());

/// A report hook that remembers which threads ended inside sections. (On a busy machine there may be others, about
/// grace periods that take long.)
pub(crate) fn remember(report: &rcu::Report) {
    if matches!(report, rcu::Report::ThreadEndedInSection { .. }) {
        REPORTS.lock().expect("no panic").push(report.clone());
    }
}

/// What the hook has remembered since the last call.
pub(crate) fn reports() -> Vec<rcu::Report> {
    std::mem::take(&mut REPORTS.lock().expect("no panic"))
}

//! QSBR readers on the workers of a tokio runtime.
//!
//! Run it with `cargo run -p urcu-examples --bin tokio_qsbr`.
//!
//! In QSBR a section costs nothing, because every reader thread announces when it holds no references. A runtime's
//! worker has two such moments, and both have to be announced:
//!
//! - it is about to sleep: offline, through the runtime's park hooks;
//! - a task has returned to the scheduler: a quiescent state, through [`spawn`] below. Without it, a worker that always
//!   finds another task would hold up every grace period. (tokio's own hook for that, `on_after_task_poll`, is
//!   unstable.)
//!
//! Tasks read by the free `read_lock()`, since hooks leave no `Thread` value to call it on. Its guards are counted:
//! while one lives, waiting for a grace period on that thread panics instead of hanging. And it is not `Send`: a task
//! that holds one across an `await` cannot be spawned. That is what the SAFETY comments rest on, and why nothing here
//! uses `LocalSet`.
//!
//! The hooks do not see `block_in_place`, which makes another thread the worker. Without them: see `tokio_membarrier`.

use std::future::{Future, poll_fn};
use std::hint::spin_loop;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::runtime;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use urcu_qsbr as rcu;

const UPDATES: u64 = 50;

static CONFIG: rcu::Rcu<Config> = rcu::Rcu::empty();
/// The newest version that has been read.
static SEEN: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static PARKED: AtomicU64 = AtomicU64::new(0);

struct Config {
    version: u64,
    /// Counted for an assertion of this program; RCU needs no such thing.
    readers: AtomicU32,
    dropped: AtomicBool,
}

impl Config {
    fn new(version: u64) -> Self {
        Self { version, readers: AtomicU32::new(0), dropped: AtomicBool::new(false) }
    }

    fn use_it(&self) {
        self.readers.fetch_add(1, Relaxed);
        SEEN.fetch_max(self.version, Relaxed);
        // Stands for the work that needs it.
        (0..100).for_each(|_| spin_loop());
        assert!(!self.dropped.load(Relaxed), "version {} was dropped while it was read", self.version);
        self.readers.fetch_sub(1, Relaxed);
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        self.dropped.store(true, Relaxed);
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// Threads for `spawn_blocking` get this hook too, and no other one before they end: so nobody begins online.
fn on_start() {
    rcu::raw::register_thread().expect("a new thread can be registered");
    // SAFETY: the thread has loaded nothing, and tasks go online before they read.
    unsafe { rcu::raw::thread_offline() };
}

fn on_park() {
    PARKED.fetch_add(1, Relaxed);
    // SAFETY: between two tasks; no guard outlives the step of a task that made it (see `spawn`).
    unsafe { rcu::raw::thread_offline() };
}

fn on_unpark() {
    // SAFETY: nothing on this thread uses `Offline` or `while_offline`.
    unsafe { rcu::raw::thread_online() };
}

fn on_stop() {
    // SAFETY: registered by `on_start`, not by a `Thread`; after the last task.
    unsafe { rcu::raw::unregister_thread() };
}

/// Spawns a task that may read: each of its steps is a work item, with a quiescent state at its end. It goes online
/// first, since a worker's first task comes before its first park.
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(async {
        let mut task = pin!(task);
        poll_fn(|context| {
            // SAFETY: as in `on_unpark`.
            unsafe { rcu::raw::thread_online() };
            let step = task.as_mut().poll(context);
            // SAFETY: the task is `Send`, so it holds no guard now, nor a reference that needs one; none is leaked.
            unsafe { rcu::raw::quiescent_state() };
            step
        })
        .await
    })
}

async fn read() {
    while SEEN.load(Relaxed) < UPDATES {
        {
            let section = rcu::read_lock();
            CONFIG.load(&section).expect("published before the runtime started").use_it();
        }
        // With the guard alive here, the task could not be spawned.
        yield_now().await;
    }
}

async fn update() {
    for version in 1..=UPDATES {
        let old = CONFIG.publish(Config::new(version)).expect("there is always one");
        // Other tasks run on this thread meanwhile.
        rcu::synchronize_async().await;
        // From here on the new version is in force everywhere: the moment to tell whoever asked for it.
        assert_eq!(old.get().readers.load(Relaxed), 0, "a section outlived the grace period");
        old.defer_drop();
        while SEEN.load(Relaxed) < version {
            yield_now().await;
        }
    }
}

fn main() {
    CONFIG.publish(Config::new(0));
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .on_thread_start(on_start)
        .on_thread_park(on_park)
        .on_thread_unpark(on_unpark)
        .on_thread_stop(on_stop)
        .build()
        .expect("a runtime");

    runtime.block_on(async {
        // Leaves a thread behind that waits for more of its kind.
        spawn_blocking(|| {}).await.expect("it does nothing");
        let readers = [spawn(read()), spawn(read())];
        spawn(update()).await.expect("the updater has not panicked");
        for reader in readers {
            reader.await.expect("the reader has not panicked");
        }
    });
    drop(runtime);

    rcu::barrier().expect("not in a callback");
    assert_eq!(DROPPED.load(Relaxed), UPDATES);
    println!("{UPDATES} updates, each version read, {} old versions dropped", DROPPED.load(Relaxed));
    println!("workers parked {} times", PARKED.load(Relaxed));
}

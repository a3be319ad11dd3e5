//! Readers on the workers of a tokio runtime, with a flavor that needs no hooks.
//!
//! Run it with `cargo run -p urcu-examples --bin tokio_membarrier`.
//!
//! Compare `tokio_qsbr`. A section of this flavor costs a few plain loads and stores; in return nobody announces
//! anything: a worker may park, block, or run tasks without end, and grace periods wait for open sections only. What is
//! left is the registration of each thread, and a thread-local does that at the first read and undoes it at the
//! thread's end.
//!
//! With urcu-bp even that goes: its free `read_lock()` registers the thread by itself. That is the flavor for a
//! library, which cannot know on whose threads it runs.
//!
//! One rule stays the same in all flavors: a guard belongs to its thread, so it must not live across an `await`. Here
//! it cannot, since the closure that reads is not async.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::runtime;
use tokio::task::{spawn_blocking, yield_now};

const UPDATES: u64 = 50;

// `rcu` is urcu-membarrier under another name: see Cargo.toml.
static CONFIG: rcu::Rcu<Config> = rcu::Rcu::empty();
/// The newest version that has been read.
static SEEN: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static READER: rcu::Thread = rcu::register().expect("this thread can be registered");
}

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

/// Runs `read` on the current configuration, inside a section.
fn with_config<R>(read: impl FnOnce(&Config) -> R) -> R {
    READER.with(|reader| {
        let section = reader.read_lock();
        read(CONFIG.load(&section).expect("published before the runtime started"))
    })
}

async fn read() {
    while SEEN.load(Relaxed) < UPDATES {
        with_config(Config::use_it);
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
    let runtime = runtime::Builder::new_multi_thread().worker_threads(4).build().expect("a runtime");

    runtime.block_on(async {
        let readers = [tokio::spawn(read()), tokio::spawn(read())];
        tokio::spawn(update()).await.expect("the updater has not panicked");
        for reader in readers {
            reader.await.expect("the reader has not panicked");
        }
        // Threads for blocking work are no different.
        let version = spawn_blocking(|| with_config(|config| config.version)).await;
        assert_eq!(version.expect("it has not panicked"), UPDATES);
    });

    rcu::barrier().expect("not in a callback");
    assert_eq!(DROPPED.load(Relaxed), UPDATES);
    println!("{UPDATES} updates, each version read, {} old versions dropped", DROPPED.load(Relaxed));
}

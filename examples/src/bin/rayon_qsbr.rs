//! QSBR readers on the threads of a work-stealing pool.
//!
//! Run it with `cargo run -p urcu-examples --bin rayon_qsbr`.
//!
//! A pool that always has work announces a quiescent state after each item: no section spans two items. But a pool also
//! runs out of work, and then its threads sleep. Online they would hold up every grace period until the next job comes,
//! and rayon has no hooks around its sleep. So its threads are offline by default, and each batch of items brings its
//! thread online while it runs ([`Working`]). Going online costs a fence, a quiescent state next to nothing: hence
//! batches.
//!
//! Everything here is safe code: the registration is a value, so an item cannot announce a quiescent state, or end its
//! batch, while it reads. A batch is a leaf: it must not wait for other work (`join`, `scope`), during which its thread
//! would steal and run another batch in the middle of this one. `Working::start` panics there.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use rayon::prelude::*;
use urcu_qsbr as rcu;

const THREADS: usize = 4;
const PRODUCTS: usize = 16;
const ORDERS: usize = 200_000;
const LEAST_UPDATES: u64 = 20;

static PRICES: rcu::Rcu<Prices> = rcu::Rcu::empty();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// All prices of one version are the same, so that a mixture would be noticed.
struct Prices {
    of_product: [u64; PRODUCTS],
    dropped: AtomicBool,
}

impl Prices {
    fn version(version: u64) -> Self {
        Self { of_product: [version; PRODUCTS], dropped: AtomicBool::new(false) }
    }
}

impl Drop for Prices {
    fn drop(&mut self) {
        self.dropped.store(true, Relaxed);
        DROPPED.fetch_add(1, Relaxed);
    }
}

thread_local! {
    /// This thread's registration while it has no work.
    static RESTING: Cell<Option<rcu::Offline>> = const { Cell::new(None) };
}

/// A thread of the pool that is online for a batch of items; offline again when dropped, also by a panic.
struct Working(Option<rcu::Thread>);

impl Working {
    fn start() -> Self {
        let resting = RESTING.take().expect("a thread of the pool, in one batch at a time");
        Self(Some(resting.online()))
    }
}

impl Deref for Working {
    type Target = rcu::Thread;
    fn deref(&self) -> &rcu::Thread {
        self.0.as_ref().expect("there until the drop")
    }
}

impl DerefMut for Working {
    fn deref_mut(&mut self) -> &mut rcu::Thread {
        self.0.as_mut().expect("there until the drop")
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        RESTING.set(self.0.take().map(rcu::Thread::offline));
    }
}

/// The work: what the orders cost. Each order is priced by one version.
fn total(pool: &rayon::ThreadPool, orders: &[[usize; 2]]) -> u64 {
    let batches = orders.par_chunks(1000).map(|batch| {
        let mut me = Working::start();
        let mut sum = 0;
        for [one, other] in batch {
            let section = me.read_lock();
            let prices = PRICES.load(&section).expect("published before the pool started");
            assert!(!prices.dropped.load(Relaxed), "prices were dropped while they were read");
            assert_eq!(prices.of_product[*one], prices.of_product[*other]);
            sum += prices.of_product[*one] + prices.of_product[*other];
            drop(section);
            me.quiescent_state();
        }
        sum
    });
    pool.install(|| batches.sum())
}

fn main() {
    PRICES.publish(Prices::version(1));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .start_handler(|_| RESTING.set(Some(rcu::register().expect("a new thread can be registered").offline())))
        // The end of the thread would do the same.
        .exit_handler(|_| drop(RESTING.take()))
        .build()
        .expect("a pool");

    let orders: Vec<_> = (0..ORDERS).map(|n| [n % PRODUCTS, (n / PRODUCTS) % PRODUCTS]).collect();
    let updates = thread::scope(|scope| {
        let work = scope.spawn(|| total(&pool, &orders));
        let mut updates = 0;
        while updates < LEAST_UPDATES || !work.is_finished() {
            updates += 1;
            let old = PRICES.publish(Prices::version(1 + updates)).expect("there is always one");
            drop(old.synchronize_and_into_inner());
        }
        println!("the orders cost {}", work.join().expect("no item has panicked"));
        updates
    });
    assert_eq!(DROPPED.load(Relaxed), updates);

    // Now the pool has no work: its threads are registered and asleep, or about to sleep, and hold up nothing. Each has
    // run at least once, which a thread that starts slowly may not have before.
    pool.broadcast(|_| drop(Working::start()));
    assert_eq!(rcu::stats().readers, THREADS);
    rcu::synchronize();
    println!("{updates} updates, {} old versions dropped; a grace period ended while the pool was idle", updates);
}

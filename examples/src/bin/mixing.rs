//! Three libraries with three flavors in one program, each using the others' tables and queues.
//!
//! Run it with `cargo run -p urcu-examples --bin mixing`.
//!
//! `examples/mixing` has the libraries: an application on QSBR, a cache on membarrier, a tracer on bp. None names another
//! one's flavor: a structure carries its own, and who gets a structure asks it. All structures are under load from all
//! sides at once, and in the end nothing is left.

use std::sync::Barrier;
use std::thread;

use urcu_example_cache::Cache;
use urcu_example_interface::{KEYS, Ledger, Queue, Table, Tally, Visitor};
use urcu_example_sessions::{Sessions, rcu as sessions_rcu};
use urcu_example_tracer::Tracer;

const ROUNDS: u64 = 20_000;

struct Libraries {
    sessions: Sessions,
    cache: Cache,
    tracer: Tracer,
    /// All threads begin together.
    begin: Barrier,
}

impl Libraries {
    fn tables(&self) -> [&Table; 3] {
        [self.sessions.table(), self.cache.table(), self.tracer.last()]
    }

    fn queues(&self) -> [&Queue; 3] {
        [self.sessions.requests(), self.cache.stale(), self.tracer.events()]
    }

    fn ledgers(&self) -> [&Ledger; 3] {
        [self.sessions.ledger(), self.cache.ledger(), self.tracer.ledger()]
    }
}

/// A thread of the application: a QSBR reader that uses the cache, and is traced without knowing what that means.
fn application(all: &Libraries, seed: u64) -> Tally {
    let mut thread = sessions_rcu::register().expect("a new thread");
    let mut cache = all.cache.reader().expect("a new thread");
    thread.while_offline(|| all.begin.wait());
    (0..ROUNDS).fold(Tally::default(), |tally, round| {
        let number = round * KEYS + (seed + round * 13) % KEYS;
        tally.plus(all.sessions.work(&mut thread, number)).plus(cache.get(number)).plus(all.tracer.trace(number))
    })
}

/// A thread of the cache, which looks into what the other two libraries have handed to it.
fn refresher(all: &Libraries) -> Tally {
    let mut cache = all.cache.reader().expect("a new thread");
    // It does not know that this thread is a QSBR reader now, and has to announce quiescent states; `Visitor` does it.
    let mut sessions = Visitor::of(all.sessions.table().flavor()).expect("a new thread");
    let mut tracer = Visitor::of(all.tracer.last().flavor()).expect("a new thread");
    sessions.away(|| all.begin.wait());
    let made_here = all.cache.ledger();
    (0..ROUNDS).fold(Tally::default(), |tally, round| {
        let number = round * KEYS + (round * 11) % KEYS;
        tally
            .plus(cache.get(number))
            .plus(sessions.use_table(all.sessions.table(), number, made_here))
            .plus(sessions.use_queue(all.sessions.requests(), number, made_here))
            .plus(tracer.use_table(all.tracer.last(), number, made_here))
            .plus(tracer.use_queue(all.tracer.events(), number, made_here))
    })
}

/// A thread of the tracer.
fn collector(all: &Libraries) -> Tally {
    let mut sessions = Visitor::of(all.sessions.table().flavor()).expect("a new thread");
    let mut cache = Visitor::of(all.cache.table().flavor()).expect("a new thread");
    sessions.away(|| all.begin.wait());
    let made_here = all.tracer.ledger();
    (0..ROUNDS).fold(Tally::default(), |tally, round| {
        let number = round * KEYS + (round * 17) % KEYS;
        tally
            .plus(all.tracer.drain(4))
            .plus(sessions.use_table(all.sessions.table(), number, made_here))
            .plus(sessions.use_queue(all.sessions.requests(), number, made_here))
            .plus(cache.use_table(all.cache.table(), number, made_here))
            .plus(cache.use_queue(all.cache.stale(), number, made_here))
    })
}

/// Takes everything out of a queue.
fn empty(queue: &Queue) -> u64 {
    let _registered = queue.flavor().register_if_needed().expect("threads can register");
    let guard = queue.flavor().pin();
    let mut found = 0;
    while let Some(entry) = queue.dequeue(&guard) {
        found += u64::from(entry.number() < u64::MAX);
    }
    found
}

fn main() {
    let all =
        Libraries { sessions: Sessions::new(), cache: Cache::new(), tracer: Tracer::new(), begin: Barrier::new(4) };
    let tally = thread::scope(|scope| {
        let all = &all;
        let threads = [
            scope.spawn(|| application(all, 0)),
            scope.spawn(|| application(all, 1)),
            scope.spawn(|| refresher(all)),
            scope.spawn(|| collector(all)),
        ];
        let done = threads.map(|thread| thread.join().expect("no thread panics"));
        done.into_iter().fold(Tally::default(), Tally::plus)
    });
    for table in all.tables() {
        println!("a table of {}: {} entries at the end", table.flavor().name(), table.len());
    }
    println!("{} entries looked at, {} put into tables, {} taken out", tally.seen, tally.put, tally.taken);

    let left: u64 = all.queues().map(empty).iter().sum();
    println!("{} entries enqueued, {} dequeued, {left} left in the queues", tally.enqueued, tally.dequeued);
    assert_eq!(tally.enqueued, tally.dequeued + left, "an entry was lost, or came twice");

    let flavors = all.tables().map(Table::flavor);
    let ledgers = all.ledgers().map(Ledger::clone);
    drop(all);
    // Each flavor has its own deferred calls; nobody waits for those of all.
    for flavor in flavors {
        flavor.wait_for_retired().expect("not in a deferred call");
    }
    let made: u64 = ledgers.iter().map(Ledger::made).sum();
    let live: i64 = ledgers.iter().map(Ledger::live).sum();
    println!("{made} entries made, {live} not dropped");
    assert_eq!(live, 0);
}

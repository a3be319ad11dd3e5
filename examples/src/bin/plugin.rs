//! A tracer on bp as a plug-in: loaded, used, flushed and closed a hundred times while threads run.
//!
//! Run it with `cargo run -p urcu-examples --bin plugin`.
//!
//! The program's threads are on QSBR, and have started before the plug-in is there. They find it by an RCU pointer, on
//! membarrier, so that it can be taken away: unlink it, wait for a grace period, and nobody is inside of it any more.
//!
//! A second plug-in has no flavor of its own. The difference shows when they are closed: exit destructors are code, so an
//! object in which a flavor has readers stays mapped, and the next load finds the same copy. The second one goes.

use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use libloading::{Library, Symbol};
use urcu_example_interface::{Host, Plugin, Table, Tally, accept, shared_object};
use urcu_example_sessions::{Sessions, rcu as sessions_rcu};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LOADS: u64 = 100;
/// Calls of the plug-in by all threads, at least, before it is closed again.
const VISITS: u64 = 100;

/// The plug-in while it can be used.
static PLUGIN: rcu::Rcu<&'static Plugin> = rcu::Rcu::empty();
static VISITED: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

/// A thread of the application.
fn application(sessions: &Sessions, seed: u64) {
    let mut thread = sessions_rcu::register().expect("a new thread");
    let host = rcu::register().expect("a new thread");
    let mut round = seed;
    while !STOP.load(Relaxed) {
        round += 2;
        sessions.work(&mut thread, round);
        let guard = host.read_lock();
        if let Some(plugin) = PLUGIN.load(&guard) {
            let mut tally = Tally::default();
            // SAFETY: it was open when it was found, and is closed a grace period after it cannot be found any more.
            let outcome = unsafe { (plugin.visit)(round, &raw mut tally) };
            assert_eq!(outcome, 0);
            assert_eq!(tally.put, tally.enqueued);
            VISITED.fetch_add(1, Relaxed);
        }
    }
}

/// What a load leaves behind, as far as it can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traces {
    threads: usize,
    kilobytes: u64,
}

fn traces() -> Result<Traces> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    let threads = fs::read_dir("/proc/self/task")?.count();
    Ok(Traces { threads, kilobytes: field("VmRSS:").ok_or("no VmRSS")? })
}

/// How often a file is mapped to be executed: once per copy.
fn copies(file: &str) -> Result<usize> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter(|line| line.contains(" r-xp ") && line.ends_with(file)).count())
}

/// Looks at the plug-in's own table through the vtable that it has brought.
fn look_at(table: &Table) -> u64 {
    let _registered = table.flavor().register_if_needed().expect("threads can register");
    table.pin().values().map(|entry| u64::from(entry.number() < u64::MAX)).sum()
}

/// Takes out of the host's structures what the plug-in has left there, and everything else.
fn clear(sessions: &Sessions) {
    let _registered = sessions.table().flavor().register_if_needed().expect("threads can register");
    sessions.table().pin().clear();
    let guard = sessions.requests().flavor().pin();
    while sessions.requests().dequeue(&guard).is_some() {}
}

/// One life of a plug-in; how often this copy of it has been opened, and the entries of its table.
fn live_once(package: &str, sessions: &Sessions) -> Result<(u64, u64)> {
    // SAFETY: our own; its constructors are those of the standard library and of bp.
    let library = unsafe { Library::new(shared_object(package)?) }?;
    let name = package.replace('-', "_");
    // SAFETY: the type that the plug-in's source gives this name.
    let entry: Symbol<'_, extern "C" fn() -> *const Plugin> = unsafe { library.get(name.as_bytes()) }?;
    // SAFETY: a static of the plug-in, which is mapped until the end of this function.
    let plugin: &'static Plugin = unsafe { accept(entry()) }?;

    let host = Host {
        flavor: sessions.table().flavor(),
        table: &raw const **sessions.table(),
        queue: &raw const **sessions.requests(),
    };
    // SAFETY: the structures live until it is closed.
    assert_eq!(unsafe { (plugin.open)(&raw const host) }, 0);
    // SAFETY: no precondition.
    let opened = unsafe { (plugin.opened)() };

    let before = VISITED.load(Relaxed);
    assert!(PLUGIN.publish(plugin).is_none());
    let mut entries = 0;
    while VISITED.load(Relaxed) - before < VISITS {
        // SAFETY: open.
        let table = unsafe { (plugin.table)() };
        // SAFETY: null, or a table that lives until the plug-in is closed, of types that `accept` has compared.
        entries = unsafe { table.as_ref() }.map_or(0, look_at);
        thread::yield_now();
    }
    // Nobody finds it from here on; when this returns, nobody is inside.
    PLUGIN.take().ok_or("published above")?.synchronize_and_into_inner();
    clear(sessions);
    // The plug-in flushes what it has retired, in its own flavor and in the host's.
    // SAFETY: nobody is inside, nobody will be, and its table is not used any more.
    let left = unsafe { (plugin.close)() };
    assert_eq!(left, 0, "entries of {package} are left");
    library.close()?;
    Ok((opened, entries))
}

/// A hundred lives.
fn live(package: &str, sessions: &Sessions, stays: bool) -> Result<()> {
    let file = shared_object(package)?;
    let file = file.file_name().and_then(|name| name.to_str()).ok_or("a name")?.to_owned();
    let mut settled = None;
    let mut entries = 0;
    for load in 1..=LOADS {
        let (opened, seen) = live_once(package, sessions)?;
        entries += seen;
        // The same copy again, or a new one.
        assert_eq!(opened, if stays { load } else { 1 });
        assert_eq!(copies(&file)?, usize::from(stays), "mapped after it was closed");
        if load == LOADS / 4 {
            settled = Some(traces()?);
        }
    }
    let (settled, end) = (settled.ok_or("a quarter of the loads")?, traces()?);
    assert_eq!(end.threads, settled.threads, "a load has left a thread");
    // The host's own load comes and goes; mapping one more copy each time would be more than this. (A sanitizer keeps what
    // is freed for a while.)
    let grown = end.kilobytes.saturating_sub(settled.kilobytes);
    assert!(cfg!(sanitized) || grown < 64 * 1024, "{grown} KiB more since a quarter of the loads");
    println!(
        "{package}: {LOADS} loads, {entries} entries seen in its table; {}",
        match stays {
            true => "stays mapped, one copy",
            false => "unmapped each time",
        }
    );
    Ok(())
}

fn main() -> Result<()> {
    let sessions = Sessions::new();
    thread::scope(|scope| {
        for seed in 0..2 {
            let sessions = &sessions;
            scope.spawn(move || application(sessions, seed));
        }
        let done =
            live("urcu-example-tracer", &sessions, true).and_then(|()| live("urcu-example-guest", &sessions, false));
        STOP.store(true, Relaxed);
        done
    })?;
    println!("{} visits by threads that were there before", VISITED.load(Relaxed));
    let (flavor, ledger) = (sessions.table().flavor(), sessions.ledger().clone());
    drop(sessions);
    flavor.wait_for_retired()?;
    println!("{} entries of the host made, {} not dropped", ledger.made(), ledger.live());
    assert_eq!(ledger.live(), 0);
    Ok(())
}

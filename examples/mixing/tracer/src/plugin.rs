//! The tracer as a plug-in.
//!
//! This object has its own copy of bp: its domain is another one than that of a program that uses bp, too.
//!
//! bp keeps the object that it is in loaded, because threads that have read through it have exit destructors there. So
//! `dlclose` does not unmap it, and the next `dlopen` finds it as it was left: what is in statics is there still. Hence
//! [`close`](urcu_example_interface::Plugin::close) puts everything back to where it began, and frees what can be freed;
//! what stays is the object itself, bp's worker (asleep), and a record for each thread that has read and is still alive.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use urcu_core::FlavorVtable;
use urcu_example_interface::{Host, Ledger, PLUGIN_VERSION, Plugin, Queue, Refusal, Table, Tally, Visitor, stamp};

use crate::{Tracer, rcu};

struct Open {
    tracer: Tracer,
    /// What it leaves in structures of the host.
    guests: Ledger,
    table: &'static Table,
    queue: &'static Queue,
}

static OPEN: rcu::Rcu<Open> = rcu::Rcu::empty();
static OPENED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn open(host: *const Host) -> c_int {
    // SAFETY: the host's promise: valid until `close` has returned.
    let host: &'static Host = unsafe { &*host };
    // SAFETY: the host's promise: static, and of the size that it says.
    if let Err(error) = unsafe { FlavorVtable::check(host.flavor) } {
        return Refusal::from(error).number();
    }
    if OPEN.load(&rcu::read_lock()).is_some() {
        return Refusal::Open.number();
    }
    // SAFETY: valid until `close`, and laid out as here: the host has compared the stamp.
    let table = unsafe { &*host.table };
    // SAFETY: as above.
    let queue = unsafe { &*host.queue };
    drop(OPEN.publish(Open { tracer: Tracer::new(), guests: Ledger::new(), table, queue }));
    OPENED.fetch_add(1, Relaxed);
    0
}

unsafe extern "C" fn visit(number: u64, tally: *mut Tally) -> c_int {
    let guard = rcu::read_lock();
    let Some(open) = OPEN.load(&guard) else { return -1 };
    let mut done = open.tracer.trace(number);
    if number.is_multiple_of(3) {
        done = done.plus(open.tracer.drain(8));
    }
    let visited = Visitor::of(open.table.flavor()).map(|mut visitor| {
        visitor.use_table(open.table, number, &open.guests).plus(visitor.use_queue(open.queue, number, &open.guests))
    });
    let Ok(visited) = visited else { return -1 };
    // SAFETY: the host's promise: valid for the call.
    unsafe { tally.write(done.plus(visited)) };
    0
}

unsafe extern "C" fn table() -> *const Table {
    OPEN.load(&rcu::read_lock()).map_or(ptr::null(), |open| ptr::from_ref(&**open.tracer.last()))
}

unsafe extern "C" fn queue() -> *const Queue {
    OPEN.load(&rcu::read_lock()).map_or(ptr::null(), |open| ptr::from_ref(&**open.tracer.events()))
}

unsafe extern "C" fn close() -> i64 {
    let Some(open) = OPEN.take() else { return 0 };
    let open = open.synchronize_and_into_inner();
    let ledgers = [open.tracer.ledger().clone(), open.guests.clone()];
    drop(open.tracer);
    // What this code has retired is dropped by this code, through its own flavor and through those of the host. What it has
    // left in the host's structures will be dropped by the code of whoever removes it.
    let own = rcu::barrier();
    let others = [open.table.flavor(), open.queue.flavor()].map(FlavorVtable::wait_for_retired);
    if own.is_err() || others.iter().any(Result::is_err) {
        return i64::MAX;
    }
    ledgers.iter().map(Ledger::live).sum()
}

unsafe extern "C" fn opened() -> u64 {
    OPENED.load(Relaxed)
}

/// The one name that the shared object exports.
#[unsafe(no_mangle)]
pub extern "C" fn urcu_example_tracer() -> *const Plugin {
    static PLUGIN: std::sync::OnceLock<Plugin> = std::sync::OnceLock::new();
    #[allow(clippy::cast_possible_truncation, reason = "a few dozen bytes")]
    PLUGIN.get_or_init(|| Plugin {
        size: size_of::<Plugin>() as u32,
        version: PLUGIN_VERSION,
        stamp: stamp(),
        open,
        visit,
        table,
        queue,
        close,
        opened,
    })
}

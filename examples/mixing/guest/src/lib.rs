//! A plug-in that has no flavor of its own: it works with what it is given.
//!
//! There is no domain in this object, so nothing keeps it loaded: `dlclose` unmaps it. All the more its host has to wait
//! for what it has retired ([`close`](urcu_example_interface::Plugin::close) does): destructors of its entries are its code.

use std::ffi::c_int;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use urcu_core::FlavorVtable;
use urcu_example_interface::{Host, Ledger, PLUGIN_VERSION, Plugin, Queue, Refusal, Table, Tally, Visitor, stamp};

struct Open {
    left: Ledger,
    table: &'static Table,
    queue: &'static Queue,
}

/// A lock, for want of a flavor.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);
static OPENED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn open(host: *const Host) -> c_int {
    // SAFETY: the host's promise: valid until `close` has returned.
    let host: &'static Host = unsafe { &*host };
    // SAFETY: the host's promise: static, and of the size that it says.
    if let Err(error) = unsafe { FlavorVtable::check(host.flavor) } {
        return Refusal::from(error).number();
    }
    let Ok(mut open) = OPEN.lock() else { return -1 };
    if open.is_some() {
        return Refusal::Open.number();
    }
    // SAFETY: valid until `close`, and laid out as here: the host has compared the stamp.
    let table = unsafe { &*host.table };
    // SAFETY: as above.
    let queue = unsafe { &*host.queue };
    *open = Some(Open { left: Ledger::new(), table, queue });
    OPENED.fetch_add(1, Relaxed);
    0
}

unsafe extern "C" fn visit(number: u64, tally: *mut Tally) -> c_int {
    // Not held during the visit: see the deadlocks in the guide's chapter on mixing.
    let Some((table, queue, left)) =
        OPEN.lock().ok().and_then(|open| open.as_ref().map(|open| (open.table, open.queue, open.left.clone())))
    else {
        return -1;
    };
    let visited = Visitor::of(table.flavor())
        .map(|mut visitor| visitor.use_table(table, number, &left).plus(visitor.use_queue(queue, number, &left)));
    let Ok(visited) = visited else { return -1 };
    // SAFETY: the host's promise: valid for the call.
    unsafe { tally.write(visited) };
    0
}

unsafe extern "C" fn table() -> *const Table {
    ptr::null()
}

unsafe extern "C" fn queue() -> *const Queue {
    ptr::null()
}

unsafe extern "C" fn close() -> i64 {
    let Some(open) = OPEN.lock().ok().and_then(|mut open| open.take()) else { return 0 };
    if [open.table.flavor(), open.queue.flavor()].map(FlavorVtable::wait_for_retired).iter().any(Result::is_err) {
        return i64::MAX;
    }
    open.left.live()
}

unsafe extern "C" fn opened() -> u64 {
    OPENED.load(Relaxed)
}

/// The one name that the shared object exports.
#[unsafe(no_mangle)]
pub extern "C" fn urcu_example_guest() -> *const Plugin {
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

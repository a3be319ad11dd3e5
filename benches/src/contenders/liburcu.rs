//! The C library, through shims of our own that inline its read side into loops written in C.

use super::Entry;
use super::api::Api;
use super::deferral::{Deferral, DeferralEntry};
use crate::harness::plan::{Flavor, Kind};

/// Shown in the rows of flavors that the build did not find.
#[allow(dead_code, reason = "unused where the build found all of the C library's flavors")]
const ADVICE: &str = "liburcu not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config";

/// A function of a shim with a Rust calling convention, as the tables want it.
#[allow(unused_macros, reason = "unused where the build found none of the C library's flavors")]
macro_rules! pass {
    ($function:ident($($argument:ident),*)) => {
        |$($argument),*| {
            // SAFETY: passed on to the caller, who has the table's word on when to call it.
            unsafe { $function($($argument),*) }
        }
    };
}

/// Declares the shim of one flavor and fills the tables with it.
#[allow(unused_macros, reason = "unused where the build found none of the C library's flavors")]
macro_rules! shim {
    ($module:ident, $flavor:expr) => {
        pub(crate) mod $module {
            use std::ffi::c_int;
            use std::sync::OnceLock;

            use super::super::api::Api;
            use super::super::deferral::{Callback, Deferral, Head};
            use crate::harness::plan::Flavor;
            use crate::workload::Slot;

            // The shim compiled from shims/body.h and shims/reclaim.h: same types, and the names with the flavor in them.
            unsafe extern "C" {
                #[link_name = concat!("urcu_bench_", stringify!($module), "_register")]
                fn c_register() -> c_int;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_unregister")]
                fn c_unregister();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_offline")]
                fn c_offline();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_online")]
                fn c_online();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_quiescent")]
                fn c_quiescent();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_lock")]
                fn c_lock();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_unlock")]
                fn c_unlock();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_synchronize")]
                fn c_synchronize();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_flat")]
                fn c_flat(slot: *const Slot, blocks: u64, length: u64) -> u64;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_nested")]
                fn c_nested(slot: *const Slot, blocks: u64, length: u64) -> u64;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_call")]
                fn c_call(head: *mut Head, callback: Callback);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_call_retire")]
                fn c_call_retire(blocks: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_call_retire_reading")]
                fn c_call_retire_reading(blocks: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_call_barrier")]
                fn c_call_barrier();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_defer_begin")]
                fn c_defer_begin() -> c_int;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_defer_end")]
                fn c_defer_end();
                #[link_name = concat!("urcu_bench_", stringify!($module), "_defer_retire")]
                fn c_defer_retire(blocks: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_defer_retire_reading")]
                fn c_defer_retire_reading(blocks: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_defer_barrier")]
                fn c_defer_barrier();
            }

            fn answer(what: &str, error: c_int) -> Result<(), String> {
                if error == 0 { Ok(()) } else { Err(format!("{what} failed with {error}")) }
            }

            pub(crate) static API: Api = Api {
                name: concat!("liburcu-", stringify!($module)),
                flavor: $flavor,
                // The library initialises itself when it is loaded.
                init: || Ok(()),
                initialised: OnceLock::new(),
                checked: OnceLock::new(),
                register: || answer("registration", pass!(c_register())()),
                unregister: pass!(c_unregister()),
                offline: pass!(c_offline()),
                online: pass!(c_online()),
                quiescent: pass!(c_quiescent()),
                lock: pass!(c_lock()),
                unlock: pass!(c_unlock()),
                synchronize: pass!(c_synchronize()),
                // The slot has the layout that the shim expects.
                flat: pass!(c_flat(slot, blocks, length)),
                nested: pass!(c_nested(slot, blocks, length)),
            };

            /// Callbacks, on a worker.
            pub(super) static CALL: Deferral = Deferral {
                name: concat!("liburcu-", stringify!($module)),
                api: &API,
                registers: true,
                begin: || Ok(()),
                end: || (),
                retire: pass!(c_call_retire(blocks)),
                retire_dropping: pass!(c_call_retire(blocks)),
                retire_reading: pass!(c_call_retire_reading(blocks)),
                blocks: false,
                call: Some(pass!(c_call(head, callback))),
                barrier: || Ok(pass!(c_call_barrier())()),
                checked: OnceLock::new(),
                limit: None,
            };

            /// Queues per thread, emptied by a worker or by the thread itself when they are full.
            pub(super) static DEFER: Deferral = Deferral {
                name: concat!("liburcu-", stringify!($module), "-defer"),
                api: &API,
                registers: true,
                begin: || answer("registration for defer_rcu", pass!(c_defer_begin())()),
                end: pass!(c_defer_end()),
                retire: pass!(c_defer_retire(blocks)),
                retire_dropping: pass!(c_defer_retire(blocks)),
                retire_reading: pass!(c_defer_retire_reading(blocks)),
                blocks: true,
                call: None,
                barrier: || Ok(pass!(c_defer_barrier())()),
                checked: OnceLock::new(),
                limit: None,
            };
        }
    };
}

#[cfg(liburcu = "qsbr")]
shim!(qsbr, Flavor::Qsbr);
#[cfg(liburcu = "mb")]
shim!(mb, Flavor::Mb);
#[cfg(liburcu = "memb")]
shim!(memb, Flavor::Membarrier);
#[cfg(liburcu = "signal")]
shim!(signal, Flavor::Signal);
#[cfg(liburcu = "bp")]
shim!(bp, Flavor::Bp);

/// The tables of one flavor: its own, that of its callbacks, that of its queues.
type Tables = Result<(&'static Api, &'static Deferral, &'static Deferral), &'static str>;

#[cfg(liburcu = "qsbr")]
const QSBR: Tables = Ok((&qsbr::API, &qsbr::CALL, &qsbr::DEFER));
#[cfg(not(liburcu = "qsbr"))]
const QSBR: Tables = Err(ADVICE);

#[cfg(liburcu = "mb")]
const MB: Tables = Ok((&mb::API, &mb::CALL, &mb::DEFER));
#[cfg(not(liburcu = "mb"))]
const MB: Tables = Err(ADVICE);

#[cfg(liburcu = "memb")]
const MEMB: Tables = Ok((&memb::API, &memb::CALL, &memb::DEFER));
#[cfg(not(liburcu = "memb"))]
const MEMB: Tables = Err(ADVICE);

#[cfg(liburcu = "signal")]
const SIGNAL: Tables = Ok((&signal::API, &signal::CALL, &signal::DEFER));
#[cfg(not(liburcu = "signal"))]
const SIGNAL: Tables = Err(ADVICE);

#[cfg(liburcu = "bp")]
const BP: Tables = Ok((&bp::API, &bp::CALL, &bp::DEFER));
#[cfg(not(liburcu = "bp"))]
const BP: Tables = Err(ADVICE);

struct Names {
    api: &'static str,
    defer: &'static str,
    flavor: Flavor,
    tables: Tables,
}

const FLAVORS: [Names; 5] = [
    Names { api: "liburcu-qsbr", defer: "liburcu-qsbr-defer", flavor: Flavor::Qsbr, tables: QSBR },
    Names { api: "liburcu-mb", defer: "liburcu-mb-defer", flavor: Flavor::Mb, tables: MB },
    Names { api: "liburcu-memb", defer: "liburcu-memb-defer", flavor: Flavor::Membarrier, tables: MEMB },
    Names { api: "liburcu-signal", defer: "liburcu-signal-defer", flavor: Flavor::Signal, tables: SIGNAL },
    Names { api: "liburcu-bp", defer: "liburcu-bp-defer", flavor: Flavor::Bp, tables: BP },
];

/// The five flavors of the C library.
pub fn entries() -> [Entry; 5] {
    FLAVORS.map(|Names { api, flavor, tables, .. }| Entry {
        name: api,
        kind: Kind::Peer,
        flavor,
        api: tables.map(|(api, _, _)| api),
    })
}

/// Their callbacks.
pub fn callbacks() -> [DeferralEntry; 5] {
    FLAVORS.map(|Names { api, flavor, tables, .. }| DeferralEntry {
        name: api,
        kind: Kind::Peer,
        flavor,
        deferral: tables.map(|(_, call, _)| call),
    })
}

/// Their queues per thread.
pub fn queues() -> [DeferralEntry; 5] {
    FLAVORS.map(|Names { defer, flavor, tables, .. }| DeferralEntry {
        name: defer,
        kind: Kind::Peer,
        flavor,
        deferral: tables.map(|(_, _, defer)| defer),
    })
}

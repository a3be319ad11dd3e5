//! The C library, through shims of our own that inline its read side into loops written in C.

use super::Entry;
use super::api::Api;
use crate::harness::plan::{Flavor, Kind};

/// Shown in the rows of flavors that the build did not find.
#[allow(dead_code, reason = "unused where the build found all of the C library's flavors")]
const ADVICE: &str = "liburcu not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config";

/// Declares the shim of one flavor and fills the table with it.
#[allow(unused_macros, reason = "unused where the build found none of the C library's flavors")]
macro_rules! shim {
    (
        $module:ident, $name:literal, $flavor:expr, $register:ident, $unregister:ident,
        $offline:ident, $online:ident, $lock:ident, $unlock:ident, $synchronize:ident,
        $flat:ident, $nested:ident
    ) => {
        mod $module {
            use std::ffi::c_int;
            use std::sync::OnceLock;

            use super::super::api::Api;
            use crate::harness::plan::Flavor;
            use crate::workload::Slot;

            // The shim compiled from shims/body.h: same names, same types.
            unsafe extern "C" {
                fn $register() -> c_int;
                fn $unregister();
                fn $offline();
                fn $online();
                fn $lock();
                fn $unlock();
                fn $synchronize();
                fn $flat(slot: *const Slot, blocks: u64, length: u64) -> u64;
                fn $nested(slot: *const Slot, blocks: u64, length: u64) -> u64;
            }

            unsafe fn register() -> Result<(), String> {
                // SAFETY: the caller's thread is no reader yet.
                match unsafe { $register() } {
                    0 => Ok(()),
                    error => Err(format!("registration failed with {error}")),
                }
            }

            unsafe fn unregister() {
                // SAFETY: passed on to the caller.
                unsafe { $unregister() }
            }

            unsafe fn offline() {
                // SAFETY: passed on to the caller.
                unsafe { $offline() }
            }

            unsafe fn online() {
                // SAFETY: passed on to the caller.
                unsafe { $online() }
            }

            unsafe fn lock() {
                // SAFETY: passed on to the caller.
                unsafe { $lock() }
            }

            unsafe fn unlock() {
                // SAFETY: passed on to the caller.
                unsafe { $unlock() }
            }

            unsafe fn synchronize() {
                // SAFETY: passed on to the caller.
                unsafe { $synchronize() }
            }

            unsafe fn flat(slot: &Slot, blocks: u64, length: u64) -> u64 {
                // SAFETY: the slot has the layout that the shim expects; the rest is the caller's.
                unsafe { $flat(slot, blocks, length) }
            }

            unsafe fn nested(slot: &Slot, blocks: u64, length: u64) -> u64 {
                // SAFETY: the slot has the layout that the shim expects; the rest is the caller's.
                unsafe { $nested(slot, blocks, length) }
            }

            pub(super) static API: Api = Api {
                name: $name,
                flavor: $flavor,
                // The library initialises itself when it is loaded.
                init: || Ok(()),
                initialised: OnceLock::new(),
                checked: OnceLock::new(),
                register,
                unregister,
                offline,
                online,
                lock,
                unlock,
                synchronize,
                flat,
                nested,
            };
        }
    };
}

#[cfg(liburcu = "qsbr")]
shim!(
    qsbr,
    "liburcu-qsbr",
    Flavor::Qsbr,
    urcu_bench_qsbr_register,
    urcu_bench_qsbr_unregister,
    urcu_bench_qsbr_offline,
    urcu_bench_qsbr_online,
    urcu_bench_qsbr_lock,
    urcu_bench_qsbr_unlock,
    urcu_bench_qsbr_synchronize,
    urcu_bench_qsbr_flat,
    urcu_bench_qsbr_nested
);

#[cfg(liburcu = "mb")]
shim!(
    mb,
    "liburcu-mb",
    Flavor::Mb,
    urcu_bench_mb_register,
    urcu_bench_mb_unregister,
    urcu_bench_mb_offline,
    urcu_bench_mb_online,
    urcu_bench_mb_lock,
    urcu_bench_mb_unlock,
    urcu_bench_mb_synchronize,
    urcu_bench_mb_flat,
    urcu_bench_mb_nested
);

#[cfg(liburcu = "memb")]
shim!(
    memb,
    "liburcu-memb",
    Flavor::Membarrier,
    urcu_bench_memb_register,
    urcu_bench_memb_unregister,
    urcu_bench_memb_offline,
    urcu_bench_memb_online,
    urcu_bench_memb_lock,
    urcu_bench_memb_unlock,
    urcu_bench_memb_synchronize,
    urcu_bench_memb_flat,
    urcu_bench_memb_nested
);

#[cfg(liburcu = "signal")]
shim!(
    signal,
    "liburcu-signal",
    Flavor::Signal,
    urcu_bench_signal_register,
    urcu_bench_signal_unregister,
    urcu_bench_signal_offline,
    urcu_bench_signal_online,
    urcu_bench_signal_lock,
    urcu_bench_signal_unlock,
    urcu_bench_signal_synchronize,
    urcu_bench_signal_flat,
    urcu_bench_signal_nested
);

#[cfg(liburcu = "bp")]
shim!(
    bp,
    "liburcu-bp",
    Flavor::Bp,
    urcu_bench_bp_register,
    urcu_bench_bp_unregister,
    urcu_bench_bp_offline,
    urcu_bench_bp_online,
    urcu_bench_bp_lock,
    urcu_bench_bp_unlock,
    urcu_bench_bp_synchronize,
    urcu_bench_bp_flat,
    urcu_bench_bp_nested
);

#[cfg(liburcu = "qsbr")]
const QSBR: Result<&Api, &str> = Ok(&qsbr::API);
#[cfg(not(liburcu = "qsbr"))]
const QSBR: Result<&Api, &str> = Err(ADVICE);

#[cfg(liburcu = "mb")]
const MB: Result<&Api, &str> = Ok(&mb::API);
#[cfg(not(liburcu = "mb"))]
const MB: Result<&Api, &str> = Err(ADVICE);

#[cfg(liburcu = "memb")]
const MEMB: Result<&Api, &str> = Ok(&memb::API);
#[cfg(not(liburcu = "memb"))]
const MEMB: Result<&Api, &str> = Err(ADVICE);

#[cfg(liburcu = "signal")]
const SIGNAL: Result<&Api, &str> = Ok(&signal::API);
#[cfg(not(liburcu = "signal"))]
const SIGNAL: Result<&Api, &str> = Err(ADVICE);

#[cfg(liburcu = "bp")]
const BP: Result<&Api, &str> = Ok(&bp::API);
#[cfg(not(liburcu = "bp"))]
const BP: Result<&Api, &str> = Err(ADVICE);

/// The five flavors of the C library.
pub fn entries() -> [Entry; 5] {
    let entry = |name, flavor, api| Entry { name, kind: Kind::Peer, flavor, api };
    [
        entry("liburcu-qsbr", Flavor::Qsbr, QSBR),
        entry("liburcu-mb", Flavor::Mb, MB),
        entry("liburcu-memb", Flavor::Membarrier, MEMB),
        entry("liburcu-signal", Flavor::Signal, SIGNAL),
        entry("liburcu-bp", Flavor::Bp, BP),
    ]
}

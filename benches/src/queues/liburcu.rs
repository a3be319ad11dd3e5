//! The C library's queues, inlined into loops written in C (`shims/wfcq.c`, `shims/lfq.h`).

use super::raw::{Lf, Wfc};

/// Why there is none.
#[allow(dead_code, reason = "unused where the build found the C library")]
const ADVICE: &str = "liburcu not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config";

#[cfg(liburcu_cds = "wfcq")]
mod wfcq {
    use std::ffi::{c_int, c_void};

    use super::Wfc;
    use crate::queues::Taken;
    use crate::queues::raw::WfcItem;

    // The types are those of the shim.
    unsafe extern "C" {
        fn urcu_bench_wfcq_new() -> *mut c_void;
        fn urcu_bench_wfcq_free(queue: *mut c_void);
        fn urcu_bench_wfcq_pairs(queue: *mut c_void, spare: *mut *mut WfcItem, count: u64, first: u64) -> u64;
        fn urcu_bench_wfcq_pairs_locked(queue: *mut c_void, spare: *mut *mut WfcItem, count: u64, first: u64) -> u64;
        fn urcu_bench_wfcq_put(queue: *mut c_void, items: *mut WfcItem, count: u64, first: u64);
        fn urcu_bench_wfcq_take(queue: *mut c_void, most: u64) -> Taken;
        fn urcu_bench_wfcq_take_locked(queue: *mut c_void, most: u64) -> Taken;
        fn urcu_bench_wfcq_splice(queue: *mut c_void, locked: c_int) -> Taken;
    }

    macro_rules! pass {
        ($function:ident($($argument:expr),*), |$($parameter:ident),*|) => {
            |$($parameter),*| {
                // SAFETY: passed on to the caller, who has the table's word on when to call it.
                unsafe { $function($($argument),*) }
            }
        };
    }

    pub(super) static PLAIN: Wfc = Wfc {
        new: pass!(urcu_bench_wfcq_new(), | |),
        free: pass!(urcu_bench_wfcq_free(queue), |queue|),
        pairs: pass!(urcu_bench_wfcq_pairs(queue, spare, count, first), |queue, spare, count, first|),
        put: pass!(urcu_bench_wfcq_put(queue, items, count, first), |queue, items, count, first|),
        take: pass!(urcu_bench_wfcq_take(queue, most), |queue, most|),
        splice: pass!(urcu_bench_wfcq_splice(queue, 0), |queue|),
    };

    pub(super) static LOCKED: Wfc = Wfc {
        new: PLAIN.new,
        free: PLAIN.free,
        pairs: pass!(urcu_bench_wfcq_pairs_locked(queue, spare, count, first), |queue, spare, count, first|),
        put: PLAIN.put,
        take: pass!(urcu_bench_wfcq_take_locked(queue, most), |queue, most|),
        splice: pass!(urcu_bench_wfcq_splice(queue, 1), |queue|),
    };
}

/// `wfcqueue` with one consumer, and under its lock.
#[cfg(liburcu_cds = "wfcq")]
pub const WFC: Result<(&Wfc, &Wfc), &str> = Ok((&wfcq::PLAIN, &wfcq::LOCKED));
/// `wfcqueue` with one consumer, and under its lock.
#[cfg(not(liburcu_cds = "wfcq"))]
pub const WFC: Result<(&Wfc, &Wfc), &str> = Err(ADVICE);

#[allow(unused_macros, reason = "unused where the build found none of the C library's flavors")]
macro_rules! lf {
    ($module:ident) => {
        mod $module {
            use std::ffi::{c_int, c_void};

            use super::Lf;
            use crate::queues::Taken;
            use crate::queues::raw::LfItem;

            // The types are those of the shim.
            unsafe extern "C" {
                #[link_name = concat!("urcu_bench_", stringify!($module), "_lfq_new")]
                fn new() -> *mut c_void;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_lfq_free")]
                fn free(queue: *mut c_void) -> c_int;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_lfq_pairs")]
                fn pairs(queue: *mut c_void, items: *mut *mut LfItem, count: u64, first: u64) -> u64;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_lfq_put")]
                fn put(queue: *mut c_void, items: *mut *mut LfItem, count: u64, first: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_lfq_take")]
                fn take(queue: *mut c_void, items: *mut *mut LfItem, most: u64) -> Taken;
            }

            pub(super) static TABLE: Lf = Lf {
                api: &crate::contenders::liburcu::$module::API,
                // SAFETY: passed on to the caller, here and below.
                new: || unsafe { new() },
                // SAFETY: as above.
                free: |queue| unsafe { free(queue) },
                // SAFETY: as above.
                pairs: |queue, items, count, first| unsafe { pairs(queue, items, count, first) },
                // SAFETY: as above.
                put: |queue, items, count, first| unsafe { put(queue, items, count, first) },
                // SAFETY: as above.
                take: |queue, items, most| unsafe { take(queue, items, most) },
            };
        }
    };
}

macro_rules! entry {
    ($constant:ident, $module:ident, $cfg:literal) => {
        #[cfg(liburcu = $cfg)]
        lf!($module);
        #[cfg(liburcu = $cfg)]
        const $constant: Result<&Lf, &str> = Ok(&$module::TABLE);
        #[cfg(not(liburcu = $cfg))]
        const $constant: Result<&Lf, &str> = Err(ADVICE);
    };
}

entry!(QSBR, qsbr, "qsbr");
entry!(MB, mb, "mb");
entry!(MEMB, memb, "memb");
entry!(SIGNAL, signal, "signal");
entry!(BP, bp, "bp");

/// `lfqueue` by flavor, in the order of ours.
pub const LF: [Result<&Lf, &str>; 5] = [QSBR, MB, MEMB, SIGNAL, BP];

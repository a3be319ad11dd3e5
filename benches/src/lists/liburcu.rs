//! The C library's lists under each of its flavors, through shims of our own.

use std::ffi::c_void;

use cds_list::raw::{HlistHead, ListHead};

use super::standing::Functions;
use super::{RawHlist, RawList};
use crate::contenders::api::{Api, Reader};
use crate::contenders::liburcu;
use crate::harness::plan::Flavor;
use crate::workload::{Subject, Worker};

/// The functions of a shim. Walks are for registered threads.
#[derive(Clone, Copy, Debug)]
pub struct Shim {
    walk: unsafe extern "C" fn(*mut ListHead, u64, u64) -> u64,
    hlist_walk: unsafe extern "C" fn(*mut HlistHead, u64, u64) -> u64,
    new: unsafe fn(*mut c_void, u64),
    free: unsafe fn(*mut c_void),
    pairs: unsafe fn(*mut c_void, u64),
    standing_walk: unsafe fn(*mut c_void, u64, u64) -> u64,
}

#[allow(unused_macros, reason = "unused where the build found none of the C library's flavors")]
macro_rules! shim {
    ($module:ident) => {
        mod $module {
            use std::ffi::c_void;

            use cds_list::raw::{HlistHead, ListHead};

            use super::Shim;

            // The shim compiled from shims/list.h: same types, and the names with the flavor in them.
            #[allow(improper_ctypes, reason = "the same layout, as that file asserts")]
            unsafe extern "C" {
                #[link_name = concat!("urcu_bench_", stringify!($module), "_list_walk")]
                fn c_walk(head: *mut ListHead, blocks: u64, length: u64) -> u64;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_hlist_walk")]
                fn c_hlist_walk(head: *mut HlistHead, blocks: u64, length: u64) -> u64;
                #[link_name = concat!("urcu_bench_", stringify!($module), "_standing_new")]
                fn c_new(room: *mut c_void, blocks: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_standing_free")]
                fn c_free(room: *mut c_void);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_standing_pairs")]
                fn c_pairs(room: *mut c_void, pairs: u64);
                #[link_name = concat!("urcu_bench_", stringify!($module), "_standing_walk")]
                fn c_standing_walk(room: *mut c_void, blocks: u64, length: u64) -> u64;
            }

            pub(super) const SHIM: Shim = Shim {
                walk: c_walk,
                hlist_walk: c_hlist_walk,
                // SAFETY: passed on to the caller, who has the table's word on when to call it.
                new: |room, blocks| unsafe { c_new(room, blocks) },
                // SAFETY: as above.
                free: |room| unsafe { c_free(room) },
                // SAFETY: as above.
                pairs: |room, pairs| unsafe { c_pairs(room, pairs) },
                // SAFETY: as above.
                standing_walk: |room, blocks, length| unsafe { c_standing_walk(room, blocks, length) },
            };
        }
    };
}

#[cfg(liburcu = "qsbr")]
shim!(qsbr);
#[cfg(liburcu = "mb")]
shim!(mb);
#[cfg(liburcu = "memb")]
shim!(memb);
#[cfg(liburcu = "signal")]
shim!(signal);
#[cfg(liburcu = "bp")]
shim!(bp);

fn shim(flavor: Flavor) -> Option<Shim> {
    match flavor {
        #[cfg(liburcu = "qsbr")]
        Flavor::Qsbr => Some(qsbr::SHIM),
        #[cfg(liburcu = "mb")]
        Flavor::Mb => Some(mb::SHIM),
        #[cfg(liburcu = "memb")]
        Flavor::Membarrier => Some(memb::SHIM),
        #[cfg(liburcu = "signal")]
        Flavor::Signal => Some(signal::SHIM),
        #[cfg(liburcu = "bp")]
        Flavor::Bp => Some(bp::SHIM),
        #[allow(unreachable_patterns, reason = "reached where a flavor of the C library is missing")]
        _ => None,
    }
}

/// The lists of one flavor of the C library.
#[derive(Clone, Copy, Debug)]
pub struct Lists {
    /// The name in the record.
    pub name: &'static str,
    /// The flavor.
    pub flavor: Flavor,
    tables: Result<(&'static Api, Shim), &'static str>,
}

/// All five.
pub fn all() -> [Lists; 5] {
    liburcu::entries().map(|entry| Lists {
        name: entry.name,
        flavor: entry.flavor,
        tables: entry.api.and_then(|api| Ok((api, shim(entry.flavor).ok_or("not built")?))),
    })
}

impl Lists {
    /// Walks over a circular list.
    ///
    /// # Errors
    /// When the flavor is not there.
    pub fn walk(self) -> Result<Box<dyn Subject>, String> {
        let (api, shim) = self.tables?;
        let list = RawList::new();
        Ok(Box::new(Walk {
            api,
            function: move |list: &RawList, blocks, length| {
                // SAFETY: the worker has registered the thread; a live list of the layout that the shim expects.
                unsafe { (shim.walk)(list.head(), blocks, length) }
            },
            list,
        }))
    }

    /// Walks over a list that ends in null.
    ///
    /// # Errors
    /// When the flavor is not there.
    pub fn hlist_walk(self) -> Result<Box<dyn Subject>, String> {
        let (api, shim) = self.tables?;
        let list = RawHlist::new();
        Ok(Box::new(Walk {
            api,
            function: move |list: &RawHlist, blocks, length| {
                // SAFETY: the worker has registered the thread; a live list of the layout that the shim expects.
                unsafe { (shim.hlist_walk)(list.head(), blocks, length) }
            },
            list,
        }))
    }

    /// Updates.
    ///
    /// # Errors
    /// When the flavor is not there.
    pub fn updates(self) -> Result<Functions, String> {
        let (api, shim) = self.tables?;
        let callbacks = liburcu::callbacks().into_iter().find(|entry| entry.flavor == self.flavor);
        let deferral = callbacks.ok_or("no callbacks")?.deferral?;
        let Shim { new, free, pairs, standing_walk: walk, .. } = shim;
        Ok(Functions { api, new, free, pairs, walk, barrier: deferral.barrier })
    }
}

struct Walk<L, F> {
    api: &'static Api,
    list: L,
    function: F,
}

impl<L: Send + Sync, F: Fn(&L, u64, u64) -> u64 + Send + Sync> Subject for Walk<L, F> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Walker { walk: self, _reader: self.api.register()? }))
    }
}

struct Walker<'s, L, F> {
    walk: &'s Walk<L, F>,
    /// Keeps the thread registered.
    _reader: Reader,
}

impl<L, F: Fn(&L, u64, u64) -> u64> Worker for Walker<'_, L, F> {
    fn flat(&mut self, blocks: u64, length: u64) -> u64 {
        (self.walk.function)(&self.walk.list, blocks, length)
    }

    fn nested(&mut self, blocks: u64, length: u64) -> u64 {
        self.flat(blocks, length)
    }
}

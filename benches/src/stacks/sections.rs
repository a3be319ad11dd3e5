//! Pops of the raw lock-free stack inside sections: an element is allocated for each push, and retired after its pop.
//!
//! Elements are the blocks of the suite `reclaim`, 64 bytes for everybody.

use cds_lfstack::raw::{LfsNode, LfsStack};
use urcu_core::sync::CachePadded;

use super::{Member, Subject, Tally};
use crate::contenders::deferral::Deferral;
use crate::contenders::{self, api::Reader};
use crate::harness::plan::{Flavor, Kind};

/// A loop of pairs, and its flavor's tables.
#[derive(Clone, Copy)]
pub struct Row {
    /// The contender's name.
    pub name: &'static str,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor.
    pub flavor: Flavor,
    /// What retires, or why it is missing.
    pub deferral: Result<&'static Deferral, &'static str>,
    pairs: Option<Pairs>,
}

type Pairs = unsafe fn(*const LfsStack, u64) -> u64;

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Row").field(&self.name).finish()
    }
}

/// All flavors, ours and the C library's.
pub fn rows() -> Vec<Row> {
    contenders::with_callbacks()
        .map(|entry| {
            let pairs = match entry.kind {
                Kind::Ours => Some(ours(entry.flavor)),
                _ => c(entry.flavor),
            };
            Row { name: entry.name, kind: entry.kind, flavor: entry.flavor, deferral: entry.deferral, pairs }
        })
        .collect()
}

impl Row {
    /// What the threads of a measurement share.
    ///
    /// # Errors
    /// When it is missing.
    pub fn subject(&self) -> Result<Box<dyn Subject>, String> {
        let deferral = self.deferral?;
        deferral.api.ready()?;
        let pairs = self.pairs.ok_or("not built")?;
        Ok(Box::new(Shared { stack: CachePadded(LfsStack::new()), pairs, deferral }))
    }
}

struct Shared {
    stack: CachePadded<LfsStack>,
    pairs: Pairs,
    deferral: &'static Deferral,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Off the clock: the next contender starts without this one's backlog.
        let _ = (self.deferral.barrier)();
    }
}

impl Subject for Shared {
    fn member(&self) -> Result<Box<dyn Member + '_>, String> {
        Ok(Box::new(One { shared: self, _reader: self.deferral.api.register()? }))
    }
}

struct One<'s> {
    shared: &'s Shared,
    _reader: Reader,
}

impl Member for One<'_> {
    fn pairs(&mut self, pairs: u64) -> Tally {
        // SAFETY: the thread is registered, and all members use the same functions.
        let sum = unsafe { (self.shared.pairs)(&raw const self.shared.stack.0, pairs) };
        Tally { popped: pairs, sum }
    }
    fn bursts(&mut self, _: u64, _: u64) -> Tally {
        unreachable!("measured in pairs only")
    }
    fn pop_alls(&mut self, _: u64, _: u64) -> Tally {
        unreachable!("measured in pairs only")
    }
    fn put(&mut self, _: u64) {
        unreachable!("measured in pairs only")
    }
    fn drain(&mut self, _: u64) -> Tally {
        unreachable!("measured in pairs only")
    }
}

#[repr(C)]
struct Element {
    node: LfsNode,
    value: u64,
}

/// As large as the blocks of the suite `reclaim`, and not counted as one of them.
type Memory = [u64; 8];

const _: () = assert!(size_of::<Element>() <= size_of::<Memory>());

unsafe extern "C" fn free(memory: *mut std::ffi::c_void) {
    // SAFETY: allocated as one, retired once.
    drop(unsafe { Box::from_raw(memory.cast::<std::mem::MaybeUninit<Memory>>()) });
}

macro_rules! ours {
    ($function:ident, $krate:ident) => {
        unsafe fn $function(stack: *const LfsStack, pairs: u64) -> u64 {
            // SAFETY: the caller's stack.
            let stack = unsafe { &*stack };
            let mut sum = 0;
            for value in 0..pairs {
                let element = Box::into_raw(Box::<Memory>::new_uninit()).cast::<Element>();
                // SAFETY: just allocated, and large enough.
                unsafe { element.write(Element { node: LfsNode::new(), value }) };
                // SAFETY: a fresh node.
                unsafe { stack.push(element.cast()) };
                // SAFETY: unlocked below; the caller's thread is registered.
                unsafe { $krate::raw::read_lock() };
                // SAFETY: inside a section, and retired below.
                let popped = unsafe { stack.pop() }.cast::<Element>();
                // SAFETY: matches the lock above.
                unsafe { $krate::raw::read_unlock() };
                if !popped.is_null() {
                    // SAFETY: popped by this thread alone.
                    sum += unsafe { (*popped).value };
                    // SAFETY: nobody finds it any more.
                    unsafe { $krate::raw::defer_free(free, popped.cast(), size_of::<Memory>()) };
                }
            }
            // SAFETY: no pointer outlives its section.
            unsafe { $krate::raw::quiescent_state() };
            sum
        }
    };
}

ours!(qsbr, urcu_qsbr);
ours!(mb, urcu_mb);
ours!(membarrier, urcu_membarrier);
ours!(signal, urcu_signal);
ours!(bp, urcu_bp);

fn ours(flavor: Flavor) -> Pairs {
    match flavor {
        Flavor::Qsbr => qsbr,
        Flavor::Mb => mb,
        Flavor::Membarrier => membarrier,
        Flavor::Signal => signal,
        Flavor::Bp => bp,
    }
}

/// The C library's loop of one flavor, where its shim was built.
#[allow(unused_macros, reason = "unused where the build found none of the C library's flavors")]
macro_rules! shim {
    ($name:literal) => {{
        unsafe extern "C" {
            #[link_name = concat!("urcu_bench_", $name, "_stack_pairs")]
            fn pairs(stack: *mut std::ffi::c_void, pairs: u64) -> u64;
        }
        // SAFETY: the stack has the C library's layout; the rest is the caller's.
        Some(|stack, count| unsafe { pairs(stack.cast_mut().cast(), count) })
    }};
}

fn c(flavor: Flavor) -> Option<Pairs> {
    match flavor {
        #[cfg(liburcu = "qsbr")]
        Flavor::Qsbr => shim!("qsbr"),
        #[cfg(liburcu = "mb")]
        Flavor::Mb => shim!("mb"),
        #[cfg(liburcu = "memb")]
        Flavor::Membarrier => shim!("memb"),
        #[cfg(liburcu = "signal")]
        Flavor::Signal => shim!("signal"),
        #[cfg(liburcu = "bp")]
        Flavor::Bp => shim!("bp"),
        #[allow(unreachable_patterns, reason = "reachable where the build did not find all flavors")]
        _ => None,
    }
}

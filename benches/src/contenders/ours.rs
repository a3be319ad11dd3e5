//! Our flavors, each read in three ways.

use super::Entry;
use super::api::{Api, ApiSubject};
use super::deferral::DeferralEntry;
use crate::harness::plan::{Flavor, Kind};
use crate::workload::Subject;

/// How sections are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// `Thread::read_lock` and `Rcu::load`.
    Thread,
    /// The free `read_lock()` and `Rcu::load`.
    Free,
    /// The raw tier.
    Raw,
}

/// Writes the adapter of one flavor crate: the same code, since the crates have the same names in
/// them.
macro_rules! ours {
    (
        $module:ident, $krate:ident, $name:literal, $flavor:expr,
        init: $init:expr, registers_itself: $registers_itself:literal
    ) => {
        mod $module {
            use std::hint::black_box;
            use std::sync::OnceLock;

            use $krate as rcu;

            use crate::blocks::{Block, Contents, Dropping, Plain};
            use crate::contenders::api::Api;
            use crate::contenders::deferral::{Callback, Deferral, Head};
            use crate::harness::plan::Flavor;
            use crate::workload::{Looped, Node, ReadSide, Slot, Subject, Worker, sum_of};

            pub(super) static API: Api = Api {
                name: $name,
                flavor: $flavor,
                init: || $init.map_err(|error| error.to_string()),
                initialised: OnceLock::new(),
                checked: OnceLock::new(),
                register: raw_register,
                unregister: rcu::raw::unregister_thread,
                offline: rcu::raw::thread_offline,
                online: rcu::raw::thread_online,
                quiescent: rcu::raw::quiescent_state,
                lock: rcu::raw::read_lock,
                unlock: rcu::raw::read_unlock,
                synchronize: rcu::raw::synchronize,
                flat: raw_flat,
                nested: raw_nested,
            };

            pub(super) static DEFERRAL: Deferral = Deferral {
                name: $name,
                api: &API,
                registers: false,
                begin: || Ok(()),
                end: || (),
                retire: retire::<Plain<8>>,
                retire_dropping: retire::<Dropping<8>>,
                retire_reading,
                blocks: false,
                call: Some(call),
                // SAFETY: none of these threads uses protected pointers.
                barrier: || unsafe { rcu::raw::barrier() }.map_err(|error| error.to_string()),
                checked: OnceLock::new(),
                limit: Some(|| rcu::limits().hard_items),
            };

            unsafe fn retire<C: Contents>(blocks: u64) {
                for _ in 0..blocks {
                    rcu::retire(Box::new(Block::<(), C>::filled()));
                }
            }

            unsafe fn retire_reading(blocks: u64) {
                for _ in 0..blocks {
                    // SAFETY: unlocked below; the caller's thread is registered.
                    unsafe { rcu::raw::read_lock() };
                    let block = black_box(Box::new(Block::<(), Plain<8>>::filled()));
                    // SAFETY: matches the lock above.
                    unsafe { rcu::raw::read_unlock() };
                    rcu::retire(block);
                }
            }

            type HeadCallback = unsafe extern "C" fn(*mut rcu::RcuHead);

            unsafe fn call(head: *mut Head, callback: Callback) {
                // SAFETY: the two types differ in what a thin pointer argument points to, which is the same ABI.
                let callback = unsafe { std::mem::transmute::<Callback, HeadCallback>(callback) };
                // SAFETY: the head has the size and alignment of an `RcuHead`, and the rest is the caller's.
                unsafe { rcu::raw::call_rcu(head.cast(), callback) };
            }

            unsafe fn raw_register() -> Result<(), String> {
                rcu::raw::register_thread().map_err(|error| error.to_string())
            }

            #[inline(always)]
            unsafe fn raw_section(slot: &Slot) -> u64 {
                // SAFETY: unlocked below; the caller's thread is registered.
                unsafe { rcu::raw::read_lock() };
                let node = rcu::raw::dereference(slot.pointer());
                // SAFETY: a slot is never null, and the section keeps the node alive.
                let value = unsafe { &*node }.read();
                // SAFETY: matches the lock above, and the node is not used any more.
                unsafe { rcu::raw::read_unlock() };
                value
            }

            unsafe fn raw_flat(slot: &Slot, blocks: u64, length: u64) -> u64 {
                let mut sum = 0;
                for _ in 0..blocks {
                    // SAFETY: the caller's thread is registered.
                    sum += sum_of(length, || unsafe { raw_section(slot) });
                    // SAFETY: no pointer outlives its section.
                    unsafe { rcu::raw::quiescent_state() };
                }
                black_box(sum)
            }

            unsafe fn raw_nested(slot: &Slot, blocks: u64, length: u64) -> u64 {
                let mut sum = 0;
                for _ in 0..blocks {
                    // SAFETY: unlocked below; the caller's thread is registered.
                    unsafe { rcu::raw::read_lock() };
                    // SAFETY: the caller's thread is registered.
                    sum += sum_of(length, || unsafe { raw_section(slot) });
                    // SAFETY: matches the lock above.
                    unsafe { rcu::raw::read_unlock() };
                    // SAFETY: no pointer outlives its section.
                    unsafe { rcu::raw::quiescent_state() };
                }
                black_box(sum)
            }

            /// The face: what the threads of one measurement share.
            struct Shared {
                pointer: rcu::Rcu<Node>,
                free: bool,
            }

            /// The subject of the ways through the face.
            pub(super) fn face(free: bool) -> Box<dyn Subject> {
                Box::new(Shared { pointer: rcu::Rcu::new(Node::live()), free })
            }

            impl Subject for Shared {
                fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
                    let pointer = &self.pointer;
                    if self.free && $registers_itself {
                        return Ok(Box::new(Looped(Free { thread: None, pointer })));
                    }
                    let thread = rcu::register().map_err(|error| error.to_string())?;
                    Ok(if self.free {
                        Box::new(Looped(Free { thread: Some(thread), pointer }))
                    } else {
                        Box::new(Looped(Owned { thread, pointer }))
                    })
                }
            }

            #[inline(always)]
            fn read(pointer: &rcu::Rcu<Node>, guard: &rcu::Guard<'_>) -> u64 {
                // SAFETY: the pointer is never empty. No contender of this suite tests for that.
                unsafe { pointer.load(guard).unwrap_unchecked() }.read()
            }

            struct Owned<'s> {
                thread: rcu::Thread,
                pointer: &'s rcu::Rcu<Node>,
            }

            impl ReadSide for Owned<'_> {
                #[inline(always)]
                fn section(&mut self) -> u64 {
                    read(self.pointer, &self.thread.read_lock())
                }

                #[inline(always)]
                fn nested_sections(&mut self, length: u64) -> u64 {
                    let _outer = self.thread.read_lock();
                    sum_of(length, || read(self.pointer, &self.thread.read_lock()))
                }

                #[inline(always)]
                fn quiescent_state(&mut self) {
                    self.thread.quiescent_state();
                }
            }

            struct Free<'s> {
                /// What keeps the thread registered, where it does not do so by itself.
                thread: Option<rcu::Thread>,
                pointer: &'s rcu::Rcu<Node>,
            }

            impl ReadSide for Free<'_> {
                #[inline(always)]
                fn section(&mut self) -> u64 {
                    read(self.pointer, &rcu::read_lock())
                }

                #[inline(always)]
                fn nested_sections(&mut self, length: u64) -> u64 {
                    let _outer = rcu::read_lock();
                    sum_of(length, || read(self.pointer, &rcu::read_lock()))
                }

                #[inline(always)]
                fn quiescent_state(&mut self) {
                    if let Some(thread) = &mut self.thread {
                        thread.quiescent_state();
                    }
                }
            }
        }
    };
}

ours!(
    qsbr, urcu_qsbr, "urcu-qsbr", Flavor::Qsbr,
    init: rcu::init(), registers_itself: false
);
ours!(
    mb, urcu_mb, "urcu-mb", Flavor::Mb,
    init: rcu::init(), registers_itself: false
);
ours!(
    membarrier, urcu_membarrier, "urcu-membarrier", Flavor::Membarrier,
    init: rcu::init(), registers_itself: false
);
ours!(
    // liburcu-signal takes SIGUSR1 as soon as it is loaded.
    signal, urcu_signal, "urcu-signal", Flavor::Signal,
    init: rcu::init_signal(libc::SIGUSR2), registers_itself: false
);
ours!(
    bp, urcu_bp, "urcu-bp", Flavor::Bp,
    init: rcu::init(), registers_itself: true
);

/// Our five flavors.
pub fn entries() -> [Entry; 5] {
    [&qsbr::API, &mb::API, &membarrier::API, &signal::API, &bp::API].map(|api| Entry {
        name: api.name,
        kind: Kind::Ours,
        flavor: api.flavor,
        api: Ok(api),
    })
}

/// The functions of one flavor.
pub const fn api(flavor: Flavor) -> &'static Api {
    match flavor {
        Flavor::Qsbr => &qsbr::API,
        Flavor::Mb => &mb::API,
        Flavor::Membarrier => &membarrier::API,
        Flavor::Signal => &signal::API,
        Flavor::Bp => &bp::API,
    }
}

/// What the threads of one measurement share when they read in this way.
///
/// # Errors
/// When the flavor cannot be initialised.
pub fn subject(flavor: Flavor, path: Path) -> Result<Box<dyn Subject>, String> {
    let face = match flavor {
        Flavor::Qsbr => qsbr::face,
        Flavor::Mb => mb::face,
        Flavor::Membarrier => membarrier::face,
        Flavor::Signal => signal::face,
        Flavor::Bp => bp::face as fn(bool) -> _,
    };
    let api = api(flavor);
    api.ready()?;
    Ok(match path {
        Path::Thread => face(false),
        Path::Free => face(true),
        Path::Raw => Box::new(ApiSubject::new(api)),
    })
}

/// Deferred reclamation of our five flavors.
pub fn deferrals() -> [DeferralEntry; 5] {
    [&qsbr::DEFERRAL, &mb::DEFERRAL, &membarrier::DEFERRAL, &signal::DEFERRAL, &bp::DEFERRAL].map(|deferral| {
        DeferralEntry { name: deferral.name, kind: Kind::Ours, flavor: deferral.api.flavor, deferral: Ok(deferral) }
    })
}

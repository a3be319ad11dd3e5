//! Our lists under each of our flavors, by both tiers.

use super::standing::Functions;
use crate::contenders::api::Api;
use crate::contenders::ours;
use crate::harness::plan::Flavor;
use crate::reclaim::Reclaimer;
use crate::workload::Subject;

/// What is measured of one flavor.
#[derive(Clone, Copy, Debug)]
pub struct Lists {
    /// The flavor's crate.
    pub name: &'static str,
    /// The flavor.
    pub flavor: Flavor,
    /// Walks over `RcuList`.
    pub face: fn() -> Box<dyn Subject>,
    /// Walks over `RcuList` from its end.
    pub back: fn() -> Box<dyn Subject>,
    /// Walks over `RcuHList`.
    pub hface: fn() -> Box<dyn Subject>,
    /// Walks by `raw::rculist`.
    pub raw: fn() -> Box<dyn Subject>,
    /// Walks by `raw::rcuhlist`.
    pub hraw: fn() -> Box<dyn Subject>,
    /// Updates of an `RcuList`.
    pub updates: fn() -> Box<dyn Reclaimer>,
    /// Updates by `raw::rculist`.
    pub raw_updates: fn() -> Box<dyn Reclaimer>,
}

/// The table of the flavor's raw tier.
fn api(flavor: Flavor) -> &'static Api {
    let entry = ours::entries().into_iter().find(|entry| entry.flavor == flavor);
    entry.and_then(|entry| entry.api.ok()).expect("ours are always there")
}

macro_rules! ours {
    ($module:ident, $krate:ident, $name:literal, $flavor:expr) => {
        mod $module {
            use std::ffi::c_void;
            use std::hint::black_box;
            use std::sync::{Mutex, PoisonError};

            use cds_list::raw::{ListHead, list, rcuhlist, rculist};
            use cds_list::{RcuHList, RcuList, container_of};
            use $krate as rcu;

            use super::super::standing::{ByFunctions, Payload, STANDING};
            use super::super::{ELEMENTS, RawHlist, RawList, Value, short_value, value};
            use super::{Flavor, Functions, Lists, api};
            use crate::blocks::{BLOCK_SIZE, Manner};
            use crate::reclaim::{Each, Reclaimer, Updater};
            use crate::workload::{Looped, ReadSide, Subject, Worker, sum_of};

            pub(super) const LISTS: Lists = Lists {
                name: $name,
                flavor: $flavor,
                face: || Box::new(Face(values())),
                back: || Box::new(Back(values())),
                hface: || Box::new(HFace(RcuHList::from_chain(rcu::vtable(), ones()))),
                raw: || Box::new(Raw(RawList::new())),
                hraw: || Box::new(HRaw(RawHlist::new())),
                updates: || Box::new(Updates::new()),
                raw_updates: || Box::new(ByFunctions::new(FUNCTIONS())),
            };

            fn ones<K: cds_list::Kind>() -> cds_list::Chain<Value, K> {
                (0..ELEMENTS).map(|_| Value::ONE).collect()
            }

            fn values() -> RcuList<Value> {
                RcuList::from_chain(rcu::vtable(), ones())
            }

            /// Writes the subject and the section of one way to walk.
            macro_rules! walk {
                ($subject:ident, $side:ident, $list:ty, |$walked:ident, $thread:ident| $walk:expr) => {
                    struct $subject($list);

                    impl Subject for $subject {
                        fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
                            let thread = rcu::register().map_err(|error| error.to_string())?;
                            Ok(Box::new(Looped($side { list: &self.0, thread })))
                        }
                    }

                    struct $side<'s> {
                        list: &'s $list,
                        thread: rcu::Thread,
                    }

                    impl ReadSide for $side<'_> {
                        #[inline(always)]
                        fn section(&mut self) -> u64 {
                            let ($walked, $thread) = (self.list, &self.thread);
                            $walk
                        }

                        fn nested_sections(&mut self, length: u64) -> u64 {
                            sum_of(length, || self.section())
                        }

                        #[inline(always)]
                        fn quiescent_state(&mut self) {
                            self.thread.quiescent_state();
                        }
                    }
                };
            }

            walk!(Face, FaceSide, RcuList<Value>, |list, thread| {
                let guard = thread.read_lock();
                let mut sum = 0;
                for value in list.iter(&guard) {
                    sum += value.0;
                }
                sum
            });

            walk!(Back, BackSide, RcuList<Value>, |list, thread| {
                let guard = thread.read_lock();
                let mut sum = 0;
                for value in list.iter_rev(&guard) {
                    sum += value.0;
                }
                sum
            });

            walk!(HFace, HFaceSide, RcuHList<Value>, |list, thread| {
                let guard = thread.read_lock();
                let mut sum = 0;
                for value in list.iter(&guard) {
                    sum += value.0;
                }
                sum
            });

            walk!(Raw, RawSide, RawList, |list, _thread| {
                let mut sum = 0;
                // SAFETY: unlocked below; the thread is registered.
                unsafe { rcu::raw::read_lock() };
                // SAFETY: inside a section; nobody changes the list.
                for links in unsafe { rculist::iter_rcu(list.head()) } {
                    // SAFETY: an element of that list.
                    sum += unsafe { value(links) };
                }
                // SAFETY: matches the lock above.
                unsafe { rcu::raw::read_unlock() };
                sum
            });

            walk!(HRaw, HRawSide, RawHlist, |list, _thread| {
                let mut sum = 0;
                // SAFETY: unlocked below; the thread is registered.
                unsafe { rcu::raw::read_lock() };
                // SAFETY: inside a section; nobody changes the list.
                for links in unsafe { rcuhlist::iter_rcu(list.head()) } {
                    // SAFETY: an element of that list.
                    sum += unsafe { short_value(links) };
                }
                // SAFETY: matches the lock above.
                unsafe { rcu::raw::read_unlock() };
                sum
            });

            /// Updates through the face; the updater is not registered, and need not be.
            struct Updates(RcuList<Payload>);

            impl Updates {
                fn new() -> Self {
                    let list = RcuList::new(rcu::vtable());
                    let mut updater = list.lock();
                    (0..STANDING).for_each(|_| updater.push_back(Payload::filled()));
                    drop(updater);
                    // The worker starts from this thread, which may run anywhere.
                    pair(&list);
                    rcu::vtable().wait_for_retired().expect("outside of sections");
                    Self(list)
                }
            }

            #[inline(always)]
            fn pair(list: &RcuList<Payload>) {
                let mut updater = list.lock();
                updater.push_back(Payload::filled());
                updater.pop_front();
            }

            impl Subject for Updates {
                fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
                    let thread = rcu::register().map_err(|error| error.to_string())?;
                    Ok(Box::new(Looped(UpdatesSide { list: &self.0, thread })))
                }
            }

            struct UpdatesSide<'s> {
                list: &'s RcuList<Payload>,
                thread: rcu::Thread,
            }

            impl ReadSide for UpdatesSide<'_> {
                fn section(&mut self) -> u64 {
                    let guard = self.thread.read_lock();
                    let wrong = self.list.iter(&guard).fold(0, |wrong, payload| wrong | payload.wrong());
                    u64::from(wrong == 0)
                }

                fn nested_sections(&mut self, length: u64) -> u64 {
                    sum_of(length, || self.section())
                }

                fn quiescent_state(&mut self) {
                    self.thread.quiescent_state();
                }
            }

            impl Reclaimer for Updates {
                fn updater(&self, _: Manner) -> Result<Box<dyn Updater + '_>, String> {
                    Ok(Box::new(Each(|| pair(&self.0))))
                }

                fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
                    let thread = rcu::register().map_err(|error| error.to_string())?;
                    let _guard = thread.read_lock();
                    inside();
                    Ok(())
                }

                fn settle(&self) -> Result<bool, String> {
                    rcu::vtable().wait_for_retired().map(|()| false).map_err(|error| error.to_string())
                }
            }

            /// A block of the raw tier, with a callback head, as the C library's.
            #[repr(C, align(16))]
            struct ListedBlock {
                links: ListHead,
                head: rcu::RcuHead,
                contents: [u64; 4],
            }

            const _: () = assert!(size_of::<ListedBlock>() == BLOCK_SIZE);

            struct Standing {
                head: ListHead,
                lock: Mutex<()>,
            }

            const _: () = assert!(size_of::<Standing>() <= 256);

            #[allow(non_snake_case, reason = "as good as a constant")]
            fn FUNCTIONS() -> Functions {
                Functions {
                    api: api($flavor),
                    new: standing_new,
                    free: standing_free,
                    pairs: standing_pairs,
                    walk: standing_walk,
                    // SAFETY: none of these threads uses protected pointers.
                    barrier: || unsafe { rcu::raw::barrier() }.map_err(|error| error.to_string()),
                }
            }

            fn fresh() -> *mut ListHead {
                let block = ListedBlock { links: ListHead::new(), head: rcu::RcuHead::new(), contents: [1; 4] };
                Box::into_raw(Box::new(block)).cast()
            }

            unsafe fn standing_new(room: *mut c_void, blocks: u64) {
                let standing = room.cast::<Standing>();
                // SAFETY: enough memory for it, says the caller.
                unsafe { standing.write(Standing { head: ListHead::new(), lock: Mutex::new(()) }) };
                // SAFETY: live; a raw place expression.
                let head = unsafe { &raw mut (*standing).head };
                // SAFETY: where it stays, not shared.
                unsafe { list::init(head) };
                for _ in 0..blocks {
                    // SAFETY: a fresh element.
                    unsafe { rculist::add_tail_rcu(fresh(), head) };
                }
            }

            unsafe fn standing_free(room: *mut c_void) {
                let standing = room.cast::<Standing>();
                // SAFETY: nobody else has the list any more.
                for links in unsafe { list::iter_safe(&raw const (*standing).head) } {
                    // SAFETY: made by a box in `fresh`.
                    drop(unsafe { Box::from_raw(container_of!(links, ListedBlock, links)) });
                }
                // SAFETY: made in `standing_new`.
                unsafe { standing.drop_in_place() };
            }

            unsafe extern "C" fn free_block(head: *mut rcu::RcuHead) {
                // SAFETY: the head of a block that was made by a box in `fresh`.
                drop(unsafe { Box::from_raw(container_of!(head, ListedBlock, head)) });
            }

            unsafe fn standing_pairs(room: *mut c_void, pairs: u64) {
                let standing = room.cast::<Standing>();
                // SAFETY: live; a raw place expression.
                let head = unsafe { &raw mut (*standing).head };
                // SAFETY: live, and never borrowed exclusively.
                let lock = unsafe { &(*standing).lock };
                for _ in 0..pairs {
                    let block = fresh();
                    let held = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    // SAFETY: a fresh element; the lock is held.
                    unsafe { rculist::add_tail_rcu(block, head) };
                    // SAFETY: the lock is held.
                    let oldest = unsafe { list::first(head) };
                    // SAFETY: not empty; the lock is held.
                    unsafe { rculist::del_rcu(oldest) };
                    drop(held);
                    let block = container_of!(oldest, ListedBlock, links);
                    // SAFETY: unlinked; a head that is in no queue.
                    unsafe { rcu::raw::call_rcu(&raw mut (*block).head, free_block) };
                }
            }

            unsafe fn standing_walk(room: *mut c_void, blocks: u64, length: u64) -> u64 {
                let standing = room.cast::<Standing>();
                let mut right = 0;
                for _ in 0..blocks {
                    right += sum_of(length, || {
                        let mut wrong = 0;
                        // SAFETY: unlocked below; the thread is registered.
                        unsafe { rcu::raw::read_lock() };
                        // SAFETY: inside a section.
                        for links in unsafe { rculist::iter_rcu(&raw const (*standing).head) } {
                            // SAFETY: an element of that list.
                            wrong |= unsafe { (*container_of!(links, ListedBlock, links)).contents[0] } ^ 1;
                        }
                        // SAFETY: matches the lock above.
                        unsafe { rcu::raw::read_unlock() };
                        u64::from(wrong == 0)
                    });
                    // SAFETY: no pointer outlives its section.
                    unsafe { rcu::raw::quiescent_state() };
                }
                black_box(right)
            }
        }
    };
}

ours!(qsbr, urcu_qsbr, "urcu-qsbr", Flavor::Qsbr);
ours!(mb, urcu_mb, "urcu-mb", Flavor::Mb);
ours!(membarrier, urcu_membarrier, "urcu-membarrier", Flavor::Membarrier);
ours!(signal, urcu_signal, "urcu-signal", Flavor::Signal);
ours!(bp, urcu_bp, "urcu-bp", Flavor::Bp);

/// All five.
pub const ALL: [Lists; 5] = [qsbr::LISTS, mb::LISTS, membarrier::LISTS, signal::LISTS, bp::LISTS];

impl Lists {
    /// Initialises the flavor, once per process.
    ///
    /// # Errors
    /// What its initialisation said.
    pub fn ready(&self) -> Result<(), String> {
        api(self.flavor).ready()
    }
}

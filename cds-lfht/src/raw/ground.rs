//! What a table stands on: the space of its links, the memory of its buckets, and where its size is written.
//!
//! [`Process`] is a table of this process alone: all of it is in the table, and the rest of what is here compiles to nothing.
//! A table in shared memory is the same code over a ground whose links are distances: its size, its buckets and its nodes are in
//! the mapping, everything that is a pointer (the flavor's table of functions, the job that resizes) in the [`Table`](super::Table),
//! which each process has for itself.

use core::ops::Deref;
use core::ptr::NonNull;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};

use urcu_core::FlavorVtable;
use urcu_core::space::{Process, Space};
use urcu_core::sync::modelled::{AtomicPtr, AtomicUsize};
use urcu_core::sys;

#[cfg(not(urcu_loom))]
use super::kept::KEPT;
use super::section::Inside;
use super::table::Table;
use super::word::{Link, Word};

/// The [`Space`] of a table, with what a table needs beyond names.
///
/// # Safety
///
/// Of implementations: [`size`](Self::Size) and [`segments`](Self::Segments) are always the same atomics for the clones of one
/// ground. Memory that [`allocate`](Self::allocate) gives belongs to the table until it is deallocated.
pub unsafe trait Ground: Space {
    /// How the table learns of grace periods.
    type Flavor: Copy + Send + Sync;
    /// A section of the table's own work.
    type Inside;
    /// The number of buckets, wherever it is.
    type Size: Deref<Target = AtomicUsize> + Send + Sync;
    /// Where the memory of buckets is.
    type Segments: Deref<Target = [AtomicPtr<Link>]> + Send + Sync;

    /// The memory is the process's own: it goes with the table, and every link in it is right. Otherwise each process has a
    /// [`Table`](super::Table) for the same buckets, which stay when it goes.
    const OWNED: bool;

    /// Added to the names in [`Segments`](Self::Segments), so that none is null.
    const BIAS: usize;

    /// `size` as the number of buckets; `None` if it is somewhere already.
    fn size(&self, size: usize) -> Self::Size;

    /// At least `count` pieces of bucket memory, all null to begin with.
    fn segments(&self, count: usize) -> Self::Segments;

    /// Memory for so many buckets, all of them null. `kept`: the address space is wanted now, the memory when it is touched.
    fn allocate(&self, count: usize, kept: bool) -> Option<NonNull<Link>>;

    /// Gives it back.
    ///
    /// # Safety
    ///
    /// Allocated by this ground for as many buckets; nobody uses it.
    unsafe fn deallocate(&self, memory: NonNull<Link>, count: usize);

    /// Enters a section, for a piece of work on the list; `None` if the thread cannot have one.
    fn enter(&self, flavor: Self::Flavor) -> Option<Self::Inside>;

    /// The number of a grace period that begins after this call.
    fn start_grace_period(&self, flavor: Self::Flavor) -> u64;

    /// Whether that grace period has ended.
    fn has_elapsed(&self, flavor: Self::Flavor, number: u64) -> bool;

    /// Has the table's size looked at in the background. Where nothing runs there, updaters look themselves, now and then.
    fn request(table: &Table<Self>);
}

/// A size inside the table.
#[derive(Debug)]
pub struct OwnSize(AtomicUsize);

impl Deref for OwnSize {
    type Target = AtomicUsize;

    #[inline(always)]
    fn deref(&self) -> &AtomicUsize {
        &self.0
    }
}

/// From this size on a segment is a mapping of its own: its pages are made by those who put the buckets into the list, and not by
/// the updater that begins a growth. From [`sys::HUGE_PAGE`] on they are huge ones.
const MAPPED: usize = 1 << 15;

/// Whether so many buckets of the process are a mapping.
pub(super) fn is_mapped(count: usize) -> bool {
    !cfg!(urcu_loom) && count * size_of::<Link>() >= MAPPED
}

fn layout(count: usize) -> Option<Layout> {
    Layout::array::<Link>(count).and_then(|layout| layout.align_to(64)).ok()
}

// SAFETY: what a table owns is made by it, once.
unsafe impl Ground for Process {
    type Flavor = &'static FlavorVtable;
    type Inside = Inside;
    type Size = OwnSize;
    type Segments = Box<[AtomicPtr<Link>]>;

    const OWNED: bool = true;
    const BIAS: usize = 0;

    fn size(&self, size: usize) -> OwnSize {
        OwnSize(AtomicUsize::new(size))
    }

    fn segments(&self, count: usize) -> Box<[AtomicPtr<Link>]> {
        (0..count).map(|_| AtomicPtr::new(core::ptr::null_mut())).collect()
    }

    fn allocate(&self, count: usize, kept: bool) -> Option<NonNull<Link>> {
        let layout = layout(count)?;
        let memory = if is_mapped(count) && layout.size() >= sys::HUGE_PAGE {
            let memory = sys::reserve_pages(layout.size())?;
            if !kept {
                // SAFETY: just mapped.
                unsafe { sys::advise_huge_pages(memory, layout.size()) };
            }
            memory.cast::<Link>()
        } else if is_mapped(count) {
            sys::map_pages(layout.size())?.cast::<Link>()
        } else if cfg!(urcu_loom) {
            // SAFETY: segments are not empty.
            let memory = unsafe { alloc(layout) }.cast::<Link>();
            for index in 0..if memory.is_null() { 0 } else { count } {
                // SAFETY: inside the allocation.
                unsafe { memory.wrapping_add(index).write(Link::new(Word::FRESH.0)) };
            }
            memory
        } else {
            #[cfg(not(urcu_loom))]
            if let Some(kept) = KEPT.take(count) {
                return Some(kept);
            }
            // SAFETY: segments are not empty.
            unsafe { alloc_zeroed(layout) }.cast::<Link>()
        };
        NonNull::new(memory)
    }

    fn enter(&self, flavor: &'static FlavorVtable) -> Option<Inside> {
        Inside::enter(flavor)
    }

    fn start_grace_period(&self, flavor: &'static FlavorVtable) -> u64 {
        // SAFETY: any context.
        unsafe { (flavor.start_poll)() }
    }

    fn has_elapsed(&self, flavor: &'static FlavorVtable, number: u64) -> bool {
        // SAFETY: a cookie of this flavor.
        unsafe { (flavor.poll)(number) != 0 }
    }

    fn request(table: &Table) {
        table.ask_worker();
    }

    unsafe fn deallocate(&self, memory: NonNull<Link>, count: usize) {
        let Some(layout) = layout(count) else { return };
        if is_mapped(count) {
            // SAFETY: what `reserve_pages` or `map_pages` returned, used by nobody.
            unsafe { sys::unmap_pages(memory.as_ptr().cast(), layout.size()) };
            return;
        }
        #[cfg(not(urcu_loom))]
        // SAFETY: allocated with the layout of so many, used by nobody.
        if unsafe { KEPT.give(memory, count) } {
            return;
        }
        if cfg!(urcu_loom) {
            for index in 0..count {
                // SAFETY: initialised in `allocate`, used by nobody.
                unsafe { memory.as_ptr().wrapping_add(index).drop_in_place() };
            }
        }
        // SAFETY: allocated with the same layout, used by nobody.
        unsafe { dealloc(memory.as_ptr().cast(), layout) };
    }
}

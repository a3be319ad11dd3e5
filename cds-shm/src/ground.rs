//! What a hash table in a segment stands on.

use core::ops::Deref;
use core::ptr::NonNull;
use std::sync::{Mutex, PoisonError, Weak};

use cds_lfht::raw::{BucketMemory, Ground, Link, Options, Table};
use urcu_core::space::{Mapped, Space, Stop};
use urcu_core::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use urcu_shm::GraceNumber;

use crate::heap::{Inner, View};

/// Pieces of bucket memory: one for the first buckets, one for each doubling.
const PIECES: usize = (MOST.trailing_zeros() - LEAST.trailing_zeros()) as usize + 1;
const LEAST: usize = 64;
const MOST: usize = 1 << 32;

/// How every table in a segment is made: the options that determine where its buckets are.
pub(crate) fn options() -> Options {
    Options::new().initial(LEAST).min(LEAST).max(MOST).memory(BucketMemory::Order)
}

/// The same for a process that only looks things up.
pub(crate) fn options_for_reading() -> Options {
    options().auto_resize(false).accounting(false)
}

/// A table's root block.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct MapRoot {
    size: AtomicUsize,
    /// Of the hash.
    pub(crate) seed: AtomicU64,
    pieces: [AtomicPtr<Link>; PIECES],
}

impl MapRoot {
    pub(crate) fn at(view: &View, place: usize) -> Result<NonNull<Self>, Stop> {
        Ok(view.space.bytes(place, size_of::<Self>(), align_of::<Self>())?.cast())
    }
}

/// A part of a root block, for as long as the table that has it: the ground beside it keeps the mapping.
pub(crate) struct Placed<T: ?Sized>(NonNull<T>);

impl<T: ?Sized> Deref for Placed<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: in the mapping, which the table's ground keeps; consists of atomics.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: shared atomics in a mapping that belongs to the process.
unsafe impl<T: ?Sized + Sync> Send for Placed<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Placed<T> {}

/// See the module.
#[derive(Clone)]
pub(crate) struct Shared {
    space: Mapped,
    root: NonNull<MapRoot>,
    /// Keeps the mapping.
    view: View,
    /// Nowhere, for those who only look things up.
    heap: Weak<Mutex<Inner>>,
}

// SAFETY: a root block is shared atomics in a mapping that belongs to the process; the rest is both.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(view: &View, root: NonNull<MapRoot>, heap: Weak<Mutex<Inner>>) -> Self {
        Self { space: view.space, root, view: view.clone(), heap }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn root(&self) -> &MapRoot {
        // SAFETY: in the mapping, checked by `MapRoot::at`.
        unsafe { self.root.as_ref() }
    }
}

// SAFETY: what `Mapped` does.
unsafe impl Space for Shared {
    type Stop = Stop;
    type Steps = usize;

    #[inline(always)]
    fn steps(&self) -> usize {
        self.space.steps()
    }

    #[inline(always)]
    fn step(&self, steps: &mut usize) -> Result<(), Stop> {
        self.space.step(steps)
    }

    #[inline(always)]
    unsafe fn resolve<T>(&self, name: *mut T) -> Result<NonNull<T>, Stop> {
        // SAFETY: any name will do.
        unsafe { self.space.resolve(name) }
    }

    #[inline(always)]
    fn name<T>(&self, target: NonNull<T>) -> *mut T {
        self.space.name(target)
    }

    #[cold]
    fn nonsense<T>(&self) -> Result<T, Stop> {
        Err(Stop::Nonsense)
    }
}

// SAFETY: size and pieces are those of one root block; memory comes from the heap, and goes back to it.
unsafe impl Ground for Shared {
    type Flavor = ();
    type Inside = ();
    type Size = Placed<AtomicUsize>;
    type Segments = Placed<[AtomicPtr<Link>]>;

    const OWNED: bool = false;
    /// Distances are multiples of 8, so none is null with this.
    const BIAS: usize = 1;

    fn size(&self, _: usize) -> Placed<AtomicUsize> {
        Placed(NonNull::from(&self.root().size))
    }

    fn segments(&self, count: usize) -> Placed<[AtomicPtr<Link>]> {
        debug_assert_eq!(count, PIECES);
        Placed(NonNull::from(&self.root().pieces[..]))
    }

    fn allocate(&self, count: usize, _: bool) -> Option<NonNull<Link>> {
        let heap = self.heap.upgrade()?;
        let mut inner = heap.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = inner.allocate(count.checked_mul(size_of::<Link>())?).ok()?.cast::<Link>();
        for index in 0..count {
            // SAFETY: inside the block.
            let link = unsafe { memory.add(index) };
            // Relaxed: published with the size. PAIR(lfht-size)
            // SAFETY: mapped; any bits are an atomic.
            unsafe { link.as_ref() }.store(core::ptr::null_mut(), Ordering::Relaxed);
        }
        Some(memory)
    }

    /// A grace period more than is needed: the one way to free what was ever linked.
    unsafe fn deallocate(&self, memory: NonNull<Link>, _: usize) {
        if let Some(heap) = self.heap.upgrade() {
            let mut inner = heap.lock().unwrap_or_else(PoisonError::into_inner);
            // What is no block any more is left alone.
            let _ = inner.retire(self.view.place(memory));
        }
    }

    /// Updaters of the segment need no section: they are the ones who free.
    fn enter(&self, (): ()) -> Option<()> {
        Some(())
    }

    fn start_grace_period(&self, (): ()) -> u64 {
        self.view.segment.start_grace_period().bits()
    }

    fn has_elapsed(&self, (): (), number: u64) -> bool {
        self.view.segment.has_elapsed(GraceNumber::from_bits(number))
    }

    fn request(_: &Table<Self>) {}
}

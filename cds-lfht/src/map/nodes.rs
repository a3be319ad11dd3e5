//! Entries, from before they are published until after the last reader has gone, and how many there are.

use core::alloc::Layout;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use urcu_core::FlavorVtable;

use super::bucket::{self, Bucket};
use super::reclaim::Reclaim;
use super::slab::{Handle, Pool};
use super::table::Table;

/// The entries' memory and their number.
#[derive(Debug)]
pub(super) struct Nodes<T> {
    reclaim: Reclaim,
    /// Closed when this is dropped.
    pool: NonNull<Pool>,
    marker: PhantomData<*mut T>,
}

// SAFETY: a pool is memory, the entries are `T`s.
unsafe impl<T: Send> Send for Nodes<T> {}
// SAFETY: who has the map may add an entry, which another thread takes: `Send`; and look at those of others: `Sync`.
unsafe impl<T: Send + Sync> Sync for Nodes<T> {}

/// An entry that nobody else knows of.
#[derive(Debug)]
pub(super) struct Fresh<'m, T> {
    handle: Handle,
    nodes: &'m Nodes<T>,
    /// How many entries the thread had added before.
    number: usize,
}

/// Room for a free entry's link, and the alignment that leaves the handle its bits.
const fn layout<T>() -> Layout {
    let layout = Layout::new::<T>();
    let align = if layout.align() < 8 { 8 } else { layout.align() };
    let size = if layout.size() < 8 { 8 } else { layout.size() };
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("an entry that fills the address space"),
    }
}

impl<T> Nodes<T> {
    pub(super) fn new(flavor: &'static FlavorVtable) -> Self {
        Self { reclaim: Reclaim::new(flavor), pool: Pool::new(layout::<T>()), marker: PhantomData }
    }

    pub(super) fn flavor(&self) -> &'static FlavorVtable {
        self.reclaim.flavor()
    }

    #[inline]
    fn pool(&self) -> &Pool {
        // SAFETY: not closed yet.
        unsafe { self.pool.as_ref() }
    }

    #[inline]
    pub(super) fn fresh(&self, value: T) -> Fresh<'_, T> {
        let (handle, number) = self.pool().allocate(const { layout::<T>().pad_to_align().size() });
        // SAFETY: memory for a `T` that nobody else has.
        unsafe { handle.address().cast::<T>().write(value) };
        Fresh { handle, nodes: self, number }
    }

    /// How many entries there are; exact when nothing is going on.
    pub(super) fn live(&self) -> usize {
        self.pool().live()
    }

    /// Bytes of the entries.
    pub(super) fn bytes(&self) -> usize {
        self.pool().bytes()
    }

    /// Drops an entry after a grace period; how many entries this thread had retired before.
    ///
    /// # Safety
    ///
    /// It was published here, the caller has just made it unreachable, and may have it dropped on another thread.
    #[inline]
    pub(super) unsafe fn retire(&self, entry: Handle) -> usize {
        let number = self.pool().count_retired(entry);
        // SAFETY: given up here; counted.
        unsafe { self.reclaim.retire_with::<T>(entry.0.cast(), reclaim::<T>) };
        number
    }

    /// Drops lines after a grace period.
    ///
    /// # Safety
    ///
    /// They are unreachable.
    #[inline]
    pub(super) unsafe fn retire_lines(&self, lines: bucket::Unlinked) {
        for line in lines.0 {
            // SAFETY: from a box, given up here.
            unsafe { self.reclaim.retire_box::<Bucket>(line) };
        }
    }

    /// Drops a table after a grace period.
    ///
    /// # Safety
    ///
    /// It comes from a box and is unreachable.
    pub(super) unsafe fn retire_table(&self, table: *mut Table) {
        // SAFETY: as promised.
        unsafe { self.reclaim.retire_box(table) };
    }

    /// Takes an entry's value.
    ///
    /// # Safety
    ///
    /// It comes from [`fresh`](Self::fresh), and nobody else has it or gets it.
    pub(super) unsafe fn take_now(&self, entry: Handle) -> T {
        // SAFETY: it is a `T`, which is not used any more.
        let value = unsafe { entry.address().cast::<T>().read() };
        // SAFETY: as promised.
        unsafe { self.pool().release(entry) };
        self.pool().uncount();
        value
    }

    /// Drops an entry of a map that is being dropped. Memory in chunks goes with the pool.
    ///
    /// # Safety
    ///
    /// It comes from [`fresh`](Self::fresh), and nobody else has it or gets it.
    #[inline]
    pub(super) unsafe fn drop_last(&self, entry: Handle) {
        if !entry.is_cut() {
            // SAFETY: as promised.
            drop(unsafe { self.take_now(entry) });
        } else if mem::needs_drop::<T>() {
            // SAFETY: as promised; it is not used any more.
            unsafe { ptr::drop_in_place(entry.address().cast::<T>()) };
        }
    }
}

impl<T> Drop for Nodes<T> {
    fn drop(&mut self) {
        // SAFETY: made by `new`; nobody has the map any more.
        unsafe { Pool::close(self.pool) };
    }
}

/// What the flavor calls for an entry that was retired: `entry` is its handle.
unsafe extern "C" fn reclaim<T>(entry: *mut c_void) {
    let entry = Handle(entry.cast());
    let value = entry.address().cast::<T>();
    if !entry.is_cut() {
        // SAFETY: a `T` that nobody uses any more.
        urcu_core::catch("a hash map", || unsafe { ptr::drop_in_place(value) });
        // SAFETY: an allocation of its own, with this layout.
        unsafe { std::alloc::dealloc(value.cast(), layout::<T>().pad_to_align()) };
        return;
    }
    if mem::needs_drop::<T>() {
        // SAFETY: as above.
        urcu_core::catch("a hash map", || unsafe { ptr::drop_in_place(value) });
    }
    // SAFETY: retired, counted, and nobody uses it any more.
    unsafe { Pool::reclaim(entry) };
}

impl<T> Fresh<'_, T> {
    #[inline]
    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    #[inline]
    pub(super) fn pointer(&self) -> *mut T {
        self.handle.address().cast()
    }

    /// It is published: it belongs to the map. How many entries this thread had added before.
    #[inline]
    pub(super) fn publish(self) -> usize {
        let number = self.number;
        mem::forget(self);
        number
    }

    /// The value back.
    pub(super) fn into_inner(self) -> T {
        let (handle, nodes) = (self.handle, self.nodes);
        mem::forget(self);
        // SAFETY: made by `fresh`, and not published.
        unsafe { nodes.take_now(handle) }
    }
}

impl<T> Deref for Fresh<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: alive, and nobody else has it.
        unsafe { &*self.pointer() }
    }
}

impl<T> Drop for Fresh<'_, T> {
    fn drop(&mut self) {
        // SAFETY: made by `fresh`, and not published.
        drop(unsafe { self.nodes.take_now(self.handle) });
    }
}

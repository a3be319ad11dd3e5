//! Where entries live, from before they are published until after the last reader has gone, and how many there are.

use core::marker::PhantomData;
use core::mem;
use core::ops::Deref;
use core::ptr::NonNull;

use urcu_core::FlavorVtable;
use urcu_core::sync::modelled::{AtomicUsize, Ordering};

use super::bucket::{self, Bucket};
use super::reclaim::Reclaim;
use super::stripe::Striped;
use super::table::Table;

/// The entries' memory and their number.
#[derive(Debug)]
pub(super) struct Nodes<T> {
    reclaim: Reclaim,
    counts: Striped<Count>,
    marker: PhantomData<T>,
}

/// Entries that came and went, in one stripe. Only the sums over all stripes mean something.
#[derive(Debug)]
struct Count {
    added: AtomicUsize,
    retired: AtomicUsize,
}

impl Count {
    fn new() -> Self {
        Self { added: AtomicUsize::new(0), retired: AtomicUsize::new(0) }
    }
}

/// The alignment that leaves [`bucket::Word`] its lowest bit.
#[repr(C, align(8))]
struct Node<T>(T);

/// An entry that nobody else knows of.
#[derive(Debug)]
pub(super) struct Fresh<'m, T> {
    entry: NonNull<T>,
    nodes: &'m Nodes<T>,
}

impl<T> Nodes<T> {
    pub(super) fn new(flavor: &'static FlavorVtable) -> Self {
        Self { reclaim: Reclaim::new(flavor), counts: Striped::new(Count::new), marker: PhantomData }
    }

    pub(super) fn flavor(&self) -> &'static FlavorVtable {
        self.reclaim.flavor()
    }

    pub(super) fn fresh(&self, value: T) -> Fresh<'_, T> {
        let node = Box::into_raw(Box::new(Node(value)));
        assert!(bucket::fits(node.cast()), "an address of more than 48 bits");
        // SAFETY: a box is not null.
        Fresh { entry: unsafe { NonNull::new_unchecked(node.cast()) }, nodes: self }
    }

    /// Another entry is published; how many there are in this thread's stripe.
    #[inline]
    pub(super) fn count_added(&self) -> usize {
        // Relaxed: a number.
        self.counts.own().added.fetch_add(1, Ordering::Relaxed)
    }

    /// How many entries there are; exact when nothing is going on.
    pub(super) fn live(&self) -> usize {
        // Relaxed: numbers. Those that went first: then what came is not less.
        let retired = self.sum(|count| &count.retired);
        self.sum(|count| &count.added).saturating_sub(retired)
    }

    /// Bytes of the entries.
    pub(super) fn bytes(&self) -> usize {
        self.live() * size_of::<Node<T>>()
    }

    fn sum(&self, which: impl Fn(&Count) -> &AtomicUsize) -> usize {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(which(count).load(Ordering::Relaxed)))
    }

    /// Drops an entry after a grace period; how many entries went in this thread's stripe.
    ///
    /// # Safety
    ///
    /// It was published here, the caller has just made it unreachable, and may have it dropped on another thread.
    #[inline]
    pub(super) unsafe fn retire(&self, entry: *mut T) -> usize {
        // Relaxed: a number.
        let gone = self.counts.own().retired.fetch_add(1, Ordering::Relaxed);
        // SAFETY: from a box of this type, given up here.
        unsafe { self.reclaim.retire_box(entry.cast::<Node<T>>()) };
        gone
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
    pub(super) unsafe fn take_now(&self, entry: *mut T) -> T {
        // SAFETY: from a box of this type.
        unsafe { Box::from_raw(entry.cast::<Node<T>>()) }.0
    }

    /// Drops an entry now.
    ///
    /// # Safety
    ///
    /// It comes from [`fresh`](Self::fresh), and nobody else has it or gets it.
    pub(super) unsafe fn drop_now(&self, entry: *mut T) {
        // SAFETY: from a box of this type.
        drop(unsafe { Box::from_raw(entry.cast::<Node<T>>()) });
    }
}

impl<T> Fresh<'_, T> {
    #[inline]
    pub(super) fn pointer(&self) -> *mut T {
        self.entry.as_ptr()
    }

    /// It is published: it belongs to the map.
    #[inline]
    pub(super) fn publish(self) {
        mem::forget(self);
    }

    /// The value back.
    pub(super) fn into_inner(self) -> T {
        let (entry, nodes) = (self.pointer(), self.nodes);
        mem::forget(self);
        // SAFETY: made by `fresh`, and not published.
        unsafe { nodes.take_now(entry) }
    }
}

impl<T> Deref for Fresh<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: alive, and nobody else has it.
        unsafe { self.entry.as_ref() }
    }
}

impl<T> Drop for Fresh<'_, T> {
    fn drop(&mut self) {
        // SAFETY: made by `fresh`, and not published.
        unsafe { self.nodes.drop_now(self.entry.as_ptr()) };
    }
}

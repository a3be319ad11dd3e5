//! A counted pointer whose value readers find without touching the count.

use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, offset_of};
use core::ops::Deref;
use core::ptr::{self, NonNull};

use crate::boxed::RcuBox;
use crate::flavor::Flavor;
use crate::guard::Guard;
use crate::reclaim;
use crate::refcount::RefCount;

/// Like an `Arc<T>`, but readers may find the value by RCU: inside a section for the price of a load
/// ([`RcuArcCell::load`](crate::RcuArcCell::load)), and beyond it by taking a reference then
/// ([`RcuArcRef::upgrade`]).
///
/// When the last reference goes, the value is dropped after a grace period. So a section that has found it may use it
/// to its end, whatever becomes of the references. There are no weak references: a cell and a section do what
/// they are for.
///
/// | | context | progress |
/// |---|---|---|
/// | `clone` | any | wait-free, one locked instruction |
/// | `drop` | any but signal handlers; the last one retires: as [`Retired::defer_drop`](crate::Retired::defer_drop) | wait-free, the last as `defer_drop` |
/// | [`upgrade`](RcuArcRef::upgrade) | inside the section | lock-free |
///
/// Compared with an `Arc<T>` inside an [`Rcu`](crate::Rcu), which works too: one allocation and one dereference instead of two,
/// and what was replaced comes back as a reference that can be used at once, not after a grace period.
///
/// There is no `get_mut`, `try_unwrap` or the like: even the only reference may share its value with a section that
/// found it earlier.
///
/// After the C library's `urcu_ref`; the count is a [`RefCount`].
#[doc(alias = "urcu_ref")]
pub struct RcuArc<T, F: Flavor> {
    /// In an `RcuBox`, made by `new` from a `T` that is `Send + 'static`. Owns one reference.
    counted: NonNull<Counted<T>>,
    marker: PhantomData<(T, F)>,
}

/// What the allocation holds behind its callback head.
struct Counted<T> {
    references: RefCount,
    value: T,
}

impl<T: Send + 'static, F: Flavor> RcuArc<T, F> {
    /// Allocates. The value may be dropped on another thread, later.
    pub fn new(value: T) -> Self {
        let counted = RcuBox::new(Counted { references: RefCount::new(), value });
        Self { counted: counted.into_raw(), marker: PhantomData }
    }
}

impl<T, F: Flavor> RcuArc<T, F> {
    /// Whether both are references to the same value.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.counted == other.counted
    }

    /// How many references there are at some moment, those of cells included; `None` beyond `isize::MAX`, when the value
    /// is never dropped any more. Sections that have found the value do not count.
    pub fn references(&self) -> Option<usize> {
        self.counted().references.count()
    }

    /// The value's address, with the reference: for structures that hold it as a pointer.
    #[inline]
    pub fn into_raw(self) -> NonNull<T> {
        let counted = ManuallyDrop::new(self).counted;
        // SAFETY: a field of a live allocation; a raw place expression keeps the provenance of the whole.
        let value = unsafe { &raw mut (*counted.as_ptr()).value };
        // SAFETY: the address of a field is not null.
        unsafe { NonNull::new_unchecked(value) }
    }

    /// Takes a reference back.
    ///
    /// # Safety
    ///
    /// `value` comes from [`into_raw`](Self::into_raw) of the same `T` and `F`, whose reference nobody else takes back.
    #[inline]
    pub unsafe fn from_raw(value: NonNull<T>) -> Self {
        let counted = value.as_ptr().wrapping_byte_sub(offset_of!(Counted<T>, value)).cast();
        // SAFETY: the start of the allocation that `value` lies in.
        Self { counted: unsafe { NonNull::new_unchecked(counted) }, marker: PhantomData }
    }

    #[inline]
    fn counted(&self) -> &Counted<T> {
        // SAFETY: alive while there is a reference, and this is one.
        unsafe { self.counted.as_ref() }
    }
}

impl<T, F: Flavor> Deref for RcuArc<T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T, F: Flavor> Clone for RcuArc<T, F> {
    #[inline]
    fn clone(&self) -> Self {
        self.counted().references.get();
        Self { counted: self.counted, marker: PhantomData }
    }
}

impl<T, F: Flavor> Drop for RcuArc<T, F> {
    #[inline]
    fn drop(&mut self) {
        if self.counted().references.put() {
            // SAFETY: from `RcuBox::into_raw`; the last reference was this one, and zero is final, so nobody else does
            // this. `Send + 'static` since `new`. Sections that have found the value, and may look at its count, began
            // before this: a cell that shows it holds a reference.
            unsafe { reclaim::retire_rcu_box::<Counted<T>, F>(self.counted) };
        }
    }
}

impl<T: Send + 'static, F: Flavor> From<T> for RcuArc<T, F> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug, F: Flavor> fmt::Debug for RcuArc<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display, F: Flavor> fmt::Display for RcuArc<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: as for `Arc`: what moves shares the value with other threads (Sync), and may be the one that drops it, or
// has it dropped (Send).
unsafe impl<T: Send + Sync, F: Flavor> Send for RcuArc<T, F> {}
// SAFETY: a shared one gives out `&T` and clones, which may be sent.
unsafe impl<T: Send + Sync, F: Flavor> Sync for RcuArc<T, F> {}

/// A counted value as a section found it: usable to the section's end, and upgradable to a reference that outlives it.
///
/// Copies freely; the count is not touched.
pub struct RcuArcRef<'g, T, F: Flavor> {
    counted: NonNull<Counted<T>>,
    /// Borrows the guard. Not `Send`, like that.
    marker: PhantomData<(&'g T, F)>,
}

impl<'g, T, F: Flavor> RcuArcRef<'g, T, F> {
    /// The value, to the end of the section.
    #[inline]
    pub fn get(self) -> &'g T {
        // SAFETY: found inside the section that `'g` borrows, hence freed after its end at the earliest.
        let counted = unsafe { self.counted.as_ref() };
        &counted.value
    }

    /// A reference that outlives the section. `None` if the last one is gone: then the value was replaced or removed
    /// meanwhile, and looking again finds another or none.
    ///
    /// Lock-free.
    #[doc(alias = "urcu_ref_get_unless_zero")]
    #[inline]
    pub fn upgrade(self) -> Option<RcuArc<T, F>> {
        // SAFETY: as in `get`.
        let counted = unsafe { self.counted.as_ref() };
        // Lazily: a reference that was not taken must not be given back.
        counted.references.get_unless_zero().then(|| RcuArc { counted: self.counted, marker: PhantomData })
    }

    /// Whether `arc` is a reference to this value.
    pub fn is(self, arc: &RcuArc<T, F>) -> bool {
        self.counted == arc.counted
    }

    /// What a structure has found in itself: a pointer made by [`RcuArc::into_raw`].
    ///
    /// # Safety
    ///
    /// `value` was loaded (Acquire) inside the section of `guard` from a place that new readers find it in only as long as
    /// the reference of its `into_raw` has not been taken back.
    #[inline]
    pub unsafe fn from_raw(value: NonNull<T>, guard: &'g Guard<'_, F>) -> Self {
        let _ = guard;
        // SAFETY: as promised; nothing is dropped.
        let arc = ManuallyDrop::new(unsafe { RcuArc::<T, F>::from_raw(value) });
        Self { counted: arc.counted, marker: PhantomData }
    }

    /// The address that [`RcuArc::into_raw`] returned.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut T {
        ptr::from_ref(self.get()).cast_mut()
    }
}

impl<T, F: Flavor> Clone for RcuArcRef<'_, T, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, F: Flavor> Copy for RcuArcRef<'_, T, F> {}

impl<T, F: Flavor> Deref for RcuArcRef<'_, T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.get()
    }
}

impl<T: fmt::Debug, F: Flavor> fmt::Debug for RcuArcRef<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

//! A heap allocation that can be retired without another one.

use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, offset_of};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::head::RcuHead;

/// Like a `Box<T>`, with a callback head in front of the value.
///
/// What an [`Rcu`](crate::Rcu) holds. The head is what makes retiring free of allocation.
pub struct RcuBox<T> {
    /// Points to the *value* of an `Allocation<T>`, with provenance over the whole allocation, so that a protected load
    /// yields the value's address as it is.
    value: NonNull<T>,
    marker: PhantomData<T>,
}

#[repr(C)]
struct Allocation<T> {
    head: RcuHead,
    value: T,
}

impl<T> RcuBox<T> {
    /// Allocates.
    pub fn new(value: T) -> Self {
        let allocation = Box::into_raw(Box::new(Allocation { head: RcuHead::new(), value }));
        // SAFETY: a field of a live allocation; a raw place expression keeps the provenance of the whole.
        let value = unsafe { &raw mut (*allocation).value };
        // SAFETY: the address of a field is not null.
        let value = unsafe { NonNull::new_unchecked(value) };
        Self { value, marker: PhantomData }
    }

    /// Frees the allocation and returns the value.
    pub fn into_inner(self) -> T {
        let allocation = Self::allocation(self.into_raw());
        // SAFETY: `into_raw` gave up ownership of an allocation that `new` made.
        unsafe { Box::from_raw(allocation) }.value
    }

    /// Gives up ownership; the value's address.
    #[inline]
    pub fn into_raw(self) -> NonNull<T> {
        let value = self.value;
        mem::forget(self);
        value
    }

    /// Takes ownership back.
    ///
    /// # Safety
    ///
    /// - `value` comes from [`into_raw`](Self::into_raw), and nobody else owns it.
    /// - No reference to the value is used any more.
    #[inline]
    pub unsafe fn from_raw(value: NonNull<T>) -> Self {
        Self { value, marker: PhantomData }
    }

    /// The callback head of a value that `into_raw` returned.
    #[inline]
    pub(crate) fn head(value: NonNull<T>) -> *mut RcuHead {
        Self::allocation(value).cast()
    }

    #[inline]
    fn allocation(value: NonNull<T>) -> *mut Allocation<T> {
        value.as_ptr().wrapping_byte_sub(offset_of!(Allocation<T>, value)).cast()
    }

    /// The box around `head`.
    ///
    /// # Safety
    ///
    /// `head` comes from [`head`](Self::head) of a box that nobody owns or uses any more.
    #[inline]
    pub(crate) unsafe fn from_head(head: *mut RcuHead) -> Self {
        let allocation = head.cast::<Allocation<T>>();
        // SAFETY: the head is the first field of an allocation made by `new`.
        let value = unsafe { &raw mut (*allocation).value };
        // SAFETY: the address of a field is not null.
        let value = unsafe { NonNull::new_unchecked(value) };
        Self { value, marker: PhantomData }
    }
}

impl<T> Deref for RcuBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the box owns a live value.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for RcuBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the box owns a live value, and is borrowed mutably.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for RcuBox<T> {
    fn drop(&mut self) {
        // SAFETY: the box owns an allocation made by `new`.
        drop(unsafe { Box::from_raw(Self::allocation(self.value)) });
    }
}

impl<T> From<T> for RcuBox<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for RcuBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: it owns a `T` and a head that is in no queue.
unsafe impl<T: Send> Send for RcuBox<T> {}
// SAFETY: a shared box gives out `&T` only.
unsafe impl<T: Sync> Sync for RcuBox<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Aligned(u8);

    #[test]
    fn round_trips_through_raw_for_any_alignment() {
        // SAFETY: just given up.
        let boxed = unsafe { RcuBox::from_raw(RcuBox::new(Aligned(7)).into_raw()) };
        assert_eq!(core::ptr::from_ref(&*boxed).addr() % 64, 0);
        assert_eq!(boxed.into_inner().0, 7);
        assert_eq!(*RcuBox::new(String::from("x")), "x");
        RcuBox::new(()).into_inner();
    }
}

//! Iterators of the face.

use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;

use urcu_core::sync::modelled::Ordering;

use crate::chain::Chain;
use crate::kind::sealed::Sealed;
use crate::kind::{Doubly, Kind, Node};
use crate::raw::list::{ListHead, prev_of};

/// A reader's walk: [`List::iter`](crate::List::iter), [`Updater::iter`](crate::Updater::iter).
///
/// Each step is one load, made when it is asked for. Not fused: after the end, `next` looks again, and finds what has been added at
/// the end meanwhile.
pub struct Iter<'g, T, K: Kind> {
    head: *const K::Head,
    at: *const K::Links,
    marker: PhantomData<&'g T>,
}

impl<T, K: Kind> Iter<'_, T, K> {
    /// # Safety
    ///
    /// `head` is that of a list of these nodes, which lives for the lifetime of the result; and meanwhile a section keeps what is taken
    /// out from being freed or changed, or nothing is taken out.
    #[inline(always)]
    pub(crate) unsafe fn new(head: *const K::Head) -> Self {
        Self { head, at: K::anchor(head), marker: PhantomData }
    }
}

impl<'g, T, K: Kind> Iterator for Iter<'g, T, K> {
    type Item = &'g T;

    #[inline(always)]
    fn next(&mut self) -> Option<&'g T> {
        // SAFETY: the head, or a node that this walk has reached: promised when it was made.
        let next = unsafe { K::step(self.head, self.at) };
        if next.is_null() {
            return None;
        }
        self.at = next;
        // SAFETY: reached by this walk, and kept for `'g`.
        Some(unsafe { Node::<T, K>::value(next) })
    }
}

impl<T, K: Kind> Clone for Iter<'_, T, K> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T: fmt::Debug, K: Kind> fmt::Debug for Iter<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// A reader's walk from the end: [`RcuList::iter_rev`](crate::List::iter_rev). Like [`Iter`], not fused.
pub struct IterRev<'g, T> {
    head: *const ListHead,
    at: *const ListHead,
    marker: PhantomData<&'g T>,
}

impl<T> IterRev<'_, T> {
    /// # Safety
    ///
    /// As for [`Iter::new`].
    #[inline(always)]
    pub(crate) unsafe fn new(head: *const ListHead) -> Self {
        Self { head, at: head, marker: PhantomData }
    }
}

impl<'g, T> Iterator for IterRev<'g, T> {
    type Item = &'g T;

    #[inline(always)]
    fn next(&mut self) -> Option<&'g T> {
        // Acquire: the node is as its updater made it. PAIR(list-publish)
        // SAFETY: the head, or a node that this walk has reached: promised when it was made.
        let prev = unsafe { prev_of(self.at) }.load(Ordering::Acquire);
        if core::ptr::eq(prev, self.head) {
            return None;
        }
        self.at = prev;
        // SAFETY: reached by this walk, and kept for `'g`.
        Some(unsafe { Node::<T, Doubly>::value(prev) })
    }
}

impl<T> Clone for IterRev<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T: fmt::Debug> fmt::Debug for IterRev<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The values of a [`Chain`].
pub struct ChainIter<'a, T, K: Kind> {
    next: *const K::Links,
    left: usize,
    marker: PhantomData<&'a T>,
}

impl<T, K: Kind> ChainIter<'_, T, K> {
    /// # Safety
    ///
    /// From `first` on there are `len` nodes, which live and are not changed for the lifetime of the result.
    pub(crate) unsafe fn new(first: *const K::Links, len: usize) -> Self {
        Self { next: first, left: len, marker: PhantomData }
    }
}

impl<'a, T, K: Kind> Iterator for ChainIter<'a, T, K> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        if self.left == 0 {
            return None;
        }
        let node = self.next;
        self.left -= 1;
        // SAFETY: promised when it was made. What follows the last node is loaded and not followed.
        self.next = unsafe { K::chained(node) };
        // SAFETY: as above.
        Some(unsafe { Node::<T, K>::value(node) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T, K: Kind> ExactSizeIterator for ChainIter<'_, T, K> {}
impl<T, K: Kind> FusedIterator for ChainIter<'_, T, K> {}

impl<T, K: Kind> Clone for ChainIter<'_, T, K> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T: fmt::Debug, K: Kind> fmt::Debug for ChainIter<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The values by exclusive access: [`List::iter_mut`](crate::List::iter_mut), [`Chain::iter_mut`].
pub struct IterMut<'a, T, K: Kind> {
    first: *mut K::Links,
    last: *mut K::Links,
    left: usize,
    marker: PhantomData<&'a mut T>,
}

impl<T, K: Kind> IterMut<'_, T, K> {
    /// # Safety
    ///
    /// From `first` to `last` there are `len` nodes, which live for the lifetime of the result, and which nobody else can reach
    /// meanwhile. `last` does not matter for lists without a way back.
    pub(crate) unsafe fn new(first: *mut K::Links, last: *mut K::Links, len: usize) -> Self {
        Self { first, last, left: len, marker: PhantomData }
    }
}

impl<'a, T, K: Kind> Iterator for IterMut<'a, T, K> {
    type Item = &'a mut T;

    fn next(&mut self) -> Option<&'a mut T> {
        if self.left == 0 {
            return None;
        }
        let node = self.first;
        self.left -= 1;
        // SAFETY: promised when it was made. What follows the last node is loaded and not followed.
        self.first = unsafe { K::chained(node) };
        // SAFETY: as above; each node is given once.
        Some(unsafe { Node::<T, K>::value_mut(node) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T> DoubleEndedIterator for IterMut<'a, T, Doubly> {
    fn next_back(&mut self) -> Option<&'a mut T> {
        if self.left == 0 {
            return None;
        }
        let node = self.last;
        self.left -= 1;
        // SAFETY: promised when it was made. What comes before the first node is loaded and not followed.
        self.last = unsafe { <Doubly as Sealed>::before(node) };
        // SAFETY: as above; each node is given once.
        Some(unsafe { Node::<T, Doubly>::value_mut(node) })
    }
}

impl<T, K: Kind> ExactSizeIterator for IterMut<'_, T, K> {}
impl<T, K: Kind> FusedIterator for IterMut<'_, T, K> {}

impl<T, K: Kind> fmt::Debug for IterMut<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IterMut({} left)", self.left)
    }
}

// SAFETY: it is a number of `&mut T`.
unsafe impl<T: Send, K: Kind> Send for IterMut<'_, T, K> {}
// SAFETY: nothing can be done with a shared one but printing how many are left.
unsafe impl<T: Sync, K: Kind> Sync for IterMut<'_, T, K> {}

/// The values, moved out. What is not taken is dropped with it.
pub struct IntoIter<T, K: Kind = Doubly> {
    chain: Chain<T, K>,
}

impl<T, K: Kind> IntoIter<T, K> {
    pub(crate) fn new(chain: Chain<T, K>) -> Self {
        Self { chain }
    }
}

impl<T, K: Kind> Iterator for IntoIter<T, K> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.chain.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.chain.len(), Some(self.chain.len()))
    }
}

impl<T> DoubleEndedIterator for IntoIter<T, Doubly> {
    fn next_back(&mut self) -> Option<T> {
        self.chain.pop_back()
    }
}

impl<T, K: Kind> ExactSizeIterator for IntoIter<T, K> {}
impl<T, K: Kind> FusedIterator for IntoIter<T, K> {}

impl<T: fmt::Debug, K: Kind> fmt::Debug for IntoIter<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chain.fmt(f)
    }
}

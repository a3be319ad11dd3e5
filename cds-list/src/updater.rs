//! The updater of a list: who holds its lock.

use core::fmt;
use core::mem::{self, ManuallyDrop};
use std::sync::MutexGuard;

use crate::chain::{Chain, Detached};
use crate::cursor::Cursor;
use crate::iter::Iter;
use crate::kind::sealed::Sealed;
use crate::kind::{Doubly, Kind, Node};
use crate::list::List;
use crate::pending::Pending;

/// The one who may change a list: [`List::lock`].
///
/// Needs no section and no registration. What it does is seen by readers step by step, in this order. What it removes
/// is retired when it is dropped, after the lock has been given back: dropped after a grace period, by the flavor's worker.
/// So an updater that removes without end holds the memory of all that; drop it now and then. Retiring may wait for room
/// (beyond the flavor's hard limit, outside of sections): when it is dropped, hold no other lock that is taken inside sections.
///
/// The caller's code (predicates, iterators, clones) runs between whole steps. If it panics, what was done stays done, and the list
/// remains usable.
#[must_use = "it gives the lock back when it is dropped"]
pub struct Updater<'l, T: Send + 'static, K: Kind> {
    pub(crate) list: &'l List<T, K>,
    pub(crate) pending: ManuallyDrop<Pending<T, K>>,
    held: ManuallyDrop<MutexGuard<'l, ()>>,
}

impl<'l, T: Send + 'static, K: Kind> Updater<'l, T, K> {
    #[inline]
    pub(crate) fn new(list: &'l List<T, K>, held: MutexGuard<'l, ()>) -> Self {
        Self { list, pending: ManuallyDrop::new(Pending::new(list.flavor)), held: ManuallyDrop::new(held) }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The elements in their order. No section is needed: nobody else removes.
    pub fn iter(&self) -> Iter<'_, T, K> {
        // SAFETY: removing takes `&mut self`.
        unsafe { Iter::new(self.list.head()) }
    }

    /// The first element, if any.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// A cursor at the first element, or at the end of an empty list.
    pub fn cursor_front(&mut self) -> Cursor<'_, 'l, T, K> {
        Cursor::front(self)
    }

    /// A cursor at the first element that `wanted` accepts, or at the end.
    pub fn cursor_at(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Cursor<'_, 'l, T, K> {
        let mut cursor = self.cursor_front();
        while cursor.current().is_some_and(|element| !wanted(element)) {
            cursor.move_next();
        }
        cursor
    }

    /// Puts `value` first. Allocates.
    #[doc(alias = "cds_list_add_rcu")]
    #[doc(alias = "cds_hlist_add_head_rcu")]
    pub fn push_front(&mut self, value: T) {
        let node = List::<T, K>::node(value);
        // SAFETY: a chain of one, just made; at the head.
        unsafe { self.splice(node, node, 1, self.list.anchor()) };
    }

    /// Puts all of `chain` first, at once. A constant number of steps.
    pub fn prepend(&mut self, chain: Chain<T, K>) {
        let (first, last, len) = chain.into_parts();
        // SAFETY: a chain; at the head.
        unsafe { self.splice(first, last, len, self.list.anchor()) };
    }

    /// # Safety
    ///
    /// From `first` to `last` it is a chain of `len`, given up here, and `at` is the anchor or in the list.
    pub(crate) unsafe fn splice(&mut self, first: *mut K::Links, last: *mut K::Links, len: usize, at: *mut K::Links) {
        if len != 0 {
            // SAFETY: the lock is held; the rest is the caller's word.
            unsafe { K::splice(first, last, at) };
            self.list.set_len(self.len() + len);
        }
    }

    /// Takes `node` out of the list. It has to go to `pending` or a `Detached` then.
    ///
    /// # Safety
    ///
    /// It is in the list.
    pub(crate) unsafe fn unlink(&mut self, node: *mut K::Links) {
        // SAFETY: the lock is held; in the list, says the caller.
        unsafe { K::unlink(node) };
        self.list.set_len(self.len() - 1);
    }

    /// Removes the first element: it is retired. What was removed can be looked at as long as the updater is not used.
    #[doc(alias = "cds_list_del_rcu")]
    #[doc(alias = "cds_hlist_del_rcu")]
    pub fn pop_front(&mut self) -> Option<&T> {
        self.cursor_front().remove_for_updater()
    }

    /// Removes, and retires, every element that `keep` does not accept.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut cursor = self.cursor_front();
        while let Some(element) = cursor.current() {
            if keep(element) {
                cursor.move_next();
            } else {
                cursor.remove();
            }
        }
    }

    /// Removes and retires everything. Readers see the list as it was or empty; the number of steps is that of elements.
    pub fn clear(&mut self) {
        let len = self.len();
        // SAFETY: the lock is held.
        let taken = unsafe { K::take_all(self.list.head()) };
        self.list.set_len(0);
        let Some((mut node, _)) = taken else { return };
        for _ in 1..len {
            // SAFETY: `len` nodes follow each other, unlinked by us and not retired before the updater is dropped.
            let next = unsafe { K::chained(node) };
            // SAFETY: unlinked, and a node of this list.
            unsafe { self.pending.add(node) };
            node = next;
        }
        // SAFETY: as above; the last one.
        unsafe { self.pending.add(node) };
    }

    /// Takes everything out at once, to be used again after a grace period.
    ///
    /// A constant number of steps for an [`RcuList`](crate::RcuList), else one per element (to find the last).
    pub fn detach_all(&mut self) -> Detached<T, K> {
        let mut detached = Detached::new(self.list.flavor);
        let len = self.len();
        // SAFETY: the lock is held.
        if let Some((first, last)) = unsafe { K::take_all(self.list.head()) } {
            self.list.set_len(0);
            // SAFETY: `len` nodes in a row, unlinked.
            unsafe { detached.add(first, last, len) };
        }
        detached
    }

    /// Takes the elements out that `wanted` accepts, to be used again after a grace period.
    ///
    /// If `wanted` panics, what it has accepted is retired when the updater is dropped.
    pub fn detach_if(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Detached<T, K> {
        /// Keeps what was taken out from being retired under the lock when `wanted` panics.
        struct Taken<'u, 'l, T: Send + 'static, K: Kind> {
            cursor: Cursor<'u, 'l, T, K>,
            detached: Detached<T, K>,
        }
        impl<T: Send + 'static, K: Kind> Drop for Taken<'_, '_, T, K> {
            fn drop(&mut self) {
                self.cursor.retire_later(&mut self.detached);
            }
        }
        let flavor = self.list.flavor;
        let mut taken = Taken { cursor: self.cursor_front(), detached: Detached::new(flavor) };
        while let Some(element) = taken.cursor.current() {
            if wanted(element) {
                taken.cursor.detach_to(&mut taken.detached);
            } else {
                taken.cursor.move_next();
            }
        }
        mem::replace(&mut taken.detached, Detached::new(flavor))
    }
}

impl<'l, T: Send + 'static> Updater<'l, T, Doubly> {
    /// The last element, if any.
    pub fn last(&self) -> Option<&T> {
        // SAFETY: removing takes `&mut self`.
        unsafe { crate::iter::IterRev::new(self.list.head()) }.next()
    }

    /// A cursor at the last element, or at the end of an empty list.
    pub fn cursor_back(&mut self) -> Cursor<'_, 'l, T, Doubly> {
        Cursor::back(self)
    }

    fn last_place(&self) -> *mut crate::raw::ListHead {
        // SAFETY: the lock is held; the head has a node before it, or itself.
        unsafe { Doubly::before(self.list.anchor()) }
    }

    /// Puts `value` last. Allocates.
    #[doc(alias = "cds_list_add_tail_rcu")]
    pub fn push_back(&mut self, value: T) {
        let node = List::<T, Doubly>::node(value);
        // SAFETY: a chain of one, just made; after the last.
        unsafe { self.splice(node, node, 1, self.last_place()) };
    }

    /// Puts all of `chain` last, at once. A constant number of steps.
    pub fn append(&mut self, chain: Chain<T, Doubly>) {
        let (first, last, len) = chain.into_parts();
        // SAFETY: a chain; after the last.
        unsafe { self.splice(first, last, len, self.last_place()) };
    }

    /// Removes the last element: it is retired. What was removed can be looked at as long as the updater is not used.
    pub fn pop_back(&mut self) -> Option<&T> {
        self.cursor_back().remove_for_updater()
    }
}

impl<T: Send + 'static> Extend<T> for Updater<'_, T, Doubly> {
    /// Adds the values at the end, all at once when the iterator has ended.
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.append(values.into_iter().collect());
    }
}

impl<'u, T: Send + 'static, K: Kind> IntoIterator for &'u Updater<'_, T, K> {
    type Item = &'u T;
    type IntoIter = Iter<'u, T, K>;

    fn into_iter(self) -> Iter<'u, T, K> {
        self.iter()
    }
}

impl<T: Send + 'static, K: Kind> Drop for Updater<'_, T, K> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and not used any more.
        unsafe { ManuallyDrop::drop(&mut self.held) };
        // Without the lock: see `Pending`.
        // SAFETY: as above.
        unsafe { ManuallyDrop::drop(&mut self.pending) };
    }
}

impl<T: Send + fmt::Debug + 'static, K: Kind> fmt::Debug for Updater<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Names what the updater has removed: nothing of it is freed before the updater is dropped.
///
/// # Safety
///
/// `node` is in `pending` of the updater that is borrowed for `'u`.
pub(crate) unsafe fn removed<'u, T, K: Kind>(node: *mut K::Links) -> &'u T {
    // SAFETY: the caller's word.
    unsafe { Node::<T, K>::value(node) }
}

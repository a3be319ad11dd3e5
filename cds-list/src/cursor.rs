//! A place in a list, held by its updater.

use core::fmt;
use core::ptr;

use crate::chain::{Chain, Detached};
use crate::kind::sealed::Sealed;
use crate::kind::{Doubly, Kind, Node};
use crate::list::List;
use crate::updater::{Updater, removed};

/// A place in a list: at an element, or at the end, which is between the last element and the first.
///
/// Made by an [`Updater`]. Each operation is one step for readers, and takes a constant number of steps unless it says otherwise.
pub struct Cursor<'u, 'l, T: Send + 'static, K: Kind> {
    updater: &'u mut Updater<'l, T, K>,
    /// What comes before the cursor: a node, or the anchor.
    before: *mut K::Links,
    /// The node that the cursor is at; null at the end.
    at: *mut K::Links,
}

impl<'u, 'l, T: Send + 'static, K: Kind> Cursor<'u, 'l, T, K> {
    pub(crate) fn front(updater: &'u mut Updater<'l, T, K>) -> Self {
        let before = updater.list.anchor();
        let mut cursor = Self { updater, before, at: ptr::null_mut() };
        cursor.at = cursor.after(before);
        cursor
    }

    /// What follows `place`, which is in the list or the anchor; null at the end.
    fn after(&self, place: *const K::Links) -> *mut K::Links {
        // SAFETY: the lock is held, and the place is in the list.
        unsafe { K::step(self.updater.list.head(), place) }
    }

    fn value(&self, node: *mut K::Links) -> Option<&T> {
        // SAFETY: a node of the list; removing takes `&mut self`.
        (!node.is_null()).then(|| unsafe { Node::<T, K>::value(node) })
    }

    /// The element; `None` at the end.
    pub fn current(&self) -> Option<&T> {
        self.value(self.at)
    }

    /// The element after it; at the end, the first.
    pub fn peek_next(&self) -> Option<&T> {
        self.value(self.after(if self.at.is_null() { self.updater.list.anchor() } else { self.at }))
    }

    /// The element before it; at the end, the last.
    pub fn peek_prev(&self) -> Option<&T> {
        self.value(if ptr::eq(self.before, self.updater.list.anchor()) { ptr::null_mut() } else { self.before })
    }

    /// Goes on to the next element, or the end; from the end to the first.
    pub fn move_next(&mut self) {
        self.before = if self.at.is_null() { self.updater.list.anchor() } else { self.at };
        self.at = self.after(self.before);
    }

    /// Goes back to the element before; from the end to the last, but at the first it stays.
    pub fn move_prev(&mut self) {
        if !ptr::eq(self.before, self.updater.list.anchor()) {
            self.at = self.before;
            // SAFETY: a node in the list, and the lock is held.
            self.before = unsafe { K::before(self.at) };
        }
    }

    /// Puts `value` before the element; at the end, last. The cursor stays where it is. Allocates.
    #[doc(alias = "cds_list_add_tail_rcu")]
    pub fn insert_before(&mut self, value: T) {
        let node = List::<T, K>::node(value);
        // SAFETY: a chain of one, just made; `before` is in the list.
        unsafe { self.updater.splice(node, node, 1, self.before) };
        self.before = node;
    }

    /// Puts `value` after the element; at the end, first. The cursor stays where it is. Allocates.
    #[doc(alias = "cds_list_add_rcu")]
    pub fn insert_after(&mut self, value: T) {
        let mut chain = Chain::new();
        chain.push_back(value);
        self.splice_after(chain);
    }

    /// Puts all of `chain` before the element; at the end, last. The cursor stays where it is.
    #[doc(alias = "cds_list_splice")]
    pub fn splice_before(&mut self, chain: Chain<T, K>) {
        let (first, last, len) = chain.into_parts();
        // SAFETY: a chain; `before` is in the list.
        unsafe { self.updater.splice(first, last, len, self.before) };
        if len != 0 {
            self.before = last;
        }
    }

    /// Puts all of `chain` after the element; at the end, first. The cursor stays where it is.
    #[doc(alias = "cds_list_splice")]
    pub fn splice_after(&mut self, chain: Chain<T, K>) {
        let (first, last, len) = chain.into_parts();
        let is_at_end = self.at.is_null();
        let at = if is_at_end { self.updater.list.anchor() } else { self.at };
        // SAFETY: a chain; the anchor, or in the list.
        unsafe { self.updater.splice(first, last, len, at) };
        if is_at_end && len != 0 && ptr::eq(self.before, at) {
            // The list was empty, so what is first is last too.
            self.before = last;
        }
    }

    /// Takes the current node out and goes on to the next.
    fn take(&mut self) -> Option<*mut K::Links> {
        let node = self.at;
        if node.is_null() {
            return None;
        }
        // SAFETY: in the list, at the cursor.
        unsafe { self.updater.unlink(node) };
        self.at = self.after(self.before);
        Some(node)
    }

    /// Removes the element, which is retired, and goes on to the next; `None` at the end. What was removed can be looked at as
    /// long as the cursor is not used.
    #[doc(alias = "cds_list_del_rcu")]
    #[doc(alias = "cds_hlist_del_rcu")]
    pub fn remove(&mut self) -> Option<&T> {
        let node = self.take()?;
        // SAFETY: unlinked, and a node of this list.
        unsafe { self.updater.pending.add(node) };
        // SAFETY: pending, and the updater is borrowed.
        Some(unsafe { removed::<T, K>(node) })
    }

    pub(crate) fn remove_for_updater(mut self) -> Option<&'u T> {
        let node = self.take()?;
        // SAFETY: unlinked, and a node of this list.
        unsafe { self.updater.pending.add(node) };
        // SAFETY: pending, and the updater is borrowed for `'u`.
        Some(unsafe { removed::<T, K>(node) })
    }

    /// Takes the element out, to be used again after a grace period, and goes on to the next; `None` at the end. The first half
    /// of moving an element to another list.
    pub fn detach(&mut self) -> Option<Detached<T, K>> {
        let mut detached = Detached::new(self.updater.list.flavor);
        self.detach_to(&mut detached).then_some(detached)
    }

    /// The same into one that is there; whether there was an element.
    pub(crate) fn detach_to(&mut self, detached: &mut Detached<T, K>) -> bool {
        let Some(node) = self.take() else { return false };
        // SAFETY: a node of this list, unlinked, given up.
        unsafe { detached.add(node, node, 1) };
        true
    }

    /// Has what is in `detached` retired with what the updater removes, without its lock.
    pub(crate) fn retire_later(&mut self, detached: &mut Detached<T, K>) {
        for node in detached.take_nodes() {
            // SAFETY: unlinked nodes of this list, given up.
            unsafe { self.updater.pending.add(node) };
        }
    }

    /// Puts `value` in the place of the element, which is retired: readers see one of them. The cursor is at the new one. What
    /// was replaced can be looked at as long as the cursor is not used. Allocates.
    ///
    /// # Errors
    ///
    /// The value back, at the end.
    #[doc(alias = "cds_list_replace_rcu")]
    pub fn replace(&mut self, value: T) -> Result<&T, T> {
        let old = self.at;
        if old.is_null() {
            return Err(value);
        }
        let new = List::<T, K>::node(value);
        // SAFETY: the lock is held; `old` is in the list, `new` just made.
        unsafe { K::replace(old, new) };
        self.at = new;
        // SAFETY: unlinked, and a node of this list.
        unsafe { self.updater.pending.add(old) };
        // SAFETY: pending, and the updater is borrowed.
        Ok(unsafe { removed::<T, K>(old) })
    }

    /// Moves the element to the first place and goes on to the one after its old place; `false` at the end.
    ///
    /// Readers that stand on the element are carried along, and see what follows again; others may not see the element.
    #[doc(alias = "cds_list_move")]
    pub fn move_to_front(&mut self) -> bool {
        let node = self.at;
        let anchor = self.updater.list.anchor();
        if node.is_null() {
            return false;
        }
        if ptr::eq(self.before, anchor) {
            self.move_next();
            return true;
        }
        // SAFETY: the lock is held; in the list, and not the anchor.
        unsafe { K::move_after(node, anchor) };
        self.at = self.after(self.before);
        true
    }

    /// Moves the element so many places towards the end, or as far as it goes; how many. The cursor stays at the element. As many
    /// steps as places, of which readers see one.
    ///
    /// Readers that stand on the element are carried along, and miss what lies between; others may see the element twice.
    pub fn shift_forward(&mut self, places: usize) -> usize {
        let mut target = self.at;
        let mut moved = 0;
        while moved < places && !target.is_null() {
            let next = self.after(target);
            if next.is_null() {
                break;
            }
            target = next;
            moved += 1;
        }
        if moved != 0 {
            // SAFETY: the lock is held; both in the list, and not the same.
            unsafe { K::move_after(self.at, target) };
            self.before = target;
        }
        moved
    }

    /// Moves the element so many places towards the beginning, or as far as it goes; how many. The cursor stays at the element.
    /// As many steps as places, of which readers see one.
    ///
    /// Readers that stand on the element are carried along, and see what lies between again; others may not see the element.
    pub fn shift_back(&mut self, places: usize) -> usize {
        let anchor = self.updater.list.anchor();
        let mut target = self.before;
        let mut moved = 0;
        while moved < places && !self.at.is_null() && !ptr::eq(target, anchor) {
            // SAFETY: a node in the list, and the lock is held.
            target = unsafe { K::before(target) };
            moved += 1;
        }
        if moved != 0 {
            // SAFETY: the lock is held; the target is the anchor or in the list, before the node.
            unsafe { K::move_after(self.at, target) };
            self.before = target;
        }
        moved
    }
}

impl<'u, 'l, T: Send + 'static> Cursor<'u, 'l, T, Doubly> {
    pub(crate) fn back(updater: &'u mut Updater<'l, T, Doubly>) -> Self {
        let anchor = updater.list.anchor();
        // SAFETY: the lock is held; the anchor has a node before it, or itself.
        let before = unsafe { Doubly::before(anchor) };
        let mut cursor = Self { updater, before, at: ptr::null_mut() };
        cursor.move_prev();
        cursor
    }

    /// Moves the element to the last place and goes on to the one after its old place; `false` at the end.
    ///
    /// Readers that stand on the element are carried along, and miss what follows; others may see the element twice.
    pub fn move_to_back(&mut self) -> bool {
        let node = self.at;
        if node.is_null() {
            return false;
        }
        let anchor = self.updater.list.anchor();
        // SAFETY: the lock is held; not empty.
        let last = unsafe { Doubly::before(anchor) };
        if ptr::eq(last, node) {
            self.move_next();
            return true;
        }
        // SAFETY: the lock is held; both in the list, and not the same.
        unsafe { Doubly::move_after(node, last) };
        self.at = self.after(self.before);
        true
    }
}

impl<T: Send + fmt::Debug + 'static, K: Kind> fmt::Debug for Cursor<'_, '_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cursor").field(&self.current()).finish()
    }
}

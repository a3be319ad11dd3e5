//! Circular doubly linked lists whose readers and updaters exclude each other.
//!
//! A head and a node are the same type. Every operation takes a constant number of steps, blocks nobody, allocates nothing
//! and cannot fail. For all of them the caller keeps everybody else away from the list: other updaters and readers alike
//! (for lists with RCU readers see [`rculist`](super::rculist)).

use urcu_core::sync::modelled::{AtomicPtr, Ordering};

use super::walk::{Backward, Forward, SafeWalk, Walk};

/// The head of a list, or the links of an object in one.
///
/// Layout of the C library's `cds_list_head`.
#[doc(alias = "cds_list_head")]
#[derive(Debug)]
#[repr(C)]
pub struct ListHead {
    pub(crate) next: AtomicPtr<Self>,
    pub(crate) prev: AtomicPtr<Self>,
}

impl ListHead {
    /// Links of an object that is in no list. To be a head it needs [`init`], at the place where it stays.
    #[doc(alias = "CDS_LIST_HEAD_INIT")]
    #[doc(alias = "CDS_LIST_HEAD")]
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self { next: AtomicPtr::new(core::ptr::null_mut()), prev: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Links of an object that is in no list.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { next: AtomicPtr::new(core::ptr::null_mut()), prev: AtomicPtr::new(core::ptr::null_mut()) }
    }
}

impl Default for ListHead {
    fn default() -> Self {
        Self::new()
    }
}

/// # Safety
///
/// `node` is live for `'a`.
#[inline(always)]
pub(crate) unsafe fn next_of<'a>(node: *const ListHead) -> &'a AtomicPtr<ListHead> {
    // SAFETY: as promised; only the atomic is borrowed.
    unsafe { &(*node).next }
}

/// # Safety
///
/// `node` is live for `'a`.
#[inline(always)]
pub(crate) unsafe fn prev_of<'a>(node: *const ListHead) -> &'a AtomicPtr<ListHead> {
    // SAFETY: as promised; only the atomic is borrowed.
    unsafe { &(*node).prev }
}

/// The node after `node`, or the head after the last one.
///
/// # Safety
///
/// `node` is in a live list that nobody changes meanwhile.
#[inline(always)]
pub unsafe fn next(node: *const ListHead) -> *mut ListHead {
    // Relaxed: the caller excludes updaters.
    // SAFETY: live, says the caller.
    unsafe { next_of(node) }.load(Ordering::Relaxed)
}

/// The node before `node`, or the head before the first one.
///
/// # Safety
///
/// As for [`next`].
#[inline(always)]
pub unsafe fn prev(node: *const ListHead) -> *mut ListHead {
    // Relaxed: the caller excludes updaters.
    // SAFETY: live, says the caller.
    unsafe { prev_of(node) }.load(Ordering::Relaxed)
}

/// Makes the neighbours `before` and `after` point at each other.
///
/// # Safety
///
/// Both are live; nobody else uses the list.
#[inline]
unsafe fn join(before: *mut ListHead, after: *mut ListHead) {
    // Relaxed, both: the caller excludes everybody.
    // SAFETY: live, says the caller.
    unsafe { next_of(before) }.store(after, Ordering::Relaxed);
    // SAFETY: live, says the caller.
    unsafe { prev_of(after) }.store(before, Ordering::Relaxed);
}

/// Makes `head` the head of an empty list.
///
/// # Safety
///
/// `head` is live, nobody else uses it, and it stays where it is as long as something is in the list.
#[doc(alias = "CDS_INIT_LIST_HEAD")]
#[inline]
pub unsafe fn init(head: *mut ListHead) {
    // SAFETY: one node is its own neighbour; live and not shared, says the caller.
    unsafe { join(head, head) };
}

/// Puts `new` first; or, with a node for `head`, after that node.
///
/// # Safety
///
/// - `new` is live and stays where it is until it has been taken out; it is in no list.
/// - `head` is a head, or a node in a list. Everything in the list is live.
/// - Nobody else uses the list meanwhile.
#[doc(alias = "cds_list_add")]
#[inline]
pub unsafe fn add(new: *mut ListHead, head: *mut ListHead) {
    // SAFETY: in a list, says the caller.
    let first = unsafe { next(head) };
    // SAFETY: live and not shared, says the caller.
    unsafe { join(new, first) };
    // SAFETY: as above.
    unsafe { join(head, new) };
}

/// Puts `new` last; or, with a node for `head`, before that node.
///
/// # Safety
///
/// As for [`add`].
#[doc(alias = "cds_list_add_tail")]
#[inline]
pub unsafe fn add_tail(new: *mut ListHead, head: *mut ListHead) {
    // SAFETY: in a list, says the caller; the node before the head is the last.
    let last = unsafe { prev(head) };
    // SAFETY: the caller's word.
    unsafe { add(new, last) };
}

/// Takes `node` out. Its own links keep pointing at its former neighbours: do not walk on from it.
///
/// # Safety
///
/// `node` is in a list whose nodes are live, and which nobody else uses meanwhile.
#[doc(alias = "cds_list_del")]
#[inline]
pub unsafe fn del(node: *mut ListHead) {
    // SAFETY: in a list, says the caller.
    let before = unsafe { prev(node) };
    // SAFETY: in a list, says the caller.
    let after = unsafe { next(node) };
    // SAFETY: neighbours in that list.
    unsafe { join(before, after) };
}

/// Takes `node` out and makes it the head of an empty list, so that [`empty`] tells that it is in none.
///
/// # Safety
///
/// As for [`del`].
#[doc(alias = "cds_list_del_init")]
#[inline]
pub unsafe fn del_init(node: *mut ListHead) {
    // SAFETY: the caller's word.
    unsafe { del(node) };
    // SAFETY: nobody has it any more.
    unsafe { init(node) };
}

/// Takes `node` out of its list and puts it first in that of `head`, which may be another one.
///
/// # Safety
///
/// As for [`del`] and [`add`]; `head` is not `node`.
#[doc(alias = "cds_list_move")]
#[inline]
pub unsafe fn move_to(node: *mut ListHead, head: *mut ListHead) {
    // SAFETY: the caller's word.
    unsafe { del(node) };
    // SAFETY: in no list any more.
    unsafe { add(node, head) };
}

/// Takes `node` out of its list and puts it last in that of `head`. The C library has no such function.
///
/// # Safety
///
/// As for [`move_to`].
#[inline]
pub unsafe fn move_to_tail(node: *mut ListHead, head: *mut ListHead) {
    // SAFETY: the caller's word.
    unsafe { del(node) };
    // SAFETY: in no list any more.
    unsafe { add_tail(node, head) };
}

/// Puts `new` in the place of `old`, whose own links keep pointing at the neighbours.
///
/// # Safety
///
/// - `old` is in a list whose nodes are live; `new` is live, stays where it is and is in no list.
/// - Nobody else uses the list meanwhile.
#[doc(alias = "cds_list_replace")]
#[inline]
pub unsafe fn replace(old: *mut ListHead, new: *mut ListHead) {
    // SAFETY: in a list, says the caller.
    let before = unsafe { prev(old) };
    // SAFETY: the caller's word: between `before` and what follows, and then `old` goes.
    unsafe { add(new, before) };
    // SAFETY: still in the list.
    unsafe { del(old) };
}

/// [`replace`], after which `old` is the head of an empty list. With two heads: gives the whole list another head.
///
/// # Safety
///
/// As for [`replace`].
#[doc(alias = "cds_list_replace_init")]
#[inline]
pub unsafe fn replace_init(old: *mut ListHead, new: *mut ListHead) {
    // SAFETY: the caller's word.
    unsafe { replace(old, new) };
    // SAFETY: nobody has it any more.
    unsafe { init(old) };
}

/// Puts everything in the list `from`, in its order, before what is in the list of `head`.
///
/// `from` is left with stale pointers: [`init`] it before it is used again. Nothing happens if it is empty.
///
/// # Safety
///
/// `from` and `head` are heads of two lists whose nodes are live, and which nobody else uses meanwhile.
#[doc(alias = "cds_list_splice")]
#[inline]
pub unsafe fn splice(from: *mut ListHead, head: *mut ListHead) {
    // SAFETY: a head, says the caller.
    if unsafe { empty(from) } {
        return;
    }
    // SAFETY: a head, says the caller.
    let after = unsafe { next(head) };
    // SAFETY: not empty: its first node.
    let first = unsafe { next(from) };
    // SAFETY: not empty: its last node.
    let last = unsafe { prev(from) };
    // SAFETY: live and not shared, says the caller.
    unsafe { join(last, after) };
    // SAFETY: as above.
    unsafe { join(head, first) };
}

/// [`splice`] behind what is in the list of `head`. The C library has no such function.
///
/// # Safety
///
/// As for [`splice`].
#[inline]
pub unsafe fn splice_tail(from: *mut ListHead, head: *mut ListHead) {
    // SAFETY: a head, says the caller; its last node, or itself.
    let last = unsafe { prev(head) };
    // SAFETY: the caller's word; any node of a list may stand for its head here.
    unsafe { splice(from, last) };
}

/// Whether nothing is in the list. One load. Readers beside an updater may call it too: it follows no pointer.
///
/// # Safety
///
/// `head` is a live head that has been initialised.
#[doc(alias = "cds_list_empty")]
#[inline]
pub unsafe fn empty(head: *const ListHead) -> bool {
    // SAFETY: the caller's word; nothing is read through the pointer that is found.
    core::ptr::eq(unsafe { next(head) }, head)
}

/// The first node, or null. For the object around it, give the result (if any) to [`container_of!`](crate::container_of).
///
/// # Safety
///
/// As for [`next`], with a head.
#[doc(alias = "cds_list_first_entry")]
#[inline]
pub unsafe fn first(head: *const ListHead) -> *mut ListHead {
    // SAFETY: the caller's word.
    let first = unsafe { next(head) };
    if core::ptr::eq(first, head) { core::ptr::null_mut() } else { first }
}

/// The last node, or null.
///
/// # Safety
///
/// As for [`first`].
#[inline]
pub unsafe fn last(head: *const ListHead) -> *mut ListHead {
    // SAFETY: the caller's word.
    let last = unsafe { prev(head) };
    if core::ptr::eq(last, head) { core::ptr::null_mut() } else { last }
}

/// Walks the list. A step reads the successor when it is asked for, so what a loop's body puts behind the current node is
/// met; the current node must not be taken out ([`iter_safe`] allows that).
///
/// # Safety
///
/// Until the iterator is dropped: `head` is a head, everything in its list is live, and nobody but the loop's body changes the
/// list.
#[doc(alias = "cds_list_for_each")]
#[doc(alias = "cds_list_for_each_entry")]
#[inline]
pub unsafe fn iter(head: *const ListHead) -> Walk<Forward> {
    Walk::new(head, head)
}

/// Walks the list from its end.
///
/// # Safety
///
/// As for [`iter`].
#[doc(alias = "cds_list_for_each_prev")]
#[doc(alias = "cds_list_for_each_entry_reverse")]
#[inline]
pub unsafe fn iter_rev(head: *const ListHead) -> Walk<Backward> {
    Walk::new(head, head)
}

/// Walks the list, one step ahead: the loop's body may take the current node out and free it.
///
/// # Safety
///
/// As for [`iter`]; of what the walk has not given yet, the body takes nothing out.
#[doc(alias = "cds_list_for_each_safe")]
#[doc(alias = "cds_list_for_each_entry_safe")]
#[inline]
pub unsafe fn iter_safe(head: *const ListHead) -> SafeWalk<Forward> {
    // SAFETY: the caller's word.
    unsafe { SafeWalk::after(head, head) }
}

/// Walks the list from its end, one step ahead.
///
/// # Safety
///
/// As for [`iter_safe`].
#[doc(alias = "cds_list_for_each_prev_safe")]
#[inline]
pub unsafe fn iter_rev_safe(head: *const ListHead) -> SafeWalk<Backward> {
    // SAFETY: the caller's word.
    unsafe { SafeWalk::after(head, head) }
}

/// Walks the rest of the list, beginning with `node` itself, one step ahead.
///
/// # Safety
///
/// As for [`iter_safe`]; `node` is in the list of `head`, or `head` (then there is no rest).
#[doc(alias = "cds_list_for_each_entry_safe_from")]
#[inline]
pub unsafe fn iter_safe_from(node: *mut ListHead, head: *const ListHead) -> SafeWalk<Forward> {
    SafeWalk::at(node, head)
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn layout_of_the_c_library() {
        assert_eq!(size_of::<ListHead>(), 16);
        assert_eq!(align_of::<ListHead>(), 8);
        assert_eq!(core::mem::offset_of!(ListHead, next), 0);
        assert_eq!(core::mem::offset_of!(ListHead, prev), 8);
    }
}

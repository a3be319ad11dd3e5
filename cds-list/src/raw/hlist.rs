//! Lists with a head of one pointer, for tables with many of them; readers and updaters exclude each other.
//!
//! Ends in null instead of at the head, so there is no access to the end. Every operation takes a constant number of steps,
//! blocks nobody, allocates nothing and cannot fail. For all of them the caller keeps everybody else away from the list
//! (for lists with RCU readers see [`rcuhlist`](super::rcuhlist)).

use urcu_core::sync::modelled::{AtomicPtr, Ordering};

use super::walk::{HlistWalk, SafeHlistWalk};

/// The head of a list of [`HlistNode`]s: a pointer to the first, or null.
///
/// Layout of the C library's `cds_hlist_head`. It is also the beginning of a node: the first node's `prev` points here, and
/// only `next` of what `prev` points to is ever used.
#[doc(alias = "cds_hlist_head")]
#[derive(Debug)]
#[repr(C)]
pub struct HlistHead {
    pub(crate) next: AtomicPtr<HlistNode>,
}

/// The links of an object in such a list.
///
/// Layout of the C library's `cds_hlist_node`.
#[doc(alias = "cds_hlist_node")]
#[derive(Debug)]
#[repr(C)]
pub struct HlistNode {
    pub(crate) next: AtomicPtr<Self>,
    /// The node before, or the head.
    pub(crate) prev: AtomicPtr<Self>,
}

impl HlistHead {
    /// The head of an empty list. It needs no [`init`], and may move as long as the list is empty.
    #[doc(alias = "CDS_HLIST_HEAD_INIT")]
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self { next: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// The head of an empty list.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { next: AtomicPtr::new(core::ptr::null_mut()) }
    }
}

impl Default for HlistHead {
    fn default() -> Self {
        Self::new()
    }
}

impl HlistNode {
    /// Links of an object that is in no list.
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

impl Default for HlistNode {
    fn default() -> Self {
        Self::new()
    }
}

/// The head as the node before the first. Only its `next` exists.
#[inline(always)]
pub(crate) const fn anchor(head: *const HlistHead) -> *mut HlistNode {
    head.cast_mut().cast()
}

/// # Safety
///
/// `node` is live for `'a`; or it is a head as a node.
#[inline(always)]
pub(crate) unsafe fn next_of<'a>(node: *const HlistNode) -> &'a AtomicPtr<HlistNode> {
    // SAFETY: as promised; only the atomic is borrowed, which a head has at the same place.
    unsafe { &(*node).next }
}

/// # Safety
///
/// `node` is live for `'a`, and no head.
#[inline(always)]
pub(crate) unsafe fn prev_of<'a>(node: *const HlistNode) -> &'a AtomicPtr<HlistNode> {
    // SAFETY: as promised; only the atomic is borrowed.
    unsafe { &(*node).prev }
}

/// The node after `node`, or null.
///
/// # Safety
///
/// `node` is in a live list that nobody changes meanwhile.
#[inline(always)]
pub unsafe fn next(node: *const HlistNode) -> *mut HlistNode {
    // Relaxed: the caller excludes updaters.
    // SAFETY: live, says the caller.
    unsafe { next_of(node) }.load(Ordering::Relaxed)
}

/// Makes `head` the head of an empty list.
///
/// # Safety
///
/// `head` is live, and nobody else uses it.
#[doc(alias = "CDS_INIT_HLIST_HEAD")]
#[inline]
pub unsafe fn init(head: *mut HlistHead) {
    // Relaxed: not shared.
    // SAFETY: live, says the caller.
    unsafe { next_of(anchor(head)) }.store(core::ptr::null_mut(), Ordering::Relaxed);
}

/// Puts `new` first.
///
/// # Safety
///
/// - `new` is live and stays where it is until it has been taken out; it is in no list.
/// - `head` is a head that stays where it is; everything in its list is live.
/// - Nobody else uses the list meanwhile.
#[doc(alias = "cds_hlist_add_head")]
#[inline]
pub unsafe fn add_head(new: *mut HlistNode, head: *mut HlistHead) {
    // SAFETY: the caller's word; what readers could see does no harm.
    unsafe { super::rcuhlist::add_head_rcu(new, head) };
}

/// Takes `node` out. Its own links keep pointing at its former neighbours: do not walk on from it.
///
/// # Safety
///
/// `node` is in a list whose nodes are live, and which nobody else uses meanwhile.
#[doc(alias = "cds_hlist_del")]
#[inline]
pub unsafe fn del(node: *mut HlistNode) {
    // SAFETY: the caller's word.
    unsafe { super::rcuhlist::del_rcu(node) };
}

/// Whether nothing is in the list. One load. Readers beside an updater may call it too: it follows no pointer.
///
/// # Safety
///
/// `head` is a live head.
#[doc(alias = "cds_hlist_empty")]
#[inline]
pub unsafe fn empty(head: *const HlistHead) -> bool {
    // SAFETY: the caller's word; nothing is read through the pointer that is found.
    unsafe { first(head) }.is_null()
}

/// The first node, or null. For the object around it, give the result (if any) to [`container_of!`](crate::container_of).
///
/// # Safety
///
/// `head` is a live head; to use the result, the list must not be changed meanwhile.
#[doc(alias = "cds_hlist_first_entry")]
#[doc(alias = "cds_hlist_entry_safe")]
#[inline]
pub unsafe fn first(head: *const HlistHead) -> *mut HlistNode {
    // SAFETY: live, says the caller.
    unsafe { next(anchor(head)) }
}

/// Walks the list. The current node must not be taken out ([`iter_safe`] allows that).
///
/// # Safety
///
/// Until the iterator is dropped: `head` is a head, everything in its list is live, and nobody but the loop's body changes the
/// list.
#[doc(alias = "cds_hlist_for_each")]
#[doc(alias = "cds_hlist_for_each_entry")]
#[doc(alias = "cds_hlist_for_each_entry_2")]
#[inline]
pub unsafe fn iter(head: *const HlistHead) -> HlistWalk<false> {
    HlistWalk::new(head)
}

/// Walks the list, one step ahead: the loop's body may take the current node out and free it.
///
/// # Safety
///
/// As for [`iter`]; of what the walk has not given yet, the body takes nothing out.
#[doc(alias = "cds_hlist_for_each_safe")]
#[doc(alias = "cds_hlist_for_each_entry_safe")]
#[doc(alias = "cds_hlist_for_each_entry_safe_2")]
#[inline]
pub unsafe fn iter_safe(head: *const HlistHead) -> SafeHlistWalk {
    // SAFETY: the caller's word.
    unsafe { SafeHlistWalk::new(head) }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn layout_of_the_c_library() {
        assert_eq!(size_of::<HlistHead>(), 8);
        assert_eq!(core::mem::offset_of!(HlistHead, next), 0);
        assert_eq!(size_of::<HlistNode>(), 16);
        assert_eq!(align_of::<HlistNode>(), 8);
        assert_eq!(core::mem::offset_of!(HlistNode, next), 0);
        assert_eq!(core::mem::offset_of!(HlistNode, prev), 8);
    }
}

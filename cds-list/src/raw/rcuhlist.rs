//! Lists with a head of one pointer, with RCU readers beside one updater at a time.
//!
//! What readers see, the memory ordering (`PAIR(hlist-publish)`) and the rules are those of
//! [`rculist`](super::rculist), forward only: a walk ends at null. Since the end is the same for all lists, a node may even be
//! moved to another list without a grace period; a reader that stands on it then ends its walk in that list.
//!
//! | who | section | excludes |
//! |---|---|---|
//! | [`add_head_rcu`], [`add_after_rcu`], [`add_before_rcu`], [`del_rcu`], [`replace_rcu`], [`move_after_rcu`], [`splice_after_rcu`], [`take_all_rcu`] | not needed | other updaters |
//! | [`iter_rcu`] | one around the whole walk and every use of what it gave | nobody |
//! | freeing or reusing a node after [`del_rcu`] or [`replace_rcu`] | a grace period after it | |

use urcu_core::sync::modelled::Ordering;

use super::hlist::{HlistHead, HlistNode, anchor, first, next, next_of, prev_of};
use super::walk::HlistWalk;

/// Links the chain from `first` to `last` in after `at`, a node or a head as one.
///
/// # Safety
///
/// `at` is in the list or its head; the inner links of the chain are right; the caller is the list's updater.
#[inline]
unsafe fn link_after(first: *mut HlistNode, last: *mut HlistNode, at: *mut HlistNode) {
    // SAFETY: the caller is the updater, so its plain reads are right.
    let after = unsafe { next(at) };
    // Release: a reader that stands on a node which is being moved follows it. PAIR(hlist-publish)
    // SAFETY: live, says the caller.
    unsafe { next_of(last) }.store(after, Ordering::Release);
    // Relaxed: only updaters follow `prev`.
    // SAFETY: live, says the caller.
    unsafe { prev_of(first) }.store(at, Ordering::Relaxed);
    // Release: the chain is filled and linked; this makes it reachable. PAIR(hlist-publish)
    // SAFETY: live, says the caller.
    unsafe { next_of(at) }.store(first, Ordering::Release);
    if !after.is_null() {
        // Relaxed: only updaters follow it.
        // SAFETY: in the list, and no head.
        unsafe { prev_of(after) }.store(last, Ordering::Relaxed);
    }
}

/// Puts `new` first.
///
/// # Safety
///
/// - `new` is live and filled. It is in no list, and if it was in one with readers, a grace period has passed since.
/// - `head` is a head that stays where it is; everything in its list is live.
/// - No other updater is at work on the list. Readers may be.
#[doc(alias = "cds_hlist_add_head_rcu")]
#[inline]
pub unsafe fn add_head_rcu(new: *mut HlistNode, head: *mut HlistHead) {
    // SAFETY: a chain of one; the rest is the caller's word.
    unsafe { link_after(new, new, anchor(head)) };
}

/// Puts `new` after `at`. The C library has no such function.
///
/// # Safety
///
/// As for [`add_head_rcu`], with a node `at` of a list in place of the head.
#[inline]
pub unsafe fn add_after_rcu(new: *mut HlistNode, at: *mut HlistNode) {
    // SAFETY: a chain of one; the rest is the caller's word.
    unsafe { link_after(new, new, at) };
}

/// Puts `new` before `at`. The C library has no such function.
///
/// # Safety
///
/// As for [`add_after_rcu`].
#[inline]
pub unsafe fn add_before_rcu(new: *mut HlistNode, at: *mut HlistNode) {
    // SAFETY: in a list, says the caller.
    let before = unsafe { prev(at) };
    // SAFETY: a chain of one; the rest is the caller's word.
    unsafe { link_after(new, new, before) };
}

/// The node before `node`, or the head as one, of which only `next` exists. For updaters.
///
/// # Safety
///
/// `node` is in a list, and the caller is its updater.
#[inline]
pub(crate) unsafe fn prev(node: *mut HlistNode) -> *mut HlistNode {
    // Relaxed: only updaters use it, one at a time.
    // SAFETY: a node, live, says the caller.
    unsafe { prev_of(node) }.load(Ordering::Relaxed)
}

/// Takes `node` out. It keeps its links, for the readers that stand on it, until a grace period has passed.
///
/// # Safety
///
/// - `node` is in a list whose nodes are live, and in which no other updater is at work.
/// - It is freed, changed or linked anew only after a grace period from here.
#[doc(alias = "cds_hlist_del_rcu")]
#[inline]
pub unsafe fn del_rcu(node: *mut HlistNode) {
    // SAFETY: in a list, says the caller.
    let before = unsafe { prev(node) };
    // SAFETY: the caller is the updater.
    let after = unsafe { next(node) };
    // Release: what is in `after` comes before, whoever made it. PAIR(hlist-publish)
    // SAFETY: the node before, or the head.
    unsafe { next_of(before) }.store(after, Ordering::Release);
    if !after.is_null() {
        // Relaxed: only updaters follow it.
        // SAFETY: in the list, and no head.
        unsafe { prev_of(after) }.store(before, Ordering::Relaxed);
    }
}

/// Puts `new` in the place of `old`: a walk sees one of them, never both and never none. The C library has no such function.
///
/// # Safety
///
/// As for [`add_head_rcu`] with `new`, and as for [`del_rcu`] with `old`.
#[inline]
pub unsafe fn replace_rcu(old: *mut HlistNode, new: *mut HlistNode) {
    // SAFETY: in a list, says the caller.
    let before = unsafe { prev(old) };
    // SAFETY: the caller is the updater.
    let after = unsafe { next(old) };
    // Relaxed, both: no reader has it yet; the store below publishes it.
    // SAFETY: live, says the caller.
    unsafe { next_of(new) }.store(after, Ordering::Relaxed);
    // SAFETY: live, says the caller.
    unsafe { prev_of(new) }.store(before, Ordering::Relaxed);
    // PAIR(hlist-publish)
    // SAFETY: the node before, or the head.
    unsafe { next_of(before) }.store(new, Ordering::Release);
    if !after.is_null() {
        // Relaxed: only updaters follow it.
        // SAFETY: in the list, and no head.
        unsafe { prev_of(after) }.store(new, Ordering::Relaxed);
    }
}

/// Moves `node` after `at`. What readers see is described at [`rculist`](super::rculist). The C library has no such function.
///
/// # Safety
///
/// `node` is in a list, and `at` is another node in it, or in another list whose readers wait in the same flavor's sections. No
/// other updater is at work on either.
#[inline]
pub unsafe fn move_after_rcu(node: *mut HlistNode, at: *mut HlistNode) {
    // SAFETY: the caller's word. It stays live, and its links stay right, which is what the grace period would be for.
    unsafe { del_rcu(node) };
    // SAFETY: as above.
    unsafe { link_after(node, node, at) };
}

/// Takes everything out of the list at once; the first node of what was in it, or null. The nodes keep their links.
/// The C library has no such function.
///
/// # Safety
///
/// - `head` is a head. No other updater is at work on the list.
/// - The nodes are freed, changed or linked anew only after a grace period from here.
#[inline]
pub unsafe fn take_all_rcu(head: *mut HlistHead) -> *mut HlistNode {
    // SAFETY: the caller is the updater.
    let first = unsafe { first(head) };
    // Relaxed: null points at nothing that would have to be seen.
    // SAFETY: live, says the caller.
    unsafe { next_of(anchor(head)) }.store(core::ptr::null_mut(), Ordering::Relaxed);
    first
}

/// Links the chain of nodes from `first` to `last` in after `at`, all at once. The C library has no such function.
///
/// # Safety
///
/// - From `first`, following the nodes leads to `last`, and from there back; the outer two links do not matter. The nodes are
///   live and filled; if they were in a list with readers, a grace period has passed since.
/// - `at` is in a list in which no other updater is at work.
#[inline]
pub unsafe fn splice_after_rcu(first: *mut HlistNode, last: *mut HlistNode, at: *mut HlistNode) {
    // SAFETY: the caller's word.
    unsafe { link_after(first, last, at) };
}

/// Walks the list inside a section, beside an updater. Each step is one load.
///
/// # Safety
///
/// - The calling thread is inside one section for as long as it uses the iterator or what it gave, and removed nodes of
///   this list are reclaimed by grace periods of that flavor.
/// - `head` is a live head.
#[doc(alias = "cds_hlist_for_each_rcu")]
#[doc(alias = "cds_hlist_for_each_entry_rcu")]
#[doc(alias = "cds_hlist_for_each_entry_rcu_2")]
#[inline]
pub unsafe fn iter_rcu(head: *const HlistHead) -> HlistWalk<true> {
    HlistWalk::new(head)
}

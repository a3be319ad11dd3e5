//! Circular doubly linked lists with RCU readers beside one updater at a time.
//!
//! # What readers see
//!
//! A reader walks inside one section. Whatever is updated meanwhile, its walk meets only nodes that were in the list at some
//! time since the section began, and it meets every node that was in the list, at the same place relative to the others,
//! all the time. Steps are wait-free (one load) and never retried.
//!
//! - A node that is being **added** is seen whole or not at all.
//! - A node that has been **taken out** keeps its links, so a reader that stands on it walks on. What it is led to was in the
//!   list when the node was taken out, and so on until a node that still is there: the times at which the nodes on such a path were
//!   taken out grow. Hence the walk ends at the head, and hence the memory: each of these nodes was taken out after the
//!   section began, so the grace period of each waits for the section.
//! - **Replaced**: a forward walk sees exactly one of the two nodes; so does a backward walk.
//! - **Moved** by [`move_rcu`]: a reader that stands on the node is carried to the new place. So a walk may see what lies between
//!   the two places twice (moved towards the beginning) or not at all (towards the end), and the moved node itself twice or not at
//!   all. A walk ends if moves do.
//!
//! Forward and backward links change one after the other. A reader that changes its direction may find that the node before
//! the next one is not the one it came from. Backward walks are as safe as forward ones, but only here: the C library promises forward walks
//! only, so walk backward in no list that C code updates.
//!
//! # Memory ordering
//!
//! Every store to a link that readers may follow is a Release, and every reader's load an Acquire: the one pair
//! `PAIR(list-publish)`. That holds for unlinking too, which stores the address of a node that another updater may have made:
//! the updaters' lock orders that before this store, and the store before the reader.
//!
//! # Rules
//!
//! | who | section | excludes |
//! |---|---|---|
//! | [`add_rcu`], [`add_tail_rcu`], [`del_rcu`], [`replace_rcu`], [`move_rcu`], [`move_tail_rcu`], [`splice_rcu`], [`take_all_rcu`] | not needed | other updaters |
//! | [`iter_rcu`], [`iter_rev_rcu`] | one around the whole walk and every use of what it gave | nobody |
//! | freeing or reusing a node after [`del_rcu`] or [`replace_rcu`] | a grace period after it | |
//!
//! No operation blocks, allocates or fails; each takes a constant number of steps.

use urcu_core::sync::modelled::Ordering;

use super::list::{ListHead, empty, next, next_of, prev, prev_of};
use super::walk::{BackwardRcu, ForwardRcu, Walk};

/// Makes the neighbours `before` and `after` point at each other, for readers to see.
///
/// # Safety
///
/// Both are live; the caller is the list's updater.
#[inline]
unsafe fn publish_join(before: *mut ListHead, after: *mut ListHead) {
    // Release, both: what is in the node that is pointed at comes before, and its own links. PAIR(list-publish)
    // SAFETY: live, says the caller.
    unsafe { next_of(before) }.store(after, Ordering::Release);
    // SAFETY: live, says the caller.
    unsafe { prev_of(after) }.store(before, Ordering::Release);
}

/// Links the chain from `first` to `last` in after `at`.
///
/// # Safety
///
/// `at` is in the list or its head; the inner links of the chain are right; the caller is the list's updater.
#[inline]
unsafe fn link_after(first: *mut ListHead, last: *mut ListHead, at: *mut ListHead) {
    // SAFETY: the caller is the updater, so its plain reads are right.
    let after = unsafe { next(at) };
    // Release, both: a reader that stands on a node which is being moved follows these. PAIR(list-publish)
    // SAFETY: live, says the caller.
    unsafe { next_of(last) }.store(after, Ordering::Release);
    // SAFETY: live, says the caller.
    unsafe { prev_of(first) }.store(at, Ordering::Release);
    // The chain's own links are right now; what follows makes it reachable, forward first. PAIR(list-publish)
    // SAFETY: live, says the caller.
    unsafe { next_of(at) }.store(first, Ordering::Release);
    // SAFETY: live, says the caller.
    unsafe { prev_of(after) }.store(last, Ordering::Release);
}

/// Puts `new` first; or, with a node for `head`, after that node.
///
/// # Safety
///
/// - `new` is live and filled. It is in no list, and if it was in one with readers, a grace period has passed since.
/// - `head` is a head, or a node in a list. Everything in the list is live.
/// - No other updater is at work on the list. Readers may be.
#[doc(alias = "cds_list_add_rcu")]
#[inline]
pub unsafe fn add_rcu(new: *mut ListHead, head: *mut ListHead) {
    // SAFETY: a chain of one; the rest is the caller's word.
    unsafe { link_after(new, new, head) };
}

/// Puts `new` last; or, with a node for `head`, before that node.
///
/// # Safety
///
/// As for [`add_rcu`].
#[doc(alias = "cds_list_add_tail_rcu")]
#[inline]
pub unsafe fn add_tail_rcu(new: *mut ListHead, head: *mut ListHead) {
    // SAFETY: the caller is the updater.
    let last = unsafe { prev(head) };
    // SAFETY: the caller's word.
    unsafe { add_rcu(new, last) };
}

/// Takes `node` out. It keeps its links, for the readers that stand on it, until a grace period has passed.
///
/// # Safety
///
/// - `node` is in a list whose nodes are live, and in which no other updater is at work.
/// - It is freed, changed or linked anew only after a grace period from here.
#[doc(alias = "cds_list_del_rcu")]
#[inline]
pub unsafe fn del_rcu(node: *mut ListHead) {
    // SAFETY: the caller is the updater.
    let before = unsafe { prev(node) };
    // SAFETY: the caller is the updater.
    let after = unsafe { next(node) };
    // SAFETY: neighbours in that list.
    unsafe { publish_join(before, after) };
}

/// Puts `new` in the place of `old`: a walk sees one of them, never both and never none.
///
/// # Safety
///
/// As for [`add_rcu`] with `new`, and as for [`del_rcu`] with `old`, which is no head.
#[doc(alias = "cds_list_replace_rcu")]
#[inline]
pub unsafe fn replace_rcu(old: *mut ListHead, new: *mut ListHead) {
    // SAFETY: the caller is the updater.
    let before = unsafe { prev(old) };
    // SAFETY: the caller is the updater.
    let after = unsafe { next(old) };
    // Relaxed, both: no reader has it yet; the stores below publish it.
    // SAFETY: live, says the caller.
    unsafe { next_of(new) }.store(after, Ordering::Relaxed);
    // SAFETY: live, says the caller.
    unsafe { prev_of(new) }.store(before, Ordering::Relaxed);
    // PAIR(list-publish)
    // SAFETY: live: in the list, says the caller.
    unsafe { next_of(before) }.store(new, Ordering::Release);
    // SAFETY: as above.
    unsafe { prev_of(after) }.store(new, Ordering::Release);
}

/// Moves `node` to the first place of its own list; or, with another node of that list for `head`, after that node.
///
/// Readers that stand on it are carried along: see the module. The C library has no such function.
///
/// # Safety
///
/// - `node` is in the list of `head`, and is not `head`. **In no other**: a reader that was carried into another list would take
///   that list's head for a node.
/// - No other updater is at work on the list.
#[inline]
pub unsafe fn move_rcu(node: *mut ListHead, head: *mut ListHead) {
    // SAFETY: the caller's word. It stays live, and its links stay right, which is what the grace period would be for.
    unsafe { del_rcu(node) };
    // SAFETY: as above; `link_after` stores what readers on the node follow.
    unsafe { link_after(node, node, head) };
}

/// Moves `node` to the last place of its own list; or, with another node of that list for `head`, before that node.
///
/// # Safety
///
/// As for [`move_rcu`].
#[inline]
pub unsafe fn move_tail_rcu(node: *mut ListHead, head: *mut ListHead) {
    // SAFETY: the caller's word.
    unsafe { del_rcu(node) };
    // SAFETY: the caller is the updater; read after `node` is out, so it is another one.
    let last = unsafe { prev(head) };
    // SAFETY: as in `move_rcu`.
    unsafe { link_after(node, node, last) };
}

/// Takes everything out of the list at once; the first and the last node of what was in it, or `None`.
///
/// The nodes keep their links, and readers among them walk on to `head`. The C library has no such function.
///
/// # Safety
///
/// - `head` is a head whose nodes are live. No other updater is at work on the list.
/// - The nodes are freed, changed or linked anew (also by [`splice_rcu`]) only after a grace period from here; until then `head` lives.
#[inline]
pub unsafe fn take_all_rcu(head: *mut ListHead) -> Option<(*mut ListHead, *mut ListHead)> {
    // SAFETY: a head, says the caller.
    if unsafe { empty(head) } {
        return None;
    }
    // SAFETY: the caller is the updater.
    let first = unsafe { next(head) };
    // SAFETY: the caller is the updater.
    let last = unsafe { prev(head) };
    // SAFETY: live, says the caller.
    unsafe { publish_join(head, head) };
    Some((first, last))
}

/// Links the chain of nodes from `first` to `last` in after `at`, all at once. The C library has no such function.
///
/// # Safety
///
/// - From `first`, following the nodes leads to `last`, and from there back; the outer two links do not matter. The nodes are
///   live and filled, and no reader can stand on one: if they were in a list with readers, a grace period has passed since.
/// - `at` is a head, or in a list. No other updater is at work on that list.
#[inline]
pub unsafe fn splice_rcu(first: *mut ListHead, last: *mut ListHead, at: *mut ListHead) {
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
#[doc(alias = "cds_list_for_each_rcu")]
#[doc(alias = "cds_list_for_each_entry_rcu")]
#[inline]
pub unsafe fn iter_rcu(head: *const ListHead) -> Walk<ForwardRcu> {
    Walk::new(head, head)
}

/// Walks the list from its end inside a section, beside an updater. The C library promises no such walk.
///
/// # Safety
///
/// As for [`iter_rcu`]; and the list has been updated by functions of this module only.
#[inline]
pub unsafe fn iter_rev_rcu(head: *const ListHead) -> Walk<BackwardRcu> {
    Walk::new(head, head)
}

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

use core::convert::Infallible;
use core::ptr::NonNull;

use urcu_core::space::{Process, Space};
use urcu_core::sync::modelled::{AtomicPtr, Ordering};

use super::list::{ListHead, empty};
use super::walk::{BackwardRcu, ForwardRcu, SharedWalk, Walk};

/// What trusted links give: there is no error to be had.
#[inline(always)]
pub(super) fn sure<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

/// # Safety
///
/// Not null.
#[inline(always)]
unsafe fn given(links: *mut ListHead) -> NonNull<ListHead> {
    // SAFETY: as promised.
    unsafe { NonNull::new_unchecked(links) }
}

/// # Safety
///
/// `node` is live for `'a`, or any place in a space that does not trust its links.
#[inline(always)]
unsafe fn links<'a>(node: NonNull<ListHead>) -> &'a ListHead {
    // SAFETY: as promised; all of it is atomics.
    unsafe { node.as_ref() }
}

/// # Safety
///
/// `link` is one of a live node, which was given a name; or of any place in a space that does not trust its links.
#[inline(always)]
#[cfg_attr(urcu_mutants, track_caller)]
unsafe fn follow<S: Space>(
    space: &S,
    link: &AtomicPtr<ListHead>,
    order: Ordering,
) -> Result<NonNull<ListHead>, S::Stop> {
    // SAFETY: read from a link.
    unsafe { space.resolve(link.load(order)) }
}

/// A reader's step: the node after `node`, or the head.
///
/// # Safety
///
/// As [`follow`].
#[inline(always)]
pub(super) unsafe fn step_forward<S: Space>(space: &S, node: NonNull<ListHead>) -> Result<NonNull<ListHead>, S::Stop> {
    // Acquire: the node is as its updater made it before the Release that linked it. PAIR(list-publish)
    // SAFETY: the caller's word.
    let node = unsafe { links(node) };
    // SAFETY: the caller's word.
    unsafe { follow(space, &node.next, Ordering::Acquire) }
}

/// A reader's step back.
///
/// # Safety
///
/// As [`follow`].
#[inline(always)]
pub(super) unsafe fn step_back<S: Space>(space: &S, node: NonNull<ListHead>) -> Result<NonNull<ListHead>, S::Stop> {
    // Acquire: as forward. PAIR(list-publish)
    // SAFETY: the caller's word.
    let node = unsafe { links(node) };
    // SAFETY: the caller's word.
    unsafe { follow(space, &node.prev, Ordering::Acquire) }
}

/// The updater's step forward.
///
/// # Safety
///
/// As [`follow`]; the caller is the list's updater.
#[inline(always)]
unsafe fn after<S: Space>(space: &S, node: NonNull<ListHead>) -> Result<NonNull<ListHead>, S::Stop> {
    // Relaxed: only the updater writes links.
    // SAFETY: the caller's word.
    let node = unsafe { links(node) };
    // SAFETY: the caller's word.
    unsafe { follow(space, &node.next, Ordering::Relaxed) }
}

/// The updater's step back.
///
/// # Safety
///
/// As [`after`].
#[inline(always)]
unsafe fn before<S: Space>(space: &S, node: NonNull<ListHead>) -> Result<NonNull<ListHead>, S::Stop> {
    // Relaxed: only the updater writes links.
    // SAFETY: the caller's word.
    let node = unsafe { links(node) };
    // SAFETY: the caller's word.
    unsafe { follow(space, &node.prev, Ordering::Relaxed) }
}

/// Makes `node` point forward at `to`.
///
/// # Safety
///
/// As [`links`]; the caller is the list's updater.
#[inline(always)]
unsafe fn set_next<S: Space>(space: &S, node: NonNull<ListHead>, to: NonNull<ListHead>) {
    // Release: what is in the node that is pointed at comes before, and its own links. PAIR(list-publish)
    // SAFETY: the caller's word.
    unsafe { links(node) }.next.store(space.name(to), Ordering::Release);
}

/// Makes `node` point back at `to`.
///
/// # Safety
///
/// As [`set_next`].
#[inline(always)]
unsafe fn set_prev<S: Space>(space: &S, node: NonNull<ListHead>, to: NonNull<ListHead>) {
    // Release: as `set_next`. PAIR(list-publish)
    // SAFETY: the caller's word.
    unsafe { links(node) }.prev.store(space.name(to), Ordering::Release);
}

/// Makes the neighbours `first` and `second` point at each other, for readers to see.
///
/// # Safety
///
/// As [`set_next`].
#[inline]
unsafe fn publish_join<S: Space>(space: &S, first: NonNull<ListHead>, second: NonNull<ListHead>) {
    // SAFETY: the caller's word.
    unsafe { set_next(space, first, second) };
    // SAFETY: the caller's word.
    unsafe { set_prev(space, second, first) };
}

/// Makes `head` the head of an empty list in `space`.
///
/// # Safety
///
/// `head` is live, and nobody else uses it.
#[inline]
pub unsafe fn init_in<S: Space>(space: &S, head: NonNull<ListHead>) {
    // SAFETY: one node is its own neighbour; not shared, says the caller.
    unsafe { publish_join(space, head, head) };
}

/// [`splice_rcu`] in any space: links the chain from `first` to `last` in after `at`.
///
/// The store to `at` is the one that readers who walk forward, and whoever takes over from an updater that died, go by.
///
/// # Errors
///
/// What `at` points to cannot be. Nothing has been changed.
///
/// # Safety
///
/// As there.
#[inline]
pub unsafe fn splice_in<S: Space>(
    space: &S,
    first: NonNull<ListHead>,
    last: NonNull<ListHead>,
    at: NonNull<ListHead>,
) -> Result<(), S::Stop> {
    // SAFETY: the caller is the updater.
    let second = unsafe { after(space, at) }?;
    // A reader that stands on a node which is being moved follows these two.
    // SAFETY: live, says the caller.
    unsafe { set_next(space, last, second) };
    // SAFETY: live, says the caller.
    unsafe { set_prev(space, first, at) };
    // The chain's own links are right now; what follows makes it reachable, forward first.
    // SAFETY: live, says the caller.
    unsafe { set_next(space, at, first) };
    // SAFETY: live, says the caller.
    unsafe { set_prev(space, second, last) };
    Ok(())
}

/// [`add_rcu`] in any space.
///
/// # Errors
///
/// What `head` points to cannot be. Nothing has been changed.
///
/// # Safety
///
/// As there.
#[inline]
pub unsafe fn add_in<S: Space>(space: &S, new: NonNull<ListHead>, head: NonNull<ListHead>) -> Result<(), S::Stop> {
    // SAFETY: a chain of one; the rest is the caller's word.
    unsafe { splice_in(space, new, new, head) }
}

/// [`add_tail_rcu`] in any space.
///
/// # Errors
///
/// What `head` points to cannot be. Nothing has been changed.
///
/// # Safety
///
/// As there.
#[inline]
pub unsafe fn add_tail_in<S: Space>(space: &S, new: NonNull<ListHead>, head: NonNull<ListHead>) -> Result<(), S::Stop> {
    // SAFETY: the caller is the updater.
    let last = unsafe { before(space, head) }?;
    // SAFETY: the caller's word.
    unsafe { add_in(space, new, last) }
}

/// [`del_rcu`] in any space.
///
/// # Errors
///
/// What `node` points to cannot be. Nothing has been changed.
///
/// # Safety
///
/// As there.
#[inline]
pub unsafe fn del_in<S: Space>(space: &S, node: NonNull<ListHead>) -> Result<(), S::Stop> {
    // SAFETY: the caller is the updater.
    let first = unsafe { before(space, node) }?;
    // SAFETY: the caller is the updater.
    let second = unsafe { after(space, node) }?;
    // SAFETY: neighbours in that list.
    unsafe { publish_join(space, first, second) };
    Ok(())
}

/// [`replace_rcu`] in any space.
///
/// # Errors
///
/// What `old` points to cannot be. Nothing has been changed.
///
/// # Safety
///
/// As there.
#[inline]
pub unsafe fn replace_in<S: Space>(space: &S, old: NonNull<ListHead>, new: NonNull<ListHead>) -> Result<(), S::Stop> {
    // SAFETY: the caller is the updater.
    let first = unsafe { before(space, old) }?;
    // SAFETY: the caller is the updater.
    let second = unsafe { after(space, old) }?;
    // SAFETY: live, says the caller; no reader has it yet.
    let own = unsafe { links(new) };
    // Relaxed, both: the stores below publish it.
    own.next.store(space.name(second), Ordering::Relaxed);
    own.prev.store(space.name(first), Ordering::Relaxed);
    // SAFETY: live: in the list, says the caller.
    unsafe { set_next(space, first, new) };
    // SAFETY: as above.
    unsafe { set_prev(space, second, new) };
    Ok(())
}

/// Makes all backward links right, and says how many nodes there are: for who takes over from an updater that died between
/// the two stores of an update. The forward link is the update; the backward link follows from it.
///
/// # Errors
///
/// A link leads to where no node can be, or forward never back to the head.
///
/// # Safety
///
/// As [`del_rcu`], for all nodes.
pub unsafe fn put_right_in<S: Space>(space: &S, head: NonNull<ListHead>) -> Result<usize, S::Stop> {
    let mut steps = space.steps();
    let mut count = 0;
    let mut at = head;
    loop {
        space.step(&mut steps)?;
        // SAFETY: the caller is the updater.
        let next = unsafe { after(space, at) }?;
        // SAFETY: the caller is the updater.
        let back = unsafe { links(next) }.prev.load(Ordering::Relaxed);
        if back != space.name(at) {
            // SAFETY: the caller is the updater; neighbours in that list.
            unsafe { set_prev(space, next, at) };
        }
        if next == head {
            return Ok(count);
        }
        count += 1;
        at = next;
    }
}

/// Walks a list in any space inside a section, beside an updater. The walk ends after an error.
///
/// # Safety
///
/// - The calling thread is inside one section for as long as it uses the iterator or what it gave, and removed nodes of
///   this list are reclaimed by grace periods of that flavor.
/// - `head` is a live head. If the space does not trust its links, what the walk gives are places with room for links, which may be
///   anything.
#[inline]
pub unsafe fn iter_in<S: Space>(space: &S, head: NonNull<ListHead>) -> SharedWalk<S> {
    SharedWalk::new(space.clone(), head)
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
    // SAFETY: live, hence not null.
    let new = unsafe { given(new) };
    // SAFETY: live, hence not null.
    let head = unsafe { given(head) };
    // SAFETY: the caller's word.
    sure(unsafe { add_in(&Process, new, head) });
}

/// Puts `new` last; or, with a node for `head`, before that node.
///
/// # Safety
///
/// As for [`add_rcu`].
#[doc(alias = "cds_list_add_tail_rcu")]
#[inline]
pub unsafe fn add_tail_rcu(new: *mut ListHead, head: *mut ListHead) {
    // SAFETY: live, hence not null.
    let new = unsafe { given(new) };
    // SAFETY: live, hence not null.
    let head = unsafe { given(head) };
    // SAFETY: the caller's word.
    sure(unsafe { add_tail_in(&Process, new, head) });
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
    // SAFETY: live, hence not null.
    let node = unsafe { given(node) };
    // SAFETY: the caller's word.
    sure(unsafe { del_in(&Process, node) });
}

/// Puts `new` in the place of `old`: a walk sees one of them, never both and never none.
///
/// # Safety
///
/// As for [`add_rcu`] with `new`, and as for [`del_rcu`] with `old`, which is no head.
#[doc(alias = "cds_list_replace_rcu")]
#[inline]
pub unsafe fn replace_rcu(old: *mut ListHead, new: *mut ListHead) {
    // SAFETY: live, hence not null.
    let old = unsafe { given(old) };
    // SAFETY: live, hence not null.
    let new = unsafe { given(new) };
    // SAFETY: the caller's word.
    sure(unsafe { replace_in(&Process, old, new) });
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
    // SAFETY: as above; it stores what readers on the node follow.
    unsafe { add_rcu(node, head) };
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
    // SAFETY: as in `move_rcu`; the last one is looked for after `node` is out, so it is another one.
    unsafe { add_tail_rcu(node, head) };
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
    // SAFETY: live, hence not null.
    let head = unsafe { given(head) };
    // SAFETY: the caller is the updater.
    let first = sure(unsafe { after(&Process, head) });
    // SAFETY: the caller is the updater.
    let last = sure(unsafe { before(&Process, head) });
    // SAFETY: live, says the caller.
    unsafe { publish_join(&Process, head, head) };
    Some((first.as_ptr(), last.as_ptr()))
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
    // SAFETY: live, hence not null.
    let first = unsafe { given(first) };
    // SAFETY: live, hence not null.
    let last = unsafe { given(last) };
    // SAFETY: live, hence not null.
    let at = unsafe { given(at) };
    // SAFETY: the caller's word.
    sure(unsafe { splice_in(&Process, first, last, at) });
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

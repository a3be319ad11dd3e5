//! The two shapes of a list, and the nodes of the face.

use core::fmt::Debug;

use urcu_core::sync::modelled::Ordering;

use crate::raw::hlist::{self, HlistHead, HlistNode};
use crate::raw::list::{self, ListHead};
use crate::raw::{rcuhlist, rculist};

/// Doubly linked and circular: both ends in reach, walks in both directions. The shape of [`RcuList`](crate::RcuList).
#[derive(Clone, Copy, Debug)]
pub enum Doubly {}

/// A head of one pointer, ending in null: walks forward only. The shape of [`RcuHList`](crate::RcuHList).
#[derive(Clone, Copy, Debug)]
pub enum Hlist {}

/// The shape of a list: [`Doubly`] or [`Hlist`]. Not to be implemented elsewhere.
pub trait Kind: sealed::Sealed + 'static {}

impl Kind for Doubly {}
impl Kind for Hlist {}

/// A value and its links. `repr(C)`: the links' address is the node's.
#[repr(C)]
pub(crate) struct Node<T, K: Kind> {
    pub(crate) links: K::Links,
    pub(crate) value: T,
}

impl<T, K: Kind> Node<T, K> {
    /// The links of a new node, with provenance over the node.
    pub(crate) fn alloc(value: T) -> *mut K::Links {
        Box::into_raw(Box::new(Self { links: K::Links::default(), value })).cast()
    }

    /// # Safety
    ///
    /// `links` come from [`alloc`](Self::alloc) for the same `T`, and the node lives.
    #[inline(always)]
    pub(crate) unsafe fn value<'a>(links: *const K::Links) -> &'a T
    where
        K: 'a,
    {
        let node = links.cast::<Self>();
        // SAFETY: a live node, says the caller; only the value is borrowed.
        unsafe { &(*node).value }
    }

    /// # Safety
    ///
    /// As for [`value`](Self::value), and nobody else can reach the node.
    #[inline(always)]
    pub(crate) unsafe fn value_mut<'a>(links: *mut K::Links) -> &'a mut T
    where
        K: 'a,
    {
        let node = links.cast::<Self>();
        // SAFETY: a live node, says the caller; only the value is borrowed, exclusively.
        unsafe { &mut (*node).value }
    }

    /// # Safety
    ///
    /// As for [`value`](Self::value); nobody else can reach the node, and it is given up here.
    pub(crate) unsafe fn take(links: *mut K::Links) -> Box<Self> {
        // SAFETY: made by `Box::into_raw` in `alloc`, says the caller.
        unsafe { Box::from_raw(links.cast()) }
    }
}

pub(crate) mod sealed {
    use super::{Debug, Doubly, Hlist, HlistHead, HlistNode, ListHead, Ordering, hlist, list, rcuhlist, rculist};

    /// What the face needs of a raw list. The "anchor" is the head as the links before the first node; as such it is only
    /// given to these functions.
    ///
    /// Everybody who calls one of these promises that the links given are live and in the list that is meant (or its
    /// anchor), and, but for `step`, to be the list's only updater.
    pub trait Sealed {
        type Head: Default + Debug + Send + Sync;
        type Links: Default + Debug + Send + Sync;

        /// # Safety
        ///
        /// `head` is live, where it stays, and not shared.
        unsafe fn init(head: *mut Self::Head);

        fn anchor(head: *const Self::Head) -> *mut Self::Links;

        /// The last node, for walks backward; anything where there are none.
        ///
        /// # Safety
        ///
        /// `head` is live, and the caller the list's only user.
        unsafe fn last(head: *mut Self::Head) -> *mut Self::Links;

        /// A reader's step: the links after `at`, or null at the end.
        ///
        /// # Safety
        ///
        /// `at` can be reached by the caller's section, or the caller is the updater.
        unsafe fn step(head: *const Self::Head, at: *const Self::Links) -> *mut Self::Links;

        /// What follows inside of a chain, which has no head.
        ///
        /// # Safety
        ///
        /// See the trait.
        unsafe fn chained(at: *const Self::Links) -> *mut Self::Links;

        /// The links before `at`, perhaps the anchor.
        ///
        /// # Safety
        ///
        /// See the trait; `at` is no [`Hlist`] anchor.
        unsafe fn before(at: *mut Self::Links) -> *mut Self::Links;

        /// Links a chain in after `at`.
        ///
        /// # Safety
        ///
        /// See the trait; no reader can reach the chain, whose inner links are right.
        unsafe fn splice(first: *mut Self::Links, last: *mut Self::Links, at: *mut Self::Links);

        /// Makes `new` follow `last` in a chain that nobody else can reach.
        ///
        /// # Safety
        ///
        /// See the trait.
        unsafe fn chain(last: *mut Self::Links, new: *mut Self::Links);

        /// # Safety
        ///
        /// See the trait.
        unsafe fn unlink(node: *mut Self::Links);

        /// # Safety
        ///
        /// See the trait.
        unsafe fn replace(old: *mut Self::Links, new: *mut Self::Links);

        /// # Safety
        ///
        /// See the trait; `node` is not `at`.
        unsafe fn move_after(node: *mut Self::Links, at: *mut Self::Links);

        /// Takes all out; the first and the last node.
        ///
        /// # Safety
        ///
        /// See the trait.
        unsafe fn take_all(head: *mut Self::Head) -> Option<(*mut Self::Links, *mut Self::Links)>;
    }

    impl Sealed for Doubly {
        type Head = ListHead;
        type Links = ListHead;

        unsafe fn init(head: *mut ListHead) {
            // SAFETY: the caller's word.
            unsafe { list::init(head) };
        }

        #[inline(always)]
        fn anchor(head: *const ListHead) -> *mut ListHead {
            head.cast_mut()
        }

        unsafe fn last(head: *mut ListHead) -> *mut ListHead {
            // SAFETY: the caller's word.
            unsafe { list::prev(head) }
        }

        #[inline(always)]
        unsafe fn step(head: *const ListHead, at: *const ListHead) -> *mut ListHead {
            // Acquire: the node is as its updater made it. PAIR(list-publish)
            // SAFETY: the caller's word.
            let next = unsafe { list::next_of(at) }.load(Ordering::Acquire);
            if core::ptr::eq(next, head) { core::ptr::null_mut() } else { next }
        }

        #[inline(always)]
        unsafe fn chained(at: *const ListHead) -> *mut ListHead {
            // SAFETY: the caller's word.
            unsafe { list::next(at) }
        }

        unsafe fn before(at: *mut ListHead) -> *mut ListHead {
            // SAFETY: the caller's word.
            unsafe { list::prev(at) }
        }

        #[inline]
        unsafe fn splice(first: *mut ListHead, last: *mut ListHead, at: *mut ListHead) {
            // SAFETY: the caller's word.
            unsafe { rculist::splice_rcu(first, last, at) };
        }

        unsafe fn chain(last: *mut ListHead, new: *mut ListHead) {
            // Relaxed, both: nobody else can reach them.
            // SAFETY: live, says the caller.
            unsafe { list::next_of(last) }.store(new, Ordering::Relaxed);
            // SAFETY: live, says the caller.
            unsafe { list::prev_of(new) }.store(last, Ordering::Relaxed);
        }

        #[inline]
        unsafe fn unlink(node: *mut ListHead) {
            // SAFETY: the caller's word.
            unsafe { rculist::del_rcu(node) };
        }

        #[inline]
        unsafe fn replace(old: *mut ListHead, new: *mut ListHead) {
            // SAFETY: the caller's word.
            unsafe { rculist::replace_rcu(old, new) };
        }

        unsafe fn move_after(node: *mut ListHead, at: *mut ListHead) {
            // SAFETY: the caller's word.
            unsafe { rculist::move_rcu(node, at) };
        }

        unsafe fn take_all(head: *mut ListHead) -> Option<(*mut ListHead, *mut ListHead)> {
            // SAFETY: the caller's word.
            unsafe { rculist::take_all_rcu(head) }
        }
    }

    impl Sealed for Hlist {
        type Head = HlistHead;
        type Links = HlistNode;

        unsafe fn init(head: *mut HlistHead) {
            // SAFETY: the caller's word.
            unsafe { hlist::init(head) };
        }

        #[inline(always)]
        fn anchor(head: *const HlistHead) -> *mut HlistNode {
            hlist::anchor(head)
        }

        unsafe fn last(_: *mut HlistHead) -> *mut HlistNode {
            core::ptr::null_mut()
        }

        #[inline(always)]
        unsafe fn step(_: *const HlistHead, at: *const HlistNode) -> *mut HlistNode {
            // Acquire: the node is as its updater made it. PAIR(hlist-publish)
            // SAFETY: the caller's word.
            unsafe { hlist::next_of(at) }.load(Ordering::Acquire)
        }

        #[inline(always)]
        unsafe fn chained(at: *const HlistNode) -> *mut HlistNode {
            // SAFETY: the caller's word.
            unsafe { hlist::next(at) }
        }

        unsafe fn before(at: *mut HlistNode) -> *mut HlistNode {
            // SAFETY: the caller's word.
            unsafe { rcuhlist::prev(at) }
        }

        #[inline]
        unsafe fn splice(first: *mut HlistNode, last: *mut HlistNode, at: *mut HlistNode) {
            // SAFETY: the caller's word.
            unsafe { rcuhlist::splice_after_rcu(first, last, at) };
        }

        unsafe fn chain(last: *mut HlistNode, new: *mut HlistNode) {
            // Relaxed, both: nobody else can reach them.
            // SAFETY: live, says the caller.
            unsafe { hlist::next_of(last) }.store(new, Ordering::Relaxed);
            // SAFETY: live, says the caller.
            unsafe { hlist::prev_of(new) }.store(last, Ordering::Relaxed);
        }

        #[inline]
        unsafe fn unlink(node: *mut HlistNode) {
            // SAFETY: the caller's word.
            unsafe { rcuhlist::del_rcu(node) };
        }

        #[inline]
        unsafe fn replace(old: *mut HlistNode, new: *mut HlistNode) {
            // SAFETY: the caller's word.
            unsafe { rcuhlist::replace_rcu(old, new) };
        }

        unsafe fn move_after(node: *mut HlistNode, at: *mut HlistNode) {
            // SAFETY: the caller's word.
            unsafe { rcuhlist::move_after_rcu(node, at) };
        }

        unsafe fn take_all(head: *mut HlistHead) -> Option<(*mut HlistNode, *mut HlistNode)> {
            // SAFETY: the caller's word.
            let first = unsafe { rcuhlist::take_all_rcu(head) };
            let mut last = first;
            while !last.is_null() {
                // SAFETY: live, as all of the list; only null ends it.
                let next = unsafe { hlist::next(last) };
                if next.is_null() {
                    return Some((first, last));
                }
                last = next;
            }
            None
        }
    }
}

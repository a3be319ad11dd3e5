//! Walks over raw lists: which way, with which ordering, and whether one step ahead.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use urcu_core::space::{Process, Space};
use urcu_core::sync::modelled::Ordering;

use super::hlist::{self, HlistHead, HlistNode};
use super::list::{self, ListHead};
use super::rculist::{step_back, step_forward, sure};

/// How a walk gets from a node to the next.
///
/// # Safety
///
/// Of implementations: the result is a neighbour that is in the list, or was when `node` was taken out.
pub unsafe trait Step {
    /// One step.
    ///
    /// # Safety
    ///
    /// The rules of the walk hold.
    unsafe fn step(node: *const ListHead) -> *mut ListHead;
}

/// To the next node; nobody updates.
#[derive(Clone, Copy, Debug)]
pub struct Forward;

/// To the previous node; nobody updates.
#[derive(Clone, Copy, Debug)]
pub struct Backward;

/// To the next node, in a section, beside an updater.
#[derive(Clone, Copy, Debug)]
pub struct ForwardRcu;

/// To the previous node, in a section, beside an updater.
#[derive(Clone, Copy, Debug)]
pub struct BackwardRcu;

// SAFETY: what `next` is.
unsafe impl Step for Forward {
    #[inline(always)]
    unsafe fn step(node: *const ListHead) -> *mut ListHead {
        // SAFETY: the caller's word.
        unsafe { list::next(node) }
    }
}

// SAFETY: what `prev` is.
unsafe impl Step for Backward {
    #[inline(always)]
    unsafe fn step(node: *const ListHead) -> *mut ListHead {
        // SAFETY: the caller's word.
        unsafe { list::prev(node) }
    }
}

// SAFETY: what `next` is.
unsafe impl Step for ForwardRcu {
    #[inline(always)]
    unsafe fn step(node: *const ListHead) -> *mut ListHead {
        // SAFETY: live, hence not null.
        let node = unsafe { NonNull::new_unchecked(node.cast_mut()) };
        // SAFETY: the caller's word.
        sure(unsafe { step_forward(&Process, node) }).as_ptr()
    }
}

// SAFETY: what `prev` is.
unsafe impl Step for BackwardRcu {
    #[inline(always)]
    unsafe fn step(node: *const ListHead) -> *mut ListHead {
        // SAFETY: live, hence not null.
        let node = unsafe { NonNull::new_unchecked(node.cast_mut()) };
        // SAFETY: the caller's word.
        sure(unsafe { step_back(&Process, node) }).as_ptr()
    }
}

/// Reads each successor when it is asked for.
#[derive(Clone, Debug)]
pub struct Walk<S: Step> {
    head: *const ListHead,
    at: *const ListHead,
    step: PhantomData<S>,
}

impl<S: Step> Walk<S> {
    #[inline(always)]
    pub(super) fn new(at: *const ListHead, head: *const ListHead) -> Self {
        Self { head, at, step: PhantomData }
    }
}

impl<S: Step> Iterator for Walk<S> {
    type Item = *mut ListHead;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut ListHead> {
        // SAFETY: promised when the walk was made.
        let next = unsafe { S::step(self.at) };
        if ptr::eq(next, self.head) {
            return None;
        }
        self.at = next;
        Some(next)
    }
}

/// Walks a list in any space beside an updater: see [`iter_in`](super::rculist::iter_in).
pub struct SharedWalk<S: Space> {
    space: S,
    head: NonNull<ListHead>,
    at: NonNull<ListHead>,
    steps: S::Steps,
    ended: bool,
}

impl<S: Space> SharedWalk<S> {
    #[inline(always)]
    pub(super) fn new(space: S, head: NonNull<ListHead>) -> Self {
        let steps = space.steps();
        Self { space, head, at: head, steps, ended: false }
    }

    #[inline(always)]
    fn step(&mut self) -> Result<NonNull<ListHead>, S::Stop> {
        self.space.step(&mut self.steps)?;
        // SAFETY: promised when the walk was made.
        unsafe { step_forward(&self.space, self.at) }
    }
}

impl<S: Space> Iterator for SharedWalk<S> {
    type Item = Result<NonNull<ListHead>, S::Stop>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.step();
        match next {
            Ok(next) if next != self.head => {
                self.at = next;
                Some(Ok(next))
            }
            Ok(_) => {
                self.ended = true;
                None
            }
            Err(stop) => {
                self.ended = true;
                Some(Err(stop))
            }
        }
    }
}

impl<S: Space> fmt::Debug for SharedWalk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWalk").field("head", &self.head).field("at", &self.at).finish_non_exhaustive()
    }
}

/// Has read the successor already when it gives a node.
#[derive(Clone, Debug)]
pub struct SafeWalk<S: Step> {
    head: *const ListHead,
    next: *mut ListHead,
    step: PhantomData<S>,
}

impl<S: Step> SafeWalk<S> {
    #[inline(always)]
    pub(super) fn at(next: *mut ListHead, head: *const ListHead) -> Self {
        Self { head, next, step: PhantomData }
    }

    /// # Safety
    ///
    /// `node` is in the list, or its head, and the rules of the walk hold.
    #[inline(always)]
    pub(super) unsafe fn after(node: *const ListHead, head: *const ListHead) -> Self {
        // SAFETY: the caller's word.
        Self::at(unsafe { S::step(node) }, head)
    }
}

impl<S: Step> Iterator for SafeWalk<S> {
    type Item = *mut ListHead;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut ListHead> {
        let node = self.next;
        if ptr::eq(node, self.head) {
            return None;
        }
        // SAFETY: promised when the walk was made; the node has not been given out yet, so it is in the list.
        self.next = unsafe { S::step(node) };
        Some(node)
    }
}

/// Walks an hlist and reads each successor when it is asked for, with Acquire if `RCU`.
#[derive(Clone, Debug)]
pub struct HlistWalk<const RCU: bool> {
    at: *const HlistNode,
}

impl<const RCU: bool> HlistWalk<RCU> {
    #[inline(always)]
    pub(super) fn new(head: *const HlistHead) -> Self {
        Self { at: hlist::anchor(head) }
    }
}

impl<const RCU: bool> Iterator for HlistWalk<RCU> {
    type Item = *mut HlistNode;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut HlistNode> {
        // SAFETY: promised when the walk was made.
        let next = unsafe { hlist::next_of(self.at) };
        // Acquire: the node is as its updater made it before the Release that linked it. PAIR(hlist-publish)
        let next = next.load(if RCU { Ordering::Acquire } else { Ordering::Relaxed });
        if next.is_null() {
            return None;
        }
        self.at = next;
        Some(next)
    }
}

/// Walks an hlist that nobody else uses, one step ahead.
#[derive(Clone, Debug)]
pub struct SafeHlistWalk {
    next: *mut HlistNode,
}

impl SafeHlistWalk {
    /// # Safety
    ///
    /// The rules of the walk hold.
    #[inline(always)]
    pub(super) unsafe fn new(head: *const HlistHead) -> Self {
        // SAFETY: the caller's word.
        Self { next: unsafe { hlist::first(head) } }
    }
}

impl Iterator for SafeHlistWalk {
    type Item = *mut HlistNode;

    #[inline(always)]
    fn next(&mut self) -> Option<*mut HlistNode> {
        let node = self.next;
        if node.is_null() {
            return None;
        }
        // SAFETY: promised when the walk was made; the node has not been given out yet, so it is in the list.
        self.next = unsafe { hlist::next(node) };
        Some(node)
    }
}

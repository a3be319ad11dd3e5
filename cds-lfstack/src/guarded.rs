//! Pops protected by sections: any number of threads pop at the same time, none waits for another.

use core::marker::PhantomData;

use urcu_core::sync::CachePadded;
use urcu_core::{AnyGuard, FlavorVtable};

use crate::batch::Batch;
use crate::kind::Kind;
use crate::node::{Node, Remedy};
use crate::raw::{LfsStack, WfsStack, WouldBlock};
use crate::stack::{Protection, Stack, sealed};

/// Pops are inside sections of one flavor, and the memory of nodes waits for grace periods. Values do not wait: they are
/// moved out when they are popped.
#[derive(Debug)]
pub struct Guarded {
    flavor: &'static FlavorVtable,
}

impl Protection for Guarded {}

impl sealed::Protection for Guarded {
    #[inline]
    fn holds_more(&self) -> bool {
        false
    }

    fn take_chains<K: Kind>(&mut self) -> impl Iterator<Item = *mut K::Link> {
        core::iter::empty()
    }
}

/// A lock-free stack whose pops are inside sections.
///
/// ```
/// use cds_lfstack::LfStack;
/// use urcu_membarrier as rcu;
///
/// let stack = LfStack::new(rcu::vtable());
/// stack.push("below");
/// stack.push("above");
///
/// let thread = rcu::register().unwrap();
/// assert_eq!(stack.pop(&thread.read_lock()), Some("above"));
/// assert_eq!(stack.pop_all().collect::<Vec<_>>(), ["below"]);
/// ```
pub type LfStack<T> = Stack<LfsStack, T, Guarded>;

/// A stack with a wait-free push whose pops are inside sections.
///
/// ```
/// use cds_lfstack::WfStack;
/// use urcu_membarrier as rcu;
///
/// let stack = WfStack::new(rcu::vtable());
/// stack.push_all([1, 2, 3]);
///
/// let thread = rcu::register().unwrap();
/// let guard = thread.read_lock();
/// assert_eq!(stack.pop(&guard), Some(3));
/// assert_eq!(stack.try_pop(&guard), Ok(Some(2)));
/// assert_eq!(stack.pop_with_state(&guard), Some((1, true)));
/// assert_eq!(stack.pop(&guard), None);
/// ```
pub type WfStack<T> = Stack<WfsStack, T, Guarded>;

impl<T> LfStack<T> {
    /// An empty stack whose readers are those of `flavor`.
    pub const fn new(flavor: &'static FlavorVtable) -> Self {
        Self { raw: CachePadded(LfsStack::new()), protection: Guarded { flavor }, marker: PhantomData }
    }
}

impl<T> WfStack<T> {
    /// An empty stack whose readers are those of `flavor`.
    pub const fn new(flavor: &'static FlavorVtable) -> Self {
        Self { raw: CachePadded(WfsStack::new()), protection: Guarded { flavor }, marker: PhantomData }
    }

    /// [`pop`](Self::pop) that never waits: lock-free as far as it gets.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`]: a push is half done, or another operation came first.
    ///
    /// # Panics
    ///
    /// When `guard` is of another flavor.
    #[doc(alias = "__cds_wfs_pop_nonblocking")]
    #[inline]
    #[track_caller]
    pub fn try_pop(&self, guard: &impl AnyGuard) -> Result<Option<T>, WouldBlock> {
        self.protection.flavor.assert_guards(guard);
        // SAFETY: inside a section, and nodes are retired.
        let (link, _) = unsafe { sealed_kind::try_pop(&self.raw.0) }?;
        Ok(self.took(link))
    }

    /// [`pop`](Self::pop), and whether that left the stack empty.
    ///
    /// # Panics
    ///
    /// When `guard` is of another flavor.
    #[doc(alias = "__cds_wfs_pop_with_state_blocking")]
    #[doc(alias = "CDS_WFS_STATE_LAST")]
    #[inline]
    #[track_caller]
    pub fn pop_with_state(&self, guard: &impl AnyGuard) -> Option<(T, bool)> {
        self.protection.flavor.assert_guards(guard);
        // SAFETY: inside a section, and nodes are retired.
        let (link, last) = unsafe { sealed_kind::pop(&self.raw.0) };
        self.took(link).map(|value| (value, last))
    }
}

/// The raw stacks have methods of the same names, which would be found first.
mod sealed_kind {
    use crate::kind::Kind;
    use crate::raw::WouldBlock;

    /// # Safety
    ///
    /// As the raw `pop_nonblocking`.
    #[inline]
    pub(super) unsafe fn try_pop<K: Kind>(raw: &K) -> Result<(*mut K::Link, bool), WouldBlock> {
        // SAFETY: as promised.
        unsafe { raw.try_pop() }
    }

    /// # Safety
    ///
    /// As the raw `pop`.
    #[inline]
    pub(super) unsafe fn pop<K: Kind>(raw: &K) -> (*mut K::Link, bool) {
        // SAFETY: as promised.
        unsafe { raw.pop() }
    }
}

impl<K: Kind, T> Stack<K, T, Guarded> {
    /// The value of a popped node.
    #[inline]
    fn took(&self, link: *mut K::Link) -> Option<T> {
        if link.is_null() {
            return None;
        }
        // SAFETY: only ever called with what a pop of this stack returned; its node is retired.
        Some(unsafe { Node::<K, T>::take(link, Remedy::Sections(self.protection.flavor)) })
    }

    /// Pops the top value.
    ///
    /// Inside a section of the stack's flavor. [`LfStack`]: lock-free. [`WfStack`]: waits for a push that is half done. The
    /// node's memory is used again after a grace period, without another word from the caller.
    ///
    /// # Panics
    ///
    /// When `guard` is of another flavor.
    #[doc(alias = "__cds_lfs_pop")]
    #[doc(alias = "__cds_wfs_pop_blocking")]
    #[inline]
    #[track_caller]
    pub fn pop(&self, guard: &impl AnyGuard) -> Option<T> {
        self.protection.flavor.assert_guards(guard);
        // SAFETY: inside a section (the guard's), and nodes are retired. `pop_all` retires, too.
        let (link, _) = unsafe { sealed_kind::pop(&self.raw.0) };
        self.took(link)
    }

    /// Pops everything. Any context but signal handlers. Wait-free.
    #[doc(alias = "__cds_lfs_pop_all")]
    #[doc(alias = "__cds_wfs_pop_all")]
    #[inline]
    pub fn pop_all(&self) -> Batch<K, T> {
        // SAFETY: needs no section; its nodes are retired by the batch.
        let top = unsafe { self.raw.0.pop_all() };
        // SAFETY: just popped.
        unsafe { Batch::new(top, Remedy::Sections(self.protection.flavor)) }
    }

    /// The flavor whose guards [`pop`](Self::pop) takes.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.protection.flavor
    }
}

//! The lock-free stack (`urcu/lfstack.h`).
//!
//! R. K. Treiber's stack: a pointer to the top node, changed by compare-and-exchange. All changes of it are
//! read-modify-writes, so each continues the release sequence of every push before it: whoever reads a head by an Acquire
//! load or exchange sees the contents of *all* nodes below it, and their links. PAIR(lfs-push)
//!
//! A pop reads the top's link and then exchanges the top for it. If the top were popped, pushed again and found in its
//! place in between, the link read before could be wrong: the ABA problem. A node's memory could also be gone when its
//! link is read. So pops need one of the three remedies of the [table](super).

use core::fmt;
use core::ops::Deref;
use core::ptr;

use urcu_core::Absence;
use urcu_core::sync::modelled::{AtomicPtr, Ordering};
use urcu_core::sys::PthreadMutex;

/// The link inside of an element of an [`LfsStack`].
#[doc(alias = "cds_lfs_node")]
#[repr(C)]
pub struct LfsNode {
    next: AtomicPtr<LfsNode>,
}

impl LfsNode {
    /// A node that is in no stack.
    #[doc(alias = "cds_lfs_node_init")]
    #[cfg(not(urcu_loom))]
    #[inline]
    pub const fn new() -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// A node that is in no stack.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Links `below` below a node that is in no stack yet: to build a chain for [`LfsStack::push_chain`].
    #[inline]
    pub fn link(&self, below: *mut LfsNode) {
        // Relaxed: published by the push.
        self.next.store(below, Ordering::Relaxed);
    }

    /// The node below in a chain that [`LfsStack::pop_all`] returned. Wait-free.
    #[inline]
    pub fn next(&self) -> *mut LfsNode {
        // Relaxed: who got here has acquired the whole chain.
        self.next.load(Ordering::Relaxed)
    }
}

impl Default for LfsNode {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LfsNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LfsNode").field("next", &self.next()).finish()
    }
}

/// The top node of a chain that was popped as a whole.
#[doc(alias = "cds_lfs_head")]
#[derive(Debug)]
#[repr(C)]
pub struct LfsHead {
    /// The node.
    pub node: LfsNode,
}

/// A lock-free stack.
#[doc(alias = "__cds_lfs_stack")]
#[repr(C)]
pub struct LfsStack {
    head: AtomicPtr<LfsHead>,
}

impl LfsStack {
    /// An empty stack.
    #[doc(alias = "__cds_lfs_init")]
    #[doc(alias = "cds_lfs_init_rcu")]
    #[cfg(not(urcu_loom))]
    #[inline]
    pub const fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// An empty stack.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether it was empty a moment ago. Any context. Wait-free. No barrier.
    #[doc(alias = "cds_lfs_empty")]
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: the answer may be old when it is looked at, whatever the order.
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Pushes `node`; whether there was something below it.
    ///
    /// Any context; conflicts with nothing. Lock-free. A full barrier.
    ///
    /// # Safety
    ///
    /// - `node` is valid until it has been popped, and in no stack.
    /// - If it was in this stack before and pops are protected by sections, a grace period has passed since it was popped.
    #[doc(alias = "cds_lfs_push")]
    #[doc(alias = "cds_lfs_push_rcu")]
    #[inline]
    pub unsafe fn push(&self, node: *mut LfsNode) -> bool {
        // SAFETY: as promised.
        unsafe { self.push_chain(node, node) }
    }

    /// Pushes the chain from `top` down to `bottom`, linked by [`LfsNode::link`], in one step; whether there was something
    /// below it. As [`push`](Self::push).
    ///
    /// # Safety
    ///
    /// As there, for each node of the chain. `bottom` is its last one.
    #[inline]
    pub unsafe fn push_chain(&self, top: *mut LfsNode, bottom: *mut LfsNode) -> bool {
        // SAFETY: as promised.
        match unsafe { self.try_push(top, bottom) } {
            Some(below) => below,
            // SAFETY: as promised.
            None => unsafe { self.push_contended(top, bottom) },
        }
    }

    /// # Safety
    ///
    /// As [`push_chain`](Self::push_chain).
    #[inline]
    unsafe fn try_push(&self, top: *mut LfsNode, bottom: *mut LfsNode) -> Option<bool> {
        // Relaxed: the pointer is only compared and stored, never followed.
        let head = self.head.load(Ordering::Relaxed);
        // SAFETY: valid, as the caller promises; and not visible to others yet.
        unsafe { &*bottom }.link(head.cast());
        // Release publishes the nodes: PAIR(lfs-push). SeqCst, not Release: the C library promises a full barrier.
        let pushed = self.head.compare_exchange(head, top.cast(), Ordering::SeqCst, Ordering::Relaxed);
        pushed.is_ok().then_some(!head.is_null())
    }

    /// Out of line, so that the first attempt has no state to keep: stores before a locked instruction delay it.
    ///
    /// # Safety
    ///
    /// As [`push_chain`](Self::push_chain).
    #[cold]
    #[inline(never)]
    unsafe fn push_contended(&self, top: *mut LfsNode, bottom: *mut LfsNode) -> bool {
        let mut absence = Absence::new();
        loop {
            absence.stay_away();
            // SAFETY: as promised.
            if let Some(below) = unsafe { self.try_push(top, bottom) } {
                return below;
            }
        }
    }

    /// Pops the top node; null when the stack is empty.
    ///
    /// Lock-free. A full barrier when it returns a node. Conflicts with other pops and with [`pop_all`](Self::pop_all).
    ///
    /// # Safety
    ///
    /// One of these, the same for all callers that may run at the same time:
    /// - the calling thread is inside a section, and no node popped here is freed or pushed again before a grace period
    ///   has passed; its contents may be changed at once;
    /// - all callers of `pop` and `pop_all` hold one mutex;
    /// - one thread alone calls `pop` and `pop_all`.
    #[doc(alias = "__cds_lfs_pop")]
    #[doc(alias = "cds_lfs_pop_rcu")]
    #[inline]
    pub unsafe fn pop(&self) -> *mut LfsNode {
        // SAFETY: as promised.
        match unsafe { self.try_pop() } {
            Some(node) => node,
            // SAFETY: as promised.
            None => unsafe { self.pop_contended() },
        }
    }

    /// Null when it is empty, `None` when another operation came first.
    ///
    /// # Safety
    ///
    /// As [`pop`](Self::pop).
    #[inline]
    unsafe fn try_pop(&self) -> Option<*mut LfsNode> {
        // Acquire: sees the node and all below it. PAIR(lfs-push)
        let head = self.head.load(Ordering::Acquire);
        if head.is_null() {
            return Some(ptr::null_mut());
        }
        // SAFETY: whatever remedy the caller keeps to, the node is not freed before this call returns.
        let next = unsafe { &(*head).node }.next();
        // SeqCst: the C library promises a full barrier. The new head is published by its pusher, whose release sequence this
        // continues. Relaxed on failure: what was found is not followed. The node is the head's first field.
        let popped = self.head.compare_exchange(head, next.cast(), Ordering::SeqCst, Ordering::Relaxed);
        popped.is_ok().then_some(head.cast())
    }

    /// # Safety
    ///
    /// As [`pop`](Self::pop).
    #[cold]
    #[inline(never)]
    unsafe fn pop_contended(&self) -> *mut LfsNode {
        let mut absence = Absence::new();
        loop {
            absence.stay_away();
            // SAFETY: as promised.
            if let Some(node) = unsafe { self.try_pop() } {
                return node;
            }
        }
    }

    /// Pops everything; null when the stack is empty. Iterate with [`LfsIter`].
    ///
    /// Wait-free: one exchange. A full barrier. Conflicts with [`pop`](Self::pop), not with itself.
    ///
    /// # Safety
    ///
    /// As for [`pop`](Self::pop), but that no section is needed: under that remedy, too, a grace period passes before
    /// one of the nodes is freed or pushed again.
    #[doc(alias = "__cds_lfs_pop_all")]
    #[inline]
    pub unsafe fn pop_all(&self) -> *mut LfsHead {
        // Acquire: sees all nodes. PAIR(lfs-push). SeqCst: the C library promises a full barrier.
        self.head.swap(ptr::null_mut(), Ordering::SeqCst)
    }
}

impl Default for LfsStack {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LfsStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LfsStack").field("empty", &self.is_empty()).finish()
    }
}

/// The nodes of a popped chain, from the top down. Wait-free.
///
/// The link is read before the node is given out, so the node may be freed or changed at once, as far as the remedy
/// against ABA lets it.
#[doc(alias = "cds_lfs_for_each")]
#[doc(alias = "cds_lfs_for_each_safe")]
#[derive(Debug)]
pub struct LfsIter {
    node: *mut LfsNode,
}

impl LfsIter {
    /// Over what [`LfsStack::pop_all`] returned; null is no node.
    ///
    /// # Safety
    ///
    /// The chain is the caller's: its nodes stay valid, and linked, until they have been given out.
    #[inline]
    pub const unsafe fn new(head: *mut LfsHead) -> Self {
        // The node is the first field.
        Self { node: head.cast() }
    }
}

impl Iterator for LfsIter {
    type Item = *mut LfsNode;

    #[inline]
    fn next(&mut self) -> Option<*mut LfsNode> {
        let node = self.node;
        if node.is_null() {
            return None;
        }
        // SAFETY: not given out yet, so still valid (contract of `new`).
        self.node = unsafe { &*node }.next();
        Some(node)
    }
}

/// A lock-free stack with a mutex for those who pop.
///
/// Derefs to [`LfsStack`] for all that takes no lock.
#[doc(alias = "cds_lfs_stack")]
#[doc(alias = "cds_lfs_init")]
#[doc(alias = "cds_lfs_destroy")]
#[derive(Debug, Default)]
#[repr(C)]
pub struct LfsLockedStack {
    stack: LfsStack,
    lock: PthreadMutex,
}

impl LfsLockedStack {
    /// An empty stack.
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self { stack: LfsStack::new(), lock: PthreadMutex::new() }
    }

    /// An empty stack.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { stack: LfsStack::new(), lock: PthreadMutex::new() }
    }

    /// Takes the mutex, for several pops in a row. Blocks.
    #[doc(alias = "cds_lfs_pop_lock")]
    #[inline]
    pub fn pop_lock(&self) {
        self.lock.lock();
    }

    /// Gives the mutex back.
    ///
    /// # Safety
    ///
    /// The calling thread has taken it by [`pop_lock`](Self::pop_lock).
    #[doc(alias = "cds_lfs_pop_unlock")]
    #[inline]
    pub unsafe fn pop_unlock(&self) {
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock() };
    }

    /// Pops the top node under the mutex; null when the stack is empty. Blocks. The node may be freed or pushed again at once.
    ///
    /// # Safety
    ///
    /// All who pop from this stack hold its mutex: they use this, `pop_all_locked`, or `pop_lock`.
    #[doc(alias = "cds_lfs_pop_blocking")]
    #[inline]
    pub unsafe fn pop_locked(&self) -> *mut LfsNode {
        self.pop_lock();
        // SAFETY: the mutex is held, as everybody holds it.
        let node = unsafe { self.stack.pop() };
        // SAFETY: taken above.
        unsafe { self.pop_unlock() };
        node
    }

    /// Pops everything under the mutex; null when the stack is empty. Blocks. The nodes may be freed or pushed again at once.
    ///
    /// # Safety
    ///
    /// As [`pop_locked`](Self::pop_locked).
    #[doc(alias = "cds_lfs_pop_all_blocking")]
    #[inline]
    pub unsafe fn pop_all_locked(&self) -> *mut LfsHead {
        self.pop_lock();
        // SAFETY: the mutex is held, as everybody holds it.
        let head = unsafe { self.stack.pop_all() };
        // SAFETY: taken above.
        unsafe { self.pop_unlock() };
        head
    }
}

impl Deref for LfsLockedStack {
    type Target = LfsStack;

    #[inline]
    fn deref(&self) -> &LfsStack {
        &self.stack
    }
}

#[cfg(all(test, not(urcu_loom), target_arch = "x86_64"))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_of_the_c_library() {
        assert_eq!((size_of::<LfsNode>(), size_of::<LfsHead>(), size_of::<LfsStack>()), (8, 8, 8));
        assert_eq!((size_of::<LfsLockedStack>(), align_of::<LfsLockedStack>()), (48, 8));
        assert_eq!((offset_of!(LfsLockedStack, stack), offset_of!(LfsLockedStack, lock)), (0, 8));
        assert_eq!((offset_of!(LfsHead, node), offset_of!(LfsNode, next), offset_of!(LfsStack, head)), (0, 0, 0));
    }
}

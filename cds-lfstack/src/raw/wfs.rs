//! The stack with a wait-free push (`urcu/wfstack.h`).
//!
//! A push exchanges the head for its node and only then links the node to what was there: two steps, so no loop. Whoever
//! pops between the two finds a node whose link is still null, and has to wait, or to say so. The bottom is the address 1.
//!
//! The head changes by read-modify-writes only, so an Acquire of it sees the contents of all nodes below, as in the
//! [lock-free stack](super::lfs): PAIR(wfs-push). But the links are stored after that, each by its pusher: who follows one
//! acquires it, so that the pusher is done with the node when it is freed. PAIR(wfs-link)

use core::fmt;
use core::ops::Deref;
use core::ptr;

use urcu_core::sync::modelled::{AtomicPtr, Ordering, spin_loop};
use urcu_core::sys::PthreadMutex;
use urcu_core::{Absence, Backoff};

/// Below the last node.
const END: *mut WfsHead = ptr::without_provenance_mut(1);

#[inline]
fn is_end<T>(pointer: *mut T) -> bool {
    pointer.addr() == END.addr()
}

/// A push is half done, or a race was lost: try again later.
#[doc(alias = "CDS_WFS_WOULDBLOCK")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

impl fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a push is half done, or another operation came first")
    }
}

impl core::error::Error for WouldBlock {}

/// The link inside of an element of a [`WfsStack`].
#[doc(alias = "cds_wfs_node")]
#[repr(C)]
pub struct WfsNode {
    next: AtomicPtr<WfsNode>,
}

impl WfsNode {
    /// A node that is in no stack.
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

    /// Makes a node that was popped fit for another push. Wait-free.
    ///
    /// Only when it may be pushed again: under RCU, a grace period after it was popped.
    #[doc(alias = "cds_wfs_node_init")]
    #[inline]
    pub fn init(&self) {
        // Relaxed: published by the push.
        self.next.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Links `below` below a node that is in no stack yet: to build a chain for [`WfsStack::push_chain`].
    #[inline]
    pub fn link(&self, below: *mut WfsNode) {
        // Relaxed: published by the push.
        self.next.store(below, Ordering::Relaxed);
    }

    /// The node below in a chain that [`WfsStack::pop_all`] returned, null behind the last one. Waits while it is being
    /// linked.
    #[doc(alias = "cds_wfs_next_blocking")]
    #[inline]
    pub fn next_blocking(&self) -> *mut WfsNode {
        let next = self.link_blocking();
        if is_end(next) { ptr::null_mut() } else { next }
    }

    /// The node below in a chain that [`WfsStack::pop_all`] returned, null behind the last one. Wait-free.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`]: it is being linked.
    #[doc(alias = "cds_wfs_next_nonblocking")]
    #[inline]
    pub fn next_nonblocking(&self) -> Result<*mut WfsNode, WouldBlock> {
        let next = self.link_nonblocking()?;
        Ok(if is_end(next) { ptr::null_mut() } else { next })
    }

    #[inline]
    fn link_nonblocking(&self) -> Result<*mut WfsNode, WouldBlock> {
        // Acquire: the pusher is done with this node. PAIR(wfs-link)
        let next = self.next.load(Ordering::Acquire);
        if next.is_null() { Err(WouldBlock) } else { Ok(next) }
    }

    #[inline]
    fn link_blocking(&self) -> *mut WfsNode {
        self.link_nonblocking().unwrap_or_else(|WouldBlock| self.wait_for_link())
    }

    /// The pusher is one store away from linking it, unless it is not running.
    #[cold]
    fn wait_for_link(&self) -> *mut WfsNode {
        let mut backoff = Backoff::brisk();
        loop {
            if cfg!(urcu_loom) {
                spin_loop();
            } else if !backoff.snooze() {
                // It may have a lower priority than this thread.
                std::thread::sleep(core::time::Duration::from_micros(100));
            }
            if let Ok(next) = self.link_nonblocking() {
                return next;
            }
        }
    }
}

/// Whoever frees a node is the only one who uses it: the model checker finds a pusher that is not done with its link.
#[cfg(urcu_loom)]
impl Drop for WfsNode {
    fn drop(&mut self) {
        self.next.with_mut(|_| ());
    }
}

impl Default for WfsNode {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WfsNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: not followed.
        f.debug_struct("WfsNode").field("next", &self.next.load(Ordering::Relaxed)).finish()
    }
}

/// The top node of a chain that was popped as a whole.
#[doc(alias = "cds_wfs_head")]
#[derive(Debug)]
#[repr(C)]
pub struct WfsHead {
    /// The node.
    pub node: WfsNode,
}

/// What a pop found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Popped {
    /// The node; null when the stack was empty.
    pub node: *mut WfsNode,
    /// Whether it was the last one: the stack was empty after this.
    #[doc(alias = "CDS_WFS_STATE_LAST")]
    pub last: bool,
}

impl Popped {
    const NONE: Self = Self { node: ptr::null_mut(), last: false };
}

/// A stack with a wait-free push.
#[doc(alias = "__cds_wfs_stack")]
#[repr(C)]
pub struct WfsStack {
    head: AtomicPtr<WfsHead>,
}

impl WfsStack {
    /// An empty stack.
    #[doc(alias = "__cds_wfs_init")]
    #[cfg(not(urcu_loom))]
    #[inline]
    pub const fn new() -> Self {
        Self { head: AtomicPtr::new(END) }
    }

    /// An empty stack.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { head: AtomicPtr::new(END) }
    }

    /// Whether it was empty a moment ago. Any context. Wait-free. No barrier.
    #[doc(alias = "cds_wfs_empty")]
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: the answer may be old when it is looked at, whatever the order.
        is_end(self.head.load(Ordering::Relaxed))
    }

    /// Pushes `node`; whether there was something below it.
    ///
    /// Any context; conflicts with nothing. Wait-free: an exchange and a store. A full barrier before it.
    ///
    /// # Safety
    ///
    /// - `node` is valid until it has been popped, in no stack, and fresh from [`WfsNode::new`] or [`WfsNode::init`].
    /// - If it was in this stack before and pops are protected by sections, a grace period has passed since it was popped.
    #[doc(alias = "cds_wfs_push")]
    #[inline]
    pub unsafe fn push(&self, node: *mut WfsNode) -> bool {
        // SAFETY: as promised.
        unsafe { self.push_chain(node, node) }
    }

    /// Pushes the chain from `top` down to `bottom`, linked by [`WfsNode::link`], in one step; whether there was something
    /// below it. As [`push`](Self::push).
    ///
    /// # Safety
    ///
    /// As there, for each node of the chain; `bottom` is its last one, and fresh.
    #[inline]
    pub unsafe fn push_chain(&self, top: *mut WfsNode, bottom: *mut WfsNode) -> bool {
        // SAFETY: valid, as the caller promises, and not freed before it is linked.
        let bottom = unsafe { &*bottom };
        debug_assert!(bottom.next.load(Ordering::Relaxed).is_null(), "a node that was not initialised before its push");
        // Release publishes the nodes: PAIR(wfs-push). SeqCst: the C library promises a full barrier.
        let below = self.head.swap(top.cast(), Ordering::SeqCst);
        // Release: the last access to the node here. PAIR(wfs-link)
        bottom.next.store(below.cast(), Ordering::Release);
        !is_end(below)
    }

    /// Pops the top node; null when the stack is empty. Waits for a push that is half done.
    ///
    /// A full barrier when it returns a node. Conflicts with other pops and with [`pop_all`](Self::pop_all).
    ///
    /// # Safety
    ///
    /// One of these, the same for all callers that may run at the same time:
    /// - the calling thread is inside a section, and no node popped here is freed, changed or pushed again before a grace
    ///   period has passed;
    /// - all callers of the pops and of `pop_all` hold one mutex;
    /// - one thread alone calls them.
    #[doc(alias = "__cds_wfs_pop_blocking")]
    #[inline]
    pub unsafe fn pop_blocking(&self) -> *mut WfsNode {
        // SAFETY: as promised.
        unsafe { self.pop_with_state_blocking() }.node
    }

    /// [`pop_blocking`](Self::pop_blocking), and whether the node was the last one.
    ///
    /// # Safety
    ///
    /// As there.
    #[doc(alias = "__cds_wfs_pop_with_state_blocking")]
    #[inline]
    pub unsafe fn pop_with_state_blocking(&self) -> Popped {
        // SAFETY: as promised.
        match unsafe { self.attempt(|node| Ok(node.link_blocking())) } {
            Ok(popped) => popped,
            // SAFETY: as promised.
            Err(WouldBlock) => unsafe { self.pop_contended() },
        }
    }

    /// # Safety
    ///
    /// As [`pop_blocking`](Self::pop_blocking).
    #[cold]
    #[inline(never)]
    unsafe fn pop_contended(&self) -> Popped {
        let mut absence = Absence::new();
        loop {
            absence.stay_away();
            // SAFETY: as promised.
            if let Ok(popped) = unsafe { self.attempt(|node| Ok(node.link_blocking())) } {
                return popped;
            }
        }
    }

    /// Pops the top node; null when the stack is empty. Never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`]: a push is half done, or another push or pop came in between.
    ///
    /// # Safety
    ///
    /// As [`pop_blocking`](Self::pop_blocking).
    #[doc(alias = "__cds_wfs_pop_nonblocking")]
    #[inline]
    pub unsafe fn pop_nonblocking(&self) -> Result<*mut WfsNode, WouldBlock> {
        // SAFETY: as promised.
        unsafe { self.pop_with_state_nonblocking() }.map(|popped| popped.node)
    }

    /// [`pop_nonblocking`](Self::pop_nonblocking), and whether the node was the last one.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Safety
    ///
    /// As [`pop_blocking`](Self::pop_blocking).
    #[doc(alias = "__cds_wfs_pop_with_state_nonblocking")]
    #[inline]
    pub unsafe fn pop_with_state_nonblocking(&self) -> Result<Popped, WouldBlock> {
        // SAFETY: as promised.
        unsafe { self.attempt(WfsNode::link_nonblocking) }
    }

    /// # Safety
    ///
    /// As [`pop_blocking`](Self::pop_blocking).
    #[inline]
    unsafe fn attempt(
        &self,
        link: impl FnOnce(&WfsNode) -> Result<*mut WfsNode, WouldBlock>,
    ) -> Result<Popped, WouldBlock> {
        // Acquire: sees the node and all below it. PAIR(wfs-push)
        let head = self.head.load(Ordering::Acquire);
        if is_end(head) {
            return Ok(Popped::NONE);
        }
        // SAFETY: whatever remedy the caller keeps to, the node is not freed before this call returns.
        let next = link(unsafe { &(*head).node })?;
        // SeqCst: the C library promises a full barrier. Relaxed on failure: what was found is not followed.
        match self.head.compare_exchange(head, next.cast(), Ordering::SeqCst, Ordering::Relaxed) {
            // The node is the first field.
            Ok(_) => Ok(Popped { node: head.cast(), last: is_end(next) }),
            Err(_) => Err(WouldBlock),
        }
    }

    /// Pops everything; null when the stack is empty. Iterate with [`WfsIter`], or [`WfsNode::next_nonblocking`].
    ///
    /// Wait-free: one exchange. A full barrier. Conflicts with the pops, not with itself.
    ///
    /// # Safety
    ///
    /// As [`pop_blocking`](Self::pop_blocking), but that no section is needed: under that remedy, too, a grace period
    /// passes before one of the nodes is freed, changed or pushed again.
    #[doc(alias = "__cds_wfs_pop_all")]
    #[inline]
    pub unsafe fn pop_all(&self) -> *mut WfsHead {
        // Acquire: sees all nodes. PAIR(wfs-push). SeqCst: the C library promises a full barrier.
        let head = self.head.swap(END, Ordering::SeqCst);
        if is_end(head) { ptr::null_mut() } else { head }
    }
}

impl Default for WfsStack {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WfsStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WfsStack").field("empty", &self.is_empty()).finish()
    }
}

/// The nodes of a popped chain, from the top down. Waits for pushes that are half done.
///
/// The link is read before the node is given out, so the node may be freed at once, as far as the remedy against ABA lets
/// it.
#[doc(alias = "cds_wfs_first")]
#[doc(alias = "cds_wfs_for_each_blocking")]
#[doc(alias = "cds_wfs_for_each_blocking_safe")]
#[derive(Debug)]
pub struct WfsIter {
    node: *mut WfsNode,
}

impl WfsIter {
    /// Over what [`WfsStack::pop_all`] returned; null is no node.
    ///
    /// # Safety
    ///
    /// The chain is the caller's: its nodes stay valid, and linked, until they have been given out.
    #[inline]
    pub const unsafe fn new(head: *mut WfsHead) -> Self {
        // The node is the first field.
        Self { node: head.cast() }
    }

    /// The next node, none behind the last one. Never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`]: the link below the next node is being stored; it is still the next one.
    #[inline]
    pub fn next_nonblocking(&mut self) -> Result<Option<*mut WfsNode>, WouldBlock> {
        let node = self.node;
        if node.is_null() {
            return Ok(None);
        }
        // SAFETY: not given out yet, so still valid (contract of `new`).
        self.node = unsafe { &*node }.next_nonblocking()?;
        Ok(Some(node))
    }
}

impl Iterator for WfsIter {
    type Item = *mut WfsNode;

    #[inline]
    fn next(&mut self) -> Option<*mut WfsNode> {
        let node = self.node;
        if node.is_null() {
            return None;
        }
        // SAFETY: not given out yet, so still valid (contract of `new`).
        self.node = unsafe { &*node }.next_blocking();
        Some(node)
    }
}

/// A stack with a wait-free push and a mutex for those who pop.
///
/// Derefs to [`WfsStack`] for all that takes no lock.
#[doc(alias = "cds_wfs_stack")]
#[doc(alias = "cds_wfs_init")]
#[doc(alias = "cds_wfs_destroy")]
#[derive(Debug, Default)]
#[repr(C)]
pub struct WfsLockedStack {
    stack: WfsStack,
    lock: PthreadMutex,
}

impl WfsLockedStack {
    /// An empty stack.
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self { stack: WfsStack::new(), lock: PthreadMutex::new() }
    }

    /// An empty stack.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self { stack: WfsStack::new(), lock: PthreadMutex::new() }
    }

    /// Takes the mutex, for several pops in a row. Blocks.
    #[doc(alias = "cds_wfs_pop_lock")]
    #[inline]
    pub fn pop_lock(&self) {
        self.lock.lock();
    }

    /// Gives the mutex back.
    ///
    /// # Safety
    ///
    /// The calling thread has taken it by [`pop_lock`](Self::pop_lock).
    #[doc(alias = "cds_wfs_pop_unlock")]
    #[inline]
    pub unsafe fn pop_unlock(&self) {
        // SAFETY: the caller holds it.
        unsafe { self.lock.unlock() };
    }

    /// Pops the top node under the mutex; null when the stack is empty. Blocks. The node may be freed or pushed again at once.
    ///
    /// # Safety
    ///
    /// All who pop from this stack hold its mutex: they use the locking functions, or `pop_lock`.
    #[doc(alias = "cds_wfs_pop_blocking")]
    #[inline]
    pub unsafe fn pop_locked(&self) -> *mut WfsNode {
        // SAFETY: as promised.
        unsafe { self.pop_with_state_locked() }.node
    }

    /// [`pop_locked`](Self::pop_locked), and whether the node was the last one.
    ///
    /// # Safety
    ///
    /// As there.
    #[doc(alias = "cds_wfs_pop_with_state_blocking")]
    #[inline]
    pub unsafe fn pop_with_state_locked(&self) -> Popped {
        self.pop_lock();
        // SAFETY: the mutex is held, as everybody holds it.
        let popped = unsafe { self.stack.pop_with_state_blocking() };
        // SAFETY: taken above.
        unsafe { self.pop_unlock() };
        popped
    }

    /// Pops everything under the mutex; null when the stack is empty. Blocks. The nodes may be freed or pushed again at once.
    ///
    /// # Safety
    ///
    /// As [`pop_locked`](Self::pop_locked).
    #[doc(alias = "cds_wfs_pop_all_blocking")]
    #[inline]
    pub unsafe fn pop_all_locked(&self) -> *mut WfsHead {
        self.pop_lock();
        // SAFETY: the mutex is held, as everybody holds it.
        let head = unsafe { self.stack.pop_all() };
        // SAFETY: taken above.
        unsafe { self.pop_unlock() };
        head
    }
}

impl Deref for WfsLockedStack {
    type Target = WfsStack;

    #[inline]
    fn deref(&self) -> &WfsStack {
        &self.stack
    }
}

#[cfg(all(test, not(urcu_loom), target_arch = "x86_64"))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_of_the_c_library() {
        assert_eq!((size_of::<WfsNode>(), size_of::<WfsHead>(), size_of::<WfsStack>()), (8, 8, 8));
        assert_eq!((size_of::<WfsLockedStack>(), align_of::<WfsLockedStack>()), (48, 8));
        assert_eq!((offset_of!(WfsLockedStack, stack), offset_of!(WfsLockedStack, lock)), (0, 8));
        assert_eq!((offset_of!(WfsHead, node), offset_of!(WfsNode, next), offset_of!(WfsStack, head)), (0, 0, 0));
        assert_eq!(WfsStack::new().head.load(Ordering::Relaxed).addr(), 1);
    }
}

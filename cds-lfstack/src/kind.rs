//! What the faces ask of a raw stack: one of the two kinds.

use core::fmt;

use crate::raw::{LfsNode, LfsStack, WfsNode, WfsStack, WouldBlock};

/// [`LfsStack`] or [`WfsStack`]: what a [`Stack`](crate::Stack) is made of. Sealed.
pub trait Kind: Default + fmt::Debug + Send + Sync + sealed::Kind {}

impl Kind for LfsStack {}
impl Kind for WfsStack {}

pub(crate) mod sealed {
    use super::WouldBlock;

    /// The operations, under the names and contracts of the raw tier.
    pub trait Kind {
        type Link: Default;

        fn is_empty(&self) -> bool;

        /// Links `below` below `link`.
        fn link(link: &Self::Link, below: *mut Self::Link);

        /// # Safety
        ///
        /// As the raw `push_chain`.
        unsafe fn push_chain(&self, top: *mut Self::Link, bottom: *mut Self::Link) -> bool;

        /// The top node (null when empty), and whether it was the last one.
        ///
        /// # Safety
        ///
        /// As the raw `pop`.
        unsafe fn pop(&self) -> (*mut Self::Link, bool);

        /// # Safety
        ///
        /// As the raw `pop_nonblocking`.
        unsafe fn try_pop(&self) -> Result<(*mut Self::Link, bool), WouldBlock>;

        /// # Safety
        ///
        /// As the raw `pop_all`.
        unsafe fn pop_all(&self) -> *mut Self::Link;

        /// The link below in a popped chain; waits for it.
        fn next(link: &Self::Link) -> *mut Self::Link;

        /// The same without waiting.
        fn try_next(link: &Self::Link) -> Result<*mut Self::Link, WouldBlock>;
    }
}

impl sealed::Kind for LfsStack {
    type Link = LfsNode;

    #[inline]
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn link(link: &LfsNode, below: *mut LfsNode) {
        link.link(below);
    }

    #[inline]
    unsafe fn push_chain(&self, top: *mut LfsNode, bottom: *mut LfsNode) -> bool {
        // SAFETY: as promised.
        unsafe { self.push_chain(top, bottom) }
    }

    #[inline]
    unsafe fn pop(&self) -> (*mut LfsNode, bool) {
        // SAFETY: as promised.
        let node = unsafe { self.pop() };
        (node, false)
    }

    #[inline]
    unsafe fn try_pop(&self) -> Result<(*mut LfsNode, bool), WouldBlock> {
        // SAFETY: as promised.
        let node = unsafe { self.pop() };
        Ok((node, false))
    }

    #[inline]
    unsafe fn pop_all(&self) -> *mut LfsNode {
        // SAFETY: as promised. The node is the head's first field.
        unsafe { self.pop_all() }.cast()
    }

    #[inline]
    fn next(link: &LfsNode) -> *mut LfsNode {
        link.next()
    }

    #[inline]
    fn try_next(link: &LfsNode) -> Result<*mut LfsNode, WouldBlock> {
        Ok(link.next())
    }
}

impl sealed::Kind for WfsStack {
    type Link = WfsNode;

    #[inline]
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn link(link: &WfsNode, below: *mut WfsNode) {
        link.link(below);
    }

    #[inline]
    unsafe fn push_chain(&self, top: *mut WfsNode, bottom: *mut WfsNode) -> bool {
        // SAFETY: as promised.
        unsafe { self.push_chain(top, bottom) }
    }

    #[inline]
    unsafe fn pop(&self) -> (*mut WfsNode, bool) {
        // SAFETY: as promised.
        let popped = unsafe { self.pop_with_state_blocking() };
        (popped.node, popped.last)
    }

    #[inline]
    unsafe fn try_pop(&self) -> Result<(*mut WfsNode, bool), WouldBlock> {
        // SAFETY: as promised.
        let popped = unsafe { self.pop_with_state_nonblocking() }?;
        Ok((popped.node, popped.last))
    }

    #[inline]
    unsafe fn pop_all(&self) -> *mut WfsNode {
        // SAFETY: as promised. The node is the head's first field.
        unsafe { self.pop_all() }.cast()
    }

    #[inline]
    fn next(link: &WfsNode) -> *mut WfsNode {
        link.next_blocking()
    }

    #[inline]
    fn try_next(link: &WfsNode) -> Result<*mut WfsNode, WouldBlock> {
        link.next_nonblocking()
    }
}

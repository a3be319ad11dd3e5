//! What an updater has removed and will retire when it has given the lock back.

use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};

use urcu_core::FlavorVtable;

use crate::kind::{Kind, Node};

/// Enough for most updaters, so that they allocate nothing.
const INLINE: usize = 8;

/// Retiring may have to wait for room, and a waiting updater must not hold a lock for which a thread inside a section waits.
/// So nothing is retired under the lock.
pub(crate) struct Pending<T: Send + 'static, K: Kind> {
    flavor: &'static FlavorVtable,
    /// The first `len` are nodes.
    nodes: [MaybeUninit<*mut K::Links>; INLINE],
    len: usize,
    more: Vec<*mut K::Links>,
    marker: PhantomData<Box<T>>,
}

impl<T: Send + 'static, K: Kind> Pending<T, K> {
    #[inline]
    pub(crate) fn new(flavor: &'static FlavorVtable) -> Self {
        Self { flavor, nodes: [const { MaybeUninit::uninit() }; INLINE], len: 0, more: Vec::new(), marker: PhantomData }
    }

    /// Adds a node that has been unlinked.
    ///
    /// # Safety
    ///
    /// It was made by `Node::<T, K>::alloc`, and nobody but readers has it.
    #[inline]
    pub(crate) unsafe fn add(&mut self, node: *mut K::Links) {
        if self.len < INLINE {
            self.nodes[self.len].write(node);
            self.len += 1;
        } else {
            self.more.push(node);
        }
    }
}

impl<T: Send + 'static, K: Kind> Drop for Pending<T, K> {
    #[inline]
    fn drop(&mut self) {
        let retire = |node: *mut K::Links| {
            // SAFETY: as `add` was promised; `T` is `Send` and `'static`.
            unsafe { self.flavor.retire_raw(node.cast::<Node<T, K>>()) };
        };
        for node in &self.nodes[..self.len] {
            // SAFETY: one of the first `len`.
            retire(unsafe { node.assume_init() });
        }
        mem::take(&mut self.more).into_iter().for_each(retire);
    }
}

//! An element of the faces' stacks: a link and a value, in memory from the cache.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use urcu_core::FlavorVtable;

use crate::cache;
use crate::kind::Kind;

/// # Invariants
///
/// 1. The link comes first: a pointer to it is one to the node.
/// 2. While a node is in a stack or chain, `value` is initialised and nobody looks at it. It is moved out once, by the one
///    who has popped the node; after that only `link` may be read.
#[repr(C)]
pub(crate) struct Node<K: Kind, T> {
    link: K::Link,
    value: ManuallyDrop<T>,
}

/// Where the memory of popped nodes goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remedy {
    /// Others may be looking at the link: after a grace period.
    Sections(&'static FlavorVtable),
    /// Nobody else pops: at once.
    Exclusion,
}

impl<K: Kind, T> Node<K, T> {
    /// A node that holds `value`; its link.
    #[inline]
    pub(crate) fn allocate(value: T) -> *mut K::Link {
        let node = cache::allocate::<Self>();
        // SAFETY: fresh memory for a node.
        unsafe { node.write(Self { link: K::Link::default(), value: ManuallyDrop::new(value) }) };
        node.as_ptr().cast()
    }

    /// Moves the value out and gives the memory away.
    ///
    /// # Safety
    ///
    /// `link` comes from [`allocate`](Self::allocate), was popped by the caller, and is used once. `Exclusion` only where
    /// nobody else may be popping.
    #[inline]
    pub(crate) unsafe fn take(link: *mut K::Link, remedy: Remedy) -> T {
        let node: *mut Self = link.cast();
        // SAFETY: popped by the caller alone, so the value is there (invariants 1 and 2).
        let value = unsafe { &mut (*node).value };
        // SAFETY: once, and nobody looks at it after this (invariant 2).
        let value = unsafe { ManuallyDrop::take(value) };
        // SAFETY: `allocate` never returns null.
        let node = unsafe { NonNull::new_unchecked(node) };
        match remedy {
            // SAFETY: nothing in it needs dropping now, and others read the link at most, which is its first word.
            Remedy::Sections(flavor) => unsafe { cache::retire(node, flavor) },
            // SAFETY: nothing in it needs dropping now, and nobody else pops.
            Remedy::Exclusion => unsafe { cache::free(node) },
        }
        value
    }

    /// The value of a node.
    ///
    /// # Safety
    ///
    /// `link` comes from [`allocate`](Self::allocate), and only the caller can pop it or get at its value for `'a`.
    #[inline]
    pub(crate) unsafe fn value<'a>(link: *mut K::Link) -> &'a mut T {
        let node: *mut Self = link.cast();
        // SAFETY: the caller's alone (invariants 1 and 2).
        unsafe { &mut (*node).value }
    }

    /// A chain that holds `values`, the last one on top: its top, its bottom, and how many there are.
    #[inline]
    pub(crate) fn chain(values: impl Iterator<Item = T>) -> Option<(*mut K::Link, *mut K::Link)> {
        /// Frees what has been built when the iterator panics.
        struct Built<K: Kind, T>(*mut K::Link, *mut K::Link, core::marker::PhantomData<T>);
        impl<K: Kind, T> Drop for Built<K, T> {
            fn drop(&mut self) {
                while !self.0.is_null() {
                    let link = self.0;
                    // SAFETY: built here, and seen by nobody else.
                    let next = if link == self.1 { core::ptr::null_mut() } else { K::next(unsafe { &*link }) };
                    self.0 = next;
                    // SAFETY: built here, and seen by nobody else.
                    drop(unsafe { Node::<K, T>::take(link, Remedy::Exclusion) });
                }
            }
        }
        let mut built = Built::<K, T>(core::ptr::null_mut(), core::ptr::null_mut(), core::marker::PhantomData);
        for value in values {
            let link = Self::allocate(value);
            if built.0.is_null() {
                built.1 = link;
            } else {
                // SAFETY: just allocated, seen by nobody else.
                K::link(unsafe { &*link }, built.0);
            }
            built.0 = link;
        }
        let ends = (!built.0.is_null()).then_some((built.0, built.1));
        core::mem::forget(built);
        ends
    }
}

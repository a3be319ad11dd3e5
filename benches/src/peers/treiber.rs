//! A Treiber stack over crossbeam-epoch, as its users write it, with crossbeam's back-off.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::Ordering;

use crossbeam_epoch::{self as epoch, Atomic, Owned};
use crossbeam_utils::Backoff;

struct Node<T> {
    value: ManuallyDrop<T>,
    next: Atomic<Node<T>>,
}

/// The stack.
pub struct Treiber<T> {
    head: Atomic<Node<T>>,
}

impl<T> std::fmt::Debug for Treiber<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Treiber")
    }
}

impl<T> Treiber<T> {
    /// Empty.
    pub fn new() -> Self {
        Self { head: Atomic::null() }
    }

    /// Pushes.
    #[inline]
    pub fn push(&self, value: T) {
        let mut node = Owned::new(Node { value: ManuallyDrop::new(value), next: Atomic::null() });
        let guard = epoch::pin();
        let backoff = Backoff::new();
        loop {
            let head = self.head.load(Ordering::Relaxed, &guard);
            node.next.store(head, Ordering::Relaxed);
            // Release: publishes the node to the Acquire loads of the pops.
            match self.head.compare_exchange(head, node, Ordering::Release, Ordering::Relaxed, &guard) {
                Ok(_) => return,
                Err(error) => node = error.new,
            }
            backoff.spin();
        }
    }

    /// Pops.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        let guard = epoch::pin();
        let backoff = Backoff::new();
        loop {
            let head = self.head.load(Ordering::Acquire, &guard);
            // SAFETY: null or a node that the guard keeps alive.
            let node = unsafe { head.as_ref() }?;
            let next = node.next.load(Ordering::Relaxed, &guard);
            if self.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed, &guard).is_ok() {
                // SAFETY: popped by this thread alone.
                let value = unsafe { ptr::read(&raw const node.value) };
                // SAFETY: nobody finds it any more.
                unsafe { guard.defer_destroy(head) };
                return Some(ManuallyDrop::into_inner(value));
            }
            backoff.spin();
        }
    }

    /// Pops everything.
    #[inline]
    pub fn pop_all(&self, mut each: impl FnMut(T)) {
        let guard = epoch::pin();
        let mut top = self.head.swap(epoch::Shared::null(), Ordering::AcqRel, &guard);
        // SAFETY: null or a node that the guard keeps alive.
        while let Some(node) = unsafe { top.as_ref() } {
            let next = node.next.load(Ordering::Relaxed, &guard);
            // SAFETY: popped by this thread alone.
            each(ManuallyDrop::into_inner(unsafe { ptr::read(&raw const node.value) }));
            // SAFETY: nobody finds it any more.
            unsafe { guard.defer_destroy(top) };
            top = next;
        }
    }
}

impl<T> Default for Treiber<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Treiber<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

//! What `pop_all` returns: values that belong to the caller.

use core::any::Any;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::kind::Kind;
use crate::node::{Node, Remedy};
use crate::raw::WouldBlock;

/// The values that a stack held, from the top down.
///
/// Independent of the stack: it can outlive it, and be sent to another thread. What has not been taken out is dropped with
/// it; if drops panic, the others are dropped all the same and the first panic goes on.
///
/// Of a [`WfStack`](crate::WfStack), taking the next value may wait for a push that is half done. Of a guarded stack, each value
/// taken or dropped retires a node: outside of sections that may wait for a grace period when the flavor's hard limit is
/// exceeded, so hold no lock there that a section or a deferred call takes.
#[must_use = "the values are dropped with it"]
pub struct Batch<K: Kind, T> {
    /// The links that are left, the caller's own.
    top: *mut K::Link,
    remedy: Remedy,
    marker: PhantomData<T>,
}

// SAFETY: it owns its values and nodes; nodes may be freed or retired on any thread.
unsafe impl<K: Kind, T: Send> Send for Batch<K, T> {}
// SAFETY: a shared one gives nothing out.
unsafe impl<K: Kind, T: Sync> Sync for Batch<K, T> {}

impl<K: Kind, T> Batch<K, T> {
    /// # Safety
    ///
    /// `top` is null or a chain of nodes for `T`, popped by the caller alone. `Exclusion` only where nobody else may be
    /// looking at its nodes.
    #[inline]
    pub(crate) const unsafe fn new(top: *mut K::Link, remedy: Remedy) -> Self {
        Self { top, remedy, marker: PhantomData }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.top.is_null()
    }

    /// The next value, none behind the last one. Never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`]: of a [`WfStack`](crate::WfStack), the push of that value is half done.
    #[doc(alias = "cds_wfs_next_nonblocking")]
    pub fn try_next(&mut self) -> Result<Option<T>, WouldBlock> {
        if self.top.is_null() {
            return Ok(None);
        }
        // SAFETY: a node of the chain, not given out yet.
        let next = K::try_next(unsafe { &*self.top })?;
        Ok(Some(self.take(next)))
    }

    #[inline]
    fn take(&mut self, next: *mut K::Link) -> T {
        let link = mem::replace(&mut self.top, next);
        // SAFETY: popped, ours, and just taken out of the chain.
        unsafe { Node::<K, T>::take(link, self.remedy) }
    }

    #[cold]
    fn drop_rest(&mut self) {
        /// A payload may panic, too, when it is dropped, and so may that panic's.
        fn discard(payload: Box<dyn Any + Send>) {
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(another);
            }
        }
        let mut first_panic = None;
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.by_ref().for_each(drop))) {
            if first_panic.is_none() {
                first_panic = Some(payload);
            } else {
                discard(payload);
            }
        }
        match first_panic {
            Some(payload) if std::thread::panicking() => discard(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}

impl<K: Kind, T> Iterator for Batch<K, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.top.is_null() {
            return None;
        }
        // SAFETY: a node of the chain, not given out yet.
        let next = K::next(unsafe { &*self.top });
        Some(self.take(next))
    }
}

impl<K: Kind, T> FusedIterator for Batch<K, T> {}

impl<K: Kind, T> Drop for Batch<K, T> {
    fn drop(&mut self) {
        if !self.top.is_null() {
            self.drop_rest();
        }
    }
}

impl<K: Kind, T> fmt::Debug for Batch<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("empty", &self.is_empty()).finish_non_exhaustive()
    }
}

/// The values of a stack whose consumer had popped some of it already, or that was given up; from the top down.
///
/// As [`Batch`] in all else.
#[must_use = "the values are dropped with it"]
pub struct Batches<K: Kind, T> {
    first: Batch<K, T>,
    /// What lies below; the uppermost is the last.
    rest: Vec<Batch<K, T>>,
}

impl<K: Kind, T> Batches<K, T> {
    /// # Safety
    ///
    /// `first` and `rest` are as [`Batch::new`] asks of a chain whose nodes nobody may be looking at; `rest` has the
    /// uppermost last.
    pub(crate) unsafe fn new(first: *mut K::Link, rest: impl Iterator<Item = *mut K::Link>) -> Self {
        // SAFETY: as promised.
        let batch = |top| unsafe { Batch::new(top, Remedy::Exclusion) };
        Self { first: batch(first), rest: rest.map(batch).collect() }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }
}

impl<K: Kind, T> Iterator for Batches<K, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(value) = self.first.next() {
                return Some(value);
            }
            self.first = self.rest.pop()?;
        }
    }
}

impl<K: Kind, T> FusedIterator for Batches<K, T> {}

impl<K: Kind, T> fmt::Debug for Batches<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("empty", &self.is_empty()).finish_non_exhaustive()
    }
}

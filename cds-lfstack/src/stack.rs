//! The typed stack: what is common to both kinds and both remedies.

use core::fmt;
use core::marker::PhantomData;

use urcu_core::sync::CachePadded;

use crate::batch::Batches;
use crate::kind::Kind;
use crate::node::Node;

/// A stack of values, shared by reference.
///
/// `K` is the raw stack under it, `P` who may pop: [`Guarded`](crate::Guarded) or [`Serial`](crate::Serial). Use it by its
/// aliases: [`LfStack`](crate::LfStack), [`WfStack`](crate::WfStack), [`SerialLfStack`](crate::SerialLfStack),
/// [`SerialWfStack`](crate::SerialWfStack).
///
/// Values go from thread to thread, so a stack is shared only if they may be sent:
///
/// ```compile_fail,E0277
/// let stack = cds_lfstack::SerialLfStack::new();
/// stack.push(std::rc::Rc::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(|| stack.pop());
/// });
/// ```
///
/// What it holds lives as long as its type says, whoever pushes:
///
/// ```compile_fail,E0597
/// fn push<'v>(stack: &cds_lfstack::SerialLfStack<&'v str>, value: &'v str) {
///     stack.push(value);
/// }
/// let stack = cds_lfstack::SerialLfStack::<&'static str>::new();
/// {
///     let gone = String::from("gone");
///     push(&stack, &gone);
/// }
/// stack.pop();
/// ```
///
/// Dropping it drops the values in it at once; if drops panic, the others are dropped all the same and the first panic goes
/// on.
pub struct Stack<K: Kind, T, P: Protection> {
    /// The values' nodes come from `Node::<K, T>::allocate`.
    pub(crate) raw: CachePadded<K>,
    pub(crate) protection: P,
    /// It owns values, and takes them in by reference: `fn(T)` makes it invariant. (Were it covariant, a stack of `&'static`
    /// could be shared as one of a shorter lifetime, pushed to, and popped from as what it was.)
    pub(crate) marker: PhantomData<(T, fn(T))>,
}

// SAFETY: a stack owns its values.
unsafe impl<K: Kind, T: Send, P: Protection> Send for Stack<K, T, P> {}
// SAFETY: a shared stack takes values from any thread and gives them to any other; it never shares one by reference. So `T`
// must be `Send`, and need not be `Sync`.
unsafe impl<K: Kind, T: Send, P: Protection> Sync for Stack<K, T, P> {}

/// How pops are kept from harming each other. Sealed.
pub trait Protection: sealed::Protection + fmt::Debug + Send + Sync {}

pub(crate) mod sealed {
    use crate::kind::Kind;

    pub trait Protection {
        /// Something has been popped into a place that the raw stack does not know of.
        fn holds_more(&self) -> bool;

        /// What is left there: chains, the uppermost last.
        fn take_chains<K: Kind>(&mut self) -> impl Iterator<Item = *mut K::Link>;
    }
}

impl<K: Kind, T, P: Protection> Stack<K, T, P> {
    /// Pushes `value`; whether there was something below it (of a serial stack: that no consumer had taken yet).
    ///
    /// Any context but signal handlers, registered or not, inside a section or not. [`LfStack`](crate::LfStack):
    /// lock-free, [`WfStack`](crate::WfStack): wait-free, both but for the memory, which comes from a cache of the thread's
    /// and, when that is empty, from the allocator (whose promises are its own). What was done before the push happens before what follows the pop of
    /// the value.
    #[doc(alias = "cds_lfs_push")]
    #[doc(alias = "cds_wfs_push")]
    #[inline]
    pub fn push(&self, value: T) -> bool {
        let link = Node::<K, T>::allocate(value);
        // SAFETY: a fresh node. A reused one's memory has waited for its grace period, if it had to.
        unsafe { self.raw.push_chain(link, link) }
    }

    /// Pushes all values in one step, as if one after another: the last one is on top. Whether there was something below
    /// them. `None` and no effect if there are no values.
    ///
    /// Contexts and progress as [`push`](Self::push), plus what the iterator does; if that panics, nothing is pushed and the
    /// values so far are dropped.
    pub fn push_all(&self, values: impl IntoIterator<Item = T>) -> Option<bool> {
        let (top, bottom) = Node::<K, T>::chain(values.into_iter())?;
        // SAFETY: fresh nodes, linked from top to bottom.
        Some(unsafe { self.raw.push_chain(top, bottom) })
    }

    /// Whether it was empty a moment ago. Any context. Wait-free.
    #[doc(alias = "cds_lfs_empty")]
    #[doc(alias = "cds_wfs_empty")]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && !self.protection.holds_more()
    }

    /// Takes everything out, from the top down. No guard, no lock: nobody else has the stack.
    pub fn take_all(&mut self) -> Batches<K, T> {
        // SAFETY: `&mut` excludes everybody else.
        let top = unsafe { self.raw.0.pop_all() };
        // SAFETY: popped now, or earlier by a consumer who left it there; nobody else can be popping.
        unsafe { Batches::new(top, self.protection.take_chains::<K>()) }
    }
}

impl<K: Kind, T, P: Protection> Drop for Stack<K, T, P> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

impl<K: Kind, T, P: Protection> fmt::Debug for Stack<K, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("empty", &self.is_empty()).field("protection", &self.protection).finish()
    }
}

impl<K: Kind, T, P: Protection> Extend<T> for Stack<K, T, P> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.push_all(values);
    }
}

impl<K: Kind, T, P: Protection> Extend<T> for &Stack<K, T, P> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.push_all(values);
    }
}

impl<K: Kind, T, P: Protection> IntoIterator for Stack<K, T, P> {
    type Item = T;
    type IntoIter = Batches<K, T>;

    /// The values, from the top down.
    fn into_iter(mut self) -> Batches<K, T> {
        self.take_all()
    }
}

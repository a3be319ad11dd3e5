//! The face: a list that readers walk while an updater changes it.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use std::sync::{Mutex, TryLockError};

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicUsize, Ordering};
use urcu_core::{AnyGuard, FlavorVtable};

use crate::chain::{Chain, Detached};
use crate::iter::{IntoIter, Iter, IterMut, IterRev};
use crate::kind::sealed::Sealed;
use crate::kind::{Doubly, Hlist, Kind, Node};
use crate::updater::Updater;

/// A doubly linked list with readers that never wait.
///
/// See [`List`] for the methods that it shares with [`RcuHList`], and the crate page for what readers see.
#[doc(alias = "rculist")]
#[doc(alias = "cds_list_head")]
pub type RcuList<T> = List<T, Doubly>;

/// A list with a head of one pointer, with readers that never wait: forward only, and no access to the end.
///
/// See [`List`] for the methods that it shares with [`RcuList`], and the crate page for what readers see.
#[doc(alias = "rcuhlist")]
#[doc(alias = "cds_hlist_head")]
pub type RcuHList<T> = List<T, Hlist>;

/// A list of either shape: [`RcuList`] or [`RcuHList`].
///
/// Takes a flavor when it is made, and belongs to it. Readers bring a guard of that flavor, updaters take turns by [`lock`](Self::lock).
/// Dropping the list drops what is in it at once: a reader would still borrow it.
///
/// # Panics
///
/// What takes a guard panics when that is a guard of another flavor, or of another copy of the flavor's crate.
pub struct List<T, K: Kind> {
    /// On the heap, since the nodes point at the head; by a raw pointer, so that moving the list says nothing about it.
    ///
    /// # Invariants
    ///
    /// 1. Made by `Box::into_raw`; lives as long as the list.
    /// 2. The head is that of a raw list whose links belong to live `Node<T, K>`s, as many as `len` says, which this list owns.
    /// 3. It is changed only by who holds `lock`, or has the list exclusively.
    pub(crate) inner: NonNull<Inner<K>>,
    pub(crate) flavor: &'static FlavorVtable,
    marker: PhantomData<Owned<T>>,
}

/// The list owns its values, and is invariant in `T`, since values come in through `&self`.
type Owned<T> = (Box<T>, fn(T) -> T);

pub(crate) struct Inner<K: Kind> {
    pub(crate) head: K::Head,
    /// Away from the head, which readers load.
    pub(crate) updates: CachePadded<Updates>,
}

pub(crate) struct Updates {
    pub(crate) lock: Mutex<()>,
    /// Written by the updater only.
    pub(crate) len: AtomicUsize,
}

impl<T, K: Kind> List<T, K> {
    /// An empty list whose readers are those of `flavor`.
    pub fn new(flavor: &'static FlavorVtable) -> Self {
        let updates = Updates { lock: Mutex::new(()), len: AtomicUsize::new(0) };
        let inner = Box::into_raw(Box::new(Inner::<K> { head: K::Head::default(), updates: CachePadded(updates) }));
        // SAFETY: the box lives; a raw place expression.
        let head = unsafe { &raw mut (*inner).head };
        // SAFETY: on the heap, where it stays.
        unsafe { K::init(head) };
        // SAFETY: from a box.
        let inner = unsafe { NonNull::new_unchecked(inner) };
        Self { inner, flavor, marker: PhantomData }
    }

    /// A list of these values, in their order. Needs no lock, since nobody has the list yet.
    pub fn from_values(flavor: &'static FlavorVtable, values: impl IntoIterator<Item = T>) -> Self {
        Self::from_chain(flavor, values.into_iter().collect())
    }

    /// A list of what is in `chain`, without allocating nodes.
    pub fn from_chain(flavor: &'static FlavorVtable, chain: Chain<T, K>) -> Self {
        let list = Self::new(flavor);
        let len = chain.len();
        let (first, last, _) = chain.into_parts();
        if len != 0 {
            // SAFETY: a chain's links are right and nobody else's; this list is not shared yet.
            unsafe { K::splice(first, last, list.anchor()) };
            list.set_len(len);
        }
        list
    }

    /// The flavor whose readers may walk it.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.flavor
    }

    #[inline(always)]
    pub(crate) fn head(&self) -> *mut K::Head {
        // SAFETY: invariant 1; a raw place expression.
        unsafe { &raw mut (*self.inner.as_ptr()).head }
    }

    #[inline(always)]
    pub(crate) fn anchor(&self) -> *mut K::Links {
        K::anchor(self.head())
    }

    fn updates(&self) -> &Updates {
        // SAFETY: invariant 1; only the head is ever accessed through raw pointers.
        unsafe { &(*self.inner.as_ptr()).updates }
    }

    /// Walks the list inside the section of `guard`. Wait-free: a load per element.
    #[doc(alias = "cds_list_for_each_entry_rcu")]
    #[doc(alias = "cds_hlist_for_each_entry_rcu")]
    #[inline]
    pub fn iter<'g>(&'g self, guard: &'g impl AnyGuard) -> Iter<'g, T, K> {
        self.flavor.assert_guards(guard);
        // SAFETY: the list is borrowed for `'g`, and what is taken out of it meanwhile is freed after a grace period of its flavor,
        // which waits for the guard.
        unsafe { Iter::new(self.head()) }
    }

    /// The first element, if any. Wait-free.
    #[inline]
    pub fn first<'g>(&'g self, guard: &'g impl AnyGuard) -> Option<&'g T> {
        self.iter(guard).next()
    }

    /// Whether an element is equal to `value`. A walk; wait-free per element.
    pub fn contains(&self, value: &T, guard: &impl AnyGuard) -> bool
    where
        T: PartialEq,
    {
        self.iter(guard).any(|element| element == value)
    }

    /// The first element, in the order of the list, that `wanted` accepts.
    pub fn find<'g>(&'g self, guard: &'g impl AnyGuard, mut wanted: impl FnMut(&T) -> bool) -> Option<&'g T> {
        self.iter(guard).find(|element| wanted(element))
    }

    /// Whether the list is empty at this moment. Any context, no guard: one load, and nothing is dereferenced.
    #[doc(alias = "cds_list_empty")]
    #[doc(alias = "cds_hlist_empty")]
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: the head lives as long as the list. The pointer that is found is compared only.
        unsafe { K::step(self.head(), self.anchor()) }.is_null()
    }

    /// How many elements there are. Any context, no guard. To an updater exact; to others a number that was right a moment ago
    /// and is not ordered with what they see by walking.
    pub fn len(&self) -> usize {
        // Relaxed: promises no order.
        self.updates().len.load(Ordering::Relaxed)
    }

    pub(crate) fn set_len(&self, len: usize) {
        // Relaxed: as in `len`. The updater's lock orders updaters.
        self.updates().len.store(len, Ordering::Relaxed);
    }

    /// Changes the values by exclusive access: no section, no lock.
    pub fn iter_mut(&mut self) -> IterMut<'_, T, K> {
        // SAFETY: the anchor of this list, exclusively borrowed.
        let first = unsafe { K::step(self.head(), self.anchor()) };
        // SAFETY: exclusively borrowed.
        let last = unsafe { K::last(self.head()) };
        // SAFETY: invariant 2; readers and updaters borrow the list, so there are none.
        unsafe { IterMut::new(first, last, self.len()) }
    }

    /// Takes everything out by exclusive access: no section, no lock, no grace period.
    pub fn drain(&mut self) -> IntoIter<T, K> {
        self.take_chain().into_iter()
    }

    /// The elements, without freeing their nodes. No grace period: readers would borrow the list.
    pub fn into_chain(mut self) -> Chain<T, K> {
        self.take_chain()
    }

    pub(crate) fn take_chain(&mut self) -> Chain<T, K> {
        let len = self.len();
        self.set_len(0);
        // SAFETY: nobody else has the list.
        match unsafe { K::take_all(self.head()) } {
            // SAFETY: invariant 2; readers and updaters borrow the list, so there are none.
            Some((first, last)) => unsafe { Chain::from_parts(first, last, len) },
            None => Chain::new(),
        }
    }

    /// Drops all values by exclusive access, at once.
    pub fn clear(&mut self) {
        drop(self.take_chain());
    }
}

impl<T: Send + 'static, K: Kind> List<T, K> {
    /// Waits until no other updater is at work, and makes the caller the updater. Readers go on.
    ///
    /// Any context that may block. Inside a section it is allowed as long as no updater waits for a grace period while it has the lock.
    /// No method of this crate does; but the end of a section may ([`Guard`](urcu_core::Guard): for what was retired in it, beyond
    /// the flavor's hard limit; QSBR: a quiescent state), so drop the updater first. Not poisoned by panics: the list is whole whenever the caller's code runs, so an updater
    /// that panics leaves what it has done and no more. A thread that is the updater already waits for itself.
    pub fn lock(&self) -> Updater<'_, T, K> {
        // ThreadSanitizer sees what is compiled here, but not what the standard library does when somebody else has the lock.
        #[cfg(urcu_tsan)]
        loop {
            match self.try_lock() {
                Some(updater) => return updater,
                None => std::thread::yield_now(),
            }
        }
        #[cfg(not(urcu_tsan))]
        Updater::new(self, self.updates().lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// [`lock`](Self::lock), unless another updater is at work. Never blocks.
    pub fn try_lock(&self) -> Option<Updater<'_, T, K>> {
        match self.updates().lock.try_lock() {
            Ok(held) => Some(Updater::new(self, held)),
            Err(TryLockError::Poisoned(poisoned)) => Some(Updater::new(self, poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Puts `value` first. Takes the lock; allocates before.
    #[doc(alias = "cds_list_add_rcu")]
    #[doc(alias = "cds_hlist_add_head_rcu")]
    pub fn push_front(&self, value: T) {
        let mut chain = Chain::new();
        chain.push_back(value);
        self.lock().prepend(chain);
    }

    /// Takes everything out at once, to be used again after a grace period. Takes the lock, and has given it back when it returns,
    /// unlike `list.lock().detach_all()`, whose lock lives as long as the statement.
    pub fn detach_all(&self) -> Detached<T, K> {
        let mut updater = self.lock();
        updater.detach_all()
    }

    /// Takes the elements out that `wanted` accepts, to be used again after a grace period. The lock is as with
    /// [`detach_all`](Self::detach_all).
    pub fn detach_if(&self, wanted: impl FnMut(&T) -> bool) -> Detached<T, K> {
        let mut updater = self.lock();
        updater.detach_if(wanted)
    }

    /// Moves everything in `source`, in its order, before what is here; how many elements that were.
    ///
    /// Blocks for a grace period between the two steps, without a lock: meanwhile the elements are in neither list. So no reader is
    /// led from one list into the other. Outside every section of `source`'s flavor, and not with a lock held that is
    /// taken inside sections.
    ///
    /// # Errors
    ///
    /// The elements, taken out of `source`, when the caller may not wait here (see [`Detached::synchronize`]).
    #[doc(alias = "cds_list_splice")]
    pub fn prepend_from(&self, source: &Self) -> Result<usize, Detached<T, K>> {
        let chain = source.detach_all().synchronize()?;
        let len = chain.len();
        self.lock().prepend(chain);
        Ok(len)
    }
}

impl<T> List<T, Doubly> {
    /// Walks the list from its end inside the section of `guard`. Wait-free: a load per element.
    ///
    /// As safe as a forward walk; the C library has none. What is added shows itself to forward walks first, what is removed
    /// vanishes from them first.
    #[inline]
    pub fn iter_rev<'g>(&'g self, guard: &'g impl AnyGuard) -> IterRev<'g, T> {
        self.flavor.assert_guards(guard);
        // SAFETY: as in `iter`.
        unsafe { IterRev::new(self.head()) }
    }

    /// The last element, if any. Wait-free.
    #[inline]
    pub fn last<'g>(&'g self, guard: &'g impl AnyGuard) -> Option<&'g T> {
        self.iter_rev(guard).next()
    }
}

impl<T: Send + 'static> List<T, Doubly> {
    /// Puts `value` last. Takes the lock; allocates before.
    #[doc(alias = "cds_list_add_tail_rcu")]
    pub fn push_back(&self, value: T) {
        let mut chain = Chain::new();
        chain.push_back(value);
        self.lock().append(chain);
    }

    /// [`prepend_from`](Self::prepend_from) behind what is here.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn append_from(&self, source: &Self) -> Result<usize, Detached<T, Doubly>> {
        let chain = source.detach_all().synchronize()?;
        let len = chain.len();
        self.lock().append(chain);
        Ok(len)
    }
}

impl<T> Extend<T> for List<T, Doubly> {
    /// Adds the values at the end by exclusive access: no lock.
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        let chain: Chain<T, Doubly> = values.into_iter().collect();
        let len = chain.len();
        let (first, last, _) = chain.into_parts();
        if len != 0 {
            // SAFETY: exclusively borrowed; the anchor has a node before it, or itself.
            let at = unsafe { Doubly::before(self.anchor()) };
            // SAFETY: a chain's links are right and nobody else's; nobody else has the list.
            unsafe { Doubly::splice(first, last, at) };
            self.set_len(self.len() + len);
        }
    }
}

impl<T, K: Kind> Drop for List<T, K> {
    /// Drops all values at once. If one panics the others are dropped too, and the first panic goes on.
    fn drop(&mut self) {
        struct Freed<K: Kind>(NonNull<Inner<K>>);
        impl<K: Kind> Drop for Freed<K> {
            fn drop(&mut self) {
                // SAFETY: invariant 1; nobody has the list any more, and the nodes are gone.
                drop(unsafe { Box::from_raw(self.0.as_ptr()) });
            }
        }
        // Also when a value's drop panics.
        let _freed = Freed(self.inner);
        self.clear();
    }
}

impl<T, K: Kind> IntoIterator for List<T, K> {
    type Item = T;
    type IntoIter = IntoIter<T, K>;

    fn into_iter(self) -> IntoIter<T, K> {
        self.into_chain().into_iter()
    }
}

impl<'a, T, K: Kind> IntoIterator for &'a mut List<T, K> {
    type Item = &'a mut T;
    type IntoIter = IterMut<'a, T, K>;

    fn into_iter(self) -> IterMut<'a, T, K> {
        self.iter_mut()
    }
}

impl<T: fmt::Debug, K: Kind> fmt::Debug for List<T, K> {
    /// Takes the lock, as any updater does, if it is free; needs no guard.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = match self.updates().lock.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return f.debug_struct("List").field("len", &self.len()).finish_non_exhaustive();
            }
        };
        // SAFETY: under the updater's lock, so nothing is taken out.
        let elements = unsafe { Iter::<T, K>::new(self.head()) };
        let done = f.debug_list().entries(elements).finish();
        drop(held);
        done
    }
}

// SAFETY: it owns its values, and what it has retired was `Send`.
unsafe impl<T: Send, K: Kind> Send for List<T, K> {}
// SAFETY: a shared list gives out `&T` (`Sync`) and takes values in that are dropped elsewhere (`Send`).
unsafe impl<T: Send + Sync, K: Kind> Sync for List<T, K> {}

impl<T, K: Kind> List<T, K> {
    /// The node of `value`, as the list's updater may use it.
    pub(crate) fn node(value: T) -> *mut K::Links {
        Node::<T, K>::alloc(value)
    }
}

//! Nodes outside of a list: [`Chain`], which nobody else can reach, and [`Detached`], where readers may still be.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use urcu_core::FlavorVtable;

use crate::iter::{ChainIter, IntoIter, IterMut};
use crate::kind::{Doubly, Kind, Node};

/// Values in nodes of their own, ready to be linked into a list all at once, without allocating or copying.
///
/// Made from values (`collect`, [`push_back`](Self::push_back)) or from a part of a list that no reader can see any more
/// ([`Detached`]). Owned by one, like a `Vec`: no section, no lock. Readers of a list that takes it see all of it, or none of it
/// if they have passed the place.
pub struct Chain<T, K: Kind = Doubly> {
    /// Null when `len` is 0, and then so is `last`. The nodes in between are linked both ways.
    pub(crate) first: *mut K::Links,
    pub(crate) last: *mut K::Links,
    pub(crate) len: usize,
    /// Owns its values.
    marker: PhantomData<Box<T>>,
}

impl<T, K: Kind> Chain<T, K> {
    /// With nothing in it. Allocates nothing.
    pub const fn new() -> Self {
        Self { first: core::ptr::null_mut(), last: core::ptr::null_mut(), len: 0, marker: PhantomData }
    }

    /// # Safety
    ///
    /// From `first`, `len` nodes of this type lead to `last` (both null if 0). Nobody else can reach them, or, if readers can, the caller
    /// sees to it that the result is not used before they cannot.
    pub(crate) unsafe fn from_parts(first: *mut K::Links, last: *mut K::Links, len: usize) -> Self {
        Self { first, last, len, marker: PhantomData }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value behind the others. Allocates its node.
    pub fn push_back(&mut self, value: T) {
        self.push_node(Node::<T, K>::alloc(value));
    }

    /// Adds a node that belongs to nobody, or that will soon.
    pub(crate) fn push_node(&mut self, node: *mut K::Links) {
        if self.last.is_null() {
            self.first = node;
        } else {
            // SAFETY: both belong to the chain.
            unsafe { K::chain(self.last, node) };
        }
        self.last = node;
        self.len += 1;
    }

    /// Takes the first value out.
    pub fn pop_front(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let node = self.first;
        self.len -= 1;
        if self.len == 0 {
            self.first = core::ptr::null_mut();
            self.last = core::ptr::null_mut();
        } else {
            // SAFETY: not the last, so another one of the chain follows.
            self.first = unsafe { K::chained(node) };
        }
        // SAFETY: a node of the chain, which does not lead to it any more.
        Some(unsafe { Node::<T, K>::take(node) }.value)
    }

    /// Moves all of `other` behind what is here. A constant number of steps.
    pub fn append(&mut self, other: &mut Self) {
        let other = mem::take(other);
        let (first, last, len) = other.into_parts();
        if first.is_null() {
            return;
        }
        if self.last.is_null() {
            self.first = first;
        } else {
            // SAFETY: both belong to the chain from here on.
            unsafe { K::chain(self.last, first) };
        }
        self.last = last;
        self.len += len;
    }

    /// The values in their order.
    pub fn iter(&self) -> ChainIter<'_, T, K> {
        // SAFETY: the nodes live as long as the chain, and are only shared while it is borrowed.
        unsafe { ChainIter::new(self.first, self.len) }
    }

    /// The values in their order, to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, T, K> {
        // SAFETY: the nodes live as long as the chain, which is borrowed exclusively.
        unsafe { IterMut::new(self.first, self.last, self.len) }
    }

    /// First, last and number of the nodes, given up.
    pub(crate) fn into_parts(self) -> (*mut K::Links, *mut K::Links, usize) {
        let chain = mem::ManuallyDrop::new(self);
        (chain.first, chain.last, chain.len)
    }
}

impl<T> Chain<T, Doubly> {
    /// Takes the last value out.
    pub fn pop_back(&mut self) -> Option<T> {
        if self.len <= 1 {
            return self.pop_front();
        }
        let node = self.last;
        self.len -= 1;
        // SAFETY: not the first, so another one of the chain comes before.
        self.last = unsafe { <Doubly as crate::kind::sealed::Sealed>::before(node) };
        // SAFETY: a node of the chain, which does not lead to it any more.
        Some(unsafe { Node::<T, Doubly>::take(node) }.value)
    }
}

impl<T, K: Kind> Drop for Chain<T, K> {
    /// Drops all values. If one panics the others are dropped too, and the first panic goes on.
    fn drop(&mut self) {
        let mut panic = None;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.pop_front().map(drop).is_some())) {
                Ok(true) => {}
                Ok(false) => break,
                Err(payload) if panic.is_none() => panic = Some(payload),
                // Dropping a payload may panic again.
                Err(payload) => mem::forget(payload),
            }
        }
        match panic {
            Some(payload) if !thread::panicking() => resume_unwind(payload),
            // As above.
            Some(payload) => mem::forget(payload),
            None => {}
        }
    }
}

impl<T, K: Kind> Default for Chain<T, K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, K: Kind> Extend<T> for Chain<T, K> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push_back(value));
    }
}

impl<T, K: Kind> FromIterator<T> for Chain<T, K> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut chain = Self::new();
        chain.extend(values);
        chain
    }
}

impl<T, K: Kind> IntoIterator for Chain<T, K> {
    type Item = T;
    type IntoIter = IntoIter<T, K>;

    fn into_iter(self) -> IntoIter<T, K> {
        IntoIter::new(self)
    }
}

impl<'a, T, K: Kind> IntoIterator for &'a Chain<T, K> {
    type Item = &'a T;
    type IntoIter = ChainIter<'a, T, K>;

    fn into_iter(self) -> ChainIter<'a, T, K> {
        self.iter()
    }
}

impl<'a, T, K: Kind> IntoIterator for &'a mut Chain<T, K> {
    type Item = &'a mut T;
    type IntoIter = IterMut<'a, T, K>;

    fn into_iter(self) -> IterMut<'a, T, K> {
        self.iter_mut()
    }
}

impl<T: fmt::Debug, K: Kind> fmt::Debug for Chain<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

// SAFETY: it owns its values, like a vector.
unsafe impl<T: Send, K: Kind> Send for Chain<T, K> {}
// SAFETY: a shared chain gives out `&T` only.
unsafe impl<T: Sync, K: Kind> Sync for Chain<T, K> {}

/// Elements that have been taken out of a list whole, and that readers may still be looking at.
///
/// After a grace period they are a [`Chain`]: [`synchronize`](Self::synchronize) waits for one,
/// [`poll`](Self::poll) asks. Dropping it retires the elements instead, as
/// [`Cursor::remove`](crate::Cursor::remove) does; that may wait for room, so not while holding a lock that is taken inside sections.
#[must_use = "dropping it retires the elements"]
pub struct Detached<T: Send + 'static, K: Kind = Doubly> {
    flavor: &'static FlavorVtable,
    /// Runs of nodes that are linked among themselves, as they were in the list. Nothing is written to them before a grace
    /// period has passed, since readers walk on through them.
    runs: Vec<Chain<T, K>>,
    /// The grace period that was asked for by `poll`.
    cookie: Option<u64>,
}

impl<T: Send + 'static, K: Kind> Detached<T, K> {
    pub(crate) fn new(flavor: &'static FlavorVtable) -> Self {
        Self { flavor, runs: Vec::new(), cookie: None }
    }

    /// Adds nodes that were unlinked from a list of this flavor.
    ///
    /// # Safety
    ///
    /// As for [`Chain::from_parts`]: nobody but readers can reach them.
    pub(crate) unsafe fn add(&mut self, first: *mut K::Links, last: *mut K::Links, len: usize) {
        // SAFETY: the chain is not used before a grace period has passed.
        self.runs.push(unsafe { Chain::from_parts(first, last, len) });
        self.cookie = None;
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.runs.iter().map(Chain::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in their order, shared with readers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs.iter().flat_map(Chain::iter)
    }

    /// Adds the elements of `other`, so that one grace period is enough for all.
    ///
    /// # Panics
    ///
    /// When they come from lists of different flavors.
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            self.flavor.domain() == other.flavor.domain(),
            "elements of a list of {} cannot wait for the grace period of {}",
            other.flavor.name(),
            self.flavor.name()
        );
        self.runs.append(&mut other.runs);
        self.cookie = None;
    }

    /// Waits for a grace period; then nobody else can reach the elements. Blocks. Outside every section of the flavor; not
    /// with a lock held that is taken inside sections, so drop the [`Updater`](crate::Updater) first (in
    /// `list.lock().detach_all().synchronize()` it still lives: use [`List::detach_all`](crate::List::detach_all)).
    ///
    /// # Errors
    ///
    /// `self`, without waiting, inside a section of the flavor (QSBR: or when the thread is online by a `Thread`; go offline),
    /// and when no grace period can end any more.
    pub fn synchronize(self) -> Result<Chain<T, K>, Self> {
        if self.is_empty() || self.flavor.synchronize_if_allowed() { Ok(self.into_chain()) } else { Err(self) }
    }

    /// Whether a grace period has passed; the first call asks for one. Never blocks; any context.
    ///
    /// A caller that is a reader itself must end its section between two calls (QSBR: announce a quiescent state), or it waits for
    /// itself.
    ///
    /// # Errors
    ///
    /// `self`, if it has not.
    pub fn poll(mut self) -> Result<Chain<T, K>, Self> {
        if self.is_empty() {
            return Ok(self.into_chain());
        }
        let start_poll = self.flavor.start_poll;
        // SAFETY: a flavor's function; any context.
        let cookie = *self.cookie.get_or_insert_with(|| unsafe { start_poll() });
        // SAFETY: as above, with a cookie of that flavor.
        if unsafe { (self.flavor.poll)(cookie) } != 0 { Ok(self.into_chain()) } else { Err(self) }
    }

    /// Gives the nodes up, one by one: each may be retired before the next is asked for.
    pub(crate) fn take_nodes(&mut self) -> impl Iterator<Item = *mut K::Links> + use<T, K> {
        mem::take(&mut self.runs).into_iter().flat_map(|run| {
            let (mut node, _, len) = run.into_parts();
            (0..len).rev().map(move |left| {
                let given = node;
                if left != 0 {
                    // SAFETY: not the last, so another one of the run follows; read before the node is given away.
                    node = unsafe { K::chained(given) };
                }
                given
            })
        })
    }

    /// After a grace period since the last addition.
    fn into_chain(mut self) -> Chain<T, K> {
        let mut chain = Chain::new();
        for mut run in mem::take(&mut self.runs) {
            chain.append(&mut run);
        }
        chain
    }
}

impl<T: Send + 'static, K: Kind> Drop for Detached<T, K> {
    fn drop(&mut self) {
        let flavor = self.flavor;
        for node in self.take_nodes() {
            // SAFETY: made by `Box::into_raw` as a `Node`, unlinked, given up; `T` is `Send` and `'static`.
            unsafe { flavor.retire_raw(node.cast::<Node<T, K>>()) };
        }
    }
}

impl<T: Send + fmt::Debug + 'static, K: Kind> fmt::Debug for Detached<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// SAFETY: it gives out `&T`, which readers elsewhere have too (`Sync`), and values that end up with the new thread (`Send`).
unsafe impl<T: Send + Sync + 'static, K: Kind> Send for Detached<T, K> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync + 'static, K: Kind> Sync for Detached<T, K> {}

//! One consumer at a time: no sections, no grace periods, nodes used again at once.
//!
//! The consumer takes the whole stack by one exchange and pops from what it has taken, with no locked instruction, as long as
//! nobody pushes. So it keeps a stack of chains, each above the ones taken before it. A pop first looks at the shared
//! stack: whatever is there is above all that was taken. That look is the moment at which the pop takes effect. With no
//! compare-and-exchange in it, there is no ABA, and a consumer's pop never loops.

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

use urcu_core::sync::{AtomicBool, CachePadded, Ordering, fence};
use urcu_core::{Turn, TurnGuard};

use crate::batch::Batches;
use crate::kind::Kind;
use crate::node::{Node, Remedy};
use crate::raw::{LfsStack, WfsStack, WouldBlock};
use crate::stack::{Protection, Stack, sealed};

/// Those who pop take turns.
///
/// # Invariants
///
/// 1. `chains` is touched by the holder of `turn` only, or by the stack's owner.
/// 2. It holds the tops of chains popped from this stack, none null, the uppermost last; `more` is set while there is one.
pub struct Serial {
    turn: Turn,
    more: AtomicBool,
    chains: UnsafeCell<Vec<*mut ()>>,
}

// SAFETY: `chains` points to nodes of a stack, which is `Send` if its values are.
unsafe impl Send for Serial {}
// SAFETY: invariant 1.
unsafe impl Sync for Serial {}

impl Serial {
    const fn new() -> Self {
        Self { turn: Turn::new(), more: AtomicBool::new(false), chains: UnsafeCell::new(Vec::new()) }
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serial").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Protection for Serial {}

impl sealed::Protection for Serial {
    #[inline]
    fn holds_more(&self) -> bool {
        // Acquire fence, behind the look at the shared stack, which is relaxed: who saw it emptied by the consumer's exchange
        // sees what the consumer had noted before. PAIR(consumer-more)
        fence(Ordering::Acquire);
        self.more.load(Ordering::Relaxed)
    }

    fn take_chains<K: Kind>(&mut self) -> impl Iterator<Item = *mut K::Link> {
        *self.more.get_mut() = false;
        self.chains.get_mut().drain(..).map(<*mut ()>::cast)
    }
}

/// A lock-free push, and one consumer at a time.
///
/// ```
/// use cds_lfstack::SerialLfStack;
///
/// let stack = SerialLfStack::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| stack.push(1));
///     scope.spawn(|| stack.push_all([2, 3]));
/// });
/// let mut consumer = stack.consumer();
/// let mut sum = 0;
/// while let Some(value) = consumer.pop() {
///     sum += value;
/// }
/// assert_eq!(sum, 6);
/// ```
pub type SerialLfStack<T> = Stack<LfsStack, T, Serial>;

/// A wait-free push, and one consumer at a time.
///
/// ```
/// use cds_lfstack::SerialWfStack;
///
/// let stack: SerialWfStack<_> = (0..3).collect();
/// assert_eq!(stack.pop(), Some(2));
/// assert_eq!(stack.into_iter().collect::<Vec<_>>(), [1, 0]);
/// ```
pub type SerialWfStack<T> = Stack<WfsStack, T, Serial>;

impl<T> SerialLfStack<T> {
    /// An empty stack.
    pub const fn new() -> Self {
        Self { raw: CachePadded(LfsStack::new()), protection: Serial::new(), marker: PhantomData }
    }
}

impl<T> SerialWfStack<T> {
    /// An empty stack.
    pub const fn new() -> Self {
        Self { raw: CachePadded(WfsStack::new()), protection: Serial::new(), marker: PhantomData }
    }
}

impl<K: Kind, T> Default for Stack<K, T, Serial> {
    fn default() -> Self {
        Self { raw: CachePadded(K::default()), protection: Serial::new(), marker: PhantomData }
    }
}

impl<K: Kind, T> FromIterator<T> for Stack<K, T, Serial> {
    /// The last value is on top.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let stack = Self::default();
        stack.push_all(values);
        stack
    }
}

impl<K: Kind, T> Stack<K, T, Serial> {
    /// The right to pop, until the handle is dropped. Blocks while another thread has it (on the same thread: for ever).
    ///
    /// Who waits spins, yields, and then looks again at least every millisecond.
    #[doc(alias = "cds_lfs_pop_lock")]
    #[doc(alias = "cds_wfs_pop_lock")]
    #[inline]
    pub fn consumer(&self) -> Consumer<'_, K, T> {
        Consumer { stack: self, _turn: self.protection.turn.hold() }
    }

    /// The right to pop, if nobody has it. Wait-free.
    #[inline]
    pub fn try_consumer(&self) -> Option<Consumer<'_, K, T>> {
        self.protection.turn.try_hold().map(|turn| Consumer { stack: self, _turn: turn })
    }

    /// Pops the top value. Blocks while there is a [`Consumer`].
    #[doc(alias = "cds_lfs_pop_blocking")]
    #[doc(alias = "cds_wfs_pop_blocking")]
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.consumer().pop()
    }

    /// Pops everything. Blocks while there is a [`Consumer`].
    #[doc(alias = "cds_lfs_pop_all_blocking")]
    #[doc(alias = "cds_wfs_pop_all_blocking")]
    pub fn pop_all(&self) -> Batches<K, T> {
        self.consumer().pop_all()
    }
}

/// The right to pop: one per stack at a time.
///
/// Pops without a guard or a lock, and nodes are used again at once. While nobody pushes, a pop has no locked instruction;
/// after a push, one. May be sent to another thread. If it is leaked, nobody can pop any more.
#[must_use = "the right to pop ends when it is dropped"]
pub struct Consumer<'s, K: Kind, T> {
    stack: &'s Stack<K, T, Serial>,
    _turn: TurnGuard<'s>,
}

impl<K: Kind, T> Consumer<'_, K, T> {
    /// What was taken and not popped yet.
    #[inline]
    fn chains(&mut self) -> &mut Vec<*mut ()> {
        // SAFETY: the turn is held (invariant 1 of `Serial`), and `self` borrowed.
        unsafe { &mut *self.stack.protection.chains.get() }
    }

    /// Takes what has been pushed.
    #[inline]
    fn collect(&mut self) {
        if self.stack.raw.is_empty() {
            return;
        }
        // Relaxed: the exchange behind it is a Release, so whoever sees the stack empty by it sees this. PAIR(consumer-more)
        self.stack.protection.more.store(true, Ordering::Relaxed);
        // SAFETY: the turn is held: nobody else pops. And exchanges alone have no ABA.
        let top = unsafe { self.stack.raw.0.pop_all() };
        if !top.is_null() {
            self.chains().push(top.cast());
        }
    }

    /// Removes the top node, below which is `next`.
    #[inline]
    fn take(&mut self, top: *mut K::Link, next: *mut K::Link) -> T {
        let chains = self.chains();
        if next.is_null() {
            chains.pop();
            if chains.is_empty() {
                // Relaxed: nothing is looked at behind it.
                self.stack.protection.more.store(false, Ordering::Relaxed);
            }
        } else if let Some(last) = chains.last_mut() {
            *last = next.cast();
        }
        // SAFETY: popped by this consumer, and just taken out of its chain.
        unsafe { Node::<K, T>::take(top, Remedy::Exclusion) }
    }

    #[inline]
    fn top(&mut self) -> Option<*mut K::Link> {
        self.collect();
        self.chains().last().map(|top| top.cast())
    }

    /// Pops the top value.
    ///
    /// Lock-free push: wait-free, but for the allocator: now and then a list of what was taken grows, or a node goes back.
    /// Wait-free push: waits for a push that is half done.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let top = self.top()?;
        // SAFETY: a node of this consumer's.
        let next = K::next(unsafe { &*top });
        Some(self.take(top, next))
    }

    /// [`pop`](Self::pop) that never waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`]: the push of that value is half done.
    #[inline]
    pub fn try_pop(&mut self) -> Result<Option<T>, WouldBlock> {
        let Some(top) = self.top() else { return Ok(None) };
        // SAFETY: a node of this consumer's.
        let next = K::try_next(unsafe { &*top })?;
        Ok(Some(self.take(top, next)))
    }

    /// The top value, which stays there. Waits as [`pop`](Self::pop).
    pub fn peek(&mut self) -> Option<&mut T> {
        let top = self.top()?;
        // SAFETY: a node of this consumer's, which only it can pop.
        Some(unsafe { Node::<K, T>::value(top) })
    }

    /// Pops everything. Wait-free.
    pub fn pop_all(&mut self) -> Batches<K, T> {
        self.collect();
        // Relaxed: as in `take`.
        self.stack.protection.more.store(false, Ordering::Relaxed);
        let chains = self.chains();
        let first = chains.pop().map_or(ptr::null_mut(), <*mut ()>::cast);
        // SAFETY: popped by this consumer; nobody else pops at the same time.
        unsafe { Batches::new(first, chains.drain(..).map(<*mut ()>::cast)) }
    }
}

impl<K: Kind, T> fmt::Debug for Consumer<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}

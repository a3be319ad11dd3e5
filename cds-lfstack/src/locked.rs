//! A vector behind a lock: the fastest strict stack, and one that blocks.

use core::cell::UnsafeCell;
use core::{fmt, mem};

use urcu_core::Turn;
use urcu_core::sync::CachePadded;

/// A stack that blocks: a vector behind a lock.
///
/// The weaker contract beside [`LfStack`](crate::LfStack) and [`WfStack`](crate::WfStack): whoever is stopped in the middle of
/// an operation stops all others (they spin, then yield, then look again at least every millisecond). For that it needs no
/// nodes, no sections and one locked instruction per operation, half of what a mutex takes. Still strictly last in,
/// first out, and linearizable.
///
/// Not for signal handlers, nor between threads of different real-time priorities. A forked child must not use it if
/// another thread may have been inside at the fork.
///
/// ```
/// use cds_lfstack::LockedStack;
///
/// let stack = LockedStack::new();
/// stack.push(1);
/// stack.push_all([2, 3]);
/// assert_eq!(stack.pop(), Some(3));
/// assert_eq!(stack.pop_all().collect::<Vec<_>>(), [2, 1]);
/// ```
pub struct LockedStack<T> {
    inner: CachePadded<Inner<T>>,
}

/// # Invariants
///
/// 1. `values` is touched by the holder of `turn` only, or by the owner.
/// 2. No code of `T` or of anybody else's but the allocator's runs during a turn.
struct Inner<T> {
    turn: Turn,
    values: UnsafeCell<Vec<T>>,
}

// SAFETY: invariant 1. Values are taken from any thread and given to any other, never shared by reference.
unsafe impl<T: Send> Sync for LockedStack<T> {}

impl<T> LockedStack<T> {
    /// An empty stack. Allocates nothing.
    pub const fn new() -> Self {
        Self::of(Vec::new())
    }

    /// An empty stack with room for `capacity` values.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::of(Vec::with_capacity(capacity))
    }

    const fn of(values: Vec<T>) -> Self {
        Self { inner: CachePadded(Inner { turn: Turn::new(), values: UnsafeCell::new(values) }) }
    }

    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let _turn = self.inner.turn.hold();
        // SAFETY: the turn is held (invariant 1).
        work(unsafe { &mut *self.inner.values.get() })
    }

    /// Pushes `value`; whether there was something below it. Blocks.
    #[inline]
    pub fn push(&self, value: T) -> bool {
        self.with(|values| {
            values.push(value);
            values.len() > 1
        })
    }

    /// Pushes all values in one step, as if one after another: the last one is on top. Whether there was something below
    /// them; `None` if there are no values. Blocks.
    pub fn push_all(&self, values: impl IntoIterator<Item = T>) -> Option<bool> {
        // Outside of the turn (invariant 2).
        let mut more: Vec<T> = values.into_iter().collect();
        if more.is_empty() {
            return None;
        }
        Some(self.with(|values| {
            let below = !values.is_empty();
            values.append(&mut more);
            below
        }))
    }

    /// Pops the top value. Blocks.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.with(Vec::pop)
    }

    /// Pops everything, from the top down. Blocks.
    pub fn pop_all(&self) -> core::iter::Rev<std::vec::IntoIter<T>> {
        self.with(mem::take).into_iter().rev()
    }

    /// How many values there are. Blocks.
    pub fn len(&self) -> usize {
        self.with(|values| values.len())
    }

    /// Whether there are none. Blocks.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for LockedStack<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for LockedStack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the lock, which its holder may be printing under.
        f.debug_struct("LockedStack").finish_non_exhaustive()
    }
}

impl<T> FromIterator<T> for LockedStack<T> {
    /// The last value is on top.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::of(values.into_iter().collect())
    }
}

impl<T> Extend<T> for LockedStack<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.inner.0.values.get_mut().extend(values);
    }
}

impl<T> Extend<T> for &LockedStack<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.push_all(values);
    }
}

impl<T> IntoIterator for LockedStack<T> {
    type Item = T;
    type IntoIter = core::iter::Rev<std::vec::IntoIter<T>>;

    /// The values, from the top down.
    fn into_iter(self) -> Self::IntoIter {
        self.inner.0.values.into_inner().into_iter().rev()
    }
}

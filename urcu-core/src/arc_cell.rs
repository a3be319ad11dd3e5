//! Where counted values are published.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use crate::arc::{RcuArc, RcuArcRef};
use crate::flavor::Flavor;
use crate::guard::Guard;
use crate::raw;
use crate::sync::{AtomicPtr, Ordering};

/// An RCU-protected pointer to a counted value, or to none: what `Rcu<T>` is for values that one also wants to keep.
///
/// Reading costs what it costs there: a load, and nothing is written. What is found can be kept beyond the section by
/// [`upgrade`](RcuArcRef::upgrade) or [`load_full`](Self::load_full). What is replaced comes back as an ordinary
/// [`RcuArc`]: to be used, published elsewhere, or dropped.
///
/// | | context | progress |
/// |---|---|---|
/// | `load` | inside a section | wait-free |
/// | `load_full` | inside a section | lock-free: looks again after each replacement meanwhile |
/// | `store`, `swap`, `take` | any but signal handlers | wait-free, apart from the drop of what was replaced |
/// | `compare_exchange`, `update` | inside a section | wait-free, lock-free |
///
/// Publishing is a full barrier: whatever the caller did before is visible to a reader that finds the value.
/// A reference found inside a section borrows the guard alone, so the cell may go before it.
///
/// ```
/// use urcu_mb as rcu;
/// use rcu::{RcuArc, RcuArcCell};
///
/// let config = RcuArcCell::new("first".to_string());
///
/// let thread = rcu::register()?;
/// let guard = thread.read_lock();
/// let found = config.load(&guard).expect("there is one");
/// let kept: RcuArc<String> = found.upgrade().expect("nobody has replaced it");
/// config.store("second".to_string());
/// assert_eq!(*found, "first", "to the end of the section");
/// drop(guard);
/// assert_eq!(*kept, "first", "and beyond");
/// # Ok::<(), rcu::RegisterError>(())
/// ```
pub struct RcuArcCell<T, F: Flavor> {
    /// From `RcuArc::into_raw`, with its reference, or null.
    pointer: AtomicPtr<T>,
    marker: PhantomData<RcuArc<T, F>>,
}

impl<T, F: Flavor> RcuArcCell<T, F> {
    /// Holding nothing.
    pub const fn empty() -> Self {
        Self { pointer: AtomicPtr::new(ptr::null_mut()), marker: PhantomData }
    }

    /// Holding `value`. Allocates. From an [`RcuArc`] it is made by `from`.
    pub fn new(value: T) -> Self
    where
        T: Send + 'static,
    {
        RcuArc::new(value).into()
    }

    /// The current value, valid for as long as the section.
    ///
    /// Wait-free: one load. Acquire: the value's contents are those its publisher wrote.
    #[doc(alias = "rcu_dereference")]
    #[inline]
    pub fn load<'g>(&self, guard: &'g Guard<'_, F>) -> Option<RcuArcRef<'g, T, F>> {
        // PAIR(publish)
        let value = NonNull::new(raw::dereference(&self.pointer))?;
        // SAFETY: loaded inside the section; who takes the reference back has exchanged the pointer before.
        Some(unsafe { RcuArcRef::from_raw(value, guard) })
    }

    /// A reference to the current value.
    ///
    /// Lock-free: what was replaced and dropped between the look and the count is looked for again.
    pub fn load_full(&self, guard: &Guard<'_, F>) -> Option<RcuArc<T, F>> {
        loop {
            if let Some(arc) = self.load(guard)?.upgrade() {
                return Some(arc);
            }
        }
    }

    /// The reference that the cell has held. No section is needed.
    pub fn into_inner(mut self) -> Option<RcuArc<T, F>> {
        let value = core::mem::replace(self.pointer.get_mut(), ptr::null_mut());
        // SAFETY: the cell's reference, taken out.
        unsafe { arc_of(value) }
    }

    /// Makes `value` the current one (an [`RcuArc`], or a `T`), and drops the cell's reference to what was there.
    #[doc(alias = "rcu_assign_pointer")]
    pub fn store(&self, value: impl Into<RcuArc<T, F>>) {
        drop(self.swap(value.into()));
    }

    /// Makes `value` the current one and returns what was there.
    #[doc(alias = "rcu_xchg_pointer")]
    pub fn swap(&self, value: impl Into<RcuArc<T, F>>) -> Option<RcuArc<T, F>> {
        self.exchange(Some(value.into()))
    }

    /// Leaves nothing and returns what was there.
    pub fn take(&self) -> Option<RcuArc<T, F>> {
        self.exchange(None)
    }

    fn exchange(&self, value: Option<RcuArc<T, F>>) -> Option<RcuArc<T, F>> {
        // PAIR(publish)
        let before = raw::exchange_pointer(&self.pointer, raw_of(value));
        // SAFETY: the cell's reference, which it does not hold any more.
        unsafe { arc_of(before) }
    }

    /// Replaces the value if it still is `current`, as found in this section; `None` stands for none, on both sides.
    /// Returns what was replaced.
    ///
    /// No other value can have taken the address of `current`, since the section keeps that alive.
    ///
    /// # Errors
    ///
    /// What is there instead, and the new value back.
    #[doc(alias = "rcu_cmpxchg_pointer")]
    pub fn compare_exchange<'g>(
        &self,
        current: Option<RcuArcRef<'g, T, F>>,
        new: Option<RcuArc<T, F>>,
        guard: &'g Guard<'_, F>,
    ) -> Result<Option<RcuArc<T, F>>, RcuArcExchangeError<'g, T, F>> {
        let expected = current.map_or(ptr::null_mut(), RcuArcRef::as_ptr);
        let new = raw_of(new);
        // PAIR(publish)
        let found = raw::compare_exchange_pointer(&self.pointer, expected, new);
        if ptr::eq(found, expected) {
            // SAFETY: the cell's reference, which it does not hold any more; the address came out of the atomic itself.
            return Ok(unsafe { arc_of(found) });
        }
        // SAFETY: it was not published.
        let new = unsafe { arc_of(new) };
        // SAFETY: as in `load`; the failed exchange is an Acquire load.
        let current = NonNull::new(found).map(|found| unsafe { RcuArcRef::from_raw(found, guard) });
        Err(RcuArcExchangeError { current, new })
    }

    /// Replaces the value by what `change` makes of it, and returns what was replaced.
    ///
    /// Lock-free: when another thread was faster, `change` is called again.
    pub fn update<V: Into<RcuArc<T, F>>>(
        &self,
        guard: &Guard<'_, F>,
        mut change: impl FnMut(Option<&T>) -> V,
    ) -> Option<RcuArc<T, F>> {
        let mut current = self.load(guard);
        loop {
            let new = change(current.map(RcuArcRef::get)).into();
            match self.compare_exchange(current, Some(new), guard) {
                Ok(before) => return before,
                Err(error) => current = error.current,
            }
        }
    }
}

fn raw_of<T, F: Flavor>(value: Option<RcuArc<T, F>>) -> *mut T {
    value.map_or(ptr::null_mut(), |value| value.into_raw().as_ptr())
}

/// # Safety
///
/// Null, or from [`raw_of`] with the same `F`, and its reference belongs to the caller.
unsafe fn arc_of<T, F: Flavor>(value: *mut T) -> Option<RcuArc<T, F>> {
    // SAFETY: as promised.
    NonNull::new(value).map(|value| unsafe { RcuArc::from_raw(value) })
}

impl<T, F: Flavor> Drop for RcuArcCell<T, F> {
    fn drop(&mut self) {
        // SAFETY: the cell's reference. Sections that have found the value are waited for if it was the last.
        drop(unsafe { arc_of::<T, F>(*self.pointer.get_mut()) });
    }
}

impl<T, F: Flavor> Default for RcuArcCell<T, F> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, F: Flavor> From<RcuArc<T, F>> for RcuArcCell<T, F> {
    fn from(value: RcuArc<T, F>) -> Self {
        Self { pointer: AtomicPtr::new(raw_of(Some(value))), marker: PhantomData }
    }
}

impl<T, F: Flavor> fmt::Debug for RcuArcCell<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value itself could be read inside a section only.
        let pointer = self.pointer.load(Ordering::Relaxed);
        f.debug_struct("RcuArcCell").field("flavor", &F::NAME).field("pointer", &pointer).finish()
    }
}

// SAFETY: it owns a reference, which moves with it; that is `Send` under the same condition.
unsafe impl<T: Send + Sync, F: Flavor> Send for RcuArcCell<T, F> {}
// SAFETY: sharing it lets other threads read the value (Sync) and take references out, of which one may be the last (Send).
unsafe impl<T: Send + Sync, F: Flavor> Sync for RcuArcCell<T, F> {}

/// The cell did not hold the expected value.
pub struct RcuArcExchangeError<'g, T, F: Flavor> {
    /// What it holds instead.
    pub current: Option<RcuArcRef<'g, T, F>>,
    /// The value that was not published.
    pub new: Option<RcuArc<T, F>>,
}

impl<T, F: Flavor> fmt::Debug for RcuArcExchangeError<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RcuArcExchangeError { .. }")
    }
}

impl<T, F: Flavor> fmt::Display for RcuArcExchangeError<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cell holds another value")
    }
}

impl<T, F: Flavor> core::error::Error for RcuArcExchangeError<'_, T, F> {}

//! The RCU-protected pointer, and what comes out of it.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use crate::boxed::RcuBox;
use crate::flavor::Flavor;
use crate::guard::Guard;
use crate::poll::GracePeriod;
use crate::raw;
use crate::reclaim;
use crate::sync::{AtomicPtr, Ordering};
use crate::thread::{self, Thread};
use crate::weaken;

/// A pointer that readers dereference inside a section while updaters replace it.
///
/// Holds a `T` or nothing. The flavor is part of the type: a guard of another flavor does not compile.
///
/// Values have to be `Send` and `'static` to be replaced, since they may be dropped later and on another thread.
pub struct Rcu<T, F: Flavor> {
    /// The value inside an `RcuBox`, or null.
    pointer: AtomicPtr<T>,
    marker: PhantomData<(RcuBox<T>, F)>,
}

impl<T, F: Flavor> Rcu<T, F> {
    /// Holding nothing.
    pub const fn empty() -> Self {
        Self { pointer: AtomicPtr::new(ptr::null_mut()), marker: PhantomData }
    }

    /// Holding `value`. Allocates.
    pub fn new(value: T) -> Self {
        Self::from_box(RcuBox::new(value))
    }

    /// Holding a value that is allocated already.
    pub fn from_box(value: RcuBox<T>) -> Self {
        Self { pointer: AtomicPtr::new(value.into_raw().as_ptr()), marker: PhantomData }
    }

    /// The current value, valid for as long as the section and this pointer live.
    ///
    /// Wait-free: one load. Acquire: the value's contents are those its publisher wrote.
    #[doc(alias = "rcu_dereference")]
    #[inline]
    pub fn load<'g>(&'g self, guard: &'g Guard<'_, F>) -> Option<&'g T> {
        let _ = guard;
        // SAFETY: what is unlinked is reclaimed after a grace period only, and `guard` has held up every grace period
        // since before this load; the value is shared with readers only. PAIR(publish)
        unsafe { raw::dereference(&self.pointer).as_ref() }
    }

    /// The current value by exclusive access: no section is needed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: null or a live value; nobody else can reach it while this pointer is borrowed mutably.
        unsafe { self.pointer.get_mut().as_mut() }
    }

    /// The value, if any. No grace period is needed: a section that loaded it would still borrow this pointer.
    pub fn into_inner(mut self) -> Option<T> {
        self.take_box().map(RcuBox::into_inner)
    }

    fn take_box(&mut self) -> Option<RcuBox<T>> {
        let value = NonNull::new(core::mem::replace(self.pointer.get_mut(), ptr::null_mut()))?;
        // SAFETY: the pointer owned it, and `&mut self` proves that no loaded reference lives.
        Some(unsafe { RcuBox::from_raw(value) })
    }
}

impl<T: Send + 'static, F: Flavor> Rcu<T, F> {
    /// Makes `value` the current one and returns what was replaced.
    ///
    /// Any context, registered or not, inside a section or not. Allocates; otherwise wait-free. A full barrier: whatever
    /// the caller did before is visible to a reader that loads the value.
    #[doc(alias = "rcu_assign_pointer")]
    pub fn publish(&self, value: T) -> Option<Retired<T, F>> {
        self.replace(RcuBox::new(value))
    }

    /// [`publish`](Self::publish) of a value that is allocated already. Wait-free.
    #[doc(alias = "rcu_xchg_pointer")]
    pub fn replace(&self, value: RcuBox<T>) -> Option<Retired<T, F>> {
        // SAFETY: published whole, unlinked from here on. PAIR(publish)
        unsafe { Retired::new(raw::exchange_pointer(&self.pointer, value.into_raw().as_ptr())) }
    }

    /// Leaves nothing and returns what was there. Any context; wait-free.
    pub fn take(&self) -> Option<Retired<T, F>> {
        // SAFETY: unlinked from here on.
        unsafe { Retired::new(raw::exchange_pointer(&self.pointer, ptr::null_mut())) }
    }

    /// Replaces the value if it still is `current`, as loaded in this section; `None` stands for no value.
    ///
    /// Any context that has a guard. Lock-free as part of a retry loop; itself wait-free. A full barrier on success.
    ///
    /// # Errors
    ///
    /// The value that is there instead, and the new value back.
    #[doc(alias = "rcu_cmpxchg_pointer")]
    pub fn compare_exchange<'g>(
        &'g self,
        current: Option<&'g T>,
        new: RcuBox<T>,
        guard: &'g Guard<'_, F>,
    ) -> Result<Option<Retired<T, F>>, CompareExchangeError<'g, T>> {
        let _ = guard;
        let expected = current.map_or(ptr::null_mut(), |current| ptr::from_ref(current).cast_mut());
        let new = new.into_raw();
        // PAIR(publish)
        let found = raw::compare_exchange_pointer(&self.pointer, expected, new.as_ptr());
        if ptr::eq(found, expected) {
            // SAFETY: unlinked by the exchange; the address came out of the atomic itself.
            return Ok(unsafe { Retired::new(found) });
        }
        // SAFETY: it was not published.
        let new = unsafe { RcuBox::from_raw(new) };
        // SAFETY: as in `load`; the failed exchange is an Acquire load.
        let current = unsafe { found.as_ref() };
        Err(CompareExchangeError { current, new })
    }
}

impl<T, F: Flavor> Drop for Rcu<T, F> {
    fn drop(&mut self) {
        drop(self.take_box());
    }
}

impl<T, F: Flavor> Default for Rcu<T, F> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, F: Flavor> From<T> for Rcu<T, F> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T, F: Flavor> fmt::Debug for Rcu<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value itself could be read inside a section only.
        f.debug_struct("Rcu").field("flavor", &F::NAME).field("pointer", &self.pointer.load(Ordering::Relaxed)).finish()
    }
}

// SAFETY: it owns a `T`, which may be taken out (Send) or read through `&T` (Sync) on whatever thread it moves to.
unsafe impl<T: Send + Sync, F: Flavor> Send for Rcu<T, F> {}
// SAFETY: sharing it lets other threads read the value (Sync) and take it out (Send).
unsafe impl<T: Send + Sync, F: Flavor> Sync for Rcu<T, F> {}

/// The pointer did not hold the expected value.
pub struct CompareExchangeError<'g, T> {
    /// What it holds instead.
    pub current: Option<&'g T>,
    /// The value that was not published.
    pub new: RcuBox<T>,
}

impl<T> fmt::Debug for CompareExchangeError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompareExchangeError { .. }")
    }
}

impl<T> fmt::Display for CompareExchangeError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pointer holds another value")
    }
}

impl<T> core::error::Error for CompareExchangeError<'_, T> {}

/// A value that has been unlinked, but that readers may still be using.
///
/// Dropping it is [`defer_drop`](Self::defer_drop).
pub struct Retired<T, F: Flavor> {
    value: NonNull<T>,
    marker: PhantomData<(T, F)>,
}

impl<T, F: Flavor> Retired<T, F> {
    /// # Safety
    ///
    /// `value` is null, or comes from `RcuBox::into_raw`, is `Send + 'static`, has just been made unreachable for new
    /// sections, and is owned by the caller alone.
    unsafe fn new(value: *mut T) -> Option<Self> {
        NonNull::new(value).map(|value| Self { value, marker: PhantomData })
    }

    /// The value, which readers may be looking at as well.
    pub fn get(&self) -> &T
    where
        T: Sync,
    {
        // SAFETY: alive until this is consumed; `Sync`, since readers on other threads may hold references.
        unsafe { self.value.as_ref() }
    }

    /// Waits for a grace period and returns the value. Blocks.
    ///
    /// Not inside a section; QSBR: the thread is not online. With a registered thread at hand,
    /// [`synchronize_with`](Self::synchronize_with) works in every flavor.
    ///
    /// # Panics
    ///
    /// As the flavor's `synchronize()`.
    #[track_caller]
    pub fn synchronize_and_into_inner(self) -> T {
        weaken!("into-inner-waits", thread::synchronize::<F>() => ());
        self.into_box().into_inner()
    }

    /// Waits for a grace period by [`Thread::synchronize`] and returns the value. Blocks.
    ///
    /// # Panics
    ///
    /// As [`Thread::synchronize`].
    #[track_caller]
    pub fn synchronize_with(self, thread: &mut Thread<F>) -> T {
        thread.synchronize();
        self.into_box().into_inner()
    }

    /// Asks for a grace period, after which the value can be had back: to be recycled without waiting.
    ///
    /// Any context; the default worker runs the grace period.
    pub fn start_poll(self) -> Polled<T, F> {
        Polled { period: GracePeriod::start(), retired: self }
    }

    /// The address, for whoever consumes it.
    #[inline]
    pub(crate) fn value(&self) -> NonNull<T> {
        self.value
    }

    /// After a grace period.
    fn into_box(self) -> RcuBox<T> {
        let retired = ManuallyDrop::new(self);
        // SAFETY: a grace period has passed since it was unlinked, so no reader holds a reference.
        unsafe { RcuBox::from_raw(retired.value) }
    }
}

/// A retired value whose grace period is under way: see [`Retired::start_poll`].
///
/// Dropping it drops the value after another grace period.
pub struct Polled<T, F: Flavor> {
    retired: Retired<T, F>,
    period: GracePeriod<F>,
}

impl<T, F: Flavor> Polled<T, F> {
    /// Whether the value can be had back. Any context; wait-free. Once true, always true.
    pub fn is_done(&self) -> bool {
        self.period.is_done()
    }

    /// The value in its allocation. Any context; wait-free.
    ///
    /// # Errors
    ///
    /// This again, while the grace period has not ended.
    pub fn try_into_box(self) -> Result<RcuBox<T>, Self> {
        if self.is_done() { Ok(self.retired.into_box()) } else { Err(self) }
    }
}

impl<T, F: Flavor> fmt::Debug for Polled<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polled").field("flavor", &F::NAME).field("is_done", &self.is_done()).finish()
    }
}

impl<T, F: Flavor> Drop for Retired<T, F> {
    fn drop(&mut self) {
        // SAFETY: this was the owner; `Send + 'static` since `new` (its contract).
        unsafe { reclaim::retire_rcu_box::<T, F>(self.value) };
    }
}

impl<T, F: Flavor> fmt::Debug for Retired<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retired({})", F::NAME)
    }
}

// SAFETY: it owns a `T` (Send) that readers elsewhere may be looking at (Sync).
unsafe impl<T: Send + Sync, F: Flavor> Send for Retired<T, F> {}
// SAFETY: a shared one gives out `&T` only.
unsafe impl<T: Send + Sync, F: Flavor> Sync for Retired<T, F> {}

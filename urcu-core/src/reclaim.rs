//! The face of deferred reclamation, generic over the flavor: flavor crates present it without the parameter.

use core::any::Any;
use core::cell::Cell;
use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ptr::NonNull;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::boxed::RcuBox;
use crate::defer::{self, Call, Limits, Stats};
use crate::error::BarrierError;
use crate::flavor::Flavor;
use crate::head::RcuHead;
use crate::report::{Report, report};
use crate::sync::Ordering;
use crate::util::OnDrop;
use crate::{quiescence, thread};

/// Drops `value` after a grace period.
///
/// # Safety
///
/// `value` comes from `Box::into_raw`, nobody else drops it, and it may be dropped on another thread, now or later.
pub(crate) unsafe fn retire_raw<T, F: Flavor>(value: *mut T) {
    let call = Call { function: drop_box::<T, F>, argument: value.cast() };
    // SAFETY: as promised.
    unsafe { retire::<T, F>(call, size_of::<T>()) };
}

/// Drops what is in an `RcuBox` after a grace period.
///
/// # Safety
///
/// `value` comes from `RcuBox::into_raw`, nobody else drops it, and it may be dropped on another thread, now or later.
#[inline]
pub(crate) unsafe fn retire_rcu_box<T, F: Flavor>(value: NonNull<T>) {
    let call = Call { function: drop_rcu_box::<T, F>, argument: RcuBox::head(value).cast() };
    // SAFETY: as promised.
    unsafe { retire::<T, F>(call, size_of::<T>() + size_of::<RcuHead>()) };
}

/// # Safety
///
/// `call` drops and frees a `T` that may be dropped on another thread, once.
#[inline]
unsafe fn retire<T, F: Flavor>(call: Call, bytes: usize) {
    if mem::needs_drop::<T>() {
        // SAFETY: as promised.
        unsafe { defer::add_remote::<F>(call, bytes) };
    } else {
        // SAFETY: without a destructor it only frees.
        unsafe { defer::add_local::<F>(call, bytes) };
    }
}

unsafe extern "C" fn drop_box<T, F: Flavor>(value: *mut c_void) {
    // SAFETY: the one call that owns the box.
    let value = unsafe { Box::from_raw(value.cast::<T>()) };
    drop_here::<T, F>(value);
}

unsafe extern "C" fn drop_rcu_box<T, F: Flavor>(head: *mut c_void) {
    // SAFETY: the one call that owns the box, whose head this is.
    let value = unsafe { RcuBox::<T>::from_head(head.cast()) };
    drop_here::<T, F>(value);
}

/// Drops a value after its grace period. `T` is what the box `value` holds.
fn drop_here<T, F: Flavor>(value: impl Sized) {
    if mem::needs_drop::<T>() {
        quiescence::run_offline::<F>(|| drop_reporting(F::NAME, value));
    } else {
        drop(value);
    }
}

/// The flavor whose deferred calls a thread runs, for functions that were compiled without knowing it.
#[derive(Clone, Copy)]
struct Running {
    flavor: &'static str,
    run_offline: fn(&mut dyn FnMut()),
}

thread_local! {
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
}

/// Runs deferred calls of flavor `F`.
pub(crate) fn running<F: Flavor>(run: impl FnOnce()) {
    let running = Running { flavor: F::NAME, run_offline: |run| quiescence::run_offline::<F>(run) };
    let before = RUNNING.replace(Some(running));
    let _restore = OnDrop(|| RUNNING.set(before));
    run();
}

/// [`drop_here`], for whichever flavor is running the call.
pub(crate) fn drop_for_running_flavor<T>(value: impl Sized) {
    if !mem::needs_drop::<T>() {
        return drop(value);
    }
    match RUNNING.get() {
        Some(running) => {
            let mut value = Some(value);
            (running.run_offline)(&mut || drop_reporting(running.flavor, value.take()));
        }
        // The flavor is that of another copy of this library.
        None => drop_reporting("a flavor", value),
    }
}

/// Drops a value that has nobody to unwind to.
pub(crate) fn drop_reporting<B>(flavor: &'static str, value: B) {
    catch(flavor, || drop(value));
}

/// Runs user code that has nobody to unwind to: a panic is reported. For structures that reclaim what is not in a box.
#[doc(hidden)]
pub fn catch(flavor: &'static str, run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        report(&Report::DeferredPanicked { flavor, message: message(&*payload) });
        // Dropping the payload may panic again, unless it is what nearly every panic has.
        if !(payload.is::<String>() || payload.is::<&str>()) {
            mem::forget(payload);
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no text)").to_owned()
}

/// See a flavor's `retire`.
pub fn retire_box<T: Send + 'static, F: Flavor>(value: Box<T>) {
    // SAFETY: just given up; `Send` and `'static`.
    unsafe { retire_raw::<T, F>(Box::into_raw(value)) };
}

#[repr(C)]
struct Deferred<C> {
    head: RcuHead,
    closure: C,
}

/// See a flavor's `defer`.
pub fn defer<C: FnOnce() + Send + 'static, F: Flavor>(closure: C) {
    unsafe extern "C" fn run<C: FnOnce(), F: Flavor>(head: *mut RcuHead) {
        // SAFETY: the head is the first field of the box given up below, and this runs once.
        let deferred = unsafe { Box::from_raw(head.cast::<Deferred<C>>()) };
        quiescence::run_offline::<F>(|| {
            catch(F::NAME, move || {
                let Deferred { closure, .. } = *deferred;
                closure();
            });
        });
    }
    let deferred = Box::into_raw(Box::new(Deferred { head: RcuHead::new(), closure }));
    // SAFETY: a fresh head inside an allocation that the callback frees; the closure is `Send` and `'static`.
    unsafe { defer::call::<F>(deferred.cast(), run::<C, F>) };
}

/// See a flavor's `barrier`.
///
/// # Errors
///
/// [`BarrierError::InCallback`].
#[track_caller]
pub fn barrier<F: Flavor>() -> Result<(), BarrierError> {
    thread::assert_outside::<F>(F::reader(), "waits for deferred calls");
    thread::assert_no_hidden_guard::<F>(F::reader());
    defer::barrier_outside::<F>()
}

/// Waits, when it is dropped, until everything retired before has been dropped.
///
/// For the end of a structure's or a test's life: whatever it handed to deferred reclamation is gone when the scope ends.
#[must_use = "it waits when it is dropped"]
pub struct FlushOnDrop<F: Flavor> {
    marker: PhantomData<(F, *mut ())>,
}

impl<F: Flavor> FlushOnDrop<F> {
    /// See [`FlushOnDrop`].
    pub const fn new() -> Self {
        Self { marker: PhantomData }
    }
}

impl<F: Flavor> Default for FlushOnDrop<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Flavor> Drop for FlushOnDrop<F> {
    /// # Panics
    ///
    /// As the flavor's `barrier`, and in a callback; nothing happens there while the thread is unwinding already.
    fn drop(&mut self) {
        if std::thread::panicking() && crate::raw::read_ongoing::<F>() {
            return;
        }
        if let Err(error) = barrier::<F>() {
            assert!(std::thread::panicking(), "{error}");
        }
    }
}

impl<F: Flavor> fmt::Debug for FlushOnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlushOnDrop({})", F::NAME)
    }
}

/// See a flavor's `stats`.
pub fn stats<F: Flavor>() -> Stats {
    defer::stats::<F>()
}

/// See a flavor's `limits`.
pub fn limits<F: Flavor>() -> Limits {
    F::domain().deferred.limits.get()
}

/// See a flavor's `set_limits`.
pub fn set_limits<F: Flavor>(limits: Limits) {
    F::domain().deferred.limits.set(limits);
}

/// See a flavor's `set_stall_limit`.
pub fn set_stall_limit<F: Flavor>(limit: Option<Duration>) {
    let millis = limit.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1));
    // Relaxed: a plain number.
    F::domain().stall_after.store(millis, Ordering::Relaxed);
}

impl<T, F: Flavor> crate::pointer::Retired<T, F> {
    /// Drops the value after a grace period, without waiting for it.
    ///
    /// Any context but signal handlers, also inside a section. Adding it writes three words of the thread's own memory;
    /// what costs more (a block of 512 entries, a grace period begun, the worker woken) is shared. A value with a destructor
    /// is dropped by the worker; one without is freed there or on this thread, at some later retirement. Beyond the hard
    /// limit ([`Limits`]) it waits, unless in a deferred call (inside a section: the end of the outermost one waits): so
    /// neither may happen with a lock held that a reader takes inside a section, or that a deferred call takes.
    ///
    /// Dropping a `Retired` does the same.
    #[doc(alias = "call_rcu")]
    #[inline]
    pub fn defer_drop(self) {
        let retired = ManuallyDrop::new(self);
        // SAFETY: consumed here; `Send + 'static` since `new` (its contract).
        unsafe { retire_rcu_box::<T, F>(retired.value()) };
    }
}

impl<T: Send + 'static> RcuBox<T> {
    /// Drops the value after a grace period of flavor `F`: as [`Retired::defer_drop`](crate::Retired::defer_drop).
    pub fn retire<F: Flavor>(self) {
        // SAFETY: given up here; `Send` and `'static`.
        unsafe { retire_rcu_box::<T, F>(self.into_raw()) };
    }
}

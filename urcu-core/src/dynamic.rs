//! A flavor that is met at run time, from safe code: what structures do with the [`FlavorVtable`] they were given.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

use crate::domain::DomainId;
use crate::error::BarrierError;
use crate::flavor::Flavor;
use crate::guard::Guard;
use crate::reclaim;
use crate::vtable::FlavorVtable;

/// A read-side critical section of the calling thread, whatever its flavor is: what the read side of a structure asks
/// for. [`Guard`] is one, and [`DynGuard`].
///
/// # Safety
///
/// While the value lives, the calling thread is inside a section of the flavor whose domain is `domain()`, and always the
/// same one. The type is neither `Send` nor `Sync`.
pub unsafe trait AnyGuard {
    /// The domain whose grace periods wait for this section. Wait-free.
    fn domain(&self) -> DomainId;

    /// The flavor's crate, for messages.
    fn flavor_name(&self) -> &'static str;
}

// SAFETY: what a guard is.
unsafe impl<F: Flavor> AnyGuard for Guard<'_, F> {
    #[inline]
    fn domain(&self) -> DomainId {
        F::domain().id()
    }

    fn flavor_name(&self) -> &'static str {
        F::NAME
    }
}

/// A section entered through a vtable: [`FlavorVtable::pin`].
///
/// Costs two indirect calls where a flavor's own guard costs two stores. As with that one, leaking it leaves the section
/// open for ever.
#[must_use = "the section ends as soon as its guard is dropped"]
pub struct DynGuard {
    flavor: &'static FlavorVtable,
    section: NonNull<c_void>,
    /// Neither `Send` nor `Sync`: a section belongs to its thread.
    marker: PhantomData<*mut ()>,
}

// SAFETY: entered by `pin`, left by the drop; the raw pointer makes it neither `Send` nor `Sync`.
unsafe impl AnyGuard for DynGuard {
    #[inline]
    fn domain(&self) -> DomainId {
        self.flavor.domain()
    }

    fn flavor_name(&self) -> &'static str {
        self.flavor.name()
    }
}

impl Drop for DynGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: what `enter` returned, on the same thread, once.
        unsafe { (self.flavor.leave)(self.section.as_ptr()) };
    }
}

impl fmt::Debug for DynGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynGuard({})", self.flavor.name())
    }
}

impl FlavorVtable {
    /// Enters a section of this flavor.
    ///
    /// Registered threads (bp: any thread; QSBR: online). Wait-free. Nests.
    ///
    /// # Panics
    ///
    /// When the thread is not registered, or not online.
    #[inline]
    #[track_caller]
    pub fn pin(&'static self) -> DynGuard {
        // SAFETY: no precondition; null says that the thread may not read.
        let section = unsafe { (self.enter)() };
        let Some(section) = NonNull::new(section) else { not_a_reader(self) };
        DynGuard { flavor: self, section, marker: PhantomData }
    }

    /// Checks that `guard` is a section of this flavor: one comparison. What a structure does once per read operation.
    ///
    /// # Panics
    ///
    /// Unless it is; the message names both flavors.
    #[inline]
    #[track_caller]
    pub fn assert_guards(&self, guard: &impl AnyGuard) {
        if guard.domain() != self.domain() {
            wrong_guard(self, guard.flavor_name(), guard.domain());
        }
    }

    /// Drops `value` after a grace period. Contexts and cost as a flavor's `retire`.
    pub fn retire<T: Send + 'static>(&self, value: Box<T>) {
        // SAFETY: just given up; `Send` and `'static`.
        unsafe { self.retire_raw(Box::into_raw(value)) };
    }

    /// Drops the boxed `value` after a grace period. Unlike with [`retire`](Self::retire), readers may still be looking at it.
    ///
    /// # Safety
    ///
    /// `value` comes from `Box::into_raw`, readers cannot find it any more, nobody else drops it, and it may be dropped on
    /// another thread, now or later.
    pub unsafe fn retire_raw<T>(&self, value: *mut T) {
        // SAFETY: as promised; a box of `T` is what the function frees.
        unsafe { self.retire_with::<T>(value, drop_box::<T>) };
    }

    /// Runs `reclaim(value)` after a grace period: [`retire_raw`](Self::retire_raw) for what is not in a box of its own.
    ///
    /// # Safety
    ///
    /// As there. `reclaim` drops and frees one `T`, does not unwind, and runs no code of anybody else's when `T` has no
    /// destructor.
    pub unsafe fn retire_with<T>(&self, value: *mut T, reclaim: unsafe extern "C" fn(*mut c_void)) {
        if mem::needs_drop::<T>() {
            // SAFETY: as promised.
            unsafe { (self.defer_bytes)(reclaim, value.cast(), size_of::<T>()) };
        } else {
            // SAFETY: without a destructor it only frees.
            unsafe { (self.defer_free)(reclaim, value.cast(), size_of::<T>()) };
        }
    }

    /// Waits for a grace period if that is certainly allowed here; `false`, without waiting, inside a section (QSBR: or when
    /// the thread is online by a `Thread`), and when no grace period can end any more. Blocks. A full barrier on both ends.
    pub fn synchronize_if_allowed(&self) -> bool {
        // SAFETY: checks its own precondition.
        unsafe { (self.try_synchronize)() == 0 }
    }

    /// Waits until everything retired before, by any thread, has been dropped. Blocks.
    ///
    /// # Errors
    ///
    /// [`BarrierError::InCallback`], without waiting, in a deferred call, inside a section, or (QSBR) when the thread is online by
    /// a `Thread`: it would wait for itself. [`BarrierError::Stuck`] when it would wait for ever.
    pub fn wait_for_retired(&'static self) -> Result<(), BarrierError> {
        // SAFETY: checks its own precondition.
        match unsafe { (self.barrier)() } {
            0 => Ok(()),
            code if code == -libc::EIO => Err(BarrierError::Stuck { flavor: self.name() }),
            _ => Err(BarrierError::InCallback { flavor: self.name() }),
        }
    }
}

unsafe extern "C" fn drop_box<T>(value: *mut c_void) {
    // SAFETY: the one call that owns the box.
    let value = unsafe { Box::from_raw(value.cast::<T>()) };
    reclaim::drop_for_running_flavor::<T>(value);
}

#[cold]
#[track_caller]
fn not_a_reader(flavor: &FlavorVtable) -> ! {
    panic!(
        "{name}: thread '{thread}' reads but is not registered (or not online): call {crate_name}::register() on it first",
        name = flavor.name(),
        thread = crate::sys::thread_name(),
        crate_name = flavor.name().replace('-', "_"),
    )
}

#[cold]
#[track_caller]
fn wrong_guard(flavor: &FlavorVtable, other: &str, domain: DomainId) -> ! {
    let place = |domain: DomainId| domain.object().unwrap_or_else(|| "an unknown object".into());
    let own = flavor.domain();
    panic!(
        "a guard of {other} in {} ({domain:?}) was given to a structure of {} in {} ({own:?}): each protects only what was \
         retired through its own flavor, and two copies of a flavor are two",
        place(domain),
        flavor.name(),
        place(own),
    )
}

//! A thread's registration with a flavor that is met at run time.

use core::fmt;
use core::marker::PhantomData;

use crate::dynamic::DynGuard;
use crate::error::{InitError, RegisterError};
use crate::sys;
use crate::util::OnDrop;
use crate::vtable::FlavorVtable;

/// The calling thread's registration with a flavor that is known by its [`FlavorVtable`] only: what a
/// [`Thread`](crate::Thread) is where the flavor is known.
///
/// For threads of a library that has been given a structure, and wants to read it on them whatever its flavor is. Made by
/// [`FlavorVtable::register`]. There is one per thread and flavor at a time, this type and `Thread` taken together.
/// Neither `Send` nor `Sync`. Dropping it ends the registration.
///
/// In QSBR such a thread is online: it has to announce quiescent states, and to be offline while it blocks, because
/// grace periods wait for it. The other flavors ask for neither, and the calls do nothing there.
#[doc(alias = "rcu_register_thread")]
#[must_use = "dropping the `DynThread` ends the registration"]
pub struct DynThread {
    flavor: &'static FlavorVtable,
    /// Neither `Send` nor `Sync`: a registration belongs to its thread.
    marker: PhantomData<*mut ()>,
}

impl FlavorVtable {
    /// Registers the calling thread; QSBR: it is online from now on.
    ///
    /// Lock-free: never waits for a grace period. Not in a signal handler.
    ///
    /// # Errors
    ///
    /// [`RegisterError`], of which [`Init`](RegisterError::Init) has always [`InitError::Refused`] inside.
    #[doc(alias = "rcu_register_thread")]
    pub fn register(&'static self) -> Result<DynThread, RegisterError> {
        // SAFETY: no precondition.
        match unsafe { (self.attach)() } {
            0 => Ok(DynThread { flavor: self, marker: PhantomData }),
            error => Err(self.register_error(-error)),
        }
    }

    /// Registers the calling thread unless it is registered: `None` if it was, by whomever. Contexts as
    /// [`register`](Self::register).
    ///
    /// What a library does that reads a structure of a flavor unknown to it on threads unknown to it.
    ///
    /// # Errors
    ///
    /// As there, but for [`RegisterError::AlreadyRegistered`].
    pub fn register_if_needed(&'static self) -> Result<Option<DynThread>, RegisterError> {
        match self.register() {
            Ok(thread) => Ok(Some(thread)),
            Err(RegisterError::AlreadyRegistered { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn register_error(&'static self, errno: i32) -> RegisterError {
        let flavor = self.name();
        match errno {
            libc::EEXIST => RegisterError::AlreadyRegistered { flavor },
            libc::ECANCELED => RegisterError::ThreadExiting { flavor },
            libc::ENOMEM => RegisterError::OutOfMemory,
            libc::EAGAIN => RegisterError::NoExitKey { errno },
            _ => RegisterError::Init(InitError::Refused { errno }),
        }
    }
}

impl DynThread {
    /// The flavor.
    pub fn flavor(&self) -> &'static FlavorVtable {
        self.flavor
    }

    /// Enters a section: [`FlavorVtable::pin`].
    ///
    /// # Panics
    ///
    /// Where the registration has been ended by the end of its thread (a guard wanted in a late thread-local destructor).
    #[inline]
    #[track_caller]
    pub fn pin(&self) -> DynGuard {
        self.flavor.pin()
    }

    /// Announces that this thread holds no references: QSBR's way to let grace periods end. Nothing in the other flavors.
    ///
    /// Wait-free, but for the exceptions of [`Thread::quiescent_state`](crate::Thread::quiescent_state).
    ///
    /// # Panics
    ///
    /// While a guard of this flavor lives on this thread.
    #[track_caller]
    pub fn quiescent_state(&mut self) {
        self.assert_outside("announces a quiescent state");
        // SAFETY: references from RCU pointers need a guard, and no guard lives: those of this thread are all counted,
        // because no `Thread` that uncounted ones could borrow stands beside this value.
        unsafe { (self.flavor.quiescent_state)() };
    }

    /// Runs `wait` while grace periods do not wait for this thread (QSBR): for `poll`, locks, joins, sleeps.
    ///
    /// # Panics
    ///
    /// While a guard of this flavor lives on this thread.
    #[track_caller]
    pub fn while_offline<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        self.assert_outside("goes offline");
        // SAFETY: as in `quiescent_state`; a section that is wanted before the thread is online again is refused.
        unsafe { (self.flavor.thread_offline)() };
        let _online = OnDrop(|| {
            // SAFETY: undoes the above; nobody else does, since `self` is borrowed.
            unsafe { (self.flavor.thread_online)() };
        });
        wait()
    }

    /// Waits for a grace period. Blocks. A full barrier on both ends.
    ///
    /// # Panics
    ///
    /// While a guard of this flavor lives on this thread: it would wait for itself.
    #[doc(alias = "synchronize_rcu")]
    #[track_caller]
    pub fn synchronize(&mut self) {
        let flavor = self.flavor;
        // The check is the first thing that this does.
        let waited = self.while_offline(|| flavor.synchronize_if_allowed());
        assert!(waited, "{}: this thread may not wait for a grace period here", flavor.name());
    }

    #[track_caller]
    fn assert_outside(&self, what: &str) {
        // SAFETY: no precondition.
        let open = unsafe { (self.flavor.open_sections)() };
        assert!(
            open == 0,
            "{}: thread '{}' {what} inside a read-side critical section of its own",
            self.flavor.name(),
            sys::thread_name(),
        );
    }
}

impl Drop for DynThread {
    /// With a guard alive on this thread, the registration ends when [that of a `Thread`](crate::Thread) does.
    fn drop(&mut self) {
        // SAFETY: `attach` succeeded on this thread, and this is its only counterpart.
        unsafe { (self.flavor.detach)() };
    }
}

impl fmt::Debug for DynThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynThread({})", self.flavor.name())
    }
}

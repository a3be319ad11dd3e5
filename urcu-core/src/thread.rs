//! A registered thread as a value, its offline state, and waiting for grace periods.

use core::fmt;
use core::marker::PhantomData;

use crate::error::RegisterError;
use crate::flavor::{Flavor, ReadSide};
use crate::grace_period::Stuck;
use crate::guard::Guard;
use crate::reader::{LastGuard, Reader};
use crate::registration::{self, entry_site, open_sections};
use crate::util::OnDrop;
use crate::{fork, grace_period, quiescence, sys};

/// The calling thread's registration with a flavor.
///
/// There is one per thread and flavor at a time. Dropping it ends the registration; leaking it leaves that to the end
/// of the thread (in QSBR, where a leaked `Thread` may have leaked guards that nobody counts, the registration then never
/// ends, and whoever waits for a grace period panics). Neither `Send` nor `Sync`.
///
/// The methods that take `&mut self` are those that must not happen inside a section: a [`Guard`] made by
/// [`read_lock`](Self::read_lock) borrows the `Thread`, so the compiler refuses them while one lives.
#[doc(alias = "rcu_register_thread")]
#[must_use = "dropping the `Thread` ends the registration"]
pub struct Thread<F: Flavor> {
    reader: &'static Reader,
    marker: PhantomData<(F, *mut ())>,
}

impl<F: Flavor> Thread<F> {
    /// Registers the calling thread; QSBR: it is online from now on.
    ///
    /// Lock-free: never waits for a grace period. Not to be called in a signal handler.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]: already registered, ending, out of memory or keys, or the flavor cannot be initialised.
    #[doc(alias = "rcu_register_thread")]
    pub fn register() -> Result<Self, RegisterError> {
        let reader = F::reader();
        // A flavor that registers by itself may have done so, or an earlier `Thread` was dropped under a guard that did not
        // borrow it: the new one takes that registration over.
        let is_orphan = reader.last_guard_does(LastGuard::EndsRegistration);
        if is_orphan {
            reader.at_last_guard(LastGuard::Nothing);
        }
        let takes_over = F::REGISTERS_ITSELF || is_orphan;
        let reader = if takes_over && reader.is_registered() { reader } else { registration::register::<F>()? };
        if !reader.take_handle() {
            return Err(RegisterError::AlreadyRegistered { flavor: F::NAME });
        }
        registration::pin::<F>();
        Ok(Self { reader, marker: PhantomData })
    }

    /// The `Thread` of the calling thread, which has been forgotten.
    ///
    /// # Safety
    ///
    /// It was made on this thread, by [`register`](Self::register), and this takes the place of it.
    pub(crate) unsafe fn forgotten() -> Self {
        Self { reader: F::reader(), marker: PhantomData }
    }

    /// Enters a read-side critical section.
    ///
    /// Wait-free. Cheaper than the free `read_lock()` where thread-locals are expensive (in a `dlopen`ed library), and
    /// the only one without any cost in QSBR. May be nested. Allowed in signal handlers, except in QSBR.
    ///
    /// # Panics
    ///
    /// When sections nest deeper than the flavor can count (65,535 levels).
    #[doc(alias = "rcu_read_lock")]
    #[inline]
    #[track_caller]
    pub fn read_lock(&self) -> Guard<'_, F> {
        Guard::borrowed(self.reader)
    }

    /// Announces that this thread holds no references: QSBR's way to let grace periods end. Nothing in the other
    /// flavors.
    ///
    /// Wait-free, apart from one `futex` call when an updater sleeps; but if the thread, while online, has deferred beyond
    /// the hard limit ([`Limits`](crate::Limits)), it waits for room. Not inside a section: while a guard of this `Thread`
    /// lives, it does not compile.
    ///
    /// # Panics
    ///
    /// QSBR: while a guard of the free `read_lock()` lives on this thread.
    #[doc(alias = "rcu_quiescent_state")]
    #[inline]
    #[track_caller]
    pub fn quiescent_state(&mut self) {
        if F::READ_SIDE == ReadSide::QuiescentStates {
            assert_outside::<F>(self.reader, "announces a quiescent state");
            quiescence::announce::<F>(self.reader);
        }
    }

    /// Takes the thread out of the set that grace periods wait for, until it comes
    /// [`online`](Offline::online) again. To be done around anything that blocks in QSBR; nothing in the other flavors.
    ///
    /// It consumes the `Thread`: a thread that is offline has nothing to read with, whatever happens to the
    /// [`Offline`]. To go offline for the length of a call, see [`while_offline`](Self::while_offline).
    ///
    /// Wait-free, apart from one `futex` call when an updater sleeps; waits for room as
    /// [`quiescent_state`](Self::quiescent_state) does. Not inside a section.
    ///
    /// # Panics
    ///
    /// QSBR: while a guard of the free `read_lock()` lives on this thread.
    #[doc(alias = "rcu_thread_offline")]
    #[inline]
    #[track_caller]
    pub fn offline(self) -> Offline<F> {
        if F::READ_SIDE == ReadSide::QuiescentStates {
            assert_outside::<F>(self.reader, "goes offline");
            quiescence::go_offline::<F>(self.reader);
            quiescence::pay::<F>(self.reader);
        }
        Offline { thread: self }
    }

    /// Runs `wait` while the thread is offline: for `poll`, locks, joins, sleeps.
    ///
    /// The thread comes online again when `wait` returns or unwinds. Not inside a section.
    ///
    /// # Panics
    ///
    /// QSBR: while a guard of the free `read_lock()` lives on this thread.
    #[inline]
    #[track_caller]
    pub fn while_offline<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        if F::READ_SIDE != ReadSide::QuiescentStates {
            return wait();
        }
        assert_outside::<F>(self.reader, "goes offline");
        quiescence::go_offline::<F>(self.reader);
        let _online = OnDrop(quiescence::come_back::<F>);
        quiescence::pay::<F>(self.reader);
        wait()
    }

    /// Waits for a grace period: until every section that is open now, on any thread, has ended.
    ///
    /// Blocks. A full barrier on both ends. QSBR: the thread is offline meanwhile, so this is a quiescent state too.
    /// Not inside a section: while a guard of this `Thread` lives, it does not compile.
    ///
    /// # Panics
    ///
    /// While a guard of the free `read_lock()` lives on this thread: it would wait for itself.
    #[doc(alias = "synchronize_rcu")]
    #[track_caller]
    pub fn synchronize(&mut self) {
        assert_outside::<F>(self.reader, "waits for a grace period");
        wait_offline::<F>(self.reader);
    }
}

impl<F: Flavor> Drop for Thread<F> {
    /// While a guard of the free `read_lock()` lives on this thread, the registration goes on: in QSBR until that guard is
    /// dropped, in the other flavors (where it holds nothing up) until the thread ends or registers again.
    ///
    /// QSBR: waits for room as [`quiescent_state`](Thread::quiescent_state) does.
    fn drop(&mut self) {
        if !core::ptr::eq(F::reader(), self.reader) {
            return;
        }
        if open_sections::<F>(self.reader) == 0 {
            registration::unregister_and_pay::<F>();
        } else {
            self.reader.set_handle(false);
            self.reader.at_last_guard(LastGuard::EndsRegistration);
        }
    }
}

impl<F: Flavor> fmt::Debug for Thread<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({}, tid {})", F::NAME, self.reader.tid())
    }
}

/// A registered thread that grace periods do not wait for: see [`Thread::offline`].
///
/// Dropping it ends the registration.
#[must_use = "dropping the `Offline` ends the registration; `online` gives the `Thread` back"]
#[derive(Debug)]
pub struct Offline<F: Flavor> {
    thread: Thread<F>,
}

impl<F: Flavor> Offline<F> {
    /// Comes back online; sections may begin again.
    ///
    /// Wait-free; in QSBR a full fence.
    #[doc(alias = "rcu_thread_online")]
    #[inline]
    pub fn online(self) -> Thread<F> {
        if F::READ_SIDE == ReadSide::QuiescentStates {
            quiescence::come_back::<F>();
        }
        self.thread
    }

    /// Waits for a grace period, like [`Thread::synchronize`], and stays offline.
    #[doc(alias = "synchronize_rcu")]
    #[track_caller]
    pub fn synchronize(&mut self) {
        synchronize::<F>();
    }
}

/// A flavor's free `read_lock()`: see there.
#[inline]
#[track_caller]
pub fn read_lock<F: Flavor>() -> Guard<'static, F> {
    Guard::<F>::current()
}

/// A flavor's free `synchronize()`: see there.
#[track_caller]
pub fn synchronize<F: Flavor>() {
    let reader = F::reader();
    assert_outside::<F>(reader, "waits for a grace period");
    assert_no_hidden_guard::<F>(reader);
    wait_offline::<F>(reader);
}

/// Guards that borrow a `Thread` leave no trace in QSBR, so whether one lives cannot be seen: where a `Thread` stands for
/// the registration of an online thread, safe functions that would take it offline refuse. (Sections of the raw tier
/// leave none either, but there it is the caller's duty not to wait inside one.)
#[track_caller]
pub(crate) fn assert_no_hidden_guard<F: Flavor>(reader: &Reader) {
    assert!(
        !may_hide_guard::<F>(reader),
        "{}: thread '{}' is online and waits without its `Thread`; use the method of `Thread` (Thread::synchronize), or \
         go offline first",
        F::NAME,
        sys::thread_name(),
    );
}

/// See [`assert_no_hidden_guard`].
pub(crate) fn may_hide_guard<F: Flavor>(reader: &Reader) -> bool {
    F::READ_SIDE == ReadSide::QuiescentStates && quiescence::is_online::<F>(reader) && reader.has_handle()
}

/// Waits with the thread offline, if it was online.
#[track_caller]
pub(crate) fn wait_offline<F: Flavor>(reader: &'static Reader) {
    fork::check::<F>();
    offline_while::<F, _>(reader, grace_period::wait::<F>);
}

/// [`wait_offline`], for those who may not panic.
pub(crate) fn try_wait_offline<F: Flavor>(reader: &'static Reader) -> Result<(), Stuck> {
    fork::check::<F>();
    offline_while::<F, _>(reader, grace_period::try_wait::<F>)
}

/// Runs `wait` with the thread offline, if it was online (QSBR).
pub(crate) fn offline_while<F: Flavor, R>(reader: &'static Reader, wait: impl FnOnce() -> R) -> R {
    if F::READ_SIDE == ReadSide::QuiescentStates && quiescence::is_online::<F>(reader) {
        quiescence::go_offline::<F>(reader);
        let _online = OnDrop(quiescence::come_back::<F>);
        wait()
    } else {
        wait()
    }
}

/// The rule that a thread does not do `what` inside a section of its own.
#[inline]
#[track_caller]
pub(crate) fn assert_outside<F: Flavor>(reader: &Reader, what: &str) {
    if open_sections::<F>(reader) != 0 {
        inside::<F>(reader, what);
    }
}

#[cold]
#[track_caller]
fn inside<F: Flavor>(reader: &Reader, what: &str) -> ! {
    panic!(
        "{}: thread '{}' {what} inside a read-side critical section of its own{}",
        F::NAME,
        sys::thread_name(),
        entry_site(reader),
    );
}

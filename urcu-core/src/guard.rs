//! A read-side critical section as a value.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::panic::Location;
use core::{fmt, ptr};

use crate::domain::DomainId;
use crate::flavor::{Flavor, ReadSide};
use crate::reader::{LastGuard, Reader};
use crate::registration;
use crate::section::Tier;
use crate::sync::Ordering;
use crate::{quiescence, section};

/// A read-side critical section: while it lives, nothing that was reachable through RCU pointers when it began is
/// reclaimed.
///
/// Made by [`Thread::read_lock`](crate::Thread::read_lock) or a flavor's `read_lock()`; ends when dropped. Nests: only
/// the end of the outermost section lets grace periods go on, and guards may be dropped in any order. Not `Send`: a
/// section belongs to its thread.
///
/// Dropping it is wait-free, apart from one `futex` call when an updater sleeps on this section; but the end of the outermost
/// section waits for room if the thread has retired beyond the hard limit in it ([`Limits`](crate::Limits)).
///
/// Leaking a guard (`mem::forget`, `Box::leak`) leaves the section open for ever, even beyond the end of its thread,
/// because the references that it protects may have been leaked with it and sent anywhere. It is never undefined
/// behaviour; waiting for a grace period then blocks while the thread lives, and panics once it is gone.
#[doc(alias = "rcu_read_lock")]
#[must_use = "the section ends as soon as its guard is dropped"]
pub struct Guard<'t, F: Flavor> {
    /// The record to leave the section with. `None` for a QSBR section that the borrow of its `Thread` accounts for.
    reader: Option<&'static Reader>,
    /// Borrows the `Thread`, names the flavor, and is neither `Send` nor `Sync`.
    marker: PhantomData<(&'t (), F, *mut ())>,
}

impl<F: Flavor> Guard<'_, F> {
    /// A section of a thread that a `Thread` value stands for; `reader` is its record.
    #[inline]
    #[track_caller]
    pub(crate) fn borrowed(reader: &'static Reader) -> Self {
        let reader = match F::READ_SIDE {
            ReadSide::Sections(light) => Some(section::lock::<F>(reader, light, Tier::Face)),
            ReadSide::QuiescentStates => None,
        };
        Self { reader, marker: PhantomData }
    }

    /// A section of the calling thread, whatever stands for its registration: a flavor's free `read_lock()`.
    #[inline]
    #[track_caller]
    pub(crate) fn current() -> Guard<'static, F> {
        let reader = F::reader();
        let reader = match F::READ_SIDE {
            ReadSide::Sections(light) => section::lock::<F>(reader, light, Tier::Face),
            ReadSide::QuiescentStates => {
                if !quiescence::is_online::<F>(reader) && !quiescence::visit::<F>(reader) {
                    registration::refuse::<F>(reader);
                }
                // No borrow keeps quiescent states away from this guard, so it is counted. Relaxed: own thread only.
                let guards = reader.guards.load(Ordering::Relaxed);
                if guards == u32::MAX {
                    too_many::<F>();
                }
                reader.guards.store(guards + 1, Ordering::Relaxed);
                reader.note_entry(Some(Location::caller()));
                reader
            }
        };
        Guard { reader: Some(reader), marker: PhantomData }
    }

    /// [`current`](Self::current), unless the thread may not read.
    pub(crate) fn try_current() -> Option<Guard<'static, F>> {
        let reader = F::reader();
        let may_read = match F::READ_SIDE {
            ReadSide::Sections(_) => reader.is_registered() || F::REGISTERS_ITSELF,
            ReadSide::QuiescentStates => quiescence::is_online::<F>(reader) || quiescence::visit::<F>(reader),
        };
        may_read.then(Self::current)
    }

    /// Gives the section up without leaving it. The guard comes from [`current`](Self::current).
    pub(crate) fn into_raw(self) -> *mut c_void {
        let guard = ManuallyDrop::new(self);
        guard.reader.map_or(ptr::null_mut(), |reader| ptr::from_ref(reader).cast_mut().cast())
    }

    /// # Safety
    ///
    /// `section` comes from [`into_raw`](Self::into_raw), on this thread, and is used once.
    pub(crate) unsafe fn from_raw(section: *mut c_void) -> Guard<'static, F> {
        // SAFETY: a record, which is never freed.
        let reader = unsafe { &*section.cast::<Reader>() };
        Guard { reader: Some(reader), marker: PhantomData }
    }

    /// The domain whose grace periods wait for this section. Wait-free; a constant.
    #[inline]
    pub fn domain(&self) -> DomainId {
        F::domain().id()
    }
}

impl<F: Flavor> Drop for Guard<'_, F> {
    #[inline]
    fn drop(&mut self) {
        match F::READ_SIDE {
            ReadSide::Sections(_) => {
                // SAFETY: both constructors of a section-counting flavor store `Some`.
                let reader = unsafe { self.reader.unwrap_unchecked() };
                section::unlock::<F>(reader);
            }
            ReadSide::QuiescentStates => {
                if let Some(reader) = self.reader {
                    let guards = reader.guards.load(Ordering::Relaxed) - 1;
                    reader.guards.store(guards, Ordering::Relaxed);
                    if guards == 0 && reader.last_guard_acts() {
                        after_last_guard::<F>(reader);
                    }
                }
            }
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn too_many<F: Flavor>() -> ! {
    panic!("{}: guards are being leaked", F::NAME)
}

/// See [`LastGuard`]. Cold, so that the drop of a guard is small enough to vanish where it has nothing to do.
#[cold]
#[inline(never)]
fn after_last_guard<F: Flavor>(reader: &'static Reader) {
    let goes_offline = reader.last_guard_does(LastGuard::GoesOffline);
    reader.at_last_guard(LastGuard::Nothing);
    if goes_offline {
        quiescence::go_offline::<F>(reader);
    } else {
        registration::unregister_and_pay::<F>();
    }
}

impl<F: Flavor> fmt::Debug for Guard<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard({})", F::NAME)
    }
}

//! How threads become readers and stop being readers.

use core::ffi::c_void;

use crate::defer;
use crate::error::RegisterError;
use crate::flavor::{Flavor, ReadSide};
use crate::fork;
use crate::quiescence;
use crate::reader::Reader;
use crate::report::{Report, report};
use crate::sync::{Ordering, fence, in_model};
use crate::sys::{self, DESTRUCTOR_ROUNDS, SignalsBlocked};
use crate::weaken;

/// Registers the calling thread, which is not inside a signal handler.
pub(crate) fn register<F: Flavor>() -> Result<&'static Reader, RegisterError> {
    let reader = F::reader();
    if reader.is_registered() {
        return Err(RegisterError::AlreadyRegistered { flavor: F::NAME });
    }
    if reader.has_exited() && !F::REGISTERS_ITSELF {
        return Err(RegisterError::ThreadExiting { flavor: F::NAME });
    }
    pin::<F>();
    register_anywhere::<F>()
}

/// Keeps the flavor's code loaded for the exit destructors of its readers.
pub(crate) fn pin<F: Flavor>() {
    if in_model() {
        return;
    }
    // Relaxed: pinning twice is harmless.
    if !F::domain().pinned.swap(true, Ordering::Relaxed) {
        sys::pin_shared_object(on_thread_exit::<F> as unsafe extern "C" fn(*mut c_void) as usize);
    }
}

/// What a flavor whose threads register themselves does when it is loaded: its code stays, and its thread-specific key is
/// made early, while keys are cheap to set.
pub fn prepare<F: Flavor>() {
    pin::<F>();
    let _ = F::domain().exit_key.make(on_thread_exit::<F>);
}

/// What a lock does on a thread that is not registered: flavors that register by themselves do so, the others panic
/// with advice.
#[track_caller]
pub(crate) fn register_on_first_use<F: Flavor>(stand_in: &'static Reader) -> &'static Reader {
    if !F::REGISTERS_ITSELF {
        refuse::<F>(stand_in);
    }
    match register_anywhere::<F>() {
        Ok(reader) => reader,
        Err(error) => panic!("{}: cannot register thread '{}' by itself: {error}", F::NAME, sys::thread_name()),
    }
}

/// The panic of a thread that reads without being allowed to.
#[cold]
#[track_caller]
pub(crate) fn refuse<F: Flavor>(reader: &'static Reader) -> ! {
    let (flavor, thread) = (F::NAME, sys::thread_name());
    if reader.has_exited() {
        panic!("{flavor}: thread '{thread}' is ending; its registration has ended, so it cannot read any more");
    }
    let path = flavor.replace('-', "_");
    if reader.is_registered() {
        panic!(
            "{flavor}: thread '{thread}' is offline; end its `Offline` (raw: {path}::raw::thread_online()) before it reads"
        );
    }
    panic!(
        "{flavor}: thread '{thread}' is not registered; call {path}::register() on it and keep the `Thread` while it reads"
    );
}

/// The registration proper. Async-signal-safe: it maps memory but takes no lock, and allocates nothing as long as the
/// flavor's thread-specific key is among the process's first 32.
fn register_anywhere<F: Flavor>() -> Result<&'static Reader, RegisterError> {
    let errno = sys::errno();
    let registered = register_here::<F>();
    sys::set_errno(errno);
    registered
}

fn register_here<F: Flavor>() -> Result<&'static Reader, RegisterError> {
    F::init()?;
    fork::check_process::<F>();
    // A handler that reads in the middle of this would register the thread a second time.
    let _blocked = F::REGISTERS_ITSELF.then(SignalsBlocked::new);
    if F::reader().is_registered() {
        return Ok(F::reader());
    }
    let domain = F::domain();
    arm_exit::<F>().map_err(|errno| RegisterError::NoExitKey { errno })?;
    let Some(reader) = domain.registry.claim(F::LAYOUT) else {
        disarm_exit::<F>();
        return Err(RegisterError::OutOfMemory);
    };
    domain.process.set_if_unset();
    reader.set_identity(sys::thread_id(), sys::process_id());
    if F::MIRRORED
        && let Err(error) = F::attach_mirror(reader)
    {
        disarm_exit::<F>();
        domain.registry.release(reader);
        return Err(error);
    }
    match F::READ_SIDE {
        ReadSide::Sections(_) => {
            let idle = if F::runs_on_full_fences() { F::LAYOUT.slow() } else { 0 };
            // Release like every store to a word. PAIR(section-end)
            reader.word.store(idle, Ordering::Release);
            // The slot's bit and the identity before the first section's loads. PAIR(register-scan)
            fence(Ordering::SeqCst);
        }
        // Ends with that fence.
        ReadSide::QuiescentStates => quiescence::go_online::<F>(reader),
    }
    set_reader::<F>(reader);
    F::on_register();
    Ok(reader)
}

/// Ends the calling thread's registration.
///
/// # Panics
///
/// Inside a section, which would lose its protection.
#[track_caller]
pub(crate) fn unregister<F: Flavor>() {
    let reader = F::reader();
    if !reader.is_registered() {
        return;
    }
    assert!(
        open_sections::<F>(reader) == 0,
        "{}: thread '{}' is unregistered inside a read-side critical section{}",
        F::NAME,
        sys::thread_name(),
        entry_site(reader),
    );
    // In this order: a handler that reads in between uses the record, or registers the thread again and arms its
    // destructor; it never uses a free slot.
    disarm_exit::<F>();
    set_reader::<F>(Reader::unregistered());
    end::<F>(reader);
}

/// [`unregister`], and then waits for room if the thread has deferred beyond the hard limit while it was online.
#[track_caller]
pub(crate) fn unregister_and_pay<F: Flavor>() {
    // Read while the record is ours. Relaxed: the thread's own store.
    let owes = F::reader().owes.load(Ordering::Relaxed);
    unregister::<F>();
    if owes {
        defer::wait_for_room::<F>();
    }
}

fn set_reader<F: Flavor>(reader: &'static Reader) {
    F::with_record(|record| record.set_reader(reader));
}

/// How many sections the calling thread is inside of, as far as they are counted.
pub(crate) fn open_sections<F: Flavor>(reader: &Reader) -> u64 {
    match F::READ_SIDE {
        ReadSide::Sections(_) => F::LAYOUT.nesting(reader.word.load(Ordering::Relaxed)),
        ReadSide::QuiescentStates => u64::from(reader.guards.load(Ordering::Relaxed)),
    }
}

/// For messages: where the section that is in the way began.
pub(crate) fn entry_site(reader: &Reader) -> String {
    reader.entered_at().map_or_else(String::new, |site| format!(" (entered at {site})"))
}

/// Frees the record, and wakes an updater that sleeps on it.
fn end<F: Flavor>(reader: &'static Reader) {
    let word = reader.word.load(Ordering::Relaxed);
    if F::MIRRORED {
        F::detach_mirror(reader);
    }
    F::domain().registry.release(reader);
    if word & F::LAYOUT.awaited() != 0 {
        sys::futex_wake_raw(reader.futex_half(), i32::MAX);
    }
}

/// Makes the thread's end end its registration and its updater.
pub(crate) fn arm_exit<F: Flavor>() -> Result<(), i32> {
    if in_model() {
        return Ok(());
    }
    // SAFETY: the one destructor of this domain's key; it takes any value at the end of any thread.
    weaken!("exit-ends-registration", unsafe { F::domain().exit_key.arm(on_thread_exit::<F>, 1) } => Ok(()))
}

/// Undoes that, unless the thread has deferred calls.
fn disarm_exit<F: Flavor>() {
    if F::with_record(|record| record.updater()).is_none() && !in_model() {
        F::domain().exit_key.disarm();
    }
}

/// The exit destructor of a thread that is registered or has deferred calls.
///
/// It counts its calls in `round` and puts itself off until the last one, so that other destructors can still read. The
/// thread's Rust thread-locals, with whatever guards they hold, are gone by then. A section that is open all the same
/// belongs to the raw tier, and ends here; or its guard was leaked, and then it cannot be ended: see
/// [`Guard`](crate::Guard). A destructor that reads even later registers the thread again in flavors that register by
/// themselves, and is refused in the others.
unsafe extern "C" fn on_thread_exit<F: Flavor>(round: *mut c_void) {
    let round = round.addr();
    // SAFETY: as in `arm_exit`.
    if round < DESTRUCTOR_ROUNDS && unsafe { F::domain().exit_key.arm(on_thread_exit::<F>, round + 1) }.is_ok() {
        return;
    }
    weaken!("exit-gives-updater-back", defer::end_updater::<F>() => ());
    let reader = F::reader();
    if reader.is_registered() {
        set_reader::<F>(Reader::exited());
        end_with_thread::<F>(reader, sys::thread_id(), || Some(sys::thread_name()));
    }
}

/// Ends the registration of a thread that is ending, or has ended, unless references may have outlived it.
pub(crate) fn end_with_thread<F: Flavor>(reader: &'static Reader, tid: i32, name: impl FnOnce() -> Option<String>) {
    let word = reader.word.load(Ordering::Acquire);
    let (nesting, leaked) = match F::READ_SIDE {
        ReadSide::Sections(_) => {
            let nesting = F::LAYOUT.nesting(word);
            (nesting, nesting != 0 && word & F::LAYOUT.raw() == 0)
        }
        // Guards that borrow a `Thread` are not counted, so a leaked `Thread` may have leaked guards of its own.
        ReadSide::QuiescentStates => {
            let guards = u64::from(reader.guards.load(Ordering::Relaxed));
            (guards, guards != 0 || (reader.has_handle() && F::LAYOUT.nesting(word) != 0))
        }
    };
    if leaked {
        reader.abandon();
    }
    if leaked || nesting != 0 {
        let (name, entered_at) = (name(), reader.entered_at());
        report(&Report::ThreadEndedInSection { flavor: F::NAME, tid, name, nesting, entered_at, ended: !leaked });
    }
    if leaked {
        return;
    }
    if reader.has_handle() && sys::thread_exists(tid) {
        // A leaked `Thread` knows the record, and a destructor that is still to run may know the `Thread`.
        F::domain().registry.leave_to_reaper(reader);
        return;
    }
    end::<F>(reader);
}

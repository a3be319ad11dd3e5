//! The heavy barrier: a signal to every registered thread, and its acknowledgement.
//!
//! # Why it is one
//!
//! ```text
//! updater                                   handler, on each registered thread
//! S1  fence                                 H1  r := load(REQUEST)   (Acquire)
//! S2  request := ++REQUEST                  H2  fence
//! S3  signal every reader                   H3  acknowledged := r    (Release)
//! S4  wait until acknowledged >= request    H4  wake the updater, if it sleeps
//! ```
//!
//! The point in the reader's program order that [`urcu_core::asymmetric`] asks for is H2 of the handler run whose H1
//! read `request` or later. It lies after S2, so what the updater did before S1 is visible to the reader after it; and
//! H3 is met by the Acquire in S4, so what the reader did before it is visible to the updater after S4.
//! PAIR(acknowledge)
//!
//! Signals of one number coalesce while pending; that is harmless, since the handler reads the request when it runs.

use core::ffi::c_int;
use core::time::Duration;

use urcu_core::sync::{AtomicI32, AtomicU32, AtomicU64, CachePadded, Ordering, fence};
use urcu_core::{Backoff, Flavor as _, InitError, Reader, sys};

use crate::flavor::{DOMAIN, Signal};

/// The number of the last barrier requested.
static REQUEST: CachePadded<AtomicU64> = CachePadded(AtomicU64::new(0));

/// The id of the thread whose acknowledgement the updater sleeps for, or 0. No other thread wakes it, nor takes the mark away: one
/// that did so late would do it to the next sleep.
static AWAITED: AtomicU32 = AtomicU32::new(0);

/// The signal in use; 0 before initialisation. During it, the process that chooses one, negated: a forked child inherits that from a
/// thread that it does not have.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// The longest sleep before the updater looks at the threads again: a wake-up can be lost to one that is ending.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Makes the flavor use `signal` for its barriers instead of `SIGUSR1`. Once per process, before the first
/// registration; again with the same signal is no error. Any thread, not in a signal handler.
///
/// # Errors
///
/// - [`InitError::SignalTaken`]: it has a handler, or is ignored.
/// - [`InitError::SignalAlreadyChosen`]: the flavor runs on another signal.
/// - [`InitError::SignalUnusable`]: it cannot have a handler (`SIGKILL`, `SIGSTOP`), belongs to the system, or does not
///   exist.
pub fn init_signal(signal: i32) -> Result<(), InitError> {
    let choosing = -sys::process_id();
    let mut free = 0;
    loop {
        // Acquire pairs with the Release below: the handler is installed. PAIR(signal-chosen)
        match SIGNAL.compare_exchange(free, choosing, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => break,
            Err(other) if other == choosing => sys::yield_now(),
            // It was free again, or nobody will ever say what was chosen.
            Err(other) if other <= 0 => free = other,
            Err(chosen) if chosen == signal => return Ok(()),
            Err(chosen) => return Err(InitError::SignalAlreadyChosen { signal: chosen }),
        }
    }
    let installed = install(signal);
    // PAIR(signal-chosen)
    SIGNAL.store(if installed.is_ok() { signal } else { 0 }, Ordering::Release);
    installed
}

/// `SIGUSR1`, unless a signal has been chosen.
pub(crate) fn init() -> Result<(), InitError> {
    if SIGNAL.load(Ordering::Acquire) > 0 {
        return Ok(());
    }
    match init_signal(libc::SIGUSR1) {
        // Somebody else has just chosen another one.
        Err(InitError::SignalAlreadyChosen { .. }) => Ok(()),
        other => other,
    }
}

fn install(signal: i32) -> Result<(), InitError> {
    if cfg!(urcu_loom) {
        return Ok(());
    }
    let standard = (1..32).contains(&signal) && signal != libc::SIGKILL && signal != libc::SIGSTOP;
    let real_time = (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal);
    // Faults are delivered to whoever caused them.
    let fault =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS].contains(&signal);
    if fault || !(standard || real_time) {
        return Err(InitError::SignalUnusable { signal });
    }
    match current_handler(signal) {
        Some(libc::SIG_DFL) => {}
        // By a thread of the parent, which was forked before it could say so.
        Some(handler) if handler == handler_address() => return Ok(()),
        _ => return Err(InitError::SignalTaken { signal }),
    }
    // SAFETY: plain data, for which zero is the empty mask and no flags.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handler_address();
    // On the alternate stack where a thread has one: its own may be a small one.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: a valid action whose handler is async-signal-safe.
    match unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(InitError::SignalUnusable { signal }),
    }
}

fn handler_address() -> usize {
    on_signal as extern "C" fn(c_int) as usize
}

fn current_handler(signal: i32) -> Option<usize> {
    // SAFETY: plain data that sigaction overwrites.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: only asks; a valid pointer to a local.
    let code = unsafe { libc::sigaction(signal, core::ptr::null(), &raw mut action) };
    (code == 0).then_some(action.sa_sigaction)
}

/// H1 to H4. Async-signal-safe: atomics, a thread-local without initialiser, one system call.
pub(crate) extern "C" fn on_signal(_signal: c_int) {
    let reader = Signal::reader();
    acknowledge(reader);
    wake_updater(reader);
}

/// H4.
fn wake_updater(reader: &Reader) {
    // Pairs with the fence in `sleep`: either the updater sees the acknowledgement before it sleeps, or this thread
    // sees that it is about to. PAIR(barrier-sleep)
    fence(Ordering::SeqCst);
    let tid = reader.tid().cast_unsigned();
    if tid != 0 && AWAITED.load(Ordering::Relaxed) == tid {
        let errno = sys::errno();
        // An exchange: meanwhile the updater may have seen the acknowledgement and be waiting for somebody else.
        if AWAITED.compare_exchange(tid, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            sys::futex_wake(&AWAITED, 1);
        }
        sys::set_errno(errno);
    }
}

/// H1 to H3, by the thread that owns `reader`.
fn acknowledge(reader: &Reader) {
    // H1. PAIR(acknowledge)
    let request = REQUEST.load(Ordering::Acquire);
    // H2.
    fence(Ordering::SeqCst);
    if reader.is_registered() {
        // H3.
        // SAFETY: the calling thread's own record, after a full fence.
        unsafe { reader.acknowledge(request) };
    }
}

/// What registration adds: the thread takes the signal from now on.
///
/// A signal that came after the thread's slot was in use, but before its record was known here, found nothing to
/// acknowledge. It was sent after its request was made, which this acknowledgement therefore sees.
pub(crate) fn on_register() {
    let reader = Signal::reader();
    acknowledge(reader);
    wake_updater(reader);
    let signal = SIGNAL.load(Ordering::Acquire);
    // SAFETY: plain data that sigemptyset overwrites.
    let mut set: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: a valid pointer to a local set.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: the set is initialised; `signal` is valid, since `init` installed a handler for it.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    // SAFETY: a valid set; the previous mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, core::ptr::null_mut()) };
}

/// S1 to S4. One updater at a time.
pub(crate) fn heavy() {
    // S1. Also orders the unlinking before the look at the registry and at the readers' ids. PAIR(register-scan)
    fence(Ordering::SeqCst);
    // S2. PAIR(acknowledge)
    let request = REQUEST.fetch_add(1, Ordering::AcqRel) + 1;
    let signal = SIGNAL.load(Ordering::Acquire);
    let own = Signal::reader();
    let registry = DOMAIN.registry();
    // S3. All signals first, so that the handlers run side by side.
    registry.for_each(|reader| {
        let tid = reader.tid();
        // 0: being registered, with a fence of its own still to come, or being unregistered.
        if tid != 0 && !core::ptr::eq(reader, own) {
            // An error means that the thread is gone; the wait finds out.
            let _ = send(tid, signal);
        }
    });
    // S4.
    registry.for_each(|reader| {
        if !core::ptr::eq(reader, own) {
            wait_for(reader, request, signal);
        }
    });
    fence(Ordering::SeqCst);
}

/// Waits until `reader` has acknowledged `request`, or is somebody else's or nobody's by now.
fn wait_for(reader: &Reader, request: u64, signal: i32) {
    let tid = reader.tid();
    let mut backoff = Backoff::spinning();
    // A new owner has registered since, with a full fence. Acquire. PAIR(acknowledge)
    while tid != 0 && reader.tid() == tid && reader.acknowledged() < request {
        if backoff.snooze() {
            continue;
        }
        // First: the record of a thread that leaked its `Thread` outlives it, and nobody will wake this one.
        if sys::thread_has_ended(tid) {
            return;
        }
        sleep(tid, || reader.acknowledged() >= request);
        assert!(
            cfg!(urcu_loom) || current_handler(signal) == Some(handler_address()),
            "urcu-signal: somebody else has taken over signal {signal}, so its barriers do not work any more; choose \
             another signal with urcu_signal::init_signal()",
        );
        // The owner may be a new one with the same id, that has not been signalled.
        let _ = send(tid, signal);
    }
}

fn send(tid: i32, signal: i32) -> Result<(), i32> {
    #[cfg(urcu_loom)]
    if crate::model::send() {
        return Ok(());
    }
    sys::send_signal(tid, signal)
}

#[cfg(not(urcu_loom))]
#[inline(always)]
const fn longest_sleep() -> Option<Duration> {
    Some(LONGEST_SLEEP)
}

#[cfg(urcu_loom)]
use crate::model::longest_sleep;

/// Sleeps until the handler of thread `tid` wakes the updater, or for a bounded time.
fn sleep(tid: i32, acknowledged: impl Fn() -> bool) {
    let tid = tid.cast_unsigned();
    AWAITED.store(tid, Ordering::Relaxed);
    // PAIR(barrier-sleep)
    fence(Ordering::SeqCst);
    if !acknowledged() {
        sys::futex_wait(&AWAITED, tid, longest_sleep());
    }
    AWAITED.store(0, Ordering::Relaxed);
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    /// What a forked child inherits: a thread of its parent's was choosing, and has or has not installed the handler.
    #[test]
    fn a_choice_that_a_parent_has_not_finished_is_made_again() {
        for others in [-1, i32::MIN] {
            SIGNAL.store(others, Ordering::Relaxed);
            assert_eq!(init_signal(libc::SIGUSR1), Ok(()));
            assert_eq!(init_signal(libc::SIGUSR1), Ok(()));
            assert_eq!(init_signal(libc::SIGUSR2), Err(InitError::SignalAlreadyChosen { signal: libc::SIGUSR1 }));
        }
    }
}

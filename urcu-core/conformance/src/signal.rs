//! Signals: handlers, and threads that send them.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread;

use crate::seed::Random;
use crate::{allocator, until};

static ACTION: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn strict_handler(signal: c_int) {
    let before = allocator::forbid(true);
    handler(signal);
    allocator::forbid(before);
}

extern "C" fn handler(_signal: c_int) {
    // SAFETY: takes nothing and cannot fail.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the thread's own errno.
    let before = unsafe { *errno };
    let action = ACTION.load(Ordering::Acquire);
    if !action.is_null() {
        // SAFETY: `handle` stores values of this type only, and function pointers have the size of a pointer.
        let action = unsafe { std::mem::transmute::<*mut (), fn()>(action) };
        action();
    }
    HANDLED.fetch_add(1, Ordering::Release);
    // SAFETY: the thread's own errno.
    unsafe { *errno = before };
}

/// Makes `signal` run `action`, which has to be async-signal-safe, on whatever thread it is delivered to.
///
/// One action at a time in a process, for all signals. Interrupted system calls are restarted. An action that allocates
/// ends the process.
pub fn handle(signal: i32, action: fn()) {
    ACTION.store(action as *mut (), Ordering::Release);
    set(signal, strict_handler as extern "C" fn(c_int) as usize);
}

/// The same for an action that is not async-signal-safe: it panics, on purpose.
pub fn handle_by_panic(signal: i32, action: fn()) {
    ACTION.store(action as *mut (), Ordering::Release);
    set(signal, handler as extern "C" fn(c_int) as usize);
}

/// Makes the process ignore `signal`.
pub fn ignore(signal: i32) {
    set(signal, libc::SIG_IGN);
}

fn set(signal: i32, handler: usize) {
    // SAFETY: plain data, for which zero is the empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a valid action; `handler` is async-signal-safe as far as the test's action is.
    let code = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    assert_eq!(code, 0, "sigaction");
}

/// The flags with which a signal is handled.
pub fn flags(signal: i32) -> i32 {
    // SAFETY: plain data that sigaction overwrites.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; a valid pointer to a local.
    let code = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    assert_eq!(code, 0, "sigaction");
    action.sa_flags
}

/// Blocks (or unblocks) a signal in the calling thread.
pub fn block(signal: i32, blocked: bool) {
    // SAFETY: plain data that sigemptyset overwrites.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a valid pointer to a local set.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: an initialised set.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    let how = if blocked { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    // SAFETY: a valid set; the one before is not asked for.
    let code = unsafe { libc::pthread_sigmask(how, &raw const set, ptr::null_mut()) };
    assert_eq!(code, 0, "pthread_sigmask");
}

/// Whether a signal is blocked in the calling thread.
pub fn is_blocked(signal: i32) -> bool {
    // SAFETY: plain data that pthread_sigmask overwrites.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; a valid pointer to a local.
    let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut set) };
    assert_eq!(code, 0, "pthread_sigmask");
    // SAFETY: an initialised set.
    unsafe { libc::sigismember(&raw const set, signal) == 1 }
}

/// Sends `signal` to one thread of this process; false when there is no such thread.
pub fn send(tid: i32, signal: i32) -> bool {
    let process = std::process::id();
    // SAFETY: plain integers; a wrong id is an error.
    unsafe { libc::syscall(libc::SYS_tgkill, process, tid, signal) == 0 }
}

/// How often the handler has run to its end.
pub fn handled() -> usize {
    HANDLED.load(Ordering::Acquire)
}

/// Sends `signal` to a thread and waits until its handler has run.
pub fn interrupt(tid: i32, signal: i32) {
    let before = handled();
    assert!(send(tid, signal), "thread {tid} does not exist");
    until("the signal has been handled", || handled() != before);
}

/// Sends `signal` to one of the threads that `target` names, again and again, until `stop` or until it names none.
///
/// It waits for each handler to end and then a little more: a thread that always has a signal pending gets no further.
pub fn storm(signal: i32, random: &mut Random, stop: &AtomicBool, target: impl Fn(&mut Random) -> Option<i32>) {
    while !stop.load(Ordering::Acquire) {
        let Some(tid) = target(random) else {
            return;
        };
        let before = handled();
        if send(tid, signal) {
            // A thread that ends takes the signal with it.
            let gone = || !send(tid, 0) || stop.load(Ordering::Acquire);
            while handled() == before && !gone() {
                thread::yield_now();
            }
        }
        (0..random.below(3000)).for_each(|_| std::hint::spin_loop());
        random.dawdle();
    }
}

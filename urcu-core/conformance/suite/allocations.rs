//! Allocations that fail, one by one, in a program of the raw tier: each time the program comes to its end with nothing lost, or
//! the process is aborted as by any failed allocation. It never hangs.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use urcu_conformance::{allocator, leak, libc, note, watchdog};
use urcu_core::RcuHead;

use super::cast::alone;
use crate::rcu;
use crate::rcu::raw;

/// More calls than a block has.
const CALLS: usize = 600;
/// More allocations than the program makes.
const MOST: u32 = 2_000;

static RAN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_head(_head: *mut RcuHead) {
    RAN.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn count(_argument: *mut c_void) {
    RAN.fetch_add(1, Ordering::Relaxed);
}

/// Every function of the raw tier that may allocate. The heads are there before.
fn program(heads: &mut [RcuHead]) {
    if let Err(error) = raw::register_thread() {
        assert_eq!(error, rcu::RegisterError::OutOfMemory);
        return;
    }
    let mut deferred = 0;
    for head in heads {
        // SAFETY: registered.
        unsafe { raw::read_lock() };
        // SAFETY: a head of its own, that lives until the process ends.
        unsafe { raw::call_rcu(head, count_head) };
        // SAFETY: counts.
        unsafe { raw::defer(count, std::ptr::null_mut()) };
        // SAFETY: counts.
        unsafe { raw::defer_free(count, std::ptr::null_mut(), 8) };
        deferred += 3;
        // SAFETY: locked above, no references.
        unsafe { raw::read_unlock() };
        // SAFETY: no references.
        unsafe { raw::quiescent_state() };
    }
    let worker = rcu::workers::Builder::new().spawn();
    let polled = raw::start_poll();
    // SAFETY: no references.
    unsafe { raw::barrier() }.expect("not in a deferred call");
    assert_eq!(RAN.load(Ordering::Relaxed), deferred, "a call was lost");
    // SAFETY: no references.
    unsafe { raw::synchronize() };
    // SAFETY: no references.
    unsafe { raw::synchronize() };
    assert!(raw::poll(polled));
    // SAFETY: no references.
    unsafe { raw::thread_offline() };
    if let Ok(worker) = worker {
        worker.stop().expect("not in a deferred call");
    }
    // SAFETY: no `Thread`, no references.
    unsafe { raw::unregister_thread() };
}

/// How a child ended, in which allocation `number` failed.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It came to its end without the allocation that was to fail.
    Unharmed,
    /// It came to its end in spite of it.
    Survived,
    Aborted,
}

fn fail_at(number: u32) -> End {
    const UNHARMED: i32 = 3;
    // SAFETY: nothing of the library is in use yet, and nobody else writes to the standard streams; the child ends by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            watchdog::end_by_alarm(watchdog::patient(watchdog::LIMIT));
            // SAFETY: plain integers; the abort that is expected says enough without a memory dump.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
            let heads: &'static mut [RcuHead] = leak((0..CALLS).map(|_| RcuHead::new()).collect::<Box<[_]>>());
            allocator::fail_at(number);
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || program(heads)));
            let unharmed = allocator::fail_no_more();
            let code = if ended.is_err() {
                101
            } else if unharmed {
                UNHARMED
            } else {
                0
            };
            // SAFETY: takes a plain integer.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: our child; a valid pointer to a local.
            let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(ended, child, "waitpid");
            match (libc::WIFEXITED(status), libc::WEXITSTATUS(status), libc::WTERMSIG(status)) {
                (true, 0, _) => End::Survived,
                (true, UNHARMED, _) => End::Unharmed,
                (false, _, libc::SIGABRT) => End::Aborted,
                _ => panic!("with allocation {number} failed, the program ended with wait status {status:#x}"),
            }
        }
    }
}

#[test]
fn each_may_fail() {
    alone(|| {
        let (mut survived, mut aborted) = (0, 0);
        for number in 1..MOST {
            watchdog::step(format!("failing allocation {number}"));
            match fail_at(number) {
                End::Unharmed => {
                    note(&format!("{survived} failed allocations survived, {aborted} ended in an abort"));
                    assert!(survived + aborted > 5, "only {number} allocations: is the allocator in use?");
                    return;
                }
                End::Survived => survived += 1,
                End::Aborted => aborted += 1,
            }
        }
        panic!("the program makes more than {MOST} allocations");
    });
}

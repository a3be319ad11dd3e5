//! Readers that are stopped inside their sections: grace periods wait for them, say so, and go on when they do. Everybody else
//! goes on meanwhile.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::{leak, libc, note, signal, task, until, watchdog};

use super::cast::{NAME, Updater, Way, alone, in_section, join, leaked_shelf, named, on_a_thread, register};
use crate::rcu::{self, Report};

/// Seconds would say no more; the stall limit is below it.
const STOPPED: Duration = Duration::from_millis(600);
const STALL: Duration = Duration::from_millis(100);

static STALLED: AtomicUsize = AtomicUsize::new(0);
static STOPPED_TID: AtomicI32 = AtomicI32::new(0);

/// Of the reader in question: on a busy machine any other one may take as long.
fn remember_stalls(report: &Report) {
    if matches!(report, Report::GracePeriodStalled { tid, .. } if *tid == STOPPED_TID.load(Ordering::Relaxed)) {
        STALLED.fetch_add(1, Ordering::Relaxed);
    }
}

/// A reader that looks at an object inside a section for as long as it is asked to, and whom nothing but that keeps there.
struct Busy {
    leave: &'static AtomicBool,
    tid: i32,
    thread: thread::JoinHandle<()>,
}

impl Busy {
    fn enter(shelf: &'static urcu_conformance::Shelf) -> Self {
        let leave: &'static AtomicBool = leak(Box::new(AtomicBool::new(false)));
        let (send, entered) = std::sync::mpsc::channel();
        let thread = named("stopped", move || {
            in_section(Way::Thread, || {
                let object = shelf.look();
                send.send(task::id()).expect("the test waits");
                while !leave.load(Ordering::Acquire) {
                    object.check();
                    thread::yield_now();
                }
                object.check();
            });
        });
        Self { leave, tid: entered.recv().expect("the reader enters"), thread }
    }
}

/// While a reader is stopped in its section: its grace period waits and reports, others read and register.
fn while_stopped(reader: Busy, shelf: &'static urcu_conformance::Shelf, go_on: impl FnOnce()) {
    STOPPED_TID.store(reader.tid, Ordering::Relaxed);
    rcu::set_stall_limit(Some(STALL));
    rcu::set_report_hook(remember_stalls);
    let updater = Updater::calling(move || {
        let old = shelf.replace();
        rcu::synchronize();
        old.reclaim();
    });
    let begin = Instant::now();
    // Reported only where the wait for the reader itself has begun: the signal flavor waits for its handler first.
    let reports = NAME != "urcu-signal";
    until("the stop has lasted, and was noticed", || {
        assert!(!updater.has_returned(), "a grace period ended before a section that it has to wait for");
        on_a_thread(|| {
            let thread = register();
            let guard = thread.read_lock();
            shelf.look().check();
            drop(guard);
        });
        begin.elapsed() > STOPPED && (!reports || STALLED.load(Ordering::Relaxed) != 0)
    });
    go_on();
    assert!(!updater.has_returned(), "the reader is still inside");
    reader.leave.store(true, Ordering::Release);
    join(reader.thread);
    updater.finish();
}

static HELD: AtomicBool = AtomicBool::new(true);
static CAUGHT: AtomicBool = AtomicBool::new(false);

fn hold() {
    CAUGHT.store(true, Ordering::Release);
    while HELD.load(Ordering::Acquire) {
        // SAFETY: takes nothing.
        unsafe { libc::sched_yield() };
    }
}

#[test]
fn in_a_signal_handler_that_does_not_return() {
    alone(|| {
        signal::handle(libc::SIGUSR2, hold);
        let shelf = leaked_shelf();
        let reader = Busy::enter(shelf);
        assert!(signal::send(reader.tid, libc::SIGUSR2));
        until("the handler runs", || CAUGHT.load(Ordering::Acquire));
        while_stopped(reader, shelf, || HELD.store(false, Ordering::Release));
    });
}

#[test]
fn by_a_debugger() {
    alone(|| {
        let shelf = leaked_shelf();
        let reader = Busy::enter(shelf);
        let tid = reader.tid;
        // A process of its own has to trace; it lets go when the pipe is closed.
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        // SAFETY: allows any process of this user to trace; no effect where that is allowed anyway.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
        // SAFETY: the child makes system calls only, and leaves by `_exit`.
        let tracer = unsafe { libc::fork() };
        assert!(tracer >= 0, "fork");
        if tracer == 0 {
            watchdog::end_by_alarm(watchdog::patient(watchdog::LIMIT));
            // SAFETY: plain integers and valid pointers, in all calls.
            unsafe { trace(tid, pipe) }
        }
        // SAFETY: ours, and not used again.
        unsafe { libc::close(pipe[0]) };
        until("the reader is stopped", || {
            let mut status = 0;
            // SAFETY: our child; a valid pointer to a local.
            let ended = unsafe { libc::waitpid(tracer, &raw mut status, libc::WNOHANG) };
            ended == tracer || task::state(tid) == Some('t')
        });
        if task::state(tid) == Some('t') {
            while_stopped(reader, shelf, || {
                // SAFETY: ours, and not used again.
                unsafe { libc::close(pipe[1]) };
                until("the reader goes on", || task::state(tid) != Some('t'));
            });
        } else {
            note("not tested, since threads cannot be traced");
            reader.leave.store(true, Ordering::Release);
            join(reader.thread);
        }
    });
}

/// Stops a thread until the other end of the pipe is closed.
///
/// # Safety
///
/// In a forked child; two descriptors of a pipe.
unsafe fn trace(tid: i32, pipe: [i32; 2]) -> ! {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the child's own copy.
    unsafe { libc::close(pipe[1]) };
    // SAFETY: a wrong or forbidden id is an error.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, nothing, nothing) } != 0 {
        // SAFETY: takes an integer.
        unsafe { libc::_exit(1) };
    }
    // SAFETY: seized above.
    unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, nothing, nothing) };
    let mut status = 0;
    // SAFETY: a valid pointer to a local.
    unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
    let mut byte = 0_u8;
    // SAFETY: a valid pointer to a local.
    unsafe { libc::read(pipe[0], (&raw mut byte).cast(), 1) };
    // SAFETY: stopped above.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, nothing, nothing) };
    // SAFETY: takes an integer.
    unsafe { libc::_exit(0) }
}

#[test]
fn a_whole_process_by_sigstop() {
    alone(|| {
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        rcu::raw::fork_before();
        // SAFETY: the child goes on with the library, after its hook, and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork");
        if child == 0 {
            watchdog::end_by_alarm(watchdog::patient(watchdog::LIMIT));
            // SAFETY: follows `fork_before`, on the child's only thread.
            unsafe { rcu::raw::fork_after_child() };
            let fine = std::panic::catch_unwind(|| {
                let shelf = leaked_shelf();
                let reader = Busy::enter(shelf);
                // SAFETY: one byte of a valid buffer.
                unsafe { libc::write(pipe[1], b"x".as_ptr().cast(), 1) };
                // Stopped somewhere in here, with a reader inside, calls deferred and an updater waiting.
                let updater = Updater::calling(rcu::synchronize);
                let begin = Instant::now();
                // Below the hard limit: room would have to wait for the reader.
                for _ in 0..10_000 {
                    rcu::retire(Box::new(String::from("retired")));
                }
                while begin.elapsed() < STOPPED {
                    thread::yield_now();
                }
                assert!(!updater.has_returned());
                reader.leave.store(true, Ordering::Release);
                join(reader.thread);
                updater.finish();
                rcu::barrier().expect("not in a deferred call");
                assert_eq!(rcu::stats().pending, 0);
            });
            // SAFETY: takes an integer.
            unsafe { libc::_exit(i32::from(fine.is_err())) };
        }
        // SAFETY: follows `fork_before`.
        unsafe { rcu::raw::fork_after_parent() };
        let mut byte = 0_u8;
        // SAFETY: one byte of a valid buffer.
        unsafe { libc::read(pipe[0], (&raw mut byte).cast(), 1) };
        for _ in 0..3 {
            // SAFETY: plain integers; our child.
            unsafe { libc::kill(child, libc::SIGSTOP) };
            thread::sleep(STOPPED / 2);
            // SAFETY: as above.
            unsafe { libc::kill(child, libc::SIGCONT) };
        }
        let mut status = 0;
        // SAFETY: our child; a valid pointer to a local.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "the child failed (wait status {status:#x}); what it said is above");
    });
}

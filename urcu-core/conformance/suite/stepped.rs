//! A signal handler at a chosen instruction: the thread is single-stepped, and each step is a signal.

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use urcu_conformance::{Gate, InHandlers, libc, task, until};

use super::cast::{Updater, join, named, process, register};
use super::deferred::barrier;
use crate::TRAITS;
use crate::rcu::{self, Limits};

/// The processor's trap flag: a signal after each instruction.
const TRAP: u64 = 1 << 8;

static STEPS: AtomicUsize = AtomicUsize::new(0);
static HAS_READ: AtomicBool = AtomicBool::new(false);
static UPDATER: AtomicI32 = AtomicI32::new(0);

/// At the first instruction outside of the section: a section that an updater waits for, as long as it sleeps.
///
/// Not async-signal-safe, but the thread is known to be in the end of a section.
extern "C" fn step(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    STEPS.fetch_add(1, Ordering::Relaxed);
    if rcu::raw::read_ongoing() {
        return;
    }
    let guard = rcu::read_lock();
    let before = rcu::stats().grace_periods;
    until("a grace period has begun since", || rcu::stats().grace_periods > before);
    for _ in 0..3 {
        until("an updater waits for the handler", || task::is_asleep(UPDATER.load(Ordering::Acquire)));
        std::thread::yield_now();
    }
    drop(guard);
    HAS_READ.store(true, Ordering::Release);
    // SAFETY: what the kernel gives to a handler of this kind.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    // No more steps.
    context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !(TRAP as i64);
}

fn handle_steps() {
    // SAFETY: plain data, for which zero is the empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = step as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a handler of this kind; nobody wants to know of an old one.
    assert_eq!(unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, std::ptr::null_mut()) }, 0);
}

#[test]
fn a_handler_between_the_end_of_a_section_and_its_debt_does_not_pay() {
    static END: Gate = Gate::new();
    static STOP: AtomicBool = AtomicBool::new(false);
    let body = || {
        if TRAITS.in_handlers == InHandlers::Never {
            return;
        }
        // No room is made as long as the worker is in this call.
        let running = Arc::new(Gate::new());
        let runs = Arc::clone(&running);
        rcu::defer(move || {
            runs.open();
            END.wait();
        });
        running.wait();
        rcu::set_limits(Limits { hard_items: 1024, ..Limits::UNLIMITED });
        handle_steps();
        let own = task::id();
        let thread = register();
        let guard = thread.read_lock();
        (0..4096).for_each(|_| rcu::defer(|| ()));
        let updater = Updater::calling(|| {
            UPDATER.store(task::id(), Ordering::Release);
            while !STOP.load(Ordering::Relaxed) {
                rcu::synchronize();
            }
        });
        updater.assert_waiting();
        let witness = named("witness", move || {
            until("the handler returns, and has not waited for room", || HAS_READ.load(Ordering::Acquire));
            // It is the end of the section that does.
            until("the thread waits for room", || task::is_asleep(own));
            END.open();
        });
        // SAFETY: sets the trap flag, for which there is a handler, and leaves the stack as it was.
        unsafe { asm!("pushfq", "or qword ptr [rsp], {trap}", "popfq", trap = const TRAP) };
        drop(guard);
        join(witness);
        assert!(STEPS.load(Ordering::Relaxed) > 1, "not stepped");
        STOP.store(true, Ordering::Relaxed);
        updater.finish();
        drop(thread);
        barrier();
    };
    let _ = process().run(body).succeeded();
}

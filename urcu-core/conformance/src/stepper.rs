//! A thread that is made to stand still at one instruction after the other, by a process that traces it: whatever may happen
//! between two of its steps then does.

use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::seed::Random;

/// The thread goes on for some steps.
const GOES: u32 = 0;
/// It stands. Unless it is let go before long: then somebody waits for it, and it goes on slowly.
const STANDS: u32 = 1;
/// It is not traced any more.
const FREE: u32 = 2;
/// The system does not allow it.
const REFUSED: u32 = 3;

const PATIENCE: Duration = Duration::from_millis(40);

/// See the [module page](self).
#[derive(Debug)]
pub struct Stepper(&'static AtomicU32);

impl Stepper {
    /// Begins to step thread `tid` of this process, which must not end before [`free`](Self::free). It stands still after each one to
    /// `stride` instructions. `None` if this machine does not allow that.
    pub fn of(tid: i32, stride: u64) -> Option<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping of a page.
        let page = unsafe { libc::mmap(null_mut(), 4096, access, kind, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        // SAFETY: mapped, zeroed, and never unmapped.
        let state: &'static AtomicU32 = unsafe { &*page.cast() };
        let mut random = Random::new(0);
        // SAFETY: the child makes bare system calls only.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                // SAFETY: plain integers.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                trace(tid, state, || 1 + random.below(stride));
                // SAFETY: takes a plain integer.
                unsafe { libc::_exit(0) }
            }
            // Where only ancestors may trace. Elsewhere it is an error that does not matter.
            // SAFETY: plain integers.
            tracer => unsafe { libc::prctl(libc::PR_SET_PTRACER, tracer) },
        };
        let stepper = Self(state);
        (stepper.wait_until_it_stands() != REFUSED).then_some(stepper)
    }

    fn wait_until_it_stands(&self) -> u32 {
        loop {
            match self.0.load(Ordering::Acquire) {
                GOES => thread::yield_now(),
                state => return state,
            }
        }
    }

    /// Goes some steps on, and stands still again.
    pub fn step(&self) {
        self.0.store(GOES, Ordering::Release);
        self.wait_until_it_stands();
    }

    /// Lets it run.
    pub fn free(self) {
        self.0.store(FREE, Ordering::Release);
    }
}

/// What the tracing process does.
fn trace(tid: i32, state: &AtomicU32, mut stride: impl FnMut() -> u64) {
    let ask = |what, data: i32| {
        let data = without_provenance_mut::<libc::c_void>(data.unsigned_abs() as usize);
        // SAFETY: none of the requests made here writes to this process.
        unsafe { libc::ptrace(what, tid, null_mut::<libc::c_void>(), data) }
    };
    // The signal that it was stopped by, if it was one; -1 if it has ended.
    let wait = || {
        let mut status = 0;
        // SAFETY: a valid pointer to a local.
        let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) };
        match (waited == tid && libc::WIFSTOPPED(status), libc::WSTOPSIG(status)) {
            (false, _) => -1,
            (true, libc::SIGTRAP) => 0,
            (true, signal) => signal,
        }
    };
    // The first attempts may come before the thread's process has allowed it.
    let is_traced = (0..1_000).any(|_| {
        // SAFETY: gives the processor away.
        unsafe { libc::sched_yield() };
        ask(libc::PTRACE_SEIZE, 0) == 0
    });
    if !is_traced || ask(libc::PTRACE_INTERRUPT, 0) != 0 {
        return state.store(REFUSED, Ordering::Release);
    }
    let mut signal = wait();
    let mut step = |times| {
        for _ in 0..times {
            if signal == -1 || ask(libc::PTRACE_SINGLESTEP, signal) != 0 {
                // SAFETY: takes a plain integer.
                unsafe { libc::_exit(1) };
            }
            signal = wait();
        }
    };
    loop {
        step(stride());
        state.store(STANDS, Ordering::Release);
        let since = Instant::now();
        loop {
            match state.load(Ordering::Acquire) {
                STANDS if since.elapsed() > PATIENCE => step(50),
                // SAFETY: gives the processor away.
                STANDS => _ = unsafe { libc::sched_yield() },
                GOES => break,
                _ => {
                    ask(libc::PTRACE_DETACH, 0);
                    return;
                }
            }
        }
    }
}

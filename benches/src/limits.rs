//! What the machine needs for the parts that no implementation can avoid.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::blocks::{Block, Contents, Dropping, Manner, Plain};
use crate::reclaim::{Each, Reclaimer, Updater};
use crate::workload::{Looped, ReadSide, Slot, Subject, Worker, load_and_read, sum_of};

/// The read loop without any protection.
pub const PLAIN_LOAD: &str = "limit:plain-load";
/// The read loop with one locked instruction on a line that only this thread touches.
pub const LOCKED_RMW: &str = "limit:locked-rmw";
/// A full fence.
pub const FENCE: &str = "limit:fence";
/// The bare system call `membarrier`, private and expedited.
pub const MEMBARRIER: &str = "limit:membarrier";
/// A signal to a running thread, until its handler has answered.
pub const SIGNAL_ROUND_TRIP: &str = "limit:signal-round-trip";
/// A cache line to another core and back.
pub const LINE_ROUND_TRIP: &str = "limit:line-round-trip";
/// One load from each of as many cache lines as there are registered threads.
pub const LINE_WALK: &str = "limit:line-walk";

/// Blocks that are freed as soon as they are filled, without any protection.
pub const FREE_AT_ONCE: &str = "limit:free-at-once";

/// A value alone on its cache lines (two: neighbours are prefetched in pairs).
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Line(pub AtomicU64);

/// [`PLAIN_LOAD`].
pub fn plain_load() -> Box<dyn Subject> {
    Box::new(PlainLoad(Slot::new()))
}

struct PlainLoad(Slot);

impl Subject for PlainLoad {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(PlainSide(&self.0))))
    }
}

struct PlainSide<'s>(&'s Slot);

impl ReadSide for PlainSide<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        // SAFETY: nobody replaces the node of this slot.
        unsafe { load_and_read(self.0.pointer()) }
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        sum_of(length, || self.section())
    }
}

/// [`LOCKED_RMW`].
pub fn locked_rmw() -> Box<dyn Subject> {
    Box::new(LockedRmw(Slot::new()))
}

struct LockedRmw(Slot);

impl Subject for LockedRmw {
    fn worker(&self) -> Result<Box<dyn Worker + '_>, String> {
        Ok(Box::new(Looped(LockedSide { slot: &self.0, own: Box::default() })))
    }
}

struct LockedSide<'s> {
    slot: &'s Slot,
    own: Box<Line>,
}

impl ReadSide for LockedSide<'_> {
    #[inline(always)]
    fn section(&mut self) -> u64 {
        // SeqCst only for the shape of the workload: on x86 any read-modify-write is locked.
        self.own.0.fetch_add(1, Ordering::SeqCst);
        // SAFETY: nobody replaces the node of this slot.
        unsafe { load_and_read(self.slot.pointer()) }
    }

    #[inline(always)]
    fn nested_sections(&mut self, length: u64) -> u64 {
        sum_of(length, || self.section())
    }
}

/// [`FREE_AT_ONCE`].
pub fn free_at_once() -> Box<dyn Reclaimer> {
    Box::new(PlainLoad(Slot::new()))
}

impl Reclaimer for PlainLoad {
    fn updater(&self, manner: Manner) -> Result<Box<dyn Updater + '_>, String> {
        fn one<C: Contents>() {
            drop(black_box(Box::new(Block::<(), C>::filled())));
        }
        Ok(match manner {
            Manner::Plain | Manner::Reading => Box::new(Each(one::<Plain<8>>)),
            Manner::Dropping => Box::new(Each(one::<Dropping<8>>)),
        })
    }

    fn stall(&self, inside: &mut dyn FnMut()) -> Result<(), String> {
        inside();
        Ok(())
    }

    fn settle(&self) -> Result<bool, String> {
        Ok(false)
    }
}

/// [`FENCE`].
pub fn full_fence() {
    fence(Ordering::SeqCst);
}

/// Prepares the process for [`membarrier`].
///
/// # Errors
/// When the kernel does not have it.
pub fn membarrier_register() -> Result<(), String> {
    membarrier_command(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

/// [`MEMBARRIER`].
///
/// # Errors
/// When the process has not been prepared.
pub fn membarrier() -> Result<(), String> {
    membarrier_command(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

fn membarrier_command(command: libc::c_int) -> Result<(), String> {
    // SAFETY: the call takes no pointers and changes nothing but the order of memory accesses.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
        0 => Ok(()),
        _ => Err(format!("membarrier: {}", std::io::Error::last_os_error())),
    }
}

/// The signal that the round trips use; the flavors under test have theirs.
fn round_trip_signal() -> libc::c_int {
    libc::SIGRTMIN() + 5
}

/// How many signals the handler has answered.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

extern "C" fn answer(_: libc::c_int) {
    // Release: pairs with the Acquire of the thread that waits for the answer, as a barrier's would.
    ANSWERED.fetch_add(1, Ordering::Release);
}

/// Installs the handler that answers.
///
/// # Errors
/// When the signal cannot have one.
pub fn signal_prepare() -> Result<(), String> {
    // SAFETY: all-zero is a valid value of this C structure, which is filled in below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = answer as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler only touches an atomic, and the pointer is to a live structure.
    match unsafe { libc::sigaction(round_trip_signal(), &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(format!("sigaction: {}", std::io::Error::last_os_error())),
    }
}

/// The calling thread's kernel id.
pub fn thread_id() -> libc::pid_t {
    // SAFETY: takes nothing and always succeeds.
    unsafe { libc::gettid() }
}

/// [`SIGNAL_ROUND_TRIP`] to the thread `target` of this process.
///
/// # Errors
/// When the signal cannot be sent.
pub fn signal_round_trip(target: libc::pid_t) -> Result<(), String> {
    let before = ANSWERED.load(Ordering::Acquire);
    // SAFETY: takes nothing.
    let process = unsafe { libc::getpid() };
    // SAFETY: takes no pointers; the handler is installed by `signal_prepare`.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, target, round_trip_signal()) };
    if sent != 0 {
        return Err(format!("tgkill: {}", std::io::Error::last_os_error()));
    }
    while ANSWERED.load(Ordering::Acquire) == before {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Two threads that hand a cache line back and forth.
#[derive(Debug, Default)]
pub struct PingPong {
    ball: Line,
}

impl PingPong {
    /// [`LINE_ROUND_TRIP`]: from this thread to the other one and back.
    pub fn round_trip(&self) {
        let ball = self.ball.0.load(Ordering::Relaxed);
        // Release and Acquire: the hand-over of any protocol between two threads.
        self.ball.0.store(ball + 1, Ordering::Release);
        while self.ball.0.load(Ordering::Acquire) != ball + 2 {
            std::hint::spin_loop();
        }
    }

    /// The other thread: returns the ball if it is there.
    pub fn turn(&self) {
        let ball = self.ball.0.load(Ordering::Acquire);
        if ball % 2 == 1 {
            self.ball.0.store(ball + 1, Ordering::Release);
        }
    }
}

/// [`LINE_WALK`].
pub fn walk(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.0.load(Ordering::Acquire)).sum()
}

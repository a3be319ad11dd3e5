//! Who a process is, and whether it is still there.

use core::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use urcu_core::sync::{AtomicU64, Ordering, fence};
use urcu_core::sys::ForkMark;

use crate::sys;

/// Who this process is, if [`ASKED`] says that it has asked.
static OWN: AtomicU64 = AtomicU64::new(0);
static ASKED: ForkMark = ForkMark::new();

/// Bits for the start time: clock ticks since the machine started, for centuries.
const START_BITS: u32 = 40;
/// Bits for the process id: Linux has at most 2^22.
const PID_BITS: u32 = 22;

/// A process as the segment knows it: its id and its start time in one word, so that it can be claimed and given up by
/// compare-exchange, and a later process under the same id is another one.
///
/// (Two processes could be mistaken for each other only if all process ids were used up within one clock tick.)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(u64);

impl ProcessId {
    /// The calling process; a forked child gets its own.
    ///
    /// # Panics
    ///
    /// If `/proc` does not tell (this process has no descriptor left, say) and has not told before. Whoever has a
    /// [`Segment`](crate::Segment) and was not forked since has been told.
    pub fn current() -> Self {
        Self::try_current().expect("urcu-shm: /proc does not tell when this process started")
    }

    /// The same; `None` instead of the panic.
    pub(crate) fn try_current() -> Option<Self> {
        if !ASKED.is_other_process() {
            // Pairs with the Release below. PAIR(own-process)
            fence(Ordering::Acquire);
            if let Some(known) = Self::from_bits(OWN.load(Ordering::Relaxed)) {
                return Some(known);
            }
        }
        let pid = urcu_core::sys::process_id();
        let own = Self::new(pid, sys::process_status(pid)?.started);
        // Several threads store the same.
        OWN.store(own.0, Ordering::Relaxed);
        // Who finds the mark finds this process, not its parent. PAIR(own-process)
        fence(Ordering::Release);
        ASKED.set();
        Some(own)
    }

    /// Whoever has that id.
    #[cfg(urcu_loom)]
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self::new(pid, sys::process_status(pid)?.started))
    }

    /// Whether it is the calling process, and neither its parent nor an ancestor whose id it has got.
    pub(crate) fn is_current(self) -> bool {
        Self::try_current() == Some(self)
    }

    fn new(pid: i32, started: u64) -> Self {
        let pid = u64::from(pid.unsigned_abs()) & ((1 << PID_BITS) - 1);
        // 0 stands for nothing that could be known.
        Self((pid << START_BITS) | (started & ((1 << START_BITS) - 1)).max(1))
    }

    /// What is stored in the segment; never 0.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What another process has stored: `None` unless it could have come from [`bits`](Self::bits).
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let id = Self(bits);
        if bits >> (PID_BITS + START_BITS) == 0 && id.pid() != 0 && id.started() != 0 { Some(id) } else { None }
    }

    /// The system's id of it.
    pub const fn pid(self) -> i32 {
        (self.0 >> START_BITS) as i32
    }

    const fn started(self) -> u64 {
        self.0 & ((1 << START_BITS) - 1)
    }

    /// Whether it exists and has not exited. `true` in doubt.
    pub fn is_alive(self) -> bool {
        Watch::new(self).is_alive()
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessId({} started at {})", self.pid(), self.started())
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid())
    }
}

/// Watches a process for its end, by a pidfd where there is one.
#[derive(Debug)]
pub(crate) struct Watch {
    id: ProcessId,
    state: State,
}

#[derive(Debug)]
enum State {
    Gone,
    /// Refers to the process for good, whoever gets its id later.
    Fd(OwnedFd),
    /// The system has none to give: ids and start times are compared each time.
    ById,
}

impl Watch {
    pub(crate) fn new(id: ProcessId) -> Self {
        let state = match sys::open_pidfd(id.pid()) {
            // After the descriptor was opened: if the process under the id is the one we mean now, it was then.
            Ok(fd) if is_the_same(id) => State::Fd(fd),
            Ok(_) | Err(libc::ESRCH) => State::Gone,
            Err(_) => State::ById,
        };
        Self { id, state }
    }

    /// Whether it exists and has not exited. `true` in doubt.
    pub(crate) fn is_alive(&self) -> bool {
        match &self.state {
            State::Gone => false,
            State::Fd(fd) => !sys::is_readable(fd.as_raw_fd()),
            State::ById => {
                sys::process_exists(self.id.pid())
                    && is_the_same(self.id)
                    && sys::process_status(self.id.pid()).is_none_or(|status| !status.is_zombie())
            }
        }
    }
}

/// Whether the process under that id started when it should have; `true` if the system does not tell: taking one that lives for dead
/// would end its sections.
fn is_the_same(id: ProcessId) -> bool {
    sys::process_status(id.pid()).is_none_or(|status| ProcessId::new(id.pid(), status.started) == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_id_and_start() {
        let own = ProcessId::current();
        assert_eq!(own.pid(), urcu_core::sys::process_id());
        assert_eq!(ProcessId::from_bits(own.bits()), Some(own));
        assert!(own.is_alive());
        assert!(!ProcessId::new(own.pid(), own.started() + 1).is_alive());
        assert!(own.is_current() && !ProcessId::new(own.pid(), own.started() + 1).is_current());
        assert_eq!(ProcessId::from_bits(0), None);
        // Process 1 lives as long as the machine does: nobody is to hold anything up in its name by its id alone.
        assert_eq!(ProcessId::from_bits(1 << START_BITS), None);
        assert_eq!(ProcessId::from_bits(1), None);
        assert_eq!(ProcessId::from_bits(u64::MAX), None);
    }

    #[test]
    fn a_process_that_has_exited_is_not_alive_even_before_it_was_waited_for() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let pid = i32::try_from(child.id()).expect("a process id");
        let id = ProcessId::new(pid, sys::process_status(pid).expect("it exists").started);
        let watch = Watch::new(id);
        assert!(id.is_alive() && watch.is_alive());
        child.kill().expect("ours");
        while watch.is_alive() {
            std::thread::yield_now();
        }
        assert!(!id.is_alive());
        child.wait().expect("ours");
        assert!(!id.is_alive());
    }
}

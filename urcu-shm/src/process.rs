//! Who a process is, and whether it is still there.

use core::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::sys;

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
    /// The calling process. Asks the system each time, so a forked child gets its own.
    pub fn current() -> Self {
        let pid = urcu_core::sys::process_id();
        Self::new(pid, sys::process_status(pid).map_or(0, |status| status.started))
    }

    fn new(pid: i32, started: u64) -> Self {
        let pid = u64::from(pid.unsigned_abs()) & ((1 << PID_BITS) - 1);
        Self((pid << START_BITS) | (started & ((1 << START_BITS) - 1)))
    }

    /// What is stored in the segment; never 0.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What another process has stored: `None` unless it could have come from [`bits`](Self::bits).
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> (PID_BITS + START_BITS) == 0 && bits >> START_BITS != 0 { Some(Self(bits)) } else { None }
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

/// Whether the process under that id started when it should have; `true` if the system does not tell, or did not tell the process
/// itself (which had no descriptor left, say): taking one that lives for dead would end its sections.
fn is_the_same(id: ProcessId) -> bool {
    id.started() == 0
        || sys::process_status(id.pid()).is_none_or(|status| ProcessId::new(id.pid(), status.started) == id)
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
        assert!(ProcessId::new(own.pid(), 0).is_alive(), "one that could not ask for its start");
        assert_eq!(ProcessId::from_bits(0), None);
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

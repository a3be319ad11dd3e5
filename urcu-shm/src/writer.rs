//! The writer's role: at most one thread of one living process has it.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use urcu_core::sync::Ordering;

use crate::error::{RootError, WriterError};
use crate::offset::Offset;
use crate::process::{ProcessId, Watch};
use crate::roots::RootName;
use crate::segment::{Access, Segment};
use crate::sys;

/// How long a process that waits for the role sleeps before it looks whether the writer still lives.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The writer's role, as long as this lives. Other processes find out when its process dies.
///
/// Leaking it keeps the role until the process ends. In a forked child it is worth nothing: the role stays the parent's.
pub struct Writer {
    segment: Segment,
    own: ProcessId,
    generation: u64,
    recovered: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("generation", &self.generation)
            .field("recovered", &self.recovered)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn take(segment: &Segment) -> Result<Self, WriterError> {
        if segment.access() != Access::Write {
            return Err(WriterError::ReadOnly);
        }
        let own = ProcessId::try_current().ok_or(WriterError::Unknown)?;
        let words = &segment.mapping.control().writer;
        let mut recovered = false;
        // Relaxed: the exchange orders.
        let mut owner = words.owner.load(Ordering::Relaxed);
        loop {
            if let Some(holder) = ProcessId::from_bits(owner)
                && holder.is_alive()
            {
                return Err(WriterError::Held { pid: holder.pid() });
            }
            // Acquire pairs with the Release in `drop`; a writer that was killed has stored what it has stored, and the system
            // call that found it dead comes after that. PAIR(writer)
            match words.owner.compare_exchange(owner, own.bits(), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => owner = now,
            }
        }
        recovered |= owner != 0;
        recovered |= words.open.swap(1, Ordering::Relaxed) != 0;
        let generation = words.generation.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Ok(Self { segment: segment.clone(), own, generation, recovered })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Whether this is the process that has the role: not so in a forked child. A comparison, no system call.
    #[inline]
    pub fn is_of_this_process(&self) -> bool {
        self.own.is_current()
    }

    /// Counts the segment's writers; 1 for the first.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the writer before died in its role: what it was about to do may be half done, and what it had retired is not
    /// freed.
    pub fn recovered(&self) -> bool {
        self.recovered
    }

    /// Publishes the place of a structure; [`Offset::NULL`] clears it.
    ///
    /// # Errors
    ///
    /// [`RootError`].
    pub fn set_root(&self, name: RootName, offset: Offset) -> Result<(), RootError> {
        self.segment.mapping.roots().set(name, offset)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let words = &self.segment.mapping.control().writer;
        // Not the parent's in a forked child, nor what somebody else has taken since the word was overwritten.
        if !self.own.is_current() || words.owner.load(Ordering::Relaxed) != self.own.bits() {
            return;
        }
        words.open.store(0, Ordering::Relaxed);
        // Release: everything that was written in the role. PAIR(writer)
        let _ = words.owner.compare_exchange(self.own.bits(), 0, Ordering::Release, Ordering::Relaxed);
        words.released.fetch_add(1, Ordering::Release);
        sys::shared_futex_wake(&words.released);
    }
}

impl Segment {
    /// [`writer`](Self::writer), after waiting for whoever is to give the role up or die, at most for `timeout`.
    ///
    /// # Errors
    ///
    /// [`WriterError`]; `Held` if the time is up.
    pub fn wait_for_writer(&self, timeout: Duration) -> Result<Writer, WriterError> {
        let until = Instant::now().checked_add(timeout);
        loop {
            // Acquire: before the look at the owner. PAIR(writer)
            let released = self.mapping.control().writer.released.load(Ordering::Acquire);
            let refused = match self.writer() {
                Err(refused @ WriterError::Held { .. }) => refused,
                settled => return settled,
            };
            let left = until.map_or(LOOK_EVERY, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(refused);
            }
            let words = &self.mapping.control().writer;
            sys::shared_futex_wait(words.released.as_ptr(), released, left.min(LOOK_EVERY));
        }
    }

    /// Who the writer is, if there is one that lives.
    pub fn writer_process(&self) -> Option<ProcessId> {
        let owner = ProcessId::from_bits(self.mapping.control().writer.owner.load(Ordering::Relaxed))?;
        Watch::new(owner).is_alive().then_some(owner)
    }
}

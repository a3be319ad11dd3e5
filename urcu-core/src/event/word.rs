//! The word that waiters sleep on, and the sleep itself: the kernel's futex, or a model of it.

use core::ops::Deref;
#[cfg(not(urcu_loom))]
use std::time::Instant;

use crate::sync::modelled::AtomicU64;

/// One promise to let a thread out. In the low half, which the kernel looks at.
pub(super) const TOKEN: u64 = 1;
pub(super) const TOKENS: u64 = u32::MAX as u64;
/// One thread that waits without a promise.
pub(super) const WAITER: u64 = 1 << 32;

pub(super) fn waiters(word: u64) -> u64 {
    word / WAITER
}

#[derive(Debug)]
pub(super) struct Word {
    value: AtomicU64,
    #[cfg(urcu_loom)]
    queue: modelled::Queue,
}

impl Deref for Word {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        &self.value
    }
}

#[cfg(not(urcu_loom))]
impl Word {
    pub(super) const fn new() -> Self {
        Self { value: AtomicU64::new(0) }
    }

    /// Sleeps unless there are tokens; woken for many reasons. Returns true, at once, when the deadline has passed.
    pub(super) fn sleep_while_no_tokens(&self, deadline: Option<Instant>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return true;
        }
        crate::sys::futex_wait_raw(self.tokens(), 0, left);
        false
    }

    /// Wakes up to `count` sleepers.
    pub(super) fn wake(&self, count: i32) {
        crate::sys::futex_wake_raw(self.tokens(), count);
    }

    /// The tokens' half, as an address for the kernel.
    fn tokens(&self) -> *const u32 {
        let half = self.value.as_ptr().cast::<u32>();
        if cfg!(target_endian = "little") { half } else { half.wrapping_add(1) }
    }
}

#[cfg(urcu_loom)]
mod modelled {
    //! What the kernel does: comparing and queueing is one step, and who is woken is not woken by a timeout too.

    use std::sync::Arc;
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex};

    use super::{TOKENS, Word};
    use crate::sync::modelled::{AtomicBool, AtomicU64, Ordering};

    #[derive(Debug)]
    pub(super) struct Queue {
        sleepers: Mutex<Sleepers>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct Sleepers {
        /// Who sleeps, first come first; and whether with a deadline.
        queue: Vec<(Arc<AtomicBool>, bool)>,
        /// All deadlines have passed.
        late: bool,
    }

    impl Word {
        pub(in super::super) fn new() -> Self {
            let queue = Queue { sleepers: Mutex::default(), changed: Condvar::new() };
            Self { value: AtomicU64::new(0), queue }
        }

        pub(in super::super) fn sleep_while_no_tokens(&self, deadline: Option<Instant>) -> bool {
            let mut sleepers = self.queue.sleepers.lock().unwrap();
            if deadline.is_some() && sleepers.late {
                return true;
            }
            if self.value.load(Ordering::Relaxed) & TOKENS != 0 {
                return false;
            }
            let woken = Arc::new(AtomicBool::new(false));
            sleepers.queue.push((woken.clone(), deadline.is_some()));
            while !woken.load(Ordering::Relaxed) {
                sleepers = self.queue.changed.wait(sleepers).unwrap();
            }
            false
        }

        pub(in super::super) fn wake(&self, count: i32) {
            let mut sleepers = self.queue.sleepers.lock().unwrap();
            let count = sleepers.queue.len().min(count as usize);
            sleepers.queue.drain(..count).for_each(|(woken, _)| woken.store(true, Ordering::Relaxed));
            self.queue.changed.notify_all();
        }

        /// All deadlines pass now.
        pub(in super::super) fn pass_deadlines(&self) {
            let mut sleepers = self.queue.sleepers.lock().unwrap();
            sleepers.late = true;
            sleepers.queue.retain(|(woken, has_deadline)| {
                woken.store(*has_deadline, Ordering::Relaxed);
                !has_deadline
            });
            self.queue.changed.notify_all();
        }
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;
    use core::sync::atomic::Ordering;

    #[test]
    fn the_kernel_looks_at_the_tokens() {
        let word = Word::new();
        word.store(5 * WAITER + 3 * TOKEN, Ordering::Relaxed);
        // SAFETY: half of a live atomic that nobody writes.
        assert_eq!(unsafe { word.tokens().read() }, 3);
        assert_eq!(waiters(word.load(Ordering::Relaxed)), 5);
    }
}

//! What waiters sleep on: the kernel's futex, or a model of it.

#[cfg(not(urcu_loom))]
use std::time::Instant;

use crate::sync::modelled::{AtomicU32, Ordering};

/// Counts how often it was rung. Who sleeps is woken by it, who has not heard it does not fall asleep.
#[derive(Debug)]
pub(super) struct Bell {
    rings: AtomicU32,
    #[cfg(urcu_loom)]
    sleepers: modelled::Sleepers,
}

impl Bell {
    /// Step W1.
    pub(super) fn rings(&self) -> u32 {
        // Acquire. PAIR(bell)
        self.rings.load(Ordering::Acquire)
    }

    /// Steps K5 and K6: wakes up to `count` sleepers.
    pub(super) fn ring(&self, count: i32) {
        // Release: K4 comes before. PAIR(bell)
        self.rings.fetch_add(1, Ordering::Release);
        self.wake(count);
    }
}

#[cfg(not(urcu_loom))]
impl Bell {
    pub(super) const fn new() -> Self {
        Self { rings: AtomicU32::new(0) }
    }

    /// Step W5. Returns when woken, for many reasons, or at once if the bell was rung since it had been rung `rings`
    /// times. True, at once: the deadline has passed.
    pub(super) fn sleep_until_rung(&self, rings: u32, deadline: Option<Instant>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return true;
        }
        crate::sys::futex_wait(&self.rings, rings, left);
        false
    }

    fn wake(&self, count: i32) {
        crate::sys::futex_wake(&self.rings, count);
    }
}

#[cfg(urcu_loom)]
mod modelled {
    //! What the kernel does: comparing and queueing is one step, and who is woken is not woken by a timeout too.

    use std::sync::Arc;
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex};

    use super::Bell;
    use crate::sync::modelled::{AtomicBool, AtomicU32, Ordering};

    #[derive(Debug)]
    pub(super) struct Sleepers {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct State {
        /// Who sleeps, first come first; and whether with a deadline.
        queue: Vec<(Arc<AtomicBool>, bool)>,
        /// All deadlines have passed.
        late: bool,
    }

    impl Bell {
        pub(in super::super) fn new() -> Self {
            let sleepers = Sleepers { state: Mutex::default(), changed: Condvar::new() };
            Self { rings: AtomicU32::new(0), sleepers }
        }

        pub(in super::super) fn sleep_until_rung(&self, rings: u32, deadline: Option<Instant>) -> bool {
            let mut state = self.sleepers.state.lock().unwrap();
            if deadline.is_some() && state.late {
                return true;
            }
            // A read-modify-write, to see the latest value, as the kernel does.
            if self.rings.fetch_add(0, Ordering::Relaxed) != rings {
                return false;
            }
            let woken = Arc::new(AtomicBool::new(false));
            state.queue.push((woken.clone(), deadline.is_some()));
            while !woken.load(Ordering::Relaxed) {
                state = self.sleepers.changed.wait(state).unwrap();
            }
            false
        }

        pub(super) fn wake(&self, count: i32) {
            let mut state = self.sleepers.state.lock().unwrap();
            let count = state.queue.len().min(count as usize);
            state.queue.drain(..count).for_each(|(woken, _)| woken.store(true, Ordering::Relaxed));
            self.sleepers.changed.notify_all();
        }

        /// All deadlines pass now.
        pub(in super::super) fn pass_deadlines(&self) {
            let mut state = self.sleepers.state.lock().unwrap();
            state.late = true;
            state.queue.retain(|(woken, has_deadline)| {
                woken.store(*has_deadline, Ordering::Relaxed);
                !has_deadline
            });
            self.sleepers.changed.notify_all();
        }
    }
}

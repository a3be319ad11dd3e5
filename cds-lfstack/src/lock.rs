//! A lock that is given back by a plain store.
//!
//! Half the price of a mutex: one locked instruction per turn instead of two. What it gives up is waking: who waits spins,
//! yields and then looks again every so often, at most a millisecond apart. Made for turns of nanoseconds.

use urcu_core::sync::{AtomicBool, Ordering, spin_loop};

#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: AtomicBool,
}

impl Turn {
    pub(crate) const fn new() -> Self {
        Self { taken: AtomicBool::new(false) }
    }

    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        // Acquire: sees the last turn. PAIR(turn)
        !self.taken.swap(true, Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn take(&self) {
        if !self.try_take() {
            self.wait();
        }
    }

    /// The holder's cache line is left alone for longer and longer, up to a microsecond or so: it takes its next turns
    /// meanwhile at the speed of one processor.
    #[cold]
    fn wait(&self) {
        const SPINS: u32 = 8;
        const YIELDS: u32 = 20;
        for attempt in 0_u32.. {
            if attempt < SPINS {
                for _ in 0..64_u32 << attempt.min(2) {
                    spin_loop();
                }
            } else if attempt < YIELDS {
                std::thread::yield_now();
            } else {
                let micros = 50_u64 << (attempt - YIELDS).min(4);
                std::thread::sleep(core::time::Duration::from_micros(micros));
            }
            // Relaxed: only a hint; `try_take` acquires.
            if !self.taken.load(Ordering::Relaxed) && self.try_take() {
                return;
            }
        }
    }

    /// By the holder.
    #[inline]
    pub(crate) fn give_back(&self) {
        // Release: this turn happens before the next one. PAIR(turn)
        self.taken.store(false, Ordering::Release);
    }
}

//! Bounds on what is deferred and not freed yet, and their counters.

use crate::defer::queue::Emptied;
use crate::sync::{AtomicU32, AtomicUsize, CachePadded, Ordering};
use crate::sys;

/// A local queue with no more calls than this is taken at once by a worker that has just been woken, even if it has moved
/// since the last look: that is what keeps the latency of single calls low.
pub(crate) const QUIET_CALLS: u64 = 64;

/// How much may be deferred and not freed.
///
/// Counted in blocks, which hold 512 calls, or fewer that make up 1 MiB; so what is enforced is exact to one block in each of a
/// thread's two queues. Bytes are those of the values that are retired (not of what they own); for callbacks and closures
/// only their number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Beyond this many calls the worker is woken at once instead of being left to its own pace.
    pub soft_items: usize,
    /// Beyond this many bytes, the same.
    pub soft_bytes: usize,
    /// Beyond this many calls, a thread that retires waits for a grace period and frees: at once when it is outside every
    /// section, at the end of the outermost one (QSBR: at the next quiescent state) when it is not.
    ///
    /// So neither is done with a lock held that a reader takes inside a section, or that a deferred call takes.
    /// [`Report::RetireStalled`](crate::Report::RetireStalled) tells of a wait that takes long.
    pub hard_items: usize,
    /// Beyond this many bytes, the same.
    pub hard_bytes: usize,
}

impl Limits {
    /// None.
    pub const UNLIMITED: Self =
        Self { soft_items: usize::MAX, soft_bytes: usize::MAX, hard_items: usize::MAX, hard_bytes: usize::MAX };
}

impl Default for Limits {
    /// 8,192 calls or 8 MiB; 65,536 calls or 64 MiB.
    fn default() -> Self {
        DEFAULT
    }
}

const DEFAULT: Limits = Limits { soft_items: 1 << 13, soft_bytes: 8 << 20, hard_items: 1 << 16, hard_bytes: 64 << 20 };

/// The limits of a domain, and what counts against them.
#[derive(Debug)]
pub(crate) struct LimitState {
    soft_items: AtomicUsize,
    soft_bytes: AtomicUsize,
    hard_items: AtomicUsize,
    hard_bytes: AtomicUsize,
    /// In sealed blocks, and in batches that a worker has taken and not run yet.
    items: CachePadded<AtomicUsize>,
    bytes: AtomicUsize,
    /// Changes whenever something has been freed, for those who wait.
    freed: AtomicU32,
}

impl LimitState {
    pub(crate) const fn new() -> Self {
        Self {
            soft_items: AtomicUsize::new(DEFAULT.soft_items),
            soft_bytes: AtomicUsize::new(DEFAULT.soft_bytes),
            hard_items: AtomicUsize::new(DEFAULT.hard_items),
            hard_bytes: AtomicUsize::new(DEFAULT.hard_bytes),
            items: CachePadded(AtomicUsize::new(0)),
            bytes: AtomicUsize::new(0),
            freed: AtomicU32::new(0),
        }
    }

    pub(crate) fn get(&self) -> Limits {
        // Relaxed here and below: plain numbers, which order nothing.
        Limits {
            soft_items: self.soft_items.load(Ordering::Relaxed),
            soft_bytes: self.soft_bytes.load(Ordering::Relaxed),
            hard_items: self.hard_items.load(Ordering::Relaxed),
            hard_bytes: self.hard_bytes.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set(&self, limits: Limits) {
        self.soft_items.store(limits.soft_items, Ordering::Relaxed);
        self.soft_bytes.store(limits.soft_bytes, Ordering::Relaxed);
        self.hard_items.store(limits.hard_items, Ordering::Relaxed);
        self.hard_bytes.store(limits.hard_bytes, Ordering::Relaxed);
    }

    /// A block has been sealed.
    pub(crate) fn sealed(&self, calls: usize, bytes: usize) {
        self.items.fetch_add(calls, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// In a forked child: what is there, whatever vanished threads were about to add or subtract.
    pub(crate) fn recount(&self, counted: Emptied) {
        self.items.store(counted.calls, Ordering::Relaxed);
        self.bytes.store(counted.bytes, Ordering::Relaxed);
    }

    /// Blocks have been emptied.
    pub(crate) fn emptied(&self, emptied: Emptied) {
        if emptied.calls != 0 {
            self.items.fetch_sub(emptied.calls, Ordering::Relaxed);
            self.bytes.fetch_sub(emptied.bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn beyond_soft(&self) -> bool {
        self.items.load(Ordering::Relaxed) > self.soft_items.load(Ordering::Relaxed)
            || self.bytes.load(Ordering::Relaxed) > self.soft_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn beyond_hard(&self) -> bool {
        self.items.load(Ordering::Relaxed) > self.hard_items.load(Ordering::Relaxed)
            || self.bytes.load(Ordering::Relaxed) > self.hard_bytes.load(Ordering::Relaxed)
    }

    /// A worker has run what it took: lets those go on who wait for room.
    pub(crate) fn settle(&self, emptied: Emptied) {
        self.emptied(emptied);
        // Release pairs with the Acquire in `wait_for_freed`. PAIR(freed)
        self.freed.fetch_add(1, Ordering::Release);
        sys::futex_wake(&self.freed, i32::MAX);
    }

    /// Sleeps until something may have been freed, for a bounded time.
    pub(crate) fn wait_for_freed(&self) {
        // PAIR(freed)
        let before = self.freed.load(Ordering::Acquire);
        if self.beyond_hard() {
            sys::futex_wait(&self.freed, before, Some(core::time::Duration::from_millis(10)));
        }
    }
}

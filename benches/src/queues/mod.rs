//! Queues under test: ours, the C library's and other crates', behind one pair of traits.

pub mod faces;
pub mod liburcu;
pub mod raw;

/// What one thread does to a queue. The loops are the contender's own, so that its calls are inlined into them.
pub trait Worker {
    /// So many times: enqueues a value, counted from `first`, and dequeues one. The sum of what came out.
    ///
    /// # Errors
    /// When the queue was empty in between.
    fn pairs(&mut self, count: u64, first: u64) -> Result<u64, String>;

    /// Enqueues so many values, counted from `first`.
    fn put(&mut self, count: u64, first: u64);

    /// Dequeues until the queue is empty, or so many values came out.
    fn take(&mut self, most: u64) -> Taken;

    /// Dequeues what is there, by the queue's own way to do so at once.
    fn drain(&mut self) -> Taken {
        self.take(u64::MAX)
    }

    /// Off the clock: waits for other threads, who may wait for a grace period.
    fn rest(&mut self, wait: &mut dyn FnMut()) {
        wait();
    }

    /// Off the clock: announces a quiescent state, waits until nodes can be used again.
    fn between(&mut self) {}
}

/// A queue with all that its threads share.
pub trait Subject: Sync {
    /// What thread `index` does; thread 0 takes values out where only one may.
    ///
    /// # Errors
    /// When the thread cannot take part.
    fn worker(&self, index: usize) -> Result<Box<dyn Worker + '_>, String>;
}

/// What came out of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Taken {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

/// The most values that a workload has in a queue at a time; bounded queues have room for them.
pub const MOST: u64 = 1 << 16;

/// Hides a loop's counter from the compiler, as the C loops do, so that no contender's loop is unrolled and another's is not.
#[inline(always)]
pub fn opaque(count: &mut u64) {
    // SAFETY: no instructions.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) * count, options(nomem, nostack, preserves_flags)) };
}

//! Growing: new buckets are made, and put into the list chunk by chunk, by whoever wants to.

use urcu_core::sync::modelled::Ordering;

use super::super::buckets::OutOfMemory;
use super::super::error::ResizeError;
use super::super::family::{Families, When};
use super::super::ground::Ground;
use super::super::table::Table;
use super::super::turn::Taken;
use super::policy::next_size;
use super::{CHUNK, MOST_STEP, Progress, SHORT_SLICE, SLICE, SMALL, Shrinking};

/// The two sizes in [`Table::growing`], which is not 0.
#[inline]
fn from_and_to(growing: usize) -> (usize, usize) {
    let from = 1 << growing.trailing_zeros();
    (from, growing - from)
}

impl<G: Ground> Table<G> {
    /// Step 1 of growing, towards `goal`; all steps, if the table is small.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    pub(super) unsafe fn begin_growth(&self, turn: &Taken<'_>, goal: usize) -> Progress {
        self.settle(turn);
        // Acquire: the size that the last growth published. PAIR(lfht-size)
        if self.growing.load(Ordering::Acquire) != 0 {
            return Progress::More;
        }
        // SAFETY: the one reference in this function.
        let plan = unsafe { self.plan(turn) };
        self.free_left(plan);
        match plan.shrinking {
            Shrinking::No => {}
            Shrinking::Published { from, .. } => {
                // Taken back: the buckets are all still in the list. Release: PAIR(lfht-size)
                self.size.store(from, Ordering::Release);
                plan.shrinking = Shrinking::No;
                return Progress::Grace;
            }
            Shrinking::Unmaking { .. } => return Progress::Grace,
        }
        if plan.leaving.is_some() {
            return Progress::Grace;
        }
        let size = self.size.load(Ordering::Relaxed);
        if size >= self.max {
            return Progress::Done;
        }
        if !self.can_be_size(size) {
            return Progress::Failed(ResizeError::Corrupt);
        }
        let to = next_size(size).min(goal).max(2 * size);
        if !G::OWNED && (!self.can_be_size(to) || to / size > MOST_STEP) {
            return Progress::Failed(ResizeError::Corrupt);
        }
        if let Err(OutOfMemory) = self.buckets.ensure(size, to) {
            return Progress::Failed(ResizeError::OutOfMemory);
        }
        self.resize.long_chains.store(0, Ordering::Relaxed);
        // Relaxed: under the turn. Before any of them is put into the list.
        self.resize.top.store(to, Ordering::Relaxed);
        if to <= SMALL {
            // SAFETY: inside a section and with the turn, which keeps others from publishing a size.
            if unsafe { self.make_families(Families { parents: 0..size, from: size, to }, When::Early) }.is_err() {
                return Progress::Failed(ResizeError::Corrupt);
            }
            // Release: who sees the size finds the buckets' memory. PAIR(lfht-size)
            self.size.store(to, Ordering::Release);
            return Progress::Done;
        }
        // Relaxed: published by the next line.
        self.resize.cursor.store(size, Ordering::Relaxed);
        // Release: who sees the growth finds the memory and the cursor. PAIR(lfht-size)
        self.growing.store(size + to, Ordering::Release);
        Progress::More
    }

    /// Steps 2 and 3 of growing: one chunk. Whether there was one.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    pub(super) unsafe fn sweep(&self) -> Result<bool, G::Stop> {
        if !self.is_settled() {
            return Ok(false);
        }
        // Acquire: the buckets' memory and the cursor. PAIR(lfht-size)
        let growing = self.growing.load(Ordering::Acquire);
        if growing == 0 {
            return Ok(false);
        }
        let (size, end) = from_and_to(growing);
        let step = (CHUNK / (end / size)).max(1);
        // Relaxed: chunks are handed out by the exchange alone. A cursor of another growth is not taken for one of this: this section
        // keeps the table from getting smaller than `end / 2`, so later growths begin at `end` or above, and so do their cursors.
        let mut cursor = self.resize.cursor.load(Ordering::Relaxed);
        let next = loop {
            if cursor >= 2 * size {
                return Ok(false);
            }
            let next = (cursor + step).min(2 * size);
            match self.resize.cursor.compare_exchange(cursor, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break next,
                Err(found) => cursor = found,
            }
        };
        let parents = cursor - size..next - size;
        // SAFETY: below a growth seen in this section; the chunk is this thread's.
        unsafe { self.make_families(Families { parents, from: size, to: end }, When::Late) }?;
        if next == 2 * size {
            // Release: who sees the size finds the buckets' memory. PAIR(lfht-size)
            self.size.store(end, Ordering::Release);
            // Release: the next growth sees this size. PAIR(lfht-size)
            self.growing.store(0, Ordering::Release);
        }
        Ok(true)
    }

    pub(super) fn sweep_slice(&self) -> Progress {
        for _ in 0..if G::OWNED { SLICE } else { SHORT_SLICE } {
            let Some(_inside) = self.enter() else {
                return Progress::Failed(ResizeError::NotRegistered);
            };
            // SAFETY: inside a section.
            match unsafe { self.sweep() } {
                Ok(true) => {}
                Ok(false) => {
                    // Relaxed: it is looked at again.
                    let growing = self.growing.load(Ordering::Relaxed) != 0;
                    return if growing { Progress::Others } else { Progress::More };
                }
                Err(_) => return Progress::Failed(ResizeError::Corrupt),
            }
        }
        Progress::More
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use core::ptr::NonNull;

    use structure_conformance::{Mb, Tested, within_limit};

    use super::super::super::word::Node;
    use super::super::super::{BucketMemory, Options};
    use super::super::SMALL;
    use super::*;

    /// Threads add, and help with growths that are late, while the worker does, too: from the first that is not done at once.
    #[test]
    fn nothing_is_lost_by_growths_that_several_threads_work_at() {
        const THREADS: usize = 4;
        const EACH: usize = 12 * SMALL;
        for memory in [BucketMemory::Order, BucketMemory::Chunk, BucketMemory::Mmap] {
            within_limit("growths", move || {
                let flavor = Mb::vtable();
                let table = Table::new(flavor, Options::new().max(1 << 18).memory(memory)).expect("memory");
                let hash = |number: usize| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                std::thread::scope(|scope| {
                    for thread in 0..THREADS {
                        let table = &table;
                        scope.spawn(move || {
                            // SAFETY: any thread.
                            assert_eq!(unsafe { (flavor.register_thread)() }, 0);
                            for number in thread * EACH..(thread + 1) * EACH {
                                let node = NonNull::from(Box::leak(Box::new(Node::new())));
                                let _section = flavor.pin();
                                // SAFETY: inside a section; a fresh node.
                                unsafe { table.add(hash(number), node) };
                                // SAFETY: inside a section.
                                assert!(unsafe { table.lookup(hash(number), |found| found == node) }.node().is_some());
                            }
                            // SAFETY: registered above, outside of sections.
                            unsafe { (flavor.unregister_thread)() };
                        });
                    }
                });
                // SAFETY: any thread.
                assert_eq!(unsafe { (flavor.register_thread)() }, 0);
                {
                    let _section = flavor.pin();
                    for number in 0..THREADS * EACH {
                        // SAFETY: inside a section.
                        assert!(unsafe { table.lookup(hash(number), |_| true) }.node().is_some(), "node {number}");
                    }
                    // SAFETY: inside a section.
                    assert_eq!(unsafe { table.count_nodes() }.nodes, THREADS * EACH);
                }
                assert!(table.size() > 4 * SMALL, "only {} buckets", table.size());
                // SAFETY: registered above, outside of sections.
                unsafe { (flavor.unregister_thread)() };
            });
        }
    }
}

//! In a forked child: what threads were doing to the size that do not exist here.
//!
//! They stopped anywhere: with the turn; with a chunk of a growth, perhaps the last one, which nobody will ever finish; between two
//! steps of a shrinking. What they did to the list is whole, each step being one exchange. Only what was to come of it is
//! not known: which buckets above the size are in the list already, or ready before they are.
//!
//! So none of it is gone on with. The size is what it is, growth is over, and whatever may be in the list above the size is taken
//! out again, as when a table shrinks. No thread of the child can have begun at a bucket there: it has seen no other size, since
//! nobody changes the size or hands out chunks in a child before this is done.

use urcu_core::sync::modelled::Ordering::Relaxed;
use urcu_core::sync::{Ordering, modelled};
use urcu_core::sys;

use super::super::ground::Ground;
use super::super::table::Table;
use super::super::turn::Taken;
use super::{Resize, Shrinking};

impl<G: Ground> Resize<G> {
    /// Whether what is under way was begun in the process that this one was forked from. Where the buckets are shared, that is
    /// the matter of who opens the table.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        // Acquire: who sees this process sees all that was settled. PAIR(lfht-fork)
        G::OWNED && self.process.load(Ordering::Acquire) != sys::process_id().cast_unsigned()
    }
}

impl<G: Ground> Table<G> {
    /// Ends what threads of another process have begun. The first thing to do with the turn.
    ///
    /// If the process is forked in the middle of it, the next child does it again from the start.
    #[inline]
    pub(super) fn settle(&self, turn: &Taken<'_>) {
        if self.resize.is_inherited() {
            self.end_what_is_inherited(turn);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_what_is_inherited(&self, turn: &Taken<'_>) {
        // Nobody gets a chunk of that growth any more. Relaxed: published below.
        self.resize.cursor.store(usize::MAX, Relaxed);
        let size = self.size.load(Relaxed);
        // Fresh buckets among these are passed over.
        let top = self.resize.top.load(Relaxed);
        {
            // SAFETY: the one reference in this function.
            let plan = unsafe { self.plan(turn) };
            // What was left lies between the two.
            plan.leaving = None;
            plan.shrinking = if top > size { Shrinking::unmaking(top, top) } else { Shrinking::No };
        }
        // Release: the next growth sees the plan. PAIR(lfht-size)
        self.growing.store(0, modelled::Ordering::Release);
        if !self.resize.explicit.is_held_here() {
            // Relaxed: a number.
            self.resize.goal.store(0, Relaxed);
        }
        // Release: who sees this process sees what is above. PAIR(lfht-fork)
        self.resize.process.store(sys::process_id().cast_unsigned(), Ordering::Release);
    }

    /// [`settle`](Self::settle) where there is no turn yet. False if another thread is at it.
    pub(super) fn is_settled(&self) -> bool {
        if self.resize.is_inherited() {
            let Some(turn) = self.resize.turn.try_take() else { return false };
            self.settle(&turn);
        }
        true
    }
}

// ThreadSanitizer has no threads in the children of a program with threads.
#[cfg(all(test, not(any(urcu_loom, urcu_tsan))))]
mod tests {
    use core::mem::forget;
    use core::ptr::NonNull;

    use structure_conformance::{Mb, OwnProcess, Tested, forked};
    use urcu_core::sync::modelled::Ordering::Release;

    use super::super::super::family::{Families, VANISHES_AT, When};
    use super::super::super::lookup::sure;
    use super::super::super::word::Node;
    use super::super::super::{BucketMemory, Options};
    use super::super::{CHUNK, Progress, SMALL};
    use super::*;

    const NODES: usize = 3000;

    fn hash(number: usize) -> usize {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn add(table: &Table, numbers: core::ops::Range<usize>) {
        let _section = table.flavor().pin();
        for number in numbers {
            let node = NonNull::from(Box::leak(Box::new(Node::new())));
            // SAFETY: inside a section; a fresh node.
            unsafe { table.add(hash(number), node) };
        }
    }

    /// All of so many nodes are found, each once.
    fn check(table: &Table, nodes: usize) {
        let _section = table.flavor().pin();
        for number in 0..nodes {
            // SAFETY: inside a section.
            assert!(unsafe { table.lookup(hash(number), |_| true) }.node().is_some(), "node {number}");
        }
        // SAFETY: inside a section.
        assert_eq!(unsafe { table.count_nodes() }.nodes, nodes);
    }

    /// `stop` leaves a table of `size` buckets as a thread does that ends in the middle of something; then the process is
    /// forked, and the child resizes the table.
    fn child_after(size: usize, stop: impl Fn(&Table)) {
        for memory in [BucketMemory::Order, BucketMemory::Chunk, BucketMemory::Mmap] {
            let flavor = Mb::vtable();
            // SAFETY: any thread.
            assert_eq!(unsafe { (flavor.register_thread)() }, 0);
            let options = Options::new().auto_resize(false).initial(size).max(1 << 20).memory(memory);
            let table = Table::new(flavor, options).expect("memory");
            add(&table, 0..NODES);
            stop(&table);
            check(&table, NODES);
            // SAFETY: outside of sections.
            unsafe { (flavor.fork_before)() };
            let child = forked::start(|| {
                // SAFETY: follows `fork_before`, on the child's only thread.
                unsafe { (flavor.fork_after_child)() };
                let mut nodes = NODES;
                for buckets in [2 * SMALL, 8 * SMALL, 64, 16 * SMALL, SMALL / 4] {
                    check(&table, nodes);
                    table.resize(buckets).expect("the child resizes its table");
                    assert_eq!(table.size(), buckets);
                    add(&table, nodes..nodes + 500);
                    nodes += 500;
                }
                check(&table, nodes);
            });
            // SAFETY: follows `fork_before`.
            unsafe { (flavor.fork_after_parent)() };
            child.succeeded();
            check(&table, NODES);
            // What was left in it has no end here.
            forget(table);
            // SAFETY: registered above.
            unsafe { (flavor.unregister_thread)() };
        }
    }

    /// [`child_after`] in a process of its own.
    macro_rules! own_process {
        ($size:expr, $stop:expr) => {
            let _ = OwnProcess::new().run(|| child_after($size, $stop)).succeeded();
        };
    }

    fn grow(table: &Table, to: usize) {
        let _section = table.flavor().pin();
        let turn = table.resize.turn.try_take().expect("nobody else is there");
        // SAFETY: inside a section.
        assert_eq!(unsafe { table.begin_growth(&turn, to) }, Progress::More);
    }

    /// Puts some chunks in, and takes the others.
    fn sweep(table: &Table, chunks: usize) {
        let _section = table.flavor().pin();
        for _ in 0..chunks {
            // SAFETY: inside a section.
            assert!(sure(unsafe { table.sweep() }));
        }
        table.resize.cursor.store(usize::MAX, Relaxed);
    }

    #[test]
    fn a_growth_whose_last_chunk_is_never_finished() {
        own_process!(SMALL, |table| {
            grow(table, 4 * SMALL);
            sweep(table, 20);
        });
    }

    #[test]
    fn a_growth_that_has_just_begun() {
        own_process!(SMALL, |table| grow(table, 2 * SMALL));
    }

    #[test]
    fn a_small_growth_in_the_middle() {
        own_process!(256, |table| {
            let _section = table.flavor().pin();
            forget(table.resize.turn.try_take());
            table.buckets.ensure(256, 2048).expect("memory");
            table.resize.top.store(2048, Relaxed);
            let families = Families { parents: 0..100, from: 256, to: 2048 };
            // SAFETY: inside a section, with the turn.
            sure(unsafe { table.make_families(families, When::Early) });
        });
    }

    #[test]
    fn a_shrinking_that_is_published_and_not_noted() {
        own_process!(1024, |table| {
            forget(table.resize.turn.try_take());
            table.size.store(512, Release);
        });
    }

    #[test]
    fn a_shrinking_in_the_middle() {
        own_process!(4 * SMALL, |table| {
            let size = 2 * SMALL;
            table.size.store(size, Release);
            let turn = table.resize.turn.try_take().expect("nobody else is there");
            let cookie = table.next_grace_period();
            // SAFETY: the one reference.
            unsafe { table.plan(&turn) }.shrinking = Shrinking::Published { from: 2 * size, cookie };
            drop(turn);
            let mut steps = 0;
            while steps < 2 {
                steps += usize::from(table.advance(size) == Progress::More);
            }
            forget(table.resize.turn.try_take());
        });
    }

    #[test]
    fn what_the_parent_wanted_is_not_what_the_child_wants() {
        own_process!(SMALL, |table| {
            forget(table.resize.explicit.try_take());
            table.resize.goal.store(4 * SMALL, Relaxed);
            grow(table, 4 * SMALL);
            sweep(table, 0);
        });
    }

    /// The parent's thread was about to put two buckets of a family in, in front of a node that the child frees.
    #[test]
    fn buckets_that_were_linked_and_not_put_in() {
        let _ = OwnProcess::new()
            .run(|| {
                let flavor = Mb::vtable();
                // SAFETY: any thread.
                assert_eq!(unsafe { (flavor.register_thread)() }, 0);
                let options = Options::new().auto_resize(false).initial(256).max(1 << 20).memory(BucketMemory::Order);
                let table = Table::new(flavor, options).expect("memory");
                // Between the second and the third child of bucket 5.
                let hash = 512 + 5 + (7 << 30);
                let page = sys::map_pages(4096).expect("memory");
                let node = NonNull::new(page.cast::<Node>()).expect("an address");
                // SAFETY: mapped just now, and aligned.
                unsafe { node.as_ptr().write(Node::new()) };
                {
                    let _section = flavor.pin();
                    // SAFETY: inside a section; in no table, and freed after a grace period.
                    unsafe { table.add(hash, node) };
                    forget(table.resize.turn.try_take());
                    table.buckets.ensure(256, 2048).expect("memory");
                    table.resize.top.store(2048, Relaxed);
                    VANISHES_AT.store(1, Relaxed);
                    let families = Families { parents: 5..6, from: 256, to: 2048 };
                    // SAFETY: inside a section, with the turn.
                    sure(unsafe { table.make_families(families, When::Early) });
                    VANISHES_AT.store(usize::MAX, Relaxed);
                }
                // SAFETY: outside every section.
                unsafe { (flavor.fork_before)() };
                let child = forked::start(|| {
                    // SAFETY: in the child.
                    unsafe { (flavor.fork_after_child)() };
                    {
                        let _section = flavor.pin();
                        // SAFETY: inside a section; added above.
                        assert!(unsafe { table.del(node) }.is_ok());
                    }
                    // SAFETY: outside every section.
                    assert_eq!(unsafe { (flavor.try_synchronize)() }, 0);
                    // SAFETY: a grace period after its removal.
                    unsafe { sys::unmap_pages(page.cast(), 4096) };
                    table.resize(1024).expect("the child resizes its table");
                });
                // SAFETY: in the parent.
                unsafe { (flavor.fork_after_parent)() };
                child.succeeded();
                forget(table);
                // SAFETY: registered above.
                unsafe { (flavor.unregister_thread)() };
            })
            .succeeded();
    }

    /// A thread is handed a chunk, and has not begun when the next growth is at it.
    #[test]
    fn a_chunk_that_is_late_for_the_next_growth() {
        let _ = OwnProcess::new()
            .run(|| {
                let flavor = Mb::vtable();
                // SAFETY: any thread.
                assert_eq!(unsafe { (flavor.register_thread)() }, 0);
                let size = 4 * SMALL;
                let options = Options::new().auto_resize(false).initial(size).max(1 << 20).memory(BucketMemory::Order);
                let table = Table::new(flavor, options).expect("memory");
                let step = CHUNK / 2;
                let others_sweep = |late: usize, to: usize| {
                    grow(&table, to);
                    let _section = flavor.pin();
                    table.resize.cursor.fetch_add(late, Relaxed);
                    // SAFETY: inside a section.
                    while sure(unsafe { table.sweep() }) {}
                    assert_eq!(table.size(), to);
                };
                add(&table, 0..NODES);
                others_sweep(step, 2 * size);
                check(&table, NODES);
                others_sweep(0, 4 * size);
                check(&table, NODES);
                add(&table, NODES..2 * NODES);
                {
                    let _section = flavor.pin();
                    let late = Families { parents: 0..step, from: size, to: 2 * size };
                    // SAFETY: inside a section; the chunk that nobody else was handed.
                    sure(unsafe { table.make_families(late, When::Late) });
                }
                check(&table, 2 * NODES);
                for buckets in [32 * size, size / 2, 16 * size] {
                    table.resize(buckets).expect("memory");
                    check(&table, 2 * NODES);
                }
                forget(table);
                // SAFETY: registered above.
                unsafe { (flavor.unregister_thread)() };
            })
            .succeeded();
    }
}

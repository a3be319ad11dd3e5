//! Putting new buckets into the list: those that are split off one bucket together, as a family.
//!
//! In the list, the children of a bucket lie between it and what follows, among its nodes. Those between which there is no node
//! are linked to each other while nobody sees them, and go in by one exchange. So a bucket costs little more than the store of
//! its link while there are few nodes.

use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::NonNull;

use urcu_core::sync::modelled::Ordering;

use super::ground::Ground;
use super::lookup::{Start, load};
use super::resize::MOST_STEP;
use super::split_order::order_of;
use super::table::Table;
use super::update::{Side, Spot, set_flag, swing};
use super::word::{BucketTag, Link, Node, READY, Word, prefetch};

/// Whether somebody may begin at new buckets as soon as they are in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// No: the one who makes them publishes the size, when all are made.
    Early,
    /// Yes: the size may have been published by somebody else.
    Late,
}

/// Families of consecutive parents.
#[derive(Clone, Debug)]
pub(super) struct Families {
    /// Below `from`.
    pub(super) parents: Range<usize>,
    /// The sizes before and after.
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The same child of all parents, in consecutive memory of one segment.
#[derive(Clone, Copy)]
struct Siblings<'t> {
    /// The first parent's.
    first: &'t Link,
    tag: BucketTag,
    /// What is added to the parent's index.
    offset: usize,
}

impl<'t> Siblings<'t> {
    /// Those of so many parents, no more than there are.
    fn column(&self, parents: usize) -> &'t [Link] {
        // SAFETY: the siblings' memory was found to be in one piece, and consists of initialised links, which are atomics.
        unsafe { core::slice::from_raw_parts(self.first, parents) }
    }
}

/// All siblings of families, in the order of the list.
struct Plan<'t> {
    siblings: [MaybeUninit<Siblings<'t>>; MOST_STEP - 1],
    count: usize,
    first_parent: usize,
    /// Of the parents' table.
    order: u32,
    /// How many more the children's has.
    bits: u32,
    /// By those bits of a node's hash, how many siblings are before it.
    before: [u8; MOST_STEP],
}

impl Plan<'_> {
    #[inline]
    fn siblings(&self, number: usize) -> &Siblings<'_> {
        debug_assert!(number < self.count);
        // SAFETY: the callers count to `count`, and as many are initialised.
        unsafe { self.siblings[number].assume_init_ref() }
    }

    #[inline]
    fn link(&self, number: usize, parent: usize) -> &Link {
        let first: *const Link = self.siblings(number).first;
        // SAFETY: the siblings' memory was found to be in one piece.
        let link = unsafe { first.add(parent - self.first_parent) };
        // SAFETY: as above; links are initialised.
        unsafe { &*link }
    }
}

/// The member of each family before whose exchange the thread vanishes, as it does for a forked child.
#[cfg(all(test, not(urcu_loom)))]
pub(super) static VANISHES_AT: urcu_core::sync::modelled::AtomicUsize =
    urcu_core::sync::modelled::AtomicUsize::new(usize::MAX);

impl<G: Ground> Table<G> {
    /// Puts the buckets into the list that are split off some. Called once for each parent: the sweep of a growth hands each to
    /// one thread. Until it is done, searches begin at the parent or before. Nobody waits.
    ///
    /// Lock-free.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor, in which a growth to `families.to` was seen, or with the turn. The new buckets are
    /// fresh and the caller's to make. [`When::Early`]: the caller alone publishes a size above `families.from`, afterwards.
    pub(super) unsafe fn make_families(&self, families: Families, when: When) -> Result<(), G::Stop> {
        // One allowance for all: what is between them is passed once.
        let mut steps = self.buckets.ground.steps();
        // SAFETY: as promised.
        unsafe { self.make_families_within(families, when, &mut steps) }
    }

    /// # Safety
    ///
    /// As [`make_families`](Self::make_families).
    unsafe fn make_families_within(&self, families: Families, when: When, steps: &mut G::Steps) -> Result<(), G::Stop> {
        let Families { parents, from, to } = families;
        let order = order_of(from);
        let bits = order_of(to) - order;
        let mut plan = Plan {
            siblings: [MaybeUninit::uninit(); MOST_STEP - 1],
            count: (1 << bits) - 1,
            first_parent: parents.start,
            order,
            bits,
            before: [0; MOST_STEP],
        };
        for number in 0..plan.count {
            let offset = (number + 1).reverse_bits() >> (usize::BITS - bits) << order;
            let (first, last) = (parents.start + offset, parents.end - 1 + offset);
            if !self.buckets.are_together(first, last) {
                let middle = parents.start.midpoint(parents.end);
                for parents in [parents.start..middle, middle..parents.end] {
                    // SAFETY: as promised.
                    unsafe { self.make_families_within(Families { parents, from, to }, when, steps) }?;
                }
                return Ok(());
            }
            // SAFETY: as promised: below the growth (invariant 1 of `Table`).
            let link = unsafe { self.buckets.at(first) }?;
            if !G::OWNED {
                // Shared memory might say that they are elsewhere.
                // SAFETY: as above.
                let end = unsafe { self.buckets.at(last) }?;
                if !core::ptr::eq(core::ptr::from_ref(link).wrapping_add(last - first), end) {
                    return self.buckets.ground.nonsense();
                }
            }
            let tag = self.buckets.tag_of(first);
            // At most 63.
            #[allow(clippy::cast_possible_truncation)]
            let before = (number + 1) as u8;
            plan.before[offset >> order] = before;
            plan.siblings[number].write(Siblings { first: link, tag, offset });
        }
        // Nobody begins at a bucket that no size has: it can be ready from the beginning.
        let flags = if when == When::Early { READY } else { 0 };
        self.chain_siblings(&plan, parents.len(), flags);
        /// Families between what is prefetched and what is made.
        const AHEAD: usize = 16;
        /// The nodes of smaller tables are in the cache.
        const FETCHED: usize = 1 << 12;
        for parent in parents.clone() {
            if from >= FETCHED {
                // SAFETY: as promised.
                unsafe { self.prefetch_for_family(&plan, (parent + AHEAD).min(parents.end - 1)) };
            }
            // SAFETY: as promised.
            let start = unsafe { self.start_at(parent, plan.order) }?;
            // SAFETY: as promised.
            let made = unsafe { self.make_chained(&plan, parent, start, flags, steps) }?;
            if made < plan.count {
                // SAFETY: as promised.
                unsafe { self.make_family(&plan, parent, made, flags, steps) }?;
            }
            if when == When::Late {
                for number in 0..plan.count {
                    // Now it is in the list, others may have changed its link; and it may be started at. PAIR(lfht-link)
                    set_flag(plan.link(number, parent), READY);
                }
            }
        }
        Ok(())
    }

    /// Links the children of each parent to each other, but for the last ones: as they will be where there is no node between them.
    /// Column by column, which is nothing but stores.
    fn chain_siblings(&self, plan: &Plan<'_>, parents: usize, flags: usize) {
        for number in 1..plan.count {
            let (siblings, before) = (*plan.siblings(number), plan.siblings(number - 1).column(parents));
            // Names are addresses or distances: either way, those of an array's elements are as far apart as these.
            let first =
                Word::to_bucket(self.buckets.ground.name(NonNull::from(siblings.first)), siblings.tag).with(flags);
            for (parent, link) in before.iter().enumerate() {
                // Relaxed: not reachable yet; published by the exchange that puts the first one in. PAIR(lfht-link)
                link.store(first.beyond(parent).0, Ordering::Relaxed);
            }
        }
    }

    /// Puts a family in that was [chained](Self::chain_siblings), from `start` on, as long as nobody else changes anything there
    /// and nothing is removed. How many siblings it has put in.
    ///
    /// Nodes of the parent have its low bits in common, so the next few bits of their hashes say how many siblings belong before
    /// each. Those that follow them lie behind all siblings, so it is not wrong to put some before one of them; but none is passed. (The
    /// next bucket, which should be between, is not in the list if its own chunk of the growth before is late.)
    ///
    /// # Safety
    ///
    /// As [`make_families`](Self::make_families); `start` was found for `parent`, which is one of the plan's.
    #[inline(always)]
    unsafe fn make_chained(
        &self,
        plan: &Plan<'_>,
        parent: usize,
        start: Start<'_>,
        flags: usize,
        steps: &mut G::Steps,
    ) -> Result<usize, G::Stop> {
        let Start { mut link, mut word, order } = start;
        let mut made = 0;
        if order != plan.order {
            return Ok(made);
        }
        loop {
            let (node, before) = if word.is_bucket() {
                if word.level() > order {
                    return Ok(made);
                }
                (None, plan.count)
            } else {
                // SAFETY: reached in this section.
                let node = unsafe { self.node_at(word) }?;
                let bits = match word.bits(order, plan.bits) {
                    Some(bits) => bits,
                    None => node.hash::<G>() >> order & ((1 << plan.bits) - 1),
                };
                (Some(node), usize::from(plan.before[bits]))
            };
            if made < before {
                #[cfg(all(test, not(urcu_loom)))]
                if made != 0 && made == VANISHES_AT.load(Ordering::Relaxed) {
                    return Ok(plan.count);
                }
                // Relaxed: not reachable yet; published by the exchange below. PAIR(lfht-link)
                plan.link(before - 1, parent).store(word.target().with(flags).0, Ordering::Relaxed);
                let first = self.buckets.ground.name(NonNull::from(plan.link(made, parent)));
                if swing(link, word, Word::to_bucket(first, plan.siblings(made).tag)).is_err() {
                    return Ok(made);
                }
                made = before;
            }
            let Some(node) = node.filter(|_| made < plan.count) else { return Ok(made) };
            self.step(steps)?;
            link = &node.links().next;
            word = load(link);
            let is_parents = node.hash::<G>() & ((1 << order) - 1) == parent;
            if word.is_removed() || !is_parents {
                return Ok(made);
            }
        }
    }

    /// Has the cache fetch what [`make_family`](Self::make_family) will look at.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    unsafe fn prefetch_for_family(&self, plan: &Plan<'_>, parent: usize) {
        // SAFETY: smaller than the size.
        let Ok(link) = (unsafe { self.buckets.at(parent) }) else { return };
        // Relaxed: nothing is read there on the strength of it.
        let word = Word(link.load(Ordering::Relaxed));
        // If the first node is behind the last child, nobody looks at it. A parent that is not ready (its own chunk of the growth before
        // is late) has no link yet. Without a branch: which of these it is cannot be predicted, and any address will do.
        let last = parent | plan.siblings(plan.count - 1).offset;
        let is_looked_at = word.is_ready() & !word.is_bucket() & !word.ends_search(last, plan.order);
        let name =
            if is_looked_at { word.node() } else { self.buckets.ground.name(NonNull::from(link)).cast::<Node>() };
        // SAFETY: read from a link; the target need not be there any more, but nothing is read.
        if let Ok(node) = unsafe { self.buckets.ground.resolve(name) } {
            prefetch(node.as_ptr());
        }
    }

    /// Puts the siblings of a family in from the one with number `first` on, whatever happens there meanwhile.
    ///
    /// # Safety
    ///
    /// As [`make_families`](Self::make_families); `parent` is one of the plan's.
    #[cold]
    #[inline(never)]
    unsafe fn make_family(
        &self,
        plan: &Plan<'_>,
        parent: usize,
        mut first: usize,
        flags: usize,
        steps: &mut G::Steps,
    ) -> Result<(), G::Stop> {
        let index = |number| parent | plan.siblings(number).offset;
        // SAFETY: as promised.
        let mut start = unsafe { self.start_at(parent, plan.order) }?;
        while first < plan.count {
            let spot = if start.word.ends_search(index(first), start.order) {
                Some(Spot { link: start.link, word: start.word, passed: 0 })
            } else {
                // SAFETY: as promised.
                unsafe { self.seek_from(start, index(first), Side::Before, steps) }?
            };
            let Some(spot) = spot else {
                // SAFETY: as promised.
                start = unsafe { self.start_at(parent, plan.order) }?;
                continue;
            };
            let mut end = first + 1;
            while end < plan.count && spot.word.ends_search(index(end), start.order) {
                end += 1;
            }
            let mut next = spot.word.target();
            for number in (first..end).rev() {
                let link = plan.link(number, parent);
                // Relaxed: not reachable yet; published by the exchange below. PAIR(lfht-link)
                link.store(next.with(flags).0, Ordering::Relaxed);
                next = Word::to_bucket(self.buckets.ground.name(NonNull::from(link)), plan.siblings(number).tag);
            }
            #[cfg(all(test, not(urcu_loom)))]
            if first == VANISHES_AT.load(Ordering::Relaxed) {
                return Ok(());
            }
            if swing(spot.link, spot.word, next).is_err() {
                // SAFETY: as promised.
                start = unsafe { self.start_at(parent, plan.order) }?;
                continue;
            }
            let link = plan.link(end - 1, parent);
            start = Start { link, word: load(link), order: start.order };
            first = end;
        }
        Ok(())
    }
}

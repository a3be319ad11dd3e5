//! Reading: lookup, duplicates, traversal, counting. Wait-free, without a store.

use core::convert::Infallible;
use core::marker::PhantomData;
use core::ptr::NonNull;

use urcu_core::sync::modelled::Ordering;

use super::ground::Ground;
use super::split_order::{is_behind, order_of, parent_of};
use super::table::Table;
use super::word::{Link, Node, Word};

/// A place in a table, found by a lookup or a traversal: a node and what followed it at that moment.
///
/// Layout of the C library's `cds_lfht_iter`. A copy is as good as the original. Valid within the section that it
/// was made in.
#[doc(alias = "cds_lfht_iter")]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Iter {
    node: *mut Node,
    next: *mut Node,
}

impl Iter {
    const NONE: Self = Self { node: core::ptr::null_mut(), next: Word::END.0 };

    #[inline]
    fn at(node: NonNull<Node>, next: Word) -> Self {
        Self { node: node.as_ptr(), next: next.0 }
    }

    /// The node, if there is one.
    #[doc(alias = "cds_lfht_iter_get_node")]
    #[inline]
    pub fn node(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.node)
    }
}

/// What [`Table::count_nodes`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCount {
    /// The sum of the counters before the walk; 0 without accounting.
    pub approximate_before: i64,
    /// Nodes met by the walk.
    pub nodes: usize,
    /// The sum of the counters after the walk; 0 without accounting.
    pub approximate_after: i64,
}

/// Where a search begins: a bucket that is in the list, its contents, and how many bits all of it has in common with the
/// hash that is searched.
#[derive(Clone, Copy)]
pub(super) struct Start<'t> {
    pub(super) link: &'t Link,
    pub(super) word: Word,
    pub(super) order: u32,
}

/// A node that was reached in the list. The pointer is to the caller's whole object.
#[derive(Clone, Copy)]
pub(super) struct Seen<'s> {
    /// Alive for `'s`, and linked, or it was.
    pub(super) pointer: NonNull<Node>,
    section: PhantomData<&'s Node>,
}

impl<'s> Seen<'s> {
    /// # Safety
    ///
    /// The node is alive for `'s`, and its hash was written before the caller learned of it. In a mapping that stays so
    /// long, any place will do.
    #[inline(always)]
    pub(super) unsafe fn new(pointer: NonNull<Node>) -> Self {
        Self { pointer, section: PhantomData }
    }

    #[inline(always)]
    pub(super) fn links(self) -> &'s Node {
        // SAFETY: alive, and all of it atomics.
        unsafe { self.pointer.as_ref() }
    }

    #[inline(always)]
    pub(super) fn hash<G: Ground>(self) -> usize {
        let place = &self.links().hash;
        if G::OWNED {
            // SAFETY: written before the node was linked (PAIR(lfht-link)), so nobody writes it now; the compiler makes better code
            // of this than of an atomic load.
            unsafe { place.as_ptr().read() }
        } else {
            // Relaxed: published with the node. PAIR(lfht-link)
            place.load(Ordering::Relaxed)
        }
    }
}

/// What a walk of trusted links gives: there is no error to be had.
#[inline(always)]
pub(super) fn sure<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

#[inline]
pub(super) fn load(link: &Link) -> Word {
    // Acquire pairs with the Release of whoever linked the target: its fields are initialised. PAIR(lfht-link)
    Word(link.load(Ordering::Acquire))
}

impl<G: Ground> Table<G> {
    /// The node that was reached in the list.
    ///
    /// # Errors
    ///
    /// In shared memory: there can be none.
    ///
    /// # Safety
    ///
    /// `word` points to a node, and came from a link of this table in the caller's section (or from a place where the caller keeps
    /// its target alive).
    #[inline]
    pub(super) unsafe fn node_at<'s>(&self, word: Word) -> Result<Seen<'s>, G::Stop> {
        // SAFETY: read from a link.
        let node = unsafe { self.buckets.ground.resolve(word.node()) }?;
        // SAFETY: linked nodes live until a grace period after they were removed, which the section holds off. In shared memory:
        // the mapping stays, and all of it can be seen as nodes.
        Ok(unsafe { Seen::new(node) })
    }

    /// As [`node_at`](Self::node_at), for buckets.
    ///
    /// # Safety
    ///
    /// `word` points to a bucket (not the end of the list), under the same conditions.
    #[inline]
    pub(super) unsafe fn bucket_at<'s>(&self, word: Word) -> Result<&'s Link, G::Stop> {
        // SAFETY: read from a link.
        let bucket = unsafe { self.buckets.ground.resolve(word.bucket()) }?;
        // SAFETY: the memory of buckets in the list lives until a grace period after they were removed.
        Ok(unsafe { bucket.as_ref() })
    }

    /// One step of a walk that may take so many.
    #[inline(always)]
    pub(super) fn step(&self, steps: &mut G::Steps) -> Result<(), G::Stop> {
        self.buckets.ground.step(steps)
    }

    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[inline]
    pub(super) unsafe fn start(&self, hash: usize) -> Result<Start<'_>, G::Stop> {
        // Acquire pairs with the Release that made this the size: the buckets' memory is there. PAIR(lfht-size)
        let size = self.size.load(Ordering::Acquire);
        let index = hash & size.wrapping_sub(1);
        // SAFETY: below a size seen in this section (invariant 1 of `Table`).
        let link = unsafe { self.buckets.at(index) }?;
        let word = load(link);
        if word.is_ready() {
            return Ok(Start { link, word, order: order_of(size) });
        }
        // SAFETY: as promised, and `index` as above.
        unsafe { self.start_at_ancestor(index) }
    }

    /// Where to begin when the bucket `index` is not in the list yet: at one that it is split off from.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor, in which a size above `index` was seen; or the caller keeps the memory of the
    /// buckets up to `index` in place.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn start_at_ancestor(&self, index: usize) -> Result<Start<'_>, G::Stop> {
        let mut index = index;
        // Ends at bucket 0, which is ready (invariant 4 of `Table`).
        loop {
            if index == 0 {
                return self.buckets.ground.nonsense();
            }
            let (parent, order) = parent_of(index);
            // SAFETY: smaller than `index`.
            let link = unsafe { self.buckets.at(parent) }?;
            let word = load(link);
            if word.is_ready() {
                return Ok(Start { link, word, order });
            }
            index = parent;
        }
    }

    /// Whether the bucket that `word` points to lies behind `hash`. Buckets of larger tables lie inside smaller ones' while
    /// the table grows or shrinks.
    #[cold]
    #[inline(never)]
    pub(super) fn lies_behind(&self, word: Word, hash: usize) -> Result<bool, G::Stop> {
        Ok(is_behind(self.buckets.index_of(word)?, hash))
    }

    /// See [`lookup`](Table::lookup).
    ///
    /// # Errors
    ///
    /// In shared memory: what a link leads to cannot be.
    ///
    /// # Safety
    ///
    /// As there. In shared memory, whose contents are whatever somebody wrote there, `matches` is given places with room for a
    /// [`Node`]: it has to check that there is room for more.
    #[inline]
    pub unsafe fn try_lookup(
        &self,
        hash: usize,
        mut matches: impl FnMut(NonNull<Node>) -> bool,
    ) -> Result<Iter, G::Stop> {
        let mut steps = self.buckets.ground.steps();
        // SAFETY: inside a section.
        let Start { mut word, order, .. } = unsafe { self.start(hash) }?;
        loop {
            self.step(&mut steps)?;
            // First, whether it may be the one: so a search that has to pass another node knows that as soon as it has the link, and
            // the processor has not begun what follows in vain until that node has come from memory.
            if !word.can_be(hash) {
                if word.ends_search(hash, order) {
                    return Ok(Iter::NONE);
                }
                if word.is_bucket() {
                    if self.lies_behind(word, hash)? {
                        return Ok(Iter::NONE);
                    }
                    // SAFETY: reached in this section, and not the end, which is of level 0.
                    word = load(unsafe { self.bucket_at(word) }?);
                    continue;
                }
            }
            // SAFETY: reached in this section.
            let node = unsafe { self.node_at(word) }?;
            let next = load(&node.links().next);
            let found = node.hash::<G>();
            if found == hash {
                if !next.is_removed() && matches(node.pointer) {
                    return Ok(Iter::at(node.pointer, next));
                }
            } else if is_behind(found, hash) {
                return Ok(Iter::NONE);
            }
            word = next;
        }
    }

    /// See [`next_duplicate`](Table::next_duplicate).
    ///
    /// # Errors
    ///
    /// As [`try_lookup`](Self::try_lookup).
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    pub unsafe fn try_next_duplicate(
        &self,
        iter: Iter,
        mut matches: impl FnMut(NonNull<Node>) -> bool,
    ) -> Result<Iter, G::Stop> {
        let Some(start) = iter.node() else { return Ok(Iter::NONE) };
        let mut steps = self.buckets.ground.steps();
        // SAFETY: seen in this section.
        let hash = unsafe { Seen::new(start) }.hash::<G>();
        let mut word = Word(iter.next);
        // A bucket lies before all nodes of its hash, so none lies between two of them.
        while !word.is_bucket() {
            self.step(&mut steps)?;
            // SAFETY: reached in this section.
            let node = unsafe { self.node_at(word) }?;
            let next = load(&node.links().next);
            if node.hash::<G>() != hash {
                break;
            }
            if !next.is_removed() && matches(node.pointer) {
                return Ok(Iter::at(node.pointer, next));
            }
            word = next;
        }
        Ok(Iter::NONE)
    }

    /// See [`first`](Table::first). `steps`: the allowance of a whole traversal, from [`Space::steps`](urcu_core::space::Space::steps).
    ///
    /// # Errors
    ///
    /// As [`try_lookup`](Self::try_lookup).
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn try_first(&self, steps: &mut G::Steps) -> Result<Iter, G::Stop> {
        // SAFETY: every table has it (invariant 1 of `Table`).
        let start = unsafe { self.buckets.at(0) }?;
        // SAFETY: read in this section.
        unsafe { self.walk(load(start), steps) }
    }

    /// See [`next`](Table::next). In shared memory, `steps` are those that [`try_first`](Self::try_first) was given.
    ///
    /// # Errors
    ///
    /// As [`try_lookup`](Self::try_lookup).
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn try_next(&self, iter: Iter, steps: &mut G::Steps) -> Result<Iter, G::Stop> {
        if iter.node.is_null() {
            return Ok(Iter::NONE);
        }
        // SAFETY: read in this section.
        unsafe { self.walk(Word(iter.next), steps) }
    }

    /// # Safety
    ///
    /// Inside the section that `word` was read in.
    unsafe fn walk(&self, mut word: Word, steps: &mut G::Steps) -> Result<Iter, G::Stop> {
        loop {
            self.step(steps)?;
            if word.is_bucket() {
                if word.level() == 0 {
                    return Ok(Iter::NONE);
                }
                // SAFETY: reached in this section, and not the end.
                word = load(unsafe { self.bucket_at(word) }?);
                continue;
            }
            // SAFETY: reached in this section.
            let node = unsafe { self.node_at(word) }?;
            let next = load(&node.links().next);
            if !next.is_removed() {
                return Ok(Iter::at(node.pointer, next));
            }
            word = next;
        }
    }

    /// The sum of the counters, 0 without accounting. Any context. O(processors).
    pub fn approximate_len(&self) -> i64 {
        self.counters.as_ref().map_or(0, super::count::Counters::sum)
    }
}

impl Table {
    /// The first node with this hash for which `matches` says so.
    ///
    /// Wait-free: it takes as many steps as the bucket has nodes.
    ///
    /// # Safety
    ///
    /// - Inside a section of the table's flavor.
    /// - `matches` reads no more of a node's object than was initialised before it was added; the object may be removed already.
    #[doc(alias = "cds_lfht_lookup")]
    #[inline]
    pub unsafe fn lookup(&self, hash: usize, matches: impl FnMut(NonNull<Node>) -> bool) -> Iter {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_lookup(hash, matches) })
    }

    /// The next node behind `iter` with the same hash for which `matches` says so. None if `iter` has no node.
    ///
    /// Wait-free.
    ///
    /// # Safety
    ///
    /// As [`lookup`](Self::lookup); `iter` was made in this section, by this table.
    #[doc(alias = "cds_lfht_next_duplicate")]
    #[inline]
    pub unsafe fn next_duplicate(&self, iter: Iter, matches: impl FnMut(NonNull<Node>) -> bool) -> Iter {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_next_duplicate(iter, matches) })
    }

    /// The first node of the table, in split order.
    ///
    /// Wait-free.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[doc(alias = "cds_lfht_first")]
    pub unsafe fn first(&self) -> Iter {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_first(&mut ()) })
    }

    /// The node behind `iter`, whatever its hash. None if `iter` has no node.
    ///
    /// Wait-free.
    ///
    /// # Safety
    ///
    /// Inside the section that `iter` was made in, by this table.
    #[doc(alias = "cds_lfht_next")]
    #[doc(alias = "cds_lfht_for_each")]
    pub unsafe fn next(&self, iter: Iter) -> Iter {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_next(iter, &mut ()) })
    }

    /// Counts the nodes by a walk, and by the counters before and after it.
    ///
    /// The walk takes O(n) steps in nodes and buckets, all in one section.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[doc(alias = "cds_lfht_count_nodes")]
    pub unsafe fn count_nodes(&self) -> NodeCount {
        let approximate_before = self.approximate_len();
        let mut nodes = 0;
        // SAFETY: inside a section.
        let mut iter = unsafe { self.first() };
        while iter.node().is_some() {
            nodes += 1;
            // SAFETY: the same section.
            iter = unsafe { self.next(iter) };
        }
        NodeCount { approximate_before, nodes, approximate_after: self.approximate_len() }
    }
}

/// Whether the node has been removed, replaced, or was made by [`Node::new_deleted`]. No barrier. Wait-free.
///
/// # Safety
///
/// The node is alive: seen in the calling thread's section, or not in a table.
#[doc(alias = "cds_lfht_is_node_deleted")]
#[inline]
pub unsafe fn is_node_deleted(node: NonNull<Node>) -> bool {
    // SAFETY: as promised.
    let node = unsafe { node.as_ref() };
    // Relaxed: a test, as documented. The flag is never taken back while the node can be found.
    Word(node.next.load(Ordering::Relaxed)).is_removed()
}

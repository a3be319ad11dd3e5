//! Changing: search with help, insertion, replacement, removal, and putting buckets into the list. Lock-free.
//!
//! # Memory order
//!
//! A node's fields are written before the one compare-and-swap that links it (Release); who follows the link has them
//! (Acquire). PAIR(lfht-link). The compare-and-swaps that commit an update are SeqCst: on one location after another they form
//! one order with all other SeqCst operations, as the C library's full barriers around them do.

use core::ptr::NonNull;

use urcu_core::sync::modelled::Ordering;

use super::error::{NotFound, ReplaceError};
use super::ground::Ground;
use super::lookup::{Iter, Seen, Start, load, sure};
use super::split_order::{is_behind, order_of};
use super::table::Table;
use super::word::{Link, Node, REMOVED, Word, is_linkable};

/// Before or behind the nodes that have the hash that is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    Behind,
}

/// A place to insert at: a link that was not removed, and what was in it.
pub(super) struct Spot<'t> {
    pub(super) link: &'t Link,
    pub(super) word: Word,
    /// Nodes with other hashes on the way, each hash once.
    pub(super) passed: u32,
}

/// Swaps `link` from `old` to point where `new` points. The flags of the place stay.
#[inline]
pub(super) fn swing(link: &Link, old: Word, new: Word) -> Result<Word, ()> {
    let new = new.at_place_of(old);
    // SeqCst: the head of the module; Release for the target's fields. PAIR(lfht-link)
    // Relaxed when it fails: the caller searches anew.
    match link.compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::Relaxed) {
        Ok(_) => Ok(new),
        Err(_) => Err(()),
    }
}

/// Sets a flag of the place; the word before, without the flag, or `None` if it was set already.
#[inline]
pub(super) fn set_flag(link: &Link, flag: usize) -> Option<Word> {
    let mut word = load(link);
    loop {
        if word.0.addr() & flag != 0 {
            return None;
        }
        // SeqCst: the removal is committed here. Acquire when it fails: the word is followed.
        match link.compare_exchange_weak(word.0, word.with(flag).0, Ordering::SeqCst, Ordering::Acquire) {
            Ok(_) => return Some(word),
            Err(found) => word = Word(found),
        }
    }
}

/// Takes what `word`, found in `link`, points to out of the list: it is removed, and `next` is behind it. What to look at
/// next in `link`; `None` to begin anew.
#[cold]
#[inline(never)]
fn take_out(link: &Link, word: Word, next: Word) -> Option<Word> {
    if let Ok(now) = swing(link, word, next) {
        return Some(now);
    }
    let now = load(link);
    (!now.is_removed()).then_some(now)
}

impl<G: Ground> Table<G> {
    /// The order of the table, for the tags of new links.
    #[inline]
    fn order_now(&self) -> u32 {
        // Relaxed: any order gives a right tag.
        order_of(self.size.load(Ordering::Relaxed))
    }

    /// Where a search begins whose target is in the bucket `index` of tables of `order`.
    ///
    /// # Safety
    ///
    /// As [`start_at_ancestor`](Self::start_at_ancestor).
    #[inline]
    pub(super) unsafe fn start_at(&self, index: usize, order: u32) -> Result<Start<'_>, G::Stop> {
        // SAFETY: as promised.
        let link = unsafe { self.buckets.at(index) }?;
        let word = load(link);
        if word.is_ready() {
            return Ok(Start { link, word, order });
        }
        // SAFETY: as promised.
        unsafe { self.start_at_ancestor(index) }
    }

    /// Finds where a node (or bucket) with this hash belongs, and takes out whatever has been removed on the way:
    /// when it returns, nothing that was removed before, with this hash and on the chosen side of the place, is in the list.
    ///
    /// Lock-free: it begins anew only when another thread has changed the list where it was.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor.
    #[inline(always)]
    unsafe fn seek(&self, hash: usize, side: Side, steps: &mut G::Steps) -> Result<(Spot<'_>, u32), G::Stop> {
        loop {
            // SAFETY: inside a section.
            let start = unsafe { self.start(hash) }?;
            // SAFETY: inside a section.
            if let Some(spot) = unsafe { self.seek_from(start, hash, side, steps) }? {
                return Ok((spot, start.order));
            }
        }
    }

    /// As [`seek`](Self::seek), from `start`; `None` to begin anew.
    ///
    /// # Safety
    ///
    /// Inside the section that `start` was found in.
    #[inline(always)]
    pub(super) unsafe fn seek_from<'t>(
        &'t self,
        start: Start<'t>,
        hash: usize,
        side: Side,
        steps: &mut G::Steps,
    ) -> Result<Option<Spot<'t>>, G::Stop> {
        let Start { mut link, mut word, order } = start;
        let mut passed = 0;
        let mut last_hash = None;
        loop {
            self.step(steps)?;
            // `word` is what was in `link`, without `REMOVED`.
            if word.ends_search(hash, order) {
                return Ok(Some(Spot { link, word, passed }));
            }
            if word.is_bucket() {
                if self.lies_behind(word, hash)? {
                    return Ok(Some(Spot { link, word, passed }));
                }
                // SAFETY: reached in this section, and not the end, which is of level 0.
                let bucket = unsafe { self.bucket_at(word) }?;
                let next = load(bucket);
                if next.is_removed() {
                    let Some(now) = take_out(link, word, next) else { return Ok(None) };
                    word = now;
                } else {
                    (link, word) = (bucket, next);
                }
                continue;
            }
            // SAFETY: reached in this section.
            let node = unsafe { self.node_at(word) }?;
            let next = load(&node.links().next);
            if next.is_removed() {
                let Some(now) = take_out(link, word, next) else { return Ok(None) };
                word = now;
                continue;
            }
            let found = node.hash::<G>();
            if is_behind(found, hash) || (found == hash && side == Side::Before) {
                return Ok(Some(Spot { link, word, passed }));
            }
            if last_hash != Some(found) {
                passed += 1;
                last_hash = Some(found);
            }
            (link, word) = (&node.links().next, next);
        }
    }

    /// Writes a node's own fields, before it is linked.
    ///
    /// # Safety
    ///
    /// The node is the caller's alone.
    #[inline]
    #[track_caller]
    unsafe fn prepare(&self, node: NonNull<Node>, hash: usize) {
        if !is_linkable(self.buckets.ground.name(node)) {
            not_linkable(node);
        }
        // SAFETY: the caller has the node for itself.
        unsafe { node.as_ref() }.set_hash(hash);
    }

    /// Links a prepared node at `spot`.
    ///
    /// # Safety
    ///
    /// The node is the caller's alone, and belongs there.
    #[inline]
    unsafe fn link(&self, spot: &Spot<'_>, node: NonNull<Node>, hash: usize, order: u32) -> Result<(), ()> {
        // SAFETY: the caller has the node for itself.
        let own = unsafe { node.as_ref() };
        // Relaxed: not reachable yet; published by the next line. PAIR(lfht-link)
        own.next.store(spot.word.target().0, Ordering::Relaxed);
        let name = self.buckets.ground.name(node);
        swing(spot.link, spot.word, Word::to_node(name, hash, order)).map(|_| ())
    }

    /// See [`add`](Table::add).
    ///
    /// # Errors
    ///
    /// In shared memory: what a link leads to cannot be. The node is not in the table.
    ///
    /// # Safety
    ///
    /// As there; in shared memory the node is in the mapping, and `matches` (where there is one) as for
    /// [`try_lookup`](Self::try_lookup).
    ///
    /// # Panics
    ///
    /// As there.
    #[inline]
    pub unsafe fn try_add(&self, hash: usize, node: NonNull<Node>) -> Result<(), G::Stop> {
        let mut steps = self.buckets.ground.steps();
        // SAFETY: the caller's own.
        unsafe { self.prepare(node, hash) };
        loop {
            // SAFETY: inside a section.
            let (spot, order) = unsafe { self.seek(hash, Side::Behind, &mut steps) }?;
            // SAFETY: the caller's own; behind all that are not larger.
            if unsafe { self.link(&spot, node, hash, order) }.is_ok() {
                // SAFETY: inside a section.
                unsafe { self.added(spot.passed) };
                return Ok(());
            }
        }
    }

    /// Looks for a node that matches from `spot` on, in front of which there is none with this hash.
    ///
    /// # Safety
    ///
    /// Inside the section that `spot` was found in.
    #[inline]
    unsafe fn find_equal(
        &self,
        spot: &Spot<'_>,
        hash: usize,
        order: u32,
        matches: &mut impl FnMut(NonNull<Node>) -> bool,
        steps: &mut G::Steps,
    ) -> Result<Option<(NonNull<Node>, Word)>, G::Stop> {
        let mut word = spot.word;
        // Mostly the tag says that what is behind the place has another hash: then it need not be fetched.
        while !word.is_bucket() && !word.ends_search(hash, order) {
            self.step(steps)?;
            // SAFETY: reached in this section.
            let node = unsafe { self.node_at(word) }?;
            let next = load(&node.links().next);
            if node.hash::<G>() != hash {
                break;
            }
            if !next.is_removed() && matches(node.pointer) {
                return Ok(Some((node.pointer, next)));
            }
            word = next;
        }
        Ok(None)
    }

    /// See [`add_unique`](Table::add_unique).
    ///
    /// # Errors
    ///
    /// As [`try_add`](Self::try_add).
    ///
    /// # Safety
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    #[inline]
    pub unsafe fn try_add_unique(
        &self,
        hash: usize,
        node: NonNull<Node>,
        mut matches: impl FnMut(NonNull<Node>) -> bool,
    ) -> Result<Option<NonNull<Node>>, G::Stop> {
        let mut steps = self.buckets.ground.steps();
        // SAFETY: the caller's own.
        unsafe { self.prepare(node, hash) };
        loop {
            // SAFETY: inside a section.
            let (spot, order) = unsafe { self.seek(hash, Side::Before, &mut steps) }?;
            // SAFETY: the same section.
            let equal = unsafe { self.find_equal(&spot, hash, order, &mut matches, &mut steps) }?;
            if let Some((found, _)) = equal {
                return Ok(Some(found));
            }
            // Whoever else adds this key has to change this very link.
            // SAFETY: the caller's own; in front of all that are not smaller.
            if unsafe { self.link(&spot, node, hash, order) }.is_ok() {
                // SAFETY: inside a section.
                unsafe { self.added(spot.passed) };
                return Ok(None);
            }
        }
    }

    /// See [`add_replace`](Table::add_replace).
    ///
    /// # Errors
    ///
    /// As [`try_add`](Self::try_add); but the old node may have been replaced, and still be in the list. Then the data are corrupt
    /// behind it.
    ///
    /// # Safety
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    #[inline]
    pub unsafe fn try_add_replace(
        &self,
        hash: usize,
        node: NonNull<Node>,
        mut matches: impl FnMut(NonNull<Node>) -> bool,
    ) -> Result<Option<NonNull<Node>>, G::Stop> {
        let mut steps = self.buckets.ground.steps();
        // SAFETY: the caller's own.
        unsafe { self.prepare(node, hash) };
        loop {
            // SAFETY: inside a section.
            let (spot, order) = unsafe { self.seek(hash, Side::Before, &mut steps) }?;
            // SAFETY: the same section.
            let equal = unsafe { self.find_equal(&spot, hash, order, &mut matches, &mut steps) }?;
            if let Some((found, next)) = equal {
                // SAFETY: both as promised.
                if unsafe { self.swap(hash, found, next, node, &mut steps) }?.is_ok() {
                    return Ok(Some(found));
                }
                continue;
            }
            // SAFETY: as in `add_unique`.
            if unsafe { self.link(&spot, node, hash, order) }.is_ok() {
                // SAFETY: inside a section.
                unsafe { self.added(spot.passed) };
                return Ok(None);
            }
        }
    }

    /// See [`replace`](Table::replace).
    ///
    /// # Errors
    ///
    /// As [`try_add_replace`](Self::try_add_replace), around those of [`replace`](Table::replace).
    ///
    /// # Safety
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    #[inline]
    pub unsafe fn try_replace(
        &self,
        old: Iter,
        hash: usize,
        new: NonNull<Node>,
        matches: impl FnOnce(NonNull<Node>) -> bool,
    ) -> Result<Result<(), ReplaceError>, G::Stop> {
        let mut steps = self.buckets.ground.steps();
        let Some(node) = old.node() else { return Ok(Err(ReplaceError::NotFound)) };
        // SAFETY: found in this section.
        let found = unsafe { Seen::new(node) };
        if found.hash::<G>() != hash || !matches(node) {
            return Ok(Err(ReplaceError::Mismatch));
        }
        // SAFETY: the caller's own.
        unsafe { self.prepare(new, hash) };
        // SAFETY: as promised.
        let swapped = unsafe { self.swap(hash, node, load(&found.links().next), new, &mut steps) }?;
        Ok(swapped.map_err(|NotFound| ReplaceError::NotFound))
    }

    /// Puts `new` behind `old`, whose link was `next`, and removes `old`, in one step: who stands on `old` has seen it and goes on
    /// behind `new`, or sees that it is removed and goes on to `new`.
    ///
    /// # Safety
    ///
    /// Inside a section in which `old` was found; `new` is prepared, the caller's alone, and has the same hash.
    #[inline(never)]
    unsafe fn swap(
        &self,
        hash: usize,
        old: NonNull<Node>,
        next: Word,
        new: NonNull<Node>,
        steps: &mut G::Steps,
    ) -> Result<Result<(), NotFound>, G::Stop> {
        // SAFETY: found in this section.
        let link = &unsafe { old.as_ref() }.next;
        // SAFETY: the caller's own.
        let own = unsafe { new.as_ref() };
        let to_new = Word::to_node(self.buckets.ground.name(new), hash, self.order_now()).with(REMOVED);
        let mut next = next;
        loop {
            self.step(steps)?;
            if next.is_removed() {
                return Ok(Err(NotFound));
            }
            // Relaxed: not reachable yet; published by the next line. PAIR(lfht-link)
            own.next.store(next.target().0, Ordering::Relaxed);
            // SeqCst: the head of the module. PAIR(lfht-link)
            match link.compare_exchange(next.0, to_new.0, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => break,
                Err(found) => next = Word(found),
            }
        }
        // SAFETY: inside a section. Passes everything with this hash, and so takes the old node out.
        let _ = unsafe { self.seek(hash, Side::Behind, steps) }?;
        Ok(Ok(()))
    }

    /// See [`del`](Table::del).
    ///
    /// # Errors
    ///
    /// As [`try_add_replace`](Self::try_add_replace), around those of [`del`](Table::del).
    ///
    /// # Safety
    ///
    /// As there.
    #[inline]
    pub unsafe fn try_del(&self, node: NonNull<Node>) -> Result<Result<(), NotFound>, G::Stop> {
        // SAFETY: as promised.
        let removed = unsafe { Seen::new(node) };
        if set_flag(&removed.links().next, REMOVED).is_none() {
            return Ok(Err(NotFound));
        }
        let hash = removed.hash::<G>();
        let mut steps = self.buckets.ground.steps();
        // SAFETY: inside a section. Passes everything with this hash, and so takes the node out.
        let _ = unsafe { self.seek(hash, Side::Behind, &mut steps) }?;
        // SAFETY: inside a section.
        unsafe { self.deleted() };
        Ok(Ok(()))
    }

    /// Takes a bucket out of the list for ever, if it is there.
    ///
    /// # Safety
    ///
    /// Inside a section. No section is left that may start at it or put it into the list (two steps of shrinking ensure
    /// that).
    pub(super) unsafe fn unmake_bucket(&self, index: usize) -> Result<(), G::Stop> {
        if !self.buckets.is_there(index) {
            return Ok(());
        }
        // SAFETY: released only after this (the caller has the turn).
        let link = unsafe { self.buckets.at(index) }?;
        let word = load(link);
        if word == Word::FRESH {
            return Ok(());
        }
        set_flag(link, REMOVED);
        let mut steps = self.buckets.ground.steps();
        // Below the size, where every bucket that is ready is in the list. Of those above it, a forked child may find some ready that
        // its parent's thread had linked, and not put in yet: what these lead to is freed like anything that is not in the list.
        // Relaxed: nobody changes it during a shrinking.
        let size = self.size.load(Ordering::Relaxed);
        let (parent, order) = (index & (size - 1), order_of(size));
        loop {
            // SAFETY: the parent is below every size that the table can have meanwhile.
            let start = unsafe { self.start_at(parent, order) }?;
            // SAFETY: inside a section. Passes all buckets up to this one, and so takes it out.
            if unsafe { self.seek_from(start, index, Side::Before, &mut steps) }?.is_some() {
                return Ok(());
            }
        }
    }
}

impl Table {
    /// Adds a node, behind those with the same hash.
    ///
    /// Lock-free. Allocates nothing, unless the table resizes itself: then it may start a growth. Not for keys that are to stay
    /// unique.
    ///
    /// # Safety
    ///
    /// - Inside a section of the table's flavor.
    /// - The node is in no table, and the caller has it for itself. From now on it stays where it is until a grace period after
    ///   its removal, and its object is initialised.
    ///
    /// # Panics
    ///
    /// If the node's address is not a multiple of 8 or has one of its top 16 bits set.
    #[doc(alias = "cds_lfht_add")]
    #[inline]
    pub unsafe fn add(&self, hash: usize, node: NonNull<Node>) {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_add(hash, node) });
    }

    /// Adds a node unless there is one for which `matches` says so: then returns that one, and the new node is still the
    /// caller's alone.
    ///
    /// Lock-free. Takes its place in front of those with the same hash: that is what keeps its key unique.
    ///
    /// # Safety
    ///
    /// As [`add`](Self::add) and [`lookup`](Self::lookup). `matches` compares with the key of the new node.
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[doc(alias = "cds_lfht_add_unique")]
    #[inline]
    pub unsafe fn add_unique(
        &self,
        hash: usize,
        node: NonNull<Node>,
        matches: impl FnMut(NonNull<Node>) -> bool,
    ) -> Option<NonNull<Node>> {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_add_unique(hash, node, matches) })
    }

    /// Adds a node, in place of the one for which `matches` says so, if there is one: that one is returned, removed, and may
    /// be reclaimed after a grace period.
    ///
    /// Lock-free. A lookup finds either the old node or the new one, never neither, and a traversal never both.
    ///
    /// # Safety
    ///
    /// As [`add_unique`](Self::add_unique).
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[doc(alias = "cds_lfht_add_replace")]
    #[inline]
    pub unsafe fn add_replace(
        &self,
        hash: usize,
        node: NonNull<Node>,
        matches: impl FnMut(NonNull<Node>) -> bool,
    ) -> Option<NonNull<Node>> {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_add_replace(hash, node, matches) })
    }

    /// Replaces the node at `old` by `new`, at the same place in the list.
    ///
    /// Lock-free. The old node may be reclaimed after a grace period.
    ///
    /// # Errors
    ///
    /// [`ReplaceError::NotFound`] if `old` has no node, or it has been removed; [`ReplaceError::Mismatch`] if it has another hash,
    /// or `matches` denies it. The new node is then still the caller's alone.
    ///
    /// # Safety
    ///
    /// As [`add_unique`](Self::add_unique); `old` was found by this table in this section.
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    #[doc(alias = "cds_lfht_replace")]
    #[inline]
    pub unsafe fn replace(
        &self,
        old: Iter,
        hash: usize,
        new: NonNull<Node>,
        matches: impl FnOnce(NonNull<Node>) -> bool,
    ) -> Result<(), ReplaceError> {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_replace(old, hash, new, matches) })
    }

    /// Removes a node. It may be reclaimed, or added again, after a grace period.
    ///
    /// Lock-free. Of several callers exactly one succeeds.
    ///
    /// # Errors
    ///
    /// [`NotFound`] if it has been removed or replaced already.
    ///
    /// # Safety
    ///
    /// Inside a section of the table's flavor, in which the node was found; or the caller knows that nobody reclaims it. It was
    /// added to this table, or made by [`Node::new_deleted`].
    #[doc(alias = "cds_lfht_del")]
    #[inline]
    pub unsafe fn del(&self, node: NonNull<Node>) -> Result<(), NotFound> {
        // SAFETY: the caller's word.
        sure(unsafe { self.try_del(node) })
    }
}

#[cold]
#[track_caller]
fn not_linkable(node: NonNull<Node>) -> ! {
    panic!(
        "a node at {node:p} cannot be in a table: its address is not a multiple of 8, or uses one of the top 16 bits"
    )
}

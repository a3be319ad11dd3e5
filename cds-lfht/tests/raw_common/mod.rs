//! What the raw tier's tests share: entries, and a table of them with the operations as safe calls.

#![allow(dead_code, reason = "each test program uses a part")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use cds_lfht::raw::{BucketMemory, Iter, Node, Options, ReplaceError, Table, TableBox};
use structure_conformance::Tested;
use urcu_core::AnyGuard;

/// An object of a caller.
#[repr(C)]
pub(crate) struct Entry {
    node: Node,
    pub(crate) key: u64,
    pub(crate) value: u64,
    /// [`ALIVE`] until it is reclaimed: readers look at it.
    alive: AtomicU64,
}

const ALIVE: u64 = 0xA11F_E0B1_EC70_0002;

impl Entry {
    pub(crate) fn new(key: u64, value: u64) -> Box<Self> {
        Box::new(Self { node: Node::new(), key, value, alive: AtomicU64::new(ALIVE) })
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        assert_eq!(self.alive.load(Ordering::Relaxed), ALIVE, "seen after it was reclaimed");
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        assert_eq!(self.alive.swap(0, Ordering::Relaxed), ALIVE, "dropped twice");
    }
}

pub(crate) fn node_of(entry: Box<Entry>) -> NonNull<Node> {
    NonNull::from(Box::leak(entry)).cast()
}

/// The entry around a node that was seen in a section which `guard` stands for.
pub(crate) fn entry_of(node: NonNull<Node>, _guard: &impl AnyGuard) -> &Entry {
    // SAFETY: the node is the first field of an entry, which lives as long as the section.
    let entry = unsafe { node.cast::<Entry>().as_ref() };
    entry.check();
    entry
}

fn has_key(key: u64) -> impl FnMut(NonNull<Node>) -> bool + Copy {
    move |node| {
        // SAFETY: only used in sections, on nodes of entries.
        let entry = unsafe { node.cast::<Entry>().as_ref() };
        entry.check();
        entry.key == key
    }
}

/// Spreads keys over all bits.
pub(crate) fn good_hash(key: u64) -> usize {
    let mixed = (key ^ (key >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)) as usize
}

/// A table of entries.
pub(crate) struct Entries {
    pub(crate) table: Option<TableBox>,
    hash: fn(u64) -> usize,
}

impl Entries {
    pub(crate) fn new<F: Tested>(options: Options) -> Self {
        Self::hashed::<F>(options, good_hash)
    }

    pub(crate) fn hashed<F: Tested>(options: Options, hash: fn(u64) -> usize) -> Self {
        Self { table: Some(Table::new(F::vtable(), options).expect("valid options")), hash }
    }

    pub(crate) fn table(&self) -> &Table {
        self.table.as_ref().expect("there until it is dropped")
    }

    fn enter(&self, guard: &impl AnyGuard) -> &Table {
        let table = self.table();
        table.flavor().assert_guards(guard);
        table
    }

    pub(crate) fn add(&self, key: u64, value: u64, guard: &impl AnyGuard) {
        let node = node_of(Entry::new(key, value));
        // SAFETY: inside a section; a fresh node.
        unsafe { self.enter(guard).add((self.hash)(key), node) }
    }

    /// The entry that is there already.
    pub(crate) fn add_unique<'g>(&self, key: u64, value: u64, guard: &'g impl AnyGuard) -> Option<&'g Entry> {
        let node = node_of(Entry::new(key, value));
        // SAFETY: inside a section; a fresh node.
        let found = unsafe { self.enter(guard).add_unique((self.hash)(key), node, has_key(key)) };
        found.map(|found| {
            // SAFETY: rejected: still ours alone.
            drop(unsafe { Box::from_raw(node.cast::<Entry>().as_ptr()) });
            entry_of(found, guard)
        })
    }

    /// The entry that was there.
    pub(crate) fn add_replace<'g>(&self, key: u64, value: u64, guard: &'g impl AnyGuard) -> Option<&'g Entry> {
        let node = node_of(Entry::new(key, value));
        // SAFETY: inside a section; a fresh node.
        let old = unsafe { self.enter(guard).add_replace((self.hash)(key), node, has_key(key)) }?;
        let entry = entry_of(old, guard);
        self.retire(old);
        Some(entry)
    }

    pub(crate) fn lookup<'g>(&self, key: u64, guard: &'g impl AnyGuard) -> Option<&'g Entry> {
        self.find(key, guard).node().map(|node| entry_of(node, guard))
    }

    pub(crate) fn find(&self, key: u64, guard: &impl AnyGuard) -> Iter {
        // SAFETY: inside a section.
        unsafe { self.enter(guard).lookup((self.hash)(key), has_key(key)) }
    }

    pub(crate) fn duplicates<'g>(&self, key: u64, guard: &'g impl AnyGuard) -> Vec<&'g Entry> {
        let mut found = Vec::new();
        let mut iter = self.find(key, guard);
        while let Some(node) = iter.node() {
            found.push(entry_of(node, guard));
            // SAFETY: the same section.
            iter = unsafe { self.table().next_duplicate(iter, has_key(key)) };
        }
        found
    }

    /// To be called in the section that `iter` was made in.
    pub(crate) fn next_duplicate(&self, iter: Iter, key: u64) -> Iter {
        // SAFETY: the same section.
        unsafe { self.table().next_duplicate(iter, has_key(key)) }
    }

    /// Removes the entry at `iter`, and has it reclaimed; whether it was this call that removed it.
    pub(crate) fn remove_at(&self, iter: Iter, guard: &impl AnyGuard) -> bool {
        let Some(node) = iter.node() else { return false };
        // SAFETY: inside the section that the node was found in.
        let removed = unsafe { self.enter(guard).del(node) }.is_ok();
        if removed {
            self.retire(node);
        }
        removed
    }

    /// Removes one entry with this key; its value.
    pub(crate) fn remove(&self, key: u64, guard: &impl AnyGuard) -> Option<u64> {
        loop {
            let iter = self.find(key, guard);
            let value = entry_of(iter.node()?, guard).value;
            if self.remove_at(iter, guard) {
                return Some(value);
            }
        }
    }

    pub(crate) fn replace_at(
        &self,
        iter: Iter,
        key: u64,
        value: u64,
        guard: &impl AnyGuard,
    ) -> Result<(), ReplaceError> {
        let node = node_of(Entry::new(key, value));
        // SAFETY: inside the section that `iter` was made in; a fresh node.
        let replaced = unsafe { self.enter(guard).replace(iter, (self.hash)(key), node, has_key(key)) };
        match replaced {
            Ok(()) => self.retire(iter.node().expect("replaced")),
            // SAFETY: rejected: still ours alone.
            Err(_) => drop(unsafe { Box::from_raw(node.cast::<Entry>().as_ptr()) }),
        }
        replaced
    }

    /// All entries, in the order of a traversal.
    pub(crate) fn all<'g>(&self, guard: &'g impl AnyGuard) -> Vec<&'g Entry> {
        let mut found = Vec::new();
        self.for_each(guard, |_, entry| found.push(entry));
        found
    }

    pub(crate) fn for_each<'g, G: AnyGuard>(&self, guard: &'g G, mut each: impl FnMut(Iter, &'g Entry)) {
        // SAFETY: inside a section.
        let mut iter = unsafe { self.enter(guard).first() };
        while let Some(node) = iter.node() {
            each(iter, entry_of(node, guard));
            // SAFETY: the same section.
            iter = unsafe { self.table().next(iter) };
        }
    }

    /// By a walk.
    pub(crate) fn count(&self, guard: &impl AnyGuard) -> usize {
        // SAFETY: inside a section.
        unsafe { self.enter(guard).count_nodes() }.nodes
    }

    fn retire(&self, node: NonNull<Node>) {
        // SAFETY: from `Box::leak`, removed by this caller.
        unsafe { self.table().flavor().retire_raw(node.cast::<Entry>().as_ptr()) };
    }

    /// Removes everything; how many there were.
    pub(crate) fn clear(&self, guard: &impl AnyGuard) -> usize {
        let mut removed = 0;
        self.for_each(guard, |iter, _| removed += usize::from(self.remove_at(iter, guard)));
        removed
    }
}

impl Drop for Entries {
    /// The entries that are left, at a time when nobody uses the table; a resize in the background may still be under way.
    fn drop(&mut self) {
        let table = self.table.take().expect("taken here only");
        let flavor = table.flavor();
        let mut left = Vec::new();
        // SAFETY: any thread.
        let section = unsafe { (flavor.enter)() };
        if !section.is_null() {
            // SAFETY: just entered.
            unsafe { (flavor.leave)(section) };
        }
        // SAFETY: any thread; this one cannot read.
        let registered = section.is_null() && unsafe { (flavor.register_thread)() } == 0;
        {
            let _guard = flavor.pin();
            // SAFETY: inside a section.
            let mut iter = unsafe { table.first() };
            while let Some(node) = iter.node() {
                left.push(node);
                // SAFETY: the same section.
                iter = unsafe { table.next(iter) };
            }
        }
        if registered {
            // SAFETY: registered above, and outside of the section.
            unsafe { (flavor.unregister_thread)() };
        }
        drop(table);
        for node in left {
            // SAFETY: leaked in `node_of`, and in no table any more.
            unsafe { flavor.retire_raw(node.cast::<Entry>().as_ptr()) };
        }
    }
}

/// The kinds of bucket memory, with options that suit them.
pub(crate) fn memories() -> [Options; 3] {
    let options = Options::new().max(1 << 20);
    [BucketMemory::Order, BucketMemory::Chunk, BucketMemory::Mmap].map(|memory| options.memory(memory))
}

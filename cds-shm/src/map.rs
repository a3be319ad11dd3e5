//! The hash map: [`ShmHashMap`] for everybody, [`MapWriter`] for the writer.
//!
//! An entry is a block: the node of the raw table, the lengths of key and value if they have any, the key, the value. What is in
//! it never changes while it is linked; another value is another entry, put in its place by one compare-and-swap.

use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ops::Deref;
use core::ptr::NonNull;
use std::sync::{Arc, Weak};

use cds_lfht::raw::{Node, Table, TableBox};
use urcu_core::AnyGuard;
use urcu_core::space::{Space, Stop};
use urcu_core::sync::{AtomicU64, Ordering};
use urcu_shm::Segment;

use crate::error::ShmError;
use crate::ground::{MapRoot, Shared, options, options_for_reading};
use crate::heap::{Heap, View};
use crate::stored::{Stored, fixed_room, hash, lengths_room};
use crate::superblock::{Shape, Wanted};
use crate::words::{self, padded};

/// A hash map in a segment, for looking things up. See the [crate page](crate).
///
/// Lookups are wait-free, take no lock, make no system call and write nothing: the segment's data may be mapped read-only.
/// What they give are copies.
pub struct ShmHashMap<K: Stored, V: Stored> {
    table: TableBox<Shared>,
    seed: u64,
    contents: PhantomData<fn(K) -> V>,
}

/// The writer's [`ShmHashMap`]: may change it. One at a time in a segment, while readers read.
pub struct MapWriter<K: Stored, V: Stored> {
    /// Taken by the drop.
    map: ManuallyDrop<ShmHashMap<K, V>>,
    heap: Heap,
    place: usize,
}

/// Where key and value of an entry lie.
struct Entry {
    key: NonNull<u8>,
    key_length: usize,
    value: NonNull<u8>,
    value_length: usize,
}

const fn layout<K: Stored, V: Stored>() -> u64 {
    K::LAYOUT.rotate_left(32) ^ V::LAYOUT
}

impl<K: Stored, V: Stored> ShmHashMap<K, V> {
    /// Where the lengths are, if there are any, or the key.
    const HEAD: usize = size_of::<Node>();
    const LENGTHS: usize = lengths_room::<K, V>();
    /// All of it, but for what has no fixed length.
    const LEAST: usize = Self::HEAD + Self::LENGTHS + fixed_room::<K>() + fixed_room::<V>();

    /// The map of that name, for reading. Any process that has the segment.
    ///
    /// # Errors
    ///
    /// [`ShmError::Missing`] if the writer has not made it (yet); [`ShmError::OtherLayout`] if it has another kind of contents.
    pub fn open(segment: &Segment, name: &str) -> Result<Self, ShmError> {
        if !crate::superblock::is_prepared(segment)? {
            return Err(ShmError::Missing);
        }
        let view = View::new(segment)?;
        let place = view.superblock()?.find(Self::wanted(name))?.ok_or(ShmError::Missing)?;
        let ground = Shared::new(&view, MapRoot::at(&view, place)?, Weak::new());
        // SAFETY: made with the same options; the ground does not trust its links.
        let table = unsafe { Table::open((), options_for_reading(), ground) }.map_err(|_| ShmError::TooLarge)?;
        Ok(Self::over(table))
    }

    fn wanted(name: &str) -> Wanted {
        Wanted::new(name, Shape::Map, layout::<K, V>())
    }

    fn over(table: TableBox<Shared>) -> Self {
        let seed = table.ground().root().seed.load(Ordering::Relaxed);
        Self { table, seed, contents: PhantomData }
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.table.ground().view().segment
    }

    /// Buckets, at the moment.
    pub fn buckets(&self) -> usize {
        self.table.size()
    }

    #[inline(always)]
    fn hash(&self, key: &K::Borrowed) -> usize {
        hash(self.seed, K::bytes(key))
    }

    /// Key and value of a node, as far as they are inside of the segment.
    #[inline(always)]
    fn entry(&self, node: NonNull<Node>) -> Result<Entry, Stop> {
        let view = self.table.ground().view();
        let start = view.place(node);
        let at = view.space.bytes(start, Self::LEAST, 8)?;
        // SAFETY: inside, as just checked.
        let lengths = unsafe { at.add(Self::HEAD) };
        let (mut key_length, mut value_length) = (K::FIXED.unwrap_or(0), V::FIXED.unwrap_or(0));
        if Self::LENGTHS != 0 {
            // SAFETY: inside, as just checked; any bits are an atomic.
            let both = unsafe { lengths.cast::<AtomicU64>().as_ref() }.load(Ordering::Relaxed);
            key_length = K::FIXED.unwrap_or((both & u64::from(u32::MAX)) as usize);
            value_length = V::FIXED.unwrap_or((both >> 32) as usize);
            let all = Self::HEAD + Self::LENGTHS + padded(key_length) + padded(value_length);
            view.space.bytes(start, all, 8)?;
            view.fits_in_block(start, all)?;
        }
        // SAFETY: inside, as just checked.
        let key = unsafe { lengths.add(Self::LENGTHS) };
        // SAFETY: as above.
        let value = unsafe { key.add(padded(key_length)) };
        Ok(Entry { key, key_length, value, value_length })
    }

    /// Whether a node has this key; what cannot be an entry is noted in `wrong`, and ends the search.
    #[inline(always)]
    fn has_key(&self, node: NonNull<Node>, key: &[u8], wrong: &mut Option<Stop>) -> bool {
        match self.entry(node) {
            // SAFETY: checked by `entry`; the lengths are equal.
            Ok(entry) => entry.key_length == key.len() && unsafe { words::equal(entry.key, key) },
            Err(stop) => {
                *wrong = Some(stop);
                true
            }
        }
    }

    /// # Safety
    ///
    /// Inside a section of the segment, or by its writer.
    #[inline(always)]
    unsafe fn find(&self, key: &K::Borrowed) -> Result<Option<NonNull<Node>>, Stop> {
        let mut wrong = None;
        let bytes = K::bytes(key);
        // SAFETY: the caller's word; `has_key` checks the places that it looks at.
        let found = unsafe { self.table.try_lookup(self.hash(key), |node| self.has_key(node, bytes, &mut wrong)) }?;
        match wrong {
            Some(stop) => Err(stop),
            None => Ok(found.node()),
        }
    }

    #[inline(always)]
    fn value(&self, node: NonNull<Node>) -> Result<V::Owned, Stop> {
        let entry = self.entry(node)?;
        // SAFETY: checked by `entry`.
        unsafe { V::read(entry.value, entry.value_length) }
    }

    #[inline(always)]
    fn key(&self, node: NonNull<Node>) -> Result<K::Owned, Stop> {
        let entry = self.entry(node)?;
        // SAFETY: checked by `entry`.
        unsafe { K::read(entry.key, entry.key_length) }
    }

    /// A copy of the value of a key. Wait-free; inside a section.
    ///
    /// # Errors
    ///
    /// What is in the segment cannot be: [`Stop`] says what.
    ///
    /// # Panics
    ///
    /// If the section is not one of this segment.
    #[inline]
    pub fn get(&self, guard: &impl AnyGuard, key: &K::Borrowed) -> Result<Option<V::Owned>, Stop> {
        self.segment().assert_guard(guard);
        // SAFETY: inside a section of the segment.
        match unsafe { self.find(key) }? {
            Some(node) => self.value(node).map(Some),
            None => Ok(None),
        }
    }

    /// Whether there is such a key. As [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    #[inline]
    pub fn contains_key(&self, guard: &impl AnyGuard, key: &K::Borrowed) -> Result<bool, Stop> {
        self.segment().assert_guard(guard);
        // SAFETY: inside a section of the segment.
        Ok(unsafe { self.find(key) }?.is_some())
    }

    /// All entries, in no particular order. What is there all the time is met once; what comes or goes meanwhile, maybe.
    ///
    /// The iterator ends after an error.
    ///
    /// # Panics
    ///
    /// If the section is not one of this segment.
    pub fn iter<'g>(&'g self, guard: &'g impl AnyGuard) -> Iter<'g, K, V> {
        self.segment().assert_guard(guard);
        Iter { map: self, at: None, steps: self.table.ground().steps(), ended: false }
    }
}

impl<K: Stored, V: Stored> fmt::Debug for ShmHashMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmHashMap").field("buckets", &self.buckets()).finish_non_exhaustive()
    }
}

/// See [`ShmHashMap::iter`].
pub struct Iter<'g, K: Stored, V: Stored> {
    map: &'g ShmHashMap<K, V>,
    at: Option<cds_lfht::raw::Iter>,
    /// What is left of its allowance: there cannot be more nodes and buckets.
    steps: usize,
    ended: bool,
}

impl<K: Stored, V: Stored> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Copies of a key and its value.
type Pair<K, V> = (<K as Stored>::Owned, <V as Stored>::Owned);

impl<K: Stored, V: Stored> Iter<'_, K, V> {
    fn step(&mut self) -> Result<Option<Pair<K, V>>, Stop> {
        let map = self.map;
        let at = match self.at {
            // SAFETY: inside the section that `iter` was given.
            None => unsafe { map.table.try_first(&mut self.steps) }?,
            // SAFETY: as above; found in it.
            Some(at) => unsafe { map.table.try_next(at, &mut self.steps) }?,
        };
        self.at = Some(at);
        let Some(node) = at.node() else { return Ok(None) };
        Ok(Some((map.key(node)?, map.value(node)?)))
    }
}

impl<K: Stored, V: Stored> Iterator for Iter<'_, K, V> {
    type Item = Result<Pair<K, V>, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.step().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl Heap {
    /// The map of that name, for writing; made if there is none.
    ///
    /// # Errors
    ///
    /// [`ShmError`]; [`ShmError::InUse`] if this process has it open for writing already.
    pub fn map<K: Stored, V: Stored>(&self, name: &str) -> Result<MapWriter<K, V>, ShmError> {
        let wanted = ShmHashMap::<K, V>::wanted(name);
        let mut inner = self.lock_to_update();
        let view = inner.view.clone();
        let superblock = view.superblock()?;
        let table = match superblock.find(wanted)? {
            Some(place) => {
                if !inner.open.insert(place) {
                    return Err(ShmError::InUse);
                }
                match inner.tables.remove(&place) {
                    Some(table) => table,
                    None => return Err(ShmError::InUse),
                }
            }
            None => {
                if !superblock.has_room(inner.creating.len()) {
                    return Err(ShmError::TooMany);
                }
                if !inner.creating.insert(wanted.name()) {
                    return Err(ShmError::InUse);
                }
                // Its buckets come from the heap, so not under the lock.
                drop(inner);
                let made = self.create_table(&view);
                inner = self.lock();
                inner.creating.remove(&wanted.name());
                let (place, table) = made?;
                superblock.add(wanted, place)?;
                inner.open.insert(place);
                table
            }
        };
        drop(inner);
        let place = view.place(NonNull::from(table.ground().root()));
        Ok(MapWriter { map: ManuallyDrop::new(ShmHashMap::over(table)), heap: self.clone(), place })
    }

    /// An empty table that nobody knows, and its root block.
    fn create_table(&self, view: &View) -> Result<(usize, TableBox<Shared>), ShmError> {
        let memory = self.lock().allocate(size_of::<MapRoot>())?;
        let place = view.place(memory);
        // SAFETY: a fresh block of that size.
        unsafe { words::write(memory, &[0; size_of::<MapRoot>()]) };
        let ground = Shared::new(view, MapRoot::at(view, place)?, Arc::downgrade(&self.inner));
        ground.root().seed.store(fresh_seed(), Ordering::Relaxed);
        // SAFETY: nobody knows the root block yet.
        match unsafe { Table::create((), options(), ground) } {
            Ok(table) => Ok((place, table)),
            Err(_) => {
                let retired = self.retired_bytes();
                // There was no room for buckets, so there are none.
                self.lock().free(place)?;
                Err(ShmError::Full { retired })
            }
        }
    }
}

/// Differs between tables, so that no choice of keys is bad for all.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

impl<K: Stored, V: Stored> MapWriter<K, V> {
    /// The heap.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// About how many entries there are: exactly, unless the writer before died while it updated.
    pub fn len(&self) -> usize {
        usize::try_from(self.map.table.approximate_len()).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new entry, which nobody knows.
    fn make(&self, key: &K::Borrowed, value: &V::Borrowed) -> Result<NonNull<Node>, ShmError> {
        let (key, value) = (K::bytes(key), V::bytes(value));
        let (Ok(key_length), Ok(value_length)) = (u32::try_from(key.len()), u32::try_from(value.len())) else {
            return Err(ShmError::TooLarge);
        };
        let lengths = ShmHashMap::<K, V>::LENGTHS;
        let head = ShmHashMap::<K, V>::HEAD;
        let all = head + lengths + padded(key.len()) + padded(value.len());
        let memory = self.heap.lock_to_update().allocate(all)?;
        if lengths != 0 {
            let both = u64::from(key_length) | u64::from(value_length) << 32;
            // SAFETY: inside the block.
            let at = unsafe { memory.add(head) };
            // SAFETY: as above.
            unsafe { words::write(at, &both.to_ne_bytes()) };
        }
        // SAFETY: inside the block.
        let at = unsafe { memory.add(head + lengths) };
        // SAFETY: as above.
        unsafe { words::write(at, key) };
        // SAFETY: inside the block.
        let at = unsafe { at.add(padded(key.len())) };
        // SAFETY: as above.
        unsafe { words::write(at, value) };
        Ok(memory.cast())
    }

    fn retire(&self, node: NonNull<Node>) -> Result<(), Stop> {
        let place = self.map.table.ground().view().place(node);
        self.heap.lock().retire(place)
    }

    /// Sets the value of a key; a copy of the old one, if there was one. Readers see one or the other.
    ///
    /// Needs no section. Allocates; may wait for readers if the segment is full.
    ///
    /// # Errors
    ///
    /// [`ShmError::Full`], [`ShmError::TooLarge`]: nothing has changed. [`ShmError::Corrupt`]: something may have.
    pub fn insert(&mut self, key: &K::Borrowed, value: &V::Borrowed) -> Result<Option<V::Owned>, ShmError> {
        let node = self.make(key, value)?;
        let (hash, bytes) = (self.map.hash(key), K::bytes(key));
        let mut wrong = None;
        // SAFETY: this is the writer, who frees nothing meanwhile; the node is fresh and in the mapping, and `has_key` checks the
        // places that it looks at.
        let old = unsafe {
            self.map.table.try_add_replace(hash, node, |found| {
                wrong.is_none() && self.map.has_key(found, bytes, &mut wrong) && wrong.is_none()
            })
        }?;
        if let Some(stop) = wrong {
            return Err(stop.into());
        }
        let Some(old) = old else { return Ok(None) };
        // Before it is retired, which it is in any case.
        let value = self.map.value(old);
        self.retire(old)?;
        Ok(Some(value?))
    }

    /// Adds a key that is not there yet; `false`, and nothing has changed, if it is.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn try_insert(&mut self, key: &K::Borrowed, value: &V::Borrowed) -> Result<bool, ShmError> {
        // SAFETY: this is the writer, who frees nothing meanwhile.
        if unsafe { self.map.find(key) }?.is_some() {
            return Ok(false);
        }
        self.insert(key, value).map(|_| true)
    }

    /// Removes a key; a copy of its value, if it was there.
    ///
    /// Needs no section.
    ///
    /// # Errors
    ///
    /// [`ShmError::Corrupt`].
    pub fn remove(&mut self, key: &K::Borrowed) -> Result<Option<V::Owned>, ShmError> {
        drop(self.heap.lock_to_update());
        // SAFETY: this is the writer, who frees nothing meanwhile.
        let Some(node) = unsafe { self.map.find(key) }? else { return Ok(None) };
        let value = self.map.value(node)?;
        // SAFETY: as above; just found.
        if unsafe { self.map.table.try_del(node) }?.is_err() {
            return Err(Stop::Nonsense.into());
        }
        self.retire(node)?;
        Ok(Some(value))
    }

    /// Removes everything.
    ///
    /// # Errors
    ///
    /// [`ShmError::Corrupt`].
    pub fn clear(&mut self) -> Result<(), ShmError> {
        drop(self.heap.lock_to_update());
        let (mut nodes, mut steps) = (Vec::new(), self.map.table.ground().steps());
        // SAFETY: this is the writer, who frees nothing meanwhile.
        let mut iter = unsafe { self.map.table.try_first(&mut steps) }?;
        while let Some(node) = iter.node() {
            nodes.push(node);
            // SAFETY: as above.
            iter = unsafe { self.map.table.try_next(iter, &mut steps) }?;
        }
        for node in nodes {
            // SAFETY: each is freed after it was removed, here.
            if unsafe { self.map.table.try_del(node) }?.is_ok() {
                self.retire(node)?;
            }
        }
        Ok(())
    }

    /// A copy of the value of a key. The writer needs no section.
    ///
    /// # Errors
    ///
    /// As [`ShmHashMap::get`].
    pub fn peek(&self, key: &K::Borrowed) -> Result<Option<V::Owned>, Stop> {
        // SAFETY: this is the writer, who frees nothing meanwhile.
        match unsafe { self.map.find(key) }? {
            Some(node) => self.map.value(node).map(Some),
            None => Ok(None),
        }
    }
}

impl<K: Stored, V: Stored> Deref for MapWriter<K, V> {
    type Target = ShmHashMap<K, V>;

    fn deref(&self) -> &ShmHashMap<K, V> {
        &self.map
    }
}

impl<K: Stored, V: Stored> Drop for MapWriter<K, V> {
    fn drop(&mut self) {
        // SAFETY: taken here and nowhere else, and not used afterwards.
        let map = unsafe { ManuallyDrop::take(&mut self.map) };
        if let Some(mut inner) = self.heap.lock_in_any_process() {
            inner.open.remove(&self.place);
            // It knows of resizes that are under way.
            inner.tables.insert(self.place, map.table);
        } else {
            // It would give its memory back to a heap that cannot be used here.
            mem::forget(map.table);
        }
    }
}

impl<K: Stored, V: Stored> fmt::Debug for MapWriter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapWriter").field("len", &self.len()).finish_non_exhaustive()
    }
}

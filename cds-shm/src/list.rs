//! The list: [`ShmList`] for everybody, [`ListWriter`] for the writer.
//!
//! An element is a block: the links of the raw list, the element's length if it has any, the element. What is in it never
//! changes while it is linked.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use cds_list::raw::{ListHead, SharedWalk, rculist};
use urcu_core::AnyGuard;
use urcu_core::space::{Mapped, Stop};
use urcu_core::sync::{AtomicU64, Ordering};
use urcu_shm::Segment;

use crate::error::ShmError;
use crate::heap::{Heap, View};
use crate::stored::{Stored, fixed_room};
use crate::superblock::{Shape, Wanted};
use crate::words::{self, WORD, padded};

/// A list's root block.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ListRoot {
    head: ListHead,
}

impl ListRoot {
    pub(crate) fn head(view: &View, place: usize) -> Result<NonNull<ListHead>, Stop> {
        Ok(view.space.bytes(place, size_of::<Self>(), align_of::<Self>())?.cast())
    }
}

/// A doubly linked list in a segment, for walks. See the [crate page](crate).
///
/// Walks are wait-free, take no lock, make no system call and write nothing. What they give are copies.
pub struct ShmList<T: Stored> {
    view: View,
    head: NonNull<ListHead>,
    contents: PhantomData<fn() -> T>,
}

// SAFETY: the head is shared atomics in a mapping that belongs to the process, and that `view` keeps.
unsafe impl<T: Stored> Send for ShmList<T> {}
// SAFETY: as above.
unsafe impl<T: Stored> Sync for ShmList<T> {}

/// The writer's [`ShmList`]: may change it. One at a time in a segment, while readers read.
pub struct ListWriter<T: Stored> {
    list: ShmList<T>,
    heap: Heap,
    place: usize,
    length: usize,
}

impl<T: Stored> ShmList<T> {
    const HEAD: usize = size_of::<ListHead>();
    const LENGTH: usize = if T::FIXED.is_some() { 0 } else { WORD };
    const LEAST: usize = Self::HEAD + Self::LENGTH + fixed_room::<T>();

    /// The list of that name, for reading. Any process that has the segment.
    ///
    /// # Errors
    ///
    /// [`ShmError::Missing`] if the writer has not made it (yet); [`ShmError::OtherLayout`] if it has other contents.
    pub fn open(segment: &Segment, name: &str) -> Result<Self, ShmError> {
        if !crate::superblock::is_prepared(segment)? {
            return Err(ShmError::Missing);
        }
        let view = View::new(segment)?;
        let place = view.superblock()?.find(Self::wanted(name))?.ok_or(ShmError::Missing)?;
        let head = ListRoot::head(&view, place)?;
        Ok(Self { view, head, contents: PhantomData })
    }

    fn wanted(name: &str) -> Wanted {
        Wanted::new(name, Shape::List, T::LAYOUT)
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.view.segment
    }

    /// The elements, in order. What is there all the time is met once; what comes or goes meanwhile, maybe.
    ///
    /// Inside a section. The iterator ends after an error.
    ///
    /// # Panics
    ///
    /// If the section is not one of this segment.
    pub fn iter<'g>(&'g self, guard: &'g impl AnyGuard) -> Iter<'g, T> {
        self.segment().assert_guard(guard);
        self.walk()
    }

    fn walk(&self) -> Iter<'_, T> {
        // SAFETY: inside a section, or by the writer, who frees nothing meanwhile; `read` checks the places that it looks at.
        Iter { list: self, walk: unsafe { rculist::iter_in(&self.view.space, self.head) }, ended: false }
    }

    fn read(&self, node: NonNull<ListHead>) -> Result<T::Owned, Stop> {
        let start = self.view.place(node);
        let at = self.view.space.bytes(start, Self::LEAST, 8)?;
        // SAFETY: inside, as just checked.
        let at = unsafe { at.add(Self::HEAD) };
        let mut length = T::FIXED.unwrap_or(0);
        if Self::LENGTH != 0 {
            // SAFETY: inside, as just checked; any bits are an atomic.
            let found = unsafe { at.cast::<AtomicU64>().as_ref() }.load(Ordering::Relaxed);
            length = usize::try_from(found).unwrap_or(usize::MAX);
            let all = length.checked_next_multiple_of(WORD).and_then(|padded| padded.checked_add(Self::LEAST));
            let all = all.ok_or(Stop::Nonsense)?;
            self.view.space.bytes(start, all, 8)?;
            self.view.fits_in_block(start, all)?;
        }
        // SAFETY: inside, as just checked.
        let at = unsafe { at.add(Self::LENGTH) };
        // SAFETY: as above.
        unsafe { T::read(at, length) }
    }
}

impl<T: Stored> fmt::Debug for ShmList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmList").field("segment", self.segment()).finish_non_exhaustive()
    }
}

/// See [`ShmList::iter`].
pub struct Iter<'g, T: Stored> {
    list: &'g ShmList<T>,
    walk: SharedWalk<Mapped>,
    ended: bool,
}

impl<T: Stored> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<T: Stored> Iterator for Iter<'_, T> {
    type Item = Result<T::Owned, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.walk.next().map(|node| self.list.read(node?));
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl Heap {
    /// The list of that name, for writing; made if there is none.
    ///
    /// # Errors
    ///
    /// [`ShmError`]; [`ShmError::InUse`] if this process has it open for writing already.
    pub fn list<T: Stored>(&self, name: &str) -> Result<ListWriter<T>, ShmError> {
        let wanted = ShmList::<T>::wanted(name);
        let mut inner = self.lock_to_update();
        let view = inner.view.clone();
        let superblock = view.superblock()?;
        let place = match superblock.find(wanted)? {
            Some(place) => place,
            None => {
                if inner.creating.contains(&wanted.name()) {
                    return Err(ShmError::InUse);
                }
                if !superblock.has_room(inner.creating.len()) {
                    return Err(ShmError::TooMany);
                }
                let place = view.place(inner.allocate(size_of::<ListRoot>())?);
                // SAFETY: a fresh block of that size.
                unsafe { rculist::init_in(&view.space, ListRoot::head(&view, place)?) };
                superblock.add(wanted, place)?;
                place
            }
        };
        if !inner.open.insert(place) {
            return Err(ShmError::InUse);
        }
        drop(inner);
        let list = ShmList { head: ListRoot::head(&view, place)?, view, contents: PhantomData };
        let mut writer = ListWriter { list, heap: self.clone(), place, length: 0 };
        writer.length = writer.list.nodes().try_fold(0, |count, node| node.map(|_| count + 1))?;
        Ok(writer)
    }
}

impl<T: Stored> ShmList<T> {
    fn nodes(&self) -> SharedWalk<Mapped> {
        // SAFETY: for the writer, who frees nothing meanwhile.
        unsafe { rculist::iter_in(&self.view.space, self.head) }
    }
}

impl<T: Stored> ListWriter<T> {
    /// The list, for walks inside of sections.
    pub fn as_list(&self) -> &ShmList<T> {
        &self.list
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn make(&self, value: &T::Borrowed) -> Result<NonNull<ListHead>, ShmError> {
        let bytes = T::bytes(value);
        let lengths = ShmList::<T>::LENGTH;
        let all = ShmList::<T>::HEAD + lengths + padded(bytes.len());
        let memory = self.heap.lock_to_update().allocate(all)?;
        // SAFETY: inside the block.
        let at = unsafe { memory.add(ShmList::<T>::HEAD) };
        if lengths != 0 {
            // SAFETY: as above.
            unsafe { words::write(at, &(bytes.len() as u64).to_ne_bytes()) };
        }
        // SAFETY: inside the block.
        let at = unsafe { at.add(lengths) };
        // SAFETY: as above.
        unsafe { words::write(at, bytes) };
        Ok(memory.cast())
    }

    fn unlink(&mut self, node: NonNull<ListHead>) -> Result<(), ShmError> {
        drop(self.heap.lock_to_update());
        // SAFETY: the writer; in the list.
        unsafe { rculist::del_in(&self.list.view.space, node) }?;
        self.length = self.length.saturating_sub(1);
        Ok(self.heap.lock().retire(self.list.view.place(node))?)
    }

    /// Puts a new element first. Needs no section.
    ///
    /// # Errors
    ///
    /// [`ShmError::Full`], [`ShmError::TooLarge`], [`ShmError::Corrupt`].
    pub fn push_front(&mut self, value: &T::Borrowed) -> Result<(), ShmError> {
        let node = self.make(value)?;
        // SAFETY: the writer; a fresh node in the mapping.
        unsafe { rculist::add_in(&self.list.view.space, node, self.list.head) }?;
        self.length += 1;
        Ok(())
    }

    /// Puts a new element last. Needs no section.
    ///
    /// # Errors
    ///
    /// As [`push_front`](Self::push_front).
    pub fn push_back(&mut self, value: &T::Borrowed) -> Result<(), ShmError> {
        let node = self.make(value)?;
        // SAFETY: the writer; a fresh node in the mapping.
        unsafe { rculist::add_tail_in(&self.list.view.space, node, self.list.head) }?;
        self.length += 1;
        Ok(())
    }

    /// Takes the first element out; a copy of it, if there is one. Needs no section.
    ///
    /// # Errors
    ///
    /// [`ShmError::Corrupt`].
    pub fn pop_front(&mut self) -> Result<Option<T::Owned>, ShmError> {
        let Some(first) = self.list.nodes().next() else { return Ok(None) };
        let first = first?;
        let value = self.list.read(first)?;
        self.unlink(first)?;
        Ok(Some(value))
    }

    /// Takes out what `keep` denies; how many. Needs no section.
    ///
    /// # Errors
    ///
    /// [`ShmError::Corrupt`].
    pub fn retain(&mut self, mut keep: impl FnMut(&T::Owned) -> bool) -> Result<usize, ShmError> {
        // Looked at first: freeing may reuse what a walk stands on.
        let mut out = Vec::new();
        for node in self.list.nodes() {
            let node = node?;
            if !keep(&self.list.read(node)?) {
                out.push(node);
            }
        }
        for &node in &out {
            self.unlink(node)?;
        }
        Ok(out.len())
    }

    /// Replaces the first element that `find` accepts by another: readers see one or the other, at the same place. Whether there was
    /// one.
    ///
    /// # Errors
    ///
    /// As [`push_front`](Self::push_front).
    pub fn replace_first(
        &mut self,
        mut find: impl FnMut(&T::Owned) -> bool,
        value: &T::Borrowed,
    ) -> Result<bool, ShmError> {
        let mut found = None;
        for node in self.list.nodes() {
            let node = node?;
            if find(&self.list.read(node)?) {
                found = Some(node);
                break;
            }
        }
        let Some(old) = found else { return Ok(false) };
        let node = self.make(value)?;
        // SAFETY: the writer; the old one is in the list, the new one fresh and in the mapping.
        unsafe { rculist::replace_in(&self.list.view.space, old, node) }?;
        self.heap.lock().retire(self.list.view.place(old))?;
        Ok(true)
    }

    /// Copies of all elements. The writer needs no section.
    ///
    /// # Errors
    ///
    /// What is in the segment cannot be.
    pub fn to_vec(&self) -> Result<Vec<T::Owned>, Stop> {
        self.list.walk().collect()
    }
}

impl<T: Stored> Drop for ListWriter<T> {
    fn drop(&mut self) {
        if let Some(mut inner) = self.heap.lock_in_any_process() {
            inner.open.remove(&self.place);
        }
    }
}

impl<T: Stored> fmt::Debug for ListWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListWriter").field("len", &self.length).finish_non_exhaustive()
    }
}

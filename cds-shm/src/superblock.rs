//! The directory of structures, and following them from their roots.

use core::ptr::NonNull;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use cds_lfht::raw::{Table, TableBox};
use cds_list::raw::{ListHead, rculist};
use urcu_core::space::{Space, Stop};
use urcu_core::sync::{AtomicU64, Ordering};
use urcu_shm::{Offset, RootName, Segment, Writer};

use crate::error::ShmError;
use crate::geometry::SPAN;
use crate::ground::{MapRoot, Shared, options};
use crate::heap::{FREE, Heap, IN_USE, Inner, Kind, View};
use crate::list::ListRoot;

/// How many structures a segment can have.
const ENTRIES: usize = 63;
/// From the superblock to the records of spans.
pub(crate) const DISTANCE: usize = size_of::<Superblock>().next_multiple_of(64);

/// The segment's root: what lies in front of the spans.
const ROOT: RootName = RootName::new("cds-shm", 1);

/// In front of the records of spans. The first entry's place in the segment's own table of roots says that it is there.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Superblock {
    entries: [Entry; ENTRIES],
}

/// A structure. A free one has the name 0.
#[derive(Debug)]
#[repr(C)]
struct Entry {
    /// A hash of its name. Stored last, and never changed.
    name: AtomicU64,
    /// What it is, and of what.
    layout: AtomicU64,
    /// Its root block.
    place: AtomicU64,
    kind: AtomicU64,
}

/// What a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Map = 1,
    List = 2,
}

/// What a structure is called, and what it has to be.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    name: u64,
    shape: Shape,
    layout: u64,
}

impl Wanted {
    pub(crate) fn new(name: &str, shape: Shape, layout: u64) -> Self {
        let hash = crate::stored::hash(0x5EED, name.as_bytes()) as u64;
        Self { name: hash.max(1), shape, layout }
    }

    pub(crate) fn name(self) -> u64 {
        self.name
    }
}

impl Superblock {
    /// The place of a structure's root block.
    pub(crate) fn find(&self, wanted: Wanted) -> Result<Option<usize>, ShmError> {
        // Acquire: the rest of the entry was there before its name. PAIR(shm-entry)
        let Some(entry) = self.entries.iter().find(|entry| entry.name.load(Ordering::Acquire) == wanted.name) else {
            return Ok(None);
        };
        let layout = entry.layout.load(Ordering::Relaxed);
        if entry.kind.load(Ordering::Relaxed) != wanted.shape as u64 || layout != wanted.layout {
            return Err(ShmError::OtherLayout);
        }
        Ok(Some(usize::try_from(entry.place.load(Ordering::Relaxed)).map_err(|_| Stop::Nonsense)?))
    }

    /// Whether there is room for another one, beside so many that are being made.
    pub(crate) fn has_room(&self, being_made: usize) -> bool {
        self.entries.iter().filter(|entry| entry.name.load(Ordering::Relaxed) == 0).nth(being_made).is_some()
    }

    /// Publishes a structure whose root block is complete. The writer only, under the heap's lock.
    pub(crate) fn add(&self, wanted: Wanted, place: usize) -> Result<(), ShmError> {
        let free = self.entries.iter().find(|entry| entry.name.load(Ordering::Relaxed) == 0);
        let entry = free.ok_or(ShmError::TooMany)?;
        entry.layout.store(wanted.layout, Ordering::Relaxed);
        entry.place.store(place as u64, Ordering::Relaxed);
        entry.kind.store(wanted.shape as u64, Ordering::Relaxed);
        // Release: the root block and the entry before the name. Dying before it leaves the entry free. PAIR(shm-entry)
        entry.name.store(wanted.name, Ordering::Release);
        Ok(())
    }

    /// Every structure's shape and place.
    fn structures(&self) -> impl Iterator<Item = Result<(Shape, usize), Stop>> {
        // Acquire: as in `find`. PAIR(shm-entry)
        let named = self.entries.iter().filter(|entry| entry.name.load(Ordering::Acquire) != 0);
        named.map(|entry| {
            let shape = match entry.kind.load(Ordering::Relaxed) {
                1 => Shape::Map,
                2 => Shape::List,
                _ => return Err(Stop::Nonsense),
            };
            let place = usize::try_from(entry.place.load(Ordering::Relaxed)).map_err(|_| Stop::Nonsense)?;
            Ok((shape, place))
        })
    }
}

/// Whether the writer has prepared the segment for structures.
pub(crate) fn is_prepared(segment: &Segment) -> Result<bool, ShmError> {
    Ok(segment.root(ROOT)?.is_some())
}

/// What the memory of a segment is used for, in bytes: [`Heap::check`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Balance {
    /// In all: the sum of the others.
    pub total: usize,
    /// Free spans, free blocks, and what is left over in spans of small blocks.
    pub free: usize,
    /// Words of state of small blocks.
    pub states: usize,
    /// Blocks that can be reached from some structure, and that structure's own.
    pub reachable: usize,
    /// How many.
    pub reachable_blocks: usize,
    /// Blocks that are retired and not free yet.
    pub retired: usize,
    /// Blocks that are neither: 0, but while some update is under way. Those that a writer was busy with when it died are found
    /// and retired by the next one.
    pub lost: usize,
}

/// One bit for each block.
struct Marks {
    spans: HashMap<usize, Vec<u64>>,
    nodes: usize,
}

impl Marks {
    /// Marks a block that is reachable: it begins at `place`, is in use, and has not been marked before.
    fn mark(&mut self, view: &View, place: usize) -> Result<(), Stop> {
        let found = view.find(place)?;
        if found.state.load(Ordering::Relaxed) != IN_USE {
            return Err(Stop::Link { name: place });
        }
        let blocks = if let Kind::Small(_, class) = found.kind { class.count } else { 1 };
        let bits = self.spans.entry(found.span).or_insert_with(|| vec![0; blocks.div_ceil(64)]);
        let bit = 1 << (found.index % 64);
        let word = bits.get_mut(found.index / 64).ok_or(Stop::Nonsense)?;
        if *word & bit != 0 {
            return Err(Stop::Nonsense);
        }
        *word |= bit;
        Ok(())
    }

    fn has(&self, view: &View, place: usize) -> bool {
        let Ok(found) = view.find(place) else { return false };
        self.spans
            .get(&found.span)
            .and_then(|bits| bits.get(found.index / 64))
            .is_some_and(|bits| bits & (1 << (found.index % 64)) != 0)
    }
}

impl Heap {
    /// Takes the memory of a segment over: prepares it if it is fresh, else puts right what the last writer left half done.
    ///
    /// Follows every structure from its root, so it takes time in proportion to what is in them. Waits for no reader.
    ///
    /// # Errors
    ///
    /// [`ShmError`]: the segment is too small, or what is in it cannot be.
    pub fn open(writer: Writer) -> Result<Self, ShmError> {
        let view = View::new(writer.segment())?;
        if !is_prepared(&view.segment)? {
            view.superblock()?;
            for span in 0..view.geometry.spans {
                // Relaxed: the root's Release comes after. PAIR(root-offset)
                view.word(view.geometry.record(span))?.store(0, Ordering::Relaxed);
            }
            for word in 0..size_of::<Superblock>() / 8 {
                view.word(view.geometry.records - DISTANCE + word * 8)?.store(0, Ordering::Relaxed);
            }
            writer.set_root(ROOT, Offset::new((view.geometry.records - DISTANCE) as u64))?;
        }
        let heap = Self { inner: Arc::new(Mutex::new(Inner::new(view))), writer: Arc::new(writer) };
        heap.put_right()?;
        Ok(heap)
    }

    /// Puts all structures right, and retires what cannot be reached from them.
    fn put_right(&self) -> Result<(), ShmError> {
        let view = self.lock().view.clone();
        let mut marks = Marks { spans: HashMap::new(), nodes: 0 };
        let mut tables = HashMap::new();
        for structure in view.superblock()?.structures() {
            let (shape, root) = structure?;
            marks.mark(&view, root)?;
            match shape {
                Shape::Map => {
                    let table = open_table(&view, root, Arc::downgrade(&self.inner))?;
                    // SAFETY: this process has the writer's role, and nobody has the heap yet.
                    unsafe { table.put_right() }?;
                    marks.mark_table(&view, &table)?;
                    table.set_count(marks.nodes);
                    tables.insert(root, table);
                }
                Shape::List => {
                    let head = ListRoot::head(&view, root)?;
                    // SAFETY: as above; places are checked by the space.
                    unsafe { rculist::put_right_in(&view.space, head) }?;
                    marks.mark_list(&view, head)?;
                }
            }
        }
        let mut inner = self.lock();
        inner.tables = tables;
        Ok(inner.adopt(|place| marks.has(&view, place))?)
    }

    /// Follows every structure and looks at every block: what the memory is used for.
    ///
    /// For tests and inspection: takes time in proportion to the memory. Nobody updates meanwhile (else some of the numbers are
    /// wrong, or it reports corruption).
    ///
    /// # Errors
    ///
    /// [`ShmError::Corrupt`]: a structure refers to what is no block in use, or twice to the same one.
    pub fn check(&self) -> Result<Balance, ShmError> {
        let inner = self.lock();
        let view = &inner.view;
        let mut marks = Marks { spans: HashMap::new(), nodes: 0 };
        for structure in view.superblock()?.structures() {
            let (shape, root) = structure?;
            marks.mark(view, root)?;
            match shape {
                Shape::Map => marks.mark_table(view, &*open_table(view, root, Weak::new())?)?,
                Shape::List => marks.mark_list(view, ListRoot::head(view, root)?)?,
            }
        }
        let mut balance = Balance { total: view.geometry.spans * SPAN, ..Balance::default() };
        view.for_each(|place, found| {
            let bytes = found.bytes();
            match found.state.load(Ordering::Relaxed) {
                FREE => {}
                IN_USE if marks.has(view, place) => {
                    balance.reachable += bytes;
                    balance.reachable_blocks += 1;
                }
                IN_USE => balance.lost += bytes,
                _ => balance.retired += bytes,
            }
            if let (Kind::Small(_, class), 0) = (found.kind, found.index) {
                balance.states += class.count * 8;
            }
        })?;
        let taken = [balance.states, balance.reachable, balance.retired, balance.lost];
        // Records that change while they are looked at may say more than there is.
        balance.free = taken.iter().fold(balance.total, |left, &bytes| left.saturating_sub(bytes));
        Ok(balance)
    }
}

/// A table over what is in the segment.
pub(crate) fn open_table(view: &View, root: usize, heap: Weak<Mutex<Inner>>) -> Result<TableBox<Shared>, ShmError> {
    let ground = Shared::new(view, MapRoot::at(view, root)?, heap);
    // SAFETY: all tables in segments have these options, and the ground does not trust its links.
    unsafe { Table::open((), options(), ground) }.map_err(|_| ShmError::TooLarge)
}

impl Marks {
    fn mark_table(&mut self, view: &View, table: &Table<Shared>) -> Result<(), Stop> {
        for piece in table.pieces() {
            self.mark(view, view.place(piece?.0))?;
        }
        self.nodes = 0;
        let mut steps = table.ground().steps();
        // SAFETY: only the writer frees nodes, and that is the caller. The walk ends: no node is marked twice.
        let mut iter = unsafe { table.try_first(&mut steps) }?;
        while let Some(node) = iter.node() {
            self.mark(view, view.place(node))?;
            self.nodes += 1;
            // SAFETY: as above.
            iter = unsafe { table.try_next(iter, &mut steps) }?;
        }
        Ok(())
    }

    fn mark_list(&mut self, view: &View, head: NonNull<ListHead>) -> Result<(), Stop> {
        // SAFETY: as above; the walk has an end of its own.
        for node in unsafe { rculist::iter_in(&view.space, head) } {
            self.mark(view, view.place(node?))?;
        }
        Ok(())
    }
}

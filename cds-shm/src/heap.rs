//! The allocator: memory inside a segment, for the writer.
//!
//! # What is in the segment, and what is not
//!
//! In the segment is only what is needed to know which blocks are in use: a record for each span, and a word of state for each
//! block. Lists of free blocks, counters and queues are the writer's own memory; a new writer makes them anew by a look at all
//! states. So there is nothing in the segment that could be half done:
//!
//! | what | the one store that does it | dying before it | dying after it |
//! |---|---|---|---|
//! | a span gets blocks of one size | its record | free | full of free blocks |
//! | a block is allocated | its state: in use | free | in use, and not reachable: see below |
//! | a block is unlinked | the structure's | reachable | in use, and not reachable |
//! | a block is retired | its state: retired | in use, and not reachable | retired |
//! | the number of its grace period is noted | its state: that number | retired | the number says when it is free |
//! | a block is freed | its state: free | as before | free |
//!
//! A new writer follows all structures from their roots. What is in use and not reachable was about to be linked, or had just
//! been unlinked: it is retired, because some reader may still be looking at it. **Nothing is ever lost**, however often writers die.
//!
//! # Grace periods
//!
//! What is retired waits in a batch; a full batch draws one number ([`Segment::start_grace_period`]), and is freed once that has
//! elapsed, which later calls look at now and then. Nothing runs in the background.

use core::cell::Cell;
use core::fmt;
use core::ptr::NonNull;
use core::time::Duration;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use cds_lfht::raw::TableBox;
use urcu_core::space::{Mapped, Stop};
use urcu_core::sync::{AtomicU64, Ordering};
use urcu_shm::{GraceNumber, Segment, Writer};

use crate::error::ShmError;
use crate::geometry::{CLASSES, Class, Geometry, LARGEST_SMALL, SPAN, class, class_for};
use crate::ground::Shared;
use crate::superblock::{self, Superblock};
use crate::words::WORD;

/// States of blocks. Anything else is the number of the grace period that a retired block waits for.
pub(crate) const FREE: u64 = 0;
pub(crate) const IN_USE: u64 = 1;
/// Retired, and the number is not known yet.
pub(crate) const RETIRED: u64 = 2;

/// Records of spans: 0 is free; else the low byte says what it is, and the rest the class, or how many spans the block has.
const SMALL: u64 = 1;
const LARGE: u64 = 2;

/// A batch has at most so many blocks.
const BATCH: usize = 512;
/// And at most so great a part of the memory.
const BATCH_PART: usize = 32;
/// How long an allocation waits for readers, if nothing is said.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a flush draws other numbers for those that nobody has drawn.
const MOST_REDRAWN: u32 = 16;
/// If a batch waits as long as this, dead processes are looked for.
const REAP_AFTER: Duration = Duration::from_millis(5);

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Free,
    Small(usize, Class),
    /// The first of so many.
    Large(usize),
}

/// A block, found by its place.
#[derive(Clone, Copy)]
pub(crate) struct Found<'m> {
    pub(crate) span: usize,
    /// In its span; 0 of a large one.
    pub(crate) index: usize,
    pub(crate) kind: Kind,
    pub(crate) state: &'m AtomicU64,
}

impl Found<'_> {
    pub(crate) fn bytes(&self) -> usize {
        match self.kind {
            Kind::Free => 0,
            Kind::Small(_, class) => class.size,
            Kind::Large(spans) => spans * SPAN,
        }
    }
}

/// The memory of a segment, as its writer sees it. A handle: clones are the same.
///
/// It holds the writer's role: that is given up when the last handle is gone, and every structure that was opened through it.
#[derive(Clone)]
pub struct Heap {
    pub(crate) inner: Arc<Mutex<Inner>>,
    /// The role, for as long as this lives. Not behind the lock, which may stay locked in a forked child.
    pub(crate) writer: Arc<Writer>,
}

pub(crate) struct Inner {
    pub(crate) view: View,
    /// Blocks that can be given out, by class.
    free: [Vec<usize>; CLASSES],
    /// Blocks of a small span that are not free.
    used: Vec<u32>,
    /// Where the search for free spans goes on.
    cursor: usize,
    batch: Vec<usize>,
    batch_bytes: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    patience: Duration,
    reaped: Instant,
    /// Tables that were put right, until they are opened.
    pub(crate) tables: HashMap<usize, TableBox<Shared>>,
    /// The structures that are open.
    pub(crate) open: HashSet<usize>,
    /// The names of those that are being made outside of the lock.
    pub(crate) creating: HashSet<u64>,
}

struct Waiting {
    number: GraceNumber,
    since: Instant,
    blocks: Vec<usize>,
}

/// The data of a segment, and where what lies in it.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) segment: Segment,
    pub(crate) space: Mapped,
    pub(crate) geometry: Geometry,
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("segment", &self.lock().view.segment).finish_non_exhaustive()
    }
}

impl View {
    pub(crate) fn new(segment: &Segment) -> Result<Self, ShmError> {
        let start = usize::try_from(segment.data_start().get()).map_err(|_| ShmError::TooLarge)?;
        let length = segment.data_len();
        let geometry = Geometry::new(start, size_of::<Superblock>(), length).ok_or(ShmError::TooLarge)?;
        let base = segment.resolve::<u8>(urcu_shm::Offset::NULL).ok_or(ShmError::Corrupt(Stop::Nonsense))?;
        // SAFETY: the segment's data, mapped at a page boundary as long as `segment` lives, which whoever has the space keeps
        // beside it; everything in this crate accesses it by atomics.
        let space = unsafe { Mapped::new(base, start, length) };
        Ok(Self { segment: segment.clone(), space, geometry })
    }

    /// A word in the segment.
    pub(crate) fn word(&self, place: usize) -> Result<&AtomicU64, Stop> {
        let at = self.space.bytes(place, WORD, WORD)?.cast::<AtomicU64>();
        // SAFETY: inside the mapping, which `self.segment` keeps; any bits are an atomic.
        Ok(unsafe { at.as_ref() })
    }

    pub(crate) fn superblock(&self) -> Result<&Superblock, Stop> {
        let place = self.geometry.records - superblock::DISTANCE;
        let at = self.space.bytes(place, size_of::<Superblock>(), align_of::<Superblock>())?;
        // SAFETY: as above; it consists of atomics.
        Ok(unsafe { at.cast::<Superblock>().as_ref() })
    }

    /// What a span is, as its record says.
    pub(crate) fn kind(&self, span: usize) -> Result<Kind, Stop> {
        // Relaxed: written by this process; or by the last writer, whose role came over with Acquire. PAIR(writer)
        let record = self.word(self.geometry.record(span))?.load(Ordering::Relaxed);
        let what = usize::try_from(record >> 8).unwrap_or(usize::MAX);
        match record & 0xFF {
            0 if what == 0 => Ok(Kind::Free),
            SMALL => Ok(Kind::Small(what, class(what).ok_or(Stop::Nonsense)?)),
            LARGE if what > 0 && what <= self.geometry.spans - span => Ok(Kind::Large(what)),
            _ => Err(Stop::Nonsense),
        }
    }

    /// The block that begins at a place.
    pub(crate) fn find(&self, place: usize) -> Result<Found<'_>, Stop> {
        let wrong = Stop::Link { name: place };
        let span = self.geometry.span_of(place).ok_or(wrong)?;
        let kind = self.kind(span)?;
        let within = place - self.geometry.span(span);
        match kind {
            Kind::Free => Err(wrong),
            Kind::Small(_, class) => {
                let index = within.checked_sub(class.start).ok_or(wrong)?;
                if index % class.size != 0 || index / class.size >= class.count {
                    return Err(wrong);
                }
                let index = index / class.size;
                let state = self.word(self.geometry.block(span, class, index).1)?;
                Ok(Found { span, index, kind, state })
            }
            Kind::Large(_) if within == 0 => {
                let state = self.word(self.geometry.record(span) + WORD)?;
                Ok(Found { span, index: 0, kind, state })
            }
            Kind::Large(_) => Err(wrong),
        }
    }

    /// Whether the block that begins at `place` can hold so many bytes, if they are more than any small block holds: what a length
    /// says that was overwritten is not to be copied out.
    #[inline(always)]
    pub(crate) fn fits_in_block(&self, place: usize, bytes: usize) -> Result<(), Stop> {
        if bytes <= LARGEST_SMALL { Ok(()) } else { self.fits_in_large(place, bytes) }
    }

    #[cold]
    fn fits_in_large(&self, place: usize, bytes: usize) -> Result<(), Stop> {
        if bytes <= self.find(place)?.bytes() { Ok(()) } else { Err(Stop::Nonsense) }
    }

    /// Every block, with its place.
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, Found<'_>)) -> Result<(), Stop> {
        let mut span = 0;
        while span < self.geometry.spans {
            match self.kind(span)? {
                Kind::Free => span += 1,
                Kind::Small(_, class) => {
                    for index in 0..class.count {
                        let place = self.geometry.block(span, class, index).0;
                        each(place, self.find(place)?);
                    }
                    span += 1;
                }
                Kind::Large(spans) => {
                    let place = self.geometry.span(span);
                    each(place, self.find(place)?);
                    span += spans;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn place<T>(&self, at: NonNull<T>) -> usize {
        self.space.distance(at)
    }
}

impl Heap {
    /// # Panics
    ///
    /// In a forked child, if another thread had the lock at the fork.
    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.lock_in_any_process().expect("cds-shm: another thread was using the heap when this process was forked")
    }

    /// `None` instead of the panic.
    pub(crate) fn lock_in_any_process(&self) -> Option<MutexGuard<'_, Inner>> {
        if self.writer.is_of_this_process() {
            return Some(self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            // A thread of the child could have it as well, for a moment. Nobody can tell, and nothing there is worth a wait.
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Before anything is changed.
    ///
    /// # Panics
    ///
    /// In a forked child, whose free lists are copies of its parent's: both would give out the same memory.
    #[track_caller]
    pub(crate) fn lock_to_update(&self) -> MutexGuard<'_, Inner> {
        assert!(
            self.writer.is_of_this_process(),
            "cds-shm: the writer's role is that of the process which this one was forked from"
        );
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment.
    pub fn segment(&self) -> Segment {
        self.lock().view.segment.clone()
    }

    /// How long an allocation waits for readers when no memory is left, before it says that the segment is full. One second if
    /// nothing is said.
    pub fn set_patience(&self, patience: Duration) {
        self.lock().patience = patience;
    }

    /// Frees all that has been retired, after a grace period. Blocks; outside of sections.
    ///
    /// If somebody keeps setting the segment's number of grace periods back, it gives up, and the rest stays
    /// [retired](Self::retired_bytes).
    ///
    /// # Panics
    ///
    /// In a forked child of the writer.
    pub fn flush(&self) {
        let mut inner = self.lock_to_update();
        inner.close_batch();
        let mut redrawn = 0;
        while let Some(number) = inner.waiting.back().map(|waiting| waiting.number) {
            if redrawn > MOST_REDRAWN {
                return;
            }
            inner.view.segment.wait_for(number);
            inner.collect();
            redrawn += u32::from(inner.waiting.back().is_some_and(|waiting| waiting.number != number));
        }
    }

    /// Bytes that are retired and not free yet.
    pub fn retired_bytes(&self) -> usize {
        let inner = self.lock();
        inner.batch_bytes + inner.waiting_bytes
    }
}

impl Inner {
    /// Nothing is free, nothing is used: [`adopt`](Self::adopt) tells it what there is.
    pub(crate) fn new(view: View) -> Self {
        let used = vec![0; view.geometry.spans];
        Self {
            view,
            free: [const { Vec::new() }; CLASSES],
            used,
            cursor: 0,
            batch: Vec::new(),
            batch_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            patience: PATIENCE,
            reaped: Instant::now(),
            tables: HashMap::new(),
            open: HashSet::new(),
            creating: HashSet::new(),
        }
    }

    /// Makes the lists from what the states say. `is_reachable` of a block in use: else it is retired.
    pub(crate) fn adopt(&mut self, mut is_reachable: impl FnMut(usize) -> bool) -> Result<(), Stop> {
        self.free = [const { Vec::new() }; CLASSES];
        self.used.fill(0);
        let view = self.view.clone();
        let mut noted: HashMap<u64, Vec<usize>> = HashMap::new();
        view.for_each(|place, found| {
            // Relaxed: as in `kind`. PAIR(writer)
            let state = found.state.load(Ordering::Relaxed);
            if let Kind::Small(number, _) = found.kind {
                if state == FREE {
                    self.free[number].push(place);
                    return;
                }
                self.used[found.span] += 1;
            }
            match state {
                IN_USE if is_reachable(place) => {}
                FREE | IN_USE | RETIRED => self.put_in_batch(place, &found),
                number => {
                    self.waiting_bytes += found.bytes();
                    noted.entry(number).or_default().push(place);
                }
            }
        })?;
        for (number, blocks) in noted {
            let number = GraceNumber::from_bits(number);
            // A number that was never drawn would not elapse.
            if self.view.segment.has_elapsed(number) {
                self.waiting.push_front(Waiting { number, since: Instant::now(), blocks });
            } else {
                for place in blocks {
                    let found = view.find(place)?;
                    // Not what was added, if the record has changed since.
                    self.waiting_bytes = self.waiting_bytes.saturating_sub(found.bytes());
                    self.put_in_batch(place, &found);
                }
            }
        }
        self.close_batch();
        self.collect();
        Ok(())
    }

    fn put_in_batch(&mut self, place: usize, found: &Found<'_>) {
        // Release: not before the unlinking, since a writer may die between the two. PAIR(writer)
        found.state.store(RETIRED, Ordering::Release);
        self.batch_bytes += found.bytes();
        self.batch.push(place);
    }

    /// Memory for so many bytes, aligned to 16, with anything in it.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<NonNull<u8>, ShmError> {
        let class = class_for(bytes);
        let place = match self.try_allocate(class, bytes)? {
            Some(place) => place,
            None => self.allocate_late(class, bytes)?,
        };
        Ok(self.view.space.bytes(place, bytes, WORD)?)
    }

    fn try_allocate(&mut self, class: Option<usize>, bytes: usize) -> Result<Option<usize>, ShmError> {
        let Some(number) = class else {
            let spans = bytes.div_ceil(SPAN);
            return if spans > self.view.geometry.spans {
                Err(ShmError::TooLarge)
            } else {
                Ok(self.allocate_large(spans)?)
            };
        };
        let place = match self.free[number].pop() {
            Some(place) => place,
            None => {
                self.collect();
                if self.free[number].is_empty() && !self.found_span(number)? {
                    return Ok(None);
                }
                match self.free[number].pop() {
                    Some(place) => place,
                    None => return Ok(None),
                }
            }
        };
        let found = self.view.find(place)?;
        // Relaxed: what comes after it in this block is linked later, by a Release. PAIR(lfht-link)
        found.state.store(IN_USE, Ordering::Relaxed);
        let span = found.span;
        self.used[span] += 1;
        Ok(Some(place))
    }

    /// When there was none: waits for readers, and tries again.
    #[cold]
    fn allocate_late(&mut self, class: Option<usize>, bytes: usize) -> Result<usize, ShmError> {
        self.close_batch();
        // None: for ever.
        let until = Instant::now().checked_add(self.patience);
        let mut pause = Duration::from_micros(20);
        loop {
            self.collect();
            self.give_spans_back()?;
            if let Some(place) = self.try_allocate(class, bytes)? {
                return Ok(place);
            }
            let retired = self.waiting_bytes;
            if retired == 0 || until.is_some_and(|until| Instant::now() >= until) {
                return Err(ShmError::Full { retired });
            }
            self.reap();
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    /// So many free spans in a row, as one block.
    fn allocate_large(&mut self, spans: usize) -> Result<Option<usize>, Stop> {
        let Some(first) = self.free_spans(spans)? else { return Ok(None) };
        let record = self.view.geometry.record(first);
        // Relaxed, both: as in `kind`. The state first: the record is what makes it a block.
        self.view.word(record + WORD)?.store(IN_USE, Ordering::Relaxed);
        self.view.word(record)?.store((spans as u64) << 8 | LARGE, Ordering::Release);
        Ok(Some(self.view.geometry.span(first)))
    }

    /// Makes a free span one of a class.
    fn found_span(&mut self, number: usize) -> Result<bool, Stop> {
        let Some(class) = class(number) else { return Err(Stop::Nonsense) };
        let Some(span) = self.free_spans(1)? else { return Ok(false) };
        for index in 0..class.count {
            // Relaxed: the record's store below comes after. PAIR(writer)
            self.view.word(self.view.geometry.block(span, class, index).1)?.store(FREE, Ordering::Relaxed);
        }
        // Release: the states before it, for a writer that finds it. PAIR(writer)
        let record = self.view.word(self.view.geometry.record(span))?;
        record.store((number as u64) << 8 | SMALL, Ordering::Release);
        // The first one last, so that blocks are given out in the order of their places.
        let geometry = self.view.geometry;
        self.free[number].extend((0..class.count).rev().map(|index| geometry.block(span, class, index).0));
        Ok(true)
    }

    /// The first of so many free spans in a row.
    fn free_spans(&mut self, count: usize) -> Result<Option<usize>, Stop> {
        let total = self.view.geometry.spans;
        // From where the last search ended, then from the beginning.
        for (from, to) in [(self.cursor, total), (0, total)] {
            let (mut at, mut row) = (from, 0);
            while at < to {
                match self.view.kind(at)? {
                    Kind::Free => {
                        row += 1;
                        at += 1;
                        if row == count {
                            // Behind it: one at a time is mostly what is asked for.
                            self.cursor = if count == 1 { at } else { from };
                            return Ok(Some(at - count));
                        }
                    }
                    Kind::Small(..) => (row, at) = (0, at + 1),
                    Kind::Large(spans) => (row, at) = (0, at + spans),
                }
            }
            self.cursor = 0;
        }
        Ok(None)
    }

    /// Small spans without a used block become free.
    fn give_spans_back(&mut self) -> Result<(), Stop> {
        let view = self.view.clone();
        let idle = Cell::new(0);
        for number in 0..CLASSES {
            let used = &self.used;
            self.free[number].retain(|&place| {
                let keep = view.geometry.span_of(place).is_some_and(|span| used[span] != 0);
                idle.set(idle.get() + usize::from(!keep));
                keep
            });
        }
        if idle.get() == 0 {
            return Ok(());
        }
        let mut span = 0;
        while span < view.geometry.spans {
            match view.kind(span)? {
                Kind::Small(..) if self.used[span] == 0 => {
                    // Release: whatever was done to its blocks comes before. PAIR(writer)
                    view.word(view.geometry.record(span))?.store(0, Ordering::Release);
                    span += 1;
                }
                Kind::Large(spans) => span += spans,
                _ => span += 1,
            }
        }
        Ok(())
    }

    /// Frees a block that no reader can know of: one that was never linked.
    pub(crate) fn free(&mut self, place: usize) -> Result<(), Stop> {
        let view = self.view.clone();
        let found = view.find(place)?;
        match found.kind {
            Kind::Small(number, _) => {
                // Release: what was done to the block before comes before. PAIR(writer)
                found.state.store(FREE, Ordering::Release);
                self.used[found.span] = self.used[found.span].saturating_sub(1);
                self.free[number].push(place);
            }
            Kind::Large(_) => view.word(view.geometry.record(found.span))?.store(0, Ordering::Release),
            Kind::Free => return Err(Stop::Nonsense),
        }
        Ok(())
    }

    /// Has a block, just unlinked, freed after a grace period.
    pub(crate) fn retire(&mut self, place: usize) -> Result<(), Stop> {
        let view = self.view.clone();
        let found = view.find(place)?;
        if found.state.load(Ordering::Relaxed) != IN_USE {
            return Err(Stop::Nonsense);
        }
        self.put_in_batch(place, &found);
        let total = view.geometry.spans * SPAN;
        if self.batch.len() >= BATCH || self.batch_bytes >= total / BATCH_PART {
            self.close_batch();
            self.collect();
        }
        Ok(())
    }

    fn close_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let number = self.view.segment.start_grace_period();
        for &place in &self.batch {
            if let Ok(found) = self.view.find(place) {
                // Relaxed: as in `put_in_batch`. PAIR(writer)
                found.state.store(number.bits(), Ordering::Relaxed);
            }
        }
        self.waiting_bytes += core::mem::take(&mut self.batch_bytes);
        let blocks = core::mem::take(&mut self.batch);
        self.waiting.push_back(Waiting { number, since: Instant::now(), blocks });
    }

    /// Frees what waits no longer.
    fn collect(&mut self) {
        while let Some(front) = self.waiting.front() {
            if !self.view.segment.has_elapsed(front.number) {
                if !self.view.segment.has_started(front.number) {
                    return self.redraw();
                }
                if front.since.elapsed() > REAP_AFTER {
                    self.reap();
                }
                return;
            }
            let Some(Waiting { blocks, .. }) = self.waiting.pop_front() else { return };
            for place in blocks {
                let bytes = self.view.find(place).map_or(0, |found| found.bytes());
                self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
                // A place that does not make sense any more is left alone.
                let _ = self.free(place);
            }
        }
    }

    /// The segment's number is older than one that was drawn: somebody has overwritten it. What waits would wait for as many grace
    /// periods as that are; so all of it waits for a new one.
    #[cold]
    fn redraw(&mut self) {
        let number = self.view.segment.start_grace_period();
        for waiting in &mut self.waiting {
            waiting.number = number;
            for &place in &waiting.blocks {
                if let Ok(found) = self.view.find(place) {
                    // Relaxed: as in `put_in_batch`. PAIR(writer)
                    found.state.store(number.bits(), Ordering::Relaxed);
                }
            }
        }
    }

    /// Looks for readers that have died, now and then.
    fn reap(&mut self) {
        if self.reaped.elapsed() > REAP_AFTER {
            self.view.segment.reap();
            self.reaped = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;

    use urcu_conformance::forked;

    use super::*;

    #[test]
    fn a_child_does_not_wait_for_a_thread_that_was_using_the_heap() {
        let segment = Segment::create_memfd("heap", 1 << 20).expect("a segment");
        let heap = Heap::open(segment.writer().expect("nobody else")).expect("room");
        let mut map = heap.map::<u64, u64>("map").expect("room");
        map.insert(&1, &2).expect("room");
        let list = heap.list::<u64>("list").expect("room");
        let (locked, is_locked) = mpsc::channel();
        let (done, is_done) = mpsc::channel::<()>();
        let mut structures = Some((map, list));
        thread::scope(|scope| {
            let others = heap.clone();
            scope.spawn(move || {
                let _held = others.lock();
                locked.send(()).expect("the test waits for this");
                let _ = is_done.recv();
            });
            is_locked.recv().expect("it gets there");
            forked::run(|| {
                let (mut map, list) = structures.take().expect("made above");
                assert_eq!(map.peek(&1).expect("whole"), Some(2));
                assert!(catch_unwind(AssertUnwindSafe(|| map.insert(&2, &3))).is_err());
                assert!(catch_unwind(AssertUnwindSafe(|| heap.retired_bytes())).is_err());
                drop((map, list));
            });
            drop(done);
        });
    }
}

//! The simplest structure in a segment: cells that refer to blocks, which a writer replaces and reuses after grace periods.

#![allow(dead_code, reason = "no test program needs all of it")]

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use urcu_shm::{GraceNumber, Guard, Offset, RootName, Segment, Writer};

pub(crate) const CELLS: usize = 8;
const BLOCKS: usize = 64;
const ROOT: RootName = RootName::new("cells", 1);
/// What a block holds that no reader may find.
const POISON: u64 = 0xdead_dead_dead_dead;

#[repr(C)]
struct Area {
    cells: [AtomicU64; CELLS],
    blocks: [Block; BLOCKS],
}

/// The second word is the complement of the first.
#[repr(C, align(64))]
struct Block {
    value: AtomicU64,
    complement: AtomicU64,
}

fn find(segment: &Segment, at: Offset) -> Option<&Area> {
    let area: NonNull<Area> = segment.resolve(at)?;
    // SAFETY: mapped as long as the segment is borrowed; atomics may change, and are valid whatever they hold.
    Some(unsafe { area.as_ref() })
}

fn area(segment: &Segment, at: Offset) -> &Area {
    find(segment, at).expect("within the data")
}

/// Looks at every cell inside one section, twice; `Err` says what is wrong.
pub(crate) fn check(segment: &Segment, _guard: &Guard<'_>) -> Result<(), String> {
    let Some(at) = segment.root(ROOT).map_err(|error| error.to_string())? else { return Ok(()) };
    let Some(area) = find(segment, at) else { return Err(format!("{at:?} is nowhere")) };
    let mut seen = [None; CELLS];
    for (cell, seen) in area.cells.iter().zip(&mut seen) {
        let offset = Offset::new(cell.load(Ordering::Acquire));
        if offset.is_null() {
            continue;
        }
        let Some(block) = segment.resolve::<Block>(offset) else { return Err(format!("{offset:?} is nowhere")) };
        // SAFETY: as in `area`.
        let block = unsafe { block.as_ref() };
        let value = block.value.load(Ordering::Relaxed);
        if value == POISON || block.complement.load(Ordering::Relaxed) != !value {
            return Err(format!("{value:#x} beside {:#x}", block.complement.load(Ordering::Relaxed)));
        }
        *seen = Some((block, value));
    }
    std::hint::spin_loop();
    for (block, value) in seen.into_iter().flatten() {
        let now = block.value.load(Ordering::Relaxed);
        if now != value {
            return Err(format!("{value:#x} became {now:#x} inside a section"));
        }
    }
    Ok(())
}

/// Replaces blocks.
pub(crate) struct Replacer<'w> {
    writer: &'w Writer,
    at: Offset,
    free: Vec<usize>,
    retired: VecDeque<(GraceNumber, Vec<usize>)>,
    unlinked: Vec<usize>,
    next: u64,
}

impl<'w> Replacer<'w> {
    /// Takes over whatever the last writer left: what no cell refers to is free after a grace period.
    pub(crate) fn new(writer: &'w Writer) -> Self {
        let segment = writer.segment();
        let at = segment.root(ROOT).expect("this layout").unwrap_or_else(|| segment.data_start());
        writer.set_root(ROOT, at).expect("room");
        let mut this = Self { writer, at, free: Vec::new(), retired: VecDeque::new(), unlinked: Vec::new(), next: 0 };
        let area = area(segment, at);
        let used: Vec<usize> = area.cells.iter().filter_map(|cell| this.index(cell.load(Ordering::Relaxed))).collect();
        let free = (0..BLOCKS).filter(|index| !used.contains(index)).collect();
        segment.wait_for(segment.start_grace_period());
        this.free = free;
        this.next = writer.generation() << 32;
        this
    }

    fn first_block(&self) -> u64 {
        self.at.get() + std::mem::offset_of!(Area, blocks) as u64
    }

    fn index(&self, offset: u64) -> Option<usize> {
        (offset != 0).then(|| ((offset - self.first_block()) / 64) as usize)
    }

    /// Replaces the block of one cell. Without a free one, waits for a grace period.
    pub(crate) fn replace(&mut self, cell: usize) {
        let segment = self.writer.segment();
        let area = area(segment, self.at);
        while self.free.is_empty() {
            if !self.unlinked.is_empty() {
                let number = segment.start_grace_period();
                self.retired.push_back((number, std::mem::take(&mut self.unlinked)));
            }
            let (number, blocks) = self.retired.pop_front().expect("64 blocks are somewhere");
            segment.wait_for(number);
            for &index in &blocks {
                area.blocks[index].value.store(POISON, Ordering::Relaxed);
                area.blocks[index].complement.store(POISON, Ordering::Relaxed);
            }
            self.free = blocks;
        }
        let index = self.free.pop().expect("just looked");
        self.next += 1;
        area.blocks[index].value.store(self.next, Ordering::Relaxed);
        area.blocks[index].complement.store(!self.next, Ordering::Relaxed);
        let offset = self.first_block() + 64 * index as u64;
        let old = area.cells[cell].swap(offset, Ordering::AcqRel);
        self.unlinked.extend(self.index(old));
        if self.unlinked.len() == BLOCKS / 4 {
            let number = segment.start_grace_period();
            self.retired.push_back((number, std::mem::take(&mut self.unlinked)));
        }
    }
}

//! Where things lie in a segment's data, by its length alone. Pure functions: nothing of this is read from the segment.
//!
//! ```text
//!   roots | superblock | a record for each span | span 0 | span 1 | ...
//! ```
//!
//! A span has 32 KiB. It is free; or full of blocks of one size, with a word of state for each of them in front; or the first of
//! several that are one large block.

use crate::words::WORD;

/// Bytes of a span.
pub(crate) const SPAN: usize = 32 << 10;
/// Bytes of a span's record.
pub(crate) const RECORD: usize = 2 * WORD;
/// Blocks begin at multiples of this from the beginning of a span.
const LINE: usize = 64;

/// Sizes of small blocks: steps of at most a quarter.
const SIZES: [u16; 28] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792,
    2048, 2560, 3072, 4096, 8192,
];

pub(crate) const CLASSES: usize = SIZES.len();
/// Bytes of the largest of them.
pub(crate) const LARGEST_SMALL: usize = SIZES[CLASSES - 1] as usize;

/// Blocks of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) size: usize,
    /// In a span.
    pub(crate) count: usize,
    /// Of the first block, from the beginning of the span; the words of state are in front.
    pub(crate) start: usize,
}

const TABLE: [Class; CLASSES] = {
    let mut table = [Class { size: 0, count: 0, start: 0 }; CLASSES];
    let mut at = 0;
    while at < CLASSES {
        let size = SIZES[at] as usize;
        let mut count = SPAN / (size + WORD);
        while (count * WORD).next_multiple_of(LINE) + count * size > SPAN {
            count -= 1;
        }
        table[at] = Class { size, count, start: (count * WORD).next_multiple_of(LINE) };
        at += 1;
    }
    table
};

/// The class with this number, if there is one.
#[inline]
pub(crate) fn class(number: usize) -> Option<Class> {
    TABLE.get(number).copied()
}

/// The number of the smallest class that holds so many bytes; `None`: it is a large block.
#[inline]
pub(crate) fn class_for(bytes: usize) -> Option<usize> {
    let number = SIZES.partition_point(|&size| usize::from(size) < bytes);
    (number < CLASSES).then_some(number)
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Of the records of spans, from the beginning of the data.
    pub(crate) records: usize,
    /// Of span 0.
    pub(crate) first: usize,
    pub(crate) spans: usize,
}

impl Geometry {
    /// For `length` bytes of data, of which those from `start` on can be used, and `reserved` of these for something else. `None`
    /// if not even one span fits in.
    pub(crate) fn new(start: usize, reserved: usize, length: usize) -> Option<Self> {
        let records = start.checked_add(reserved)?.checked_next_multiple_of(LINE)?;
        let room = length.checked_sub(records)?;
        let mut spans = room / (SPAN + RECORD);
        loop {
            if spans == 0 {
                return None;
            }
            let first = (records + spans * RECORD).next_multiple_of(LINE);
            if first + spans * SPAN <= length {
                return Some(Self { records, first, spans });
            }
            spans -= 1;
        }
    }

    /// The span that a place lies in.
    #[inline]
    pub(crate) fn span_of(&self, place: usize) -> Option<usize> {
        let span = place.checked_sub(self.first)? / SPAN;
        (span < self.spans).then_some(span)
    }

    #[inline]
    pub(crate) fn span(&self, span: usize) -> usize {
        self.first + span * SPAN
    }

    #[inline]
    pub(crate) fn record(&self, span: usize) -> usize {
        self.records + span * RECORD
    }

    /// The place of a small block, and of its state.
    #[inline]
    pub(crate) fn block(&self, span: usize, class: Class, index: usize) -> (usize, usize) {
        let start = self.span(span);
        (start + class.start + index * class.size, start + index * WORD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_well_used_and_blocks_do_not_overlap_their_states() {
        for number in 0..CLASSES {
            let class = class(number).unwrap();
            assert!(class.count > 0 && class.start >= class.count * WORD);
            assert!(class.start + class.count * class.size <= SPAN);
            let waste = SPAN - class.count * (class.size + WORD);
            assert!(waste < class.size + WORD + LINE, "{class:?} wastes {waste}");
            assert_eq!(class_for(class.size), Some(number));
            assert_eq!(class_for(class.size + 1), (number + 1 < CLASSES).then_some(number + 1));
        }
        assert_eq!(class_for(0), Some(0));
    }

    #[test]
    fn everything_fits_in() {
        for length in [0, 1000, 70_000, 1 << 20, (1 << 20) + 4096, 1 << 30] {
            let Some(geometry) = Geometry::new(1024, 2000, length) else {
                assert!(length < 70_000);
                continue;
            };
            assert!(geometry.records >= 3024 && geometry.record(geometry.spans) <= geometry.first);
            assert!(geometry.span(geometry.spans) <= length);
            assert!(length - geometry.span(geometry.spans) < SPAN + RECORD + LINE);
            assert_eq!(geometry.span_of(geometry.first), Some(0));
            assert_eq!(geometry.span_of(geometry.first - 1), None);
            assert_eq!(geometry.span_of(geometry.span(geometry.spans)), None);
            assert_eq!(geometry.span_of(geometry.span(geometry.spans) - 1), Some(geometry.spans - 1));
        }
    }
}

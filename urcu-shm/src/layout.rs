//! What lies where in a segment.
//!
//! ```text
//! page 0          header      written once by the creator; read once, through the descriptor, by who opens it
//! page 1          control     grace-period number, writer lock, counters      writable: Access::Write
//! page 2          directory   how many record pages have ever been used       writable: everybody
//! page 3 ..       records     one page per process and 31 threads             writable: its owner; Access::Write
//! page 3 + n ..   data        the table of roots, then whatever the writer puts there    writable: Access::Write
//! ```
//!
//! All of it is shared by processes that need not trust each other's memory: no pointers, and no type for which some bit
//! pattern is invalid.

use core::mem::{offset_of, size_of};

use urcu_core::sync::{AtomicI32, AtomicU32, AtomicU64, CachePadded};

use crate::roots::RootTable;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"urcu-shm");
/// Changes with the meaning of anything in a segment.
pub(crate) const VERSION: u32 = 1;

/// Reader records per page, beside the page's head. Records have 128 bytes, pages at least 4096.
pub(crate) const PAGE_RECORDS: usize = if cfg!(urcu_loom) { 2 } else { 31 };
pub(crate) const CONTROL_PAGE: usize = 1;
pub(crate) const DIRECTORY_PAGE: usize = 2;
pub(crate) const FIRST_RECORD_PAGE: usize = 3;
/// More processes there cannot be; each of them walks over the pages.
pub(crate) const MOST_RECORD_PAGES: u32 = 1 << 22;

/// Page 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: u64,
    pub(crate) version: u32,
    pub(crate) page_size: u32,
    /// [`LAYOUT_HASH`].
    pub(crate) layout: u64,
    /// The process that made the segment.
    pub(crate) creator: u64,
    /// Process ids mean something within this namespace only.
    pub(crate) pid_namespace: u64,
    /// Process ids and start times mean something within one run of the machine only.
    pub(crate) boot: u64,
    pub(crate) barriers: u32,
    pub(crate) record_pages: u32,
    /// Where the data begins, in bytes.
    pub(crate) data_start: u64,
    pub(crate) data_bytes: u64,
    /// The size of the file.
    pub(crate) total_bytes: u64,
    /// Of everything before.
    pub(crate) checksum: u64,
}

pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        // SAFETY: plain integers without padding (the sizes of the fields add up: see the test).
        unsafe { core::mem::transmute(self) }
    }

    pub(crate) fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        // SAFETY: every bit pattern is valid for plain integers.
        unsafe { core::mem::transmute(bytes) }
    }

    pub(crate) fn sum(self) -> u64 {
        hash(&self.to_bytes()[..HEADER_BYTES - size_of::<u64>()])
    }
}

/// Page 1.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Control {
    /// The current grace period as a reader word. Readers load it at every section: alone on its cache line.
    pub(crate) period: CachePadded<AtomicU64>,
    pub(crate) writer: CachePadded<WriterWords>,
    pub(crate) counters: CachePadded<Counters>,
}

#[derive(Debug)]
#[repr(C)]
pub(crate) struct WriterWords {
    /// The [`ProcessId`](crate::ProcessId) of the writer, or 0.
    pub(crate) owner: AtomicU64,
    /// How many writers there have been.
    pub(crate) generation: AtomicU64,
    /// Changes when the role becomes free; to sleep on.
    pub(crate) released: AtomicU32,
    /// Set while there is a writer: found set by the next one if the last one died.
    pub(crate) open: AtomicU32,
}

/// For people; nothing depends on them.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Counters {
    pub(crate) grace_periods: AtomicU64,
    /// Record pages taken from processes that were gone.
    pub(crate) reaped: AtomicU64,
    /// Readers that were inside a section then.
    pub(crate) reaped_inside: AtomicU64,
    /// Nanoseconds.
    pub(crate) longest_wait: AtomicU64,
}

/// Page 2.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Directory {
    /// One more than the highest record page that was ever claimed.
    pub(crate) pages_used: CachePadded<AtomicU32>,
}

/// A record page: what one process shows of up to 31 threads.
///
/// A free one is all zeros.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct RecordPage {
    /// The [`ProcessId`](crate::ProcessId) of the owner, that of a process which is clearing the page with the top bit set,
    /// or 0.
    pub(crate) owner: AtomicU64,
    /// Which records are in use, by bit. Written by the owner only.
    pub(crate) in_use: AtomicU32,
    /// Whether the owner may write data, for people.
    pub(crate) access: AtomicU32,
    pub(crate) records: [Record; PAGE_RECORDS],
}

/// What one thread shows: its word on one cache line, who it is on the next.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Record {
    /// See [`urcu_core::word`].
    pub(crate) word: AtomicU64,
    pub(crate) identity: RecordIdentity,
}

#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct RecordIdentity {
    /// The system's id of the thread, for reports.
    pub(crate) tid: AtomicI32,
}

/// The layout as a number: differs when two builds would disagree about where something is.
pub(crate) const LAYOUT_HASH: u64 = {
    let facts = [
        size_of::<usize>(),
        if cfg!(target_endian = "little") { 1 } else { 2 },
        HEADER_BYTES,
        size_of::<Control>(),
        offset_of!(Control, writer),
        offset_of!(Control, counters),
        size_of::<Directory>(),
        size_of::<RecordPage>(),
        offset_of!(RecordPage, in_use),
        offset_of!(RecordPage, records),
        size_of::<Record>(),
        offset_of!(Record, identity),
        size_of::<RootTable>(),
        FIRST_RECORD_PAGE,
    ];
    let mut sum = SEED;
    let mut at = 0;
    while at < facts.len() {
        sum = step(sum, facts[at] as u64);
        at += 1;
    }
    sum
};

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

const fn step(sum: u64, value: u64) -> u64 {
    let mixed = (sum ^ value).wrapping_mul(0x0000_0100_0000_01b3);
    mixed ^ (mixed >> 32)
}

/// A hash that is the same in every process and build.
pub(crate) const fn hash(bytes: &[u8]) -> u64 {
    let mut sum = SEED;
    let mut at = 0;
    while at < bytes.len() {
        sum = step(sum, bytes[at] as u64);
        at += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_alone_has_its_cache_lines_alone() {
        assert_eq!(size_of::<RecordPage>(), 4096);
        assert_eq!(size_of::<Record>(), 128);
        assert_eq!(offset_of!(RecordPage, records), 128);
        assert_eq!(offset_of!(Control, writer), 128);
        assert!(size_of::<Control>() <= 4096 && size_of::<Directory>() <= 4096);
        assert_eq!(align_of::<Control>(), 128);
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let fields = 8 + 4 + 4 + 4 * 8 + 4 + 4 + 4 * 8;
        assert_eq!(HEADER_BYTES, fields, "no padding");
        let mut header = Header::from_bytes(core::array::from_fn(|at| at as u8));
        header.checksum = header.sum();
        assert_eq!(Header::from_bytes(header.to_bytes()), header);
        let mut bytes = header.to_bytes();
        bytes[17] ^= 4;
        assert_ne!(Header::from_bytes(bytes).sum(), header.checksum);
    }
}

//! What segments, their parts and their errors show, and roots that cannot be set.

use std::collections::HashSet;
use std::error::Error;
use std::io;

use urcu_shm::{Offset, RootError, RootName, Segment, SegmentError, WriterError};

#[test]
fn errors_say_what_is_wrong() {
    let error = || io::Error::from_raw_os_error(2);
    let all = [
        SegmentError::System { what: "open", error: error() },
        SegmentError::BadSize,
        SegmentError::NotASegment { why: "too short" },
        SegmentError::WrongOwner { user: 7 },
        SegmentError::TooOpen { mode: 0o666 },
        SegmentError::OtherPidNamespace,
        SegmentError::OtherBoot,
        SegmentError::MembarrierMissing { errno: 38 },
        SegmentError::AlreadyAttached,
        SegmentError::Full,
    ];
    let said: HashSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), all.len());
    assert_eq!(all[0].to_string(), format!("open: {}", error()));
    assert!(all[4].to_string().contains("666"));
    assert!(all[0].source().is_some() && all[1].source().is_none());
    assert_eq!(WriterError::Held { pid: 7 }.to_string(), "process 7 is the writer");
    assert_eq!(WriterError::ReadOnly.to_string(), "the segment was opened for reading");
    assert_ne!(RootError::OtherLayout.to_string(), RootError::Full.to_string());
}

#[test]
fn addresses_and_offsets_are_one_another() {
    let segment = Segment::create_memfd("urcu-shm-test", 1 << 20).expect("a segment");
    assert!(segment.is_sealed(), "nobody can shorten it");
    let writer = segment.writer().expect("the role");
    assert_eq!(writer.generation(), 1);
    assert!(!writer.recovered(), "nobody was there before");
    assert!(format!("{writer:?}").starts_with("Writer { generation: 1, recovered: false"));
    assert_eq!(format!("{:?}", Offset::new(64)), "Offset(0x40)");
    let offset = segment.data_start();
    let words = segment.resolve_slice::<u64>(offset, 4).expect("inside");
    assert_eq!(segment.offset_of(words.as_ptr().cast::<u64>()), Some(offset));
    let elsewhere = 0_u64;
    assert_eq!(segment.offset_of(&raw const elsewhere), None);
    assert!(segment.resolve_slice::<u64>(offset, usize::MAX / 8).is_none(), "beyond the end");
}

#[test]
fn a_root_keeps_its_layout() {
    let segment = Segment::create_memfd("urcu-shm-test", 1 << 20).expect("a segment");
    let writer = segment.writer().expect("the role");
    let (first, second) = (segment.data_start(), Offset::new(segment.data_start().get() + 64));
    let name = RootName::new("numbers", 1);
    assert_eq!(writer.set_root(name, first), Ok(()));
    assert_eq!(writer.set_root(name, second), Ok(()));
    assert_eq!(segment.root(name), Ok(Some(second)));
    let other = RootName::new("numbers", 2);
    assert_eq!(
        (writer.set_root(other, first), segment.root(other)),
        (Err(RootError::OtherLayout), Err(RootError::OtherLayout))
    );
}

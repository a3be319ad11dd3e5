//! Userspace RCU across processes: the **shm** flavor.
//!
//! # For structures in a segment
//!
//! | what | how |
//! |---|---|
//! | memory | [`Segment::data_start`] up to [`Segment::data_len`], one block, fixed size, zeroed when fresh. Places are [`Offset`]s, resolved by [`Segment::resolve`] and `resolve_slice`, which check bounds and alignment |
//! | finding structures | [`Segment::root`] / [`Writer::set_root`] with a [`RootName`]: name and layout number, to an offset |
//! | who may change data | who holds the [`Writer`]: [`Segment::writer`], [`Segment::wait_for_writer`]. [`Writer::recovered`]: the last one died in its role |
//! | freeing | unlink; [`Segment::start_grace_period`] gives a [`GraceNumber`] (a `u64`; may be stored next to the retired block, in the segment); free once [`Segment::has_elapsed`] or after [`Segment::wait_for`]. One number serves everything that was unlinked before it was drawn: batch. A new writer frees what the last one retired by the stored numbers, or draws a new number for all of it |
//! | dead readers | `wait_for` notices them; who only asks `has_elapsed` calls [`Segment::reap`] now and then |
//! | guards | sections of this crate's flavor, on a process that has attached this segment: [`Segment::assert_guard`] |

mod barrier;
mod error;
mod grace;
mod layout;
mod mapping;
mod offset;
mod process;
mod records;
mod roots;
mod segment;
mod sys;
mod writer;

pub use barrier::Barriers;
pub use error::{RootError, SegmentError, WriterError};
pub use grace::GraceNumber;
pub use offset::Offset;
pub use process::ProcessId;
pub use roots::{ROOTS, RootName};
pub use segment::{Access, OpenOptions, Segment, SegmentOptions};
pub use writer::Writer;

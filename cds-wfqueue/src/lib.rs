//! Wait-free and lock-free queues.

mod channel;
mod lf_queue;
mod lock;
mod nodes;
pub mod raw;
mod segment;
mod segment_queue;
mod wfc_queue;

pub use channel::{Consumer, Disconnected, Producer, Queue, RecvTimeoutError, Rejected, TryRecvError, Value};
pub use lf_queue::LfQueue;
pub use raw::wfcqueue::{Spliced, WouldBlock};
pub use segment_queue::SegmentQueue;
pub use wfc_queue::{Enqueuer, WfcQueue};

/// The iterators of the queues.
pub mod iter {
    /// Of a [`LfQueue`](crate::LfQueue).
    pub mod lf_queue {
        pub use crate::lf_queue::IntoIter;
    }
    /// Of a [`SegmentQueue`](crate::SegmentQueue).
    pub mod segment_queue {
        pub use crate::segment_queue::{Drain, IntoIter};
    }
    /// Of a [`WfcQueue`](crate::WfcQueue).
    pub mod wfc_queue {
        pub use crate::wfc_queue::{Drain, IntoIter};
    }
}

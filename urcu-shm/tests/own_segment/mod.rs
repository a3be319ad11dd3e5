//! A segment of the test's own, attached when its process starts: the contract suite knows nothing of segments.

use std::os::fd::AsFd;

use urcu_shm::{Access, Barriers, Segment, SegmentOptions};

/// Makes a segment and attaches it.
pub(crate) fn attach(barriers: Barriers, access: Access) {
    let made = SegmentOptions::new(1 << 16).barriers(barriers).create_memfd("urcu-shm test").expect("a segment");
    let file = made.fd().as_fd().try_clone_to_owned().expect("a descriptor");
    let segment = Segment::from_fd(file, access).expect("the same segment");
    urcu_shm::attach(&segment).expect("the first one");
}

/// Has the process attach a segment of its own before `main`.
macro_rules! attach_at_start {
    ($barriers:expr, $access:expr) => {
        extern "C" fn attach_own_segment() {
            own_segment::attach($barriers, $access);
        }

        // SAFETY: a function of the type that the loader calls, and one that needs nothing that `main` sets up.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static ATTACH: extern "C" fn() = attach_own_segment;
    };
}
pub(crate) use attach_at_start;

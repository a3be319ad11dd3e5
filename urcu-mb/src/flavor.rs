//! The flavor: its global state, its thread-local record, and which barriers it uses.

use urcu_core::{Domain, Flavor, LightBarrier, ReadSide, ThreadRecord};

use crate::barrier;

/// The memory-barrier flavor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mb;

pub(crate) static DOMAIN: Domain = Domain::new(Mb::LAYOUT);

thread_local! {
    /// Constant and without a destructor: an access is one load relative to the thread pointer.
    static RECORD: ThreadRecord = const { ThreadRecord::new() };
}

// SAFETY: 1, 2: this module alone uses the two statics. 3: full fences on both sides. 4: not overridden.
unsafe impl Flavor for Mb {
    const NAME: &'static str = "urcu-mb";
    const READ_SIDE: ReadSide = ReadSide::Sections(LightBarrier::Full);

    #[inline]
    fn domain() -> &'static Domain {
        &DOMAIN
    }

    #[inline]
    fn with_record<R>(access: impl FnOnce(&ThreadRecord) -> R) -> R {
        RECORD.with(access)
    }

    #[inline]
    fn heavy_barrier() {
        barrier::heavy();
    }
}

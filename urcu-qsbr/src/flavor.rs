//! The flavor: its global state, its thread-local record, and which barriers it uses.

use urcu_core::{Domain, Flavor, ReadSide, ThreadRecord};

use crate::barrier;

/// The quiescent-state-based flavor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qsbr;

pub(crate) static DOMAIN: Domain = Domain::new(Qsbr::LAYOUT);

thread_local! {
    /// Constant and without a destructor: an access is one load relative to the thread pointer.
    static RECORD: ThreadRecord = const { ThreadRecord::new() };
}

// SAFETY: 1, 2: this module alone uses the two statics. 3: a full fence, the partner of the one in coming online.
// 4: not overridden.
unsafe impl Flavor for Qsbr {
    const NAME: &'static str = "urcu-qsbr";
    const READ_SIDE: ReadSide = ReadSide::QuiescentStates;

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

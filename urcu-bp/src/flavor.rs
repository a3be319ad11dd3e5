//! The flavor: its global state, its thread-local record, and which barriers it uses.

use urcu_core::{Domain, Flavor, InitError, LightBarrier, ReadSide, ThreadRecord};

use crate::barrier::MEMBARRIER;

/// The bullet-proof flavor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bp;

pub(crate) static DOMAIN: Domain = Domain::new(Bp::LAYOUT);

thread_local! {
    /// Constant and without a destructor: an access is one load relative to the thread pointer.
    static RECORD: ThreadRecord = const { ThreadRecord::new() };
}

// SAFETY: 1, 2: this module alone uses the two statics. 3: the kernel executes a full fence on every running thread;
// without the call readers issue their own (4: the state never changes once it is known, and registration asks first).
unsafe impl Flavor for Bp {
    const NAME: &'static str = "urcu-bp";
    const READ_SIDE: ReadSide = ReadSide::Sections(LightBarrier::Compiler);
    const REGISTERS_ITSELF: bool = true;

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
        MEMBARRIER.heavy_barrier();
    }

    fn runs_on_full_fences() -> bool {
        MEMBARRIER.is_missing()
    }

    fn init() -> Result<(), InitError> {
        MEMBARRIER.init()
    }
}

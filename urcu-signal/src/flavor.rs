//! The flavor: its global state, its thread-local record, and which barriers it uses.

use urcu_core::{Domain, Flavor, InitError, LightBarrier, ReadSide, ThreadRecord};

use crate::barrier;

/// The signal flavor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal;

pub(crate) static DOMAIN: Domain = Domain::new(Signal::LAYOUT);

#[cfg(not(urcu_loom))]
thread_local! {
    /// Constant and without a destructor: an access is one load relative to the thread pointer.
    static RECORD: ThreadRecord = const { ThreadRecord::new() };
}

// SAFETY: 1, 2: this module alone uses the two statics. 3: a handler executes a full fence on every registered thread;
// see the barrier module. 4: not overridden.
unsafe impl Flavor for Signal {
    const NAME: &'static str = "urcu-signal";
    const READ_SIDE: ReadSide = ReadSide::Sections(LightBarrier::Compiler);

    #[inline]
    fn domain() -> &'static Domain {
        &DOMAIN
    }

    #[inline]
    fn with_record<R>(access: impl FnOnce(&ThreadRecord) -> R) -> R {
        // One for each of a model's threads.
        #[cfg(urcu_loom)]
        loom::thread_local! {
            static RECORD: ThreadRecord = ThreadRecord::new();
        }
        RECORD.with(access)
    }

    fn heavy_barrier() {
        urcu_core::weaken!("signals", barrier::heavy() => ());
    }

    fn init() -> Result<(), InitError> {
        barrier::init()
    }

    fn on_register() {
        barrier::on_register();
    }
}

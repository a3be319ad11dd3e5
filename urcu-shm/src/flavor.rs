//! The flavor: its global state, its thread-local record, and where its readers show themselves to other processes.

use urcu_core::sync::{AtomicPtr, AtomicU64, Ordering};
use urcu_core::word::WordLayout;
use urcu_core::{Domain, Flavor, InitError, LightBarrier, ReadSide, Reader, RegisterError, ThreadRecord};

use crate::attach::{self, attached};
use crate::barrier::Barriers;
use crate::records;

/// The flavor for several processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shm;

pub(crate) static DOMAIN: Domain = Domain::new(Shm::LAYOUT);

#[cfg(not(urcu_loom))]
thread_local! {
    /// Constant and without a destructor: an access is one load relative to the thread pointer.
    static RECORD: ThreadRecord = const { ThreadRecord::new() };
}

/// What sections load while no segment is attached, when there are none.
static NO_PERIOD: AtomicU64 = AtomicU64::new(records::LAYOUT.first_period());

/// The number of the attached segment, or [`NO_PERIOD`]: valid for ever. Set once.
pub(crate) static PERIOD: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const NO_PERIOD).cast_mut());

// SAFETY: 1, 2: this module alone uses the two statics. 3: the segment's barrier is one for all of its processes, so also for the
// threads of this one: with `membarrier` the process was registered when it attached the segment; otherwise readers issue full fences
// (4: a process attaches one segment, once, before its first registration). 5: the same barrier; `attach` and `records` do the rest.
unsafe impl Flavor for Shm {
    const NAME: &'static str = "urcu-shm";
    const READ_SIDE: ReadSide = ReadSide::Sections(LightBarrier::Compiler);
    const LAYOUT: WordLayout = records::LAYOUT;
    const MIRRORED: bool = true;

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

    #[inline]
    fn heavy_barrier() {
        match attached() {
            Some(attached) => attached.mapping.barriers().heavy(),
            None => Barriers::Fences.heavy(),
        }
    }

    fn runs_on_full_fences() -> bool {
        attached().is_some_and(|attached| attached.mapping.barriers() == Barriers::Fences)
    }

    fn init() -> Result<(), InitError> {
        attached().map(drop).ok_or(InitError::NoSegment)
    }

    #[inline]
    fn shared_period() -> u64 {
        // Relaxed: the registration has seen to it.
        let period = PERIOD.load(Ordering::Relaxed);
        // SAFETY: valid for ever.
        let period = unsafe { &*period };
        // R1. PAIR(shared-period)
        period.load(Ordering::Acquire)
    }

    fn attach_mirror(reader: &'static Reader) -> Result<(), RegisterError> {
        attach::attach_mirror(reader)
    }

    fn detach_mirror(reader: &'static Reader) {
        attach::detach_mirror(reader);
    }

    fn forget_mirrors() {
        attach::forget_mirrors();
    }

    fn start_elsewhere() -> u64 {
        attach::updating().map_or(0, |mapping| records::draw(mapping).bits())
    }

    fn wait_elsewhere(number: u64) {
        if let Some(mapping) = attach::updating() {
            records::wait(mapping, crate::GraceNumber::from_bits(number));
        }
    }

    fn is_quiet_elsewhere() -> bool {
        attach::updating().is_none_or(|mapping| records::has_elapsed(mapping, records::current(mapping)))
    }
}

//! Flavors for models: full fences, as in urcu-mb, in urcu-qsbr, and in the others where the system has no barrier for them; and
//! interrupts, as in urcu-membarrier and urcu-signal.

use urcu_core::sync::{self, AtomicU64, Ordering};
use urcu_core::{Domain, Flavor, LightBarrier, ReadSide, ThreadRecord};

macro_rules! flavor {
    ($name:ident, $read_side:expr, { $($body:tt)* }) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name;

        // SAFETY: 1: a static of its own. 2: a record per thread of the model; all of a model's threads end before the next
        // execution. 3: full fences on both sides, or interrupts. 4: a constant.
        unsafe impl Flavor for $name {
            const NAME: &'static str = stringify!($name);
            const READ_SIDE: ReadSide = $read_side;

            fn domain() -> &'static Domain {
                static DOMAIN: Domain = Domain::new($name::LAYOUT);
                &DOMAIN
            }

            fn with_record<R>(access: impl FnOnce(&ThreadRecord) -> R) -> R {
                loom::thread_local! {
                    static RECORD: ThreadRecord = ThreadRecord::new();
                }
                RECORD.with(access)
            }

            $($body)*
        }
    };
}

flavor!(Fenced, ReadSide::Sections(LightBarrier::Full), {
    fn heavy_barrier() {
        sync::fence(Ordering::SeqCst);
    }
});

flavor!(Quiescent, ReadSide::QuiescentStates, {
    fn heavy_barrier() {
        sync::fence(Ordering::SeqCst);
    }
});

flavor!(Fallback, ReadSide::Sections(LightBarrier::Compiler), {
    fn heavy_barrier() {
        sync::fence(Ordering::SeqCst);
    }

    fn runs_on_full_fences() -> bool {
        true
    }
});

/// Heavy barriers so far, and the one that is under way.
static REQUEST: AtomicU64 = AtomicU64::new(0);

flavor!(Interrupted, ReadSide::Sections(LightBarrier::Compiler), {
    fn heavy_barrier() {
        sync::fence(Ordering::SeqCst);
        let request = REQUEST.fetch_add(1, Ordering::AcqRel) + 1;
        let own = Self::reader();
        Self::domain().registry().for_each(|reader| {
            while !core::ptr::eq(reader, own) && reader.tid() != 0 && reader.acknowledged() < request {
                sync::spin_loop();
            }
        });
        sync::fence(Ordering::SeqCst);
    }

    fn on_register() {
        // A barrier that has found this thread's slot sees it in order; no fence: one that has not found it does not come here.
        acknowledge();
    }
});

/// The barrier of a thread of `Interrupted`, on its own behalf: whatever it was doing is cut in two here.
pub(crate) fn interrupt() {
    sync::fence(Ordering::SeqCst);
    acknowledge();
    sync::fence(Ordering::SeqCst);
}

fn acknowledge() {
    let request = REQUEST.load(Ordering::Acquire);
    // SAFETY: the calling thread's own record. On registration nothing that the thread did before matters.
    unsafe { Interrupted::reader().acknowledge(request) };
}

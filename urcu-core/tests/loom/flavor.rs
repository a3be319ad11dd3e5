//! Flavors for models: full fences, as in urcu-mb and urcu-qsbr.

use urcu_core::sync::{self, Ordering};
use urcu_core::{Domain, Flavor, LightBarrier, ReadSide, ThreadRecord};

macro_rules! flavor {
    ($name:ident, $read_side:expr) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name;

        // SAFETY: 1: a static of its own. 2: a record per thread of the model; all of a model's threads end before the next
        // execution. 3: full fences on both sides. 4: not overridden.
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

            fn heavy_barrier() {
                sync::fence(Ordering::SeqCst);
            }
        }
    };
}

flavor!(Fenced, ReadSide::Sections(LightBarrier::Full));
flavor!(Quiescent, ReadSide::QuiescentStates);

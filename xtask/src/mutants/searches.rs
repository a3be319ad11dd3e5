//! Where the search for a test begins that turns red for a mutant.

/// Where a test is looked for that turns red, and what it means that none does.
pub(crate) struct Search {
    /// Of files that begin so.
    start: &'static str,
    /// `<build> <package>/<target> <beginning of names>*<end>`.
    pub(crate) tests: &'static [&'static str],
    pub(crate) uncaught: &'static str,
}

const fn search(start: &'static str, tests: &'static [&'static str], uncaught: &'static str) -> Search {
    Search { start, tests, uncaught }
}

const OF_PROCESSES: &str = "not tried: models and ThreadSanitizer end at the process, and x86-64 executes both orders alike; \
                            it stands by the argument beside it";
const NOWHERE: &str = "not tried: no model or program under ThreadSanitizer is searched for this file; \
                       it stands by the argument beside it";
const ALIKE: &str = "open: suite::store_buffers stays green, and x86-64 executes both orders alike; \
                     it stands by the argument beside it";
const OF_STRUCTURES: &str = "open: the crate's models and the searched programs under ThreadSanitizer stay green; \
                             it stands by the argument beside it";

/// The first that fits counts.
const SEARCHES: &[Search] = &[
    search(
        "urcu-core/src/event",
        &["loom urcu-core/loom event::a_"],
        "open: the models of events stay green; it stands by the argument beside it",
    ),
    search(
        "urcu-core/src/completion",
        &["loom urcu-core/loom completion::"],
        "open: the model of a task that waits stays green; it stands by the argument beside it",
    ),
    search("urcu-core/src/refcount", &["loom urcu-core/loom refcount::"], OF_STRUCTURES),
    search(
        "urcu-core/src/defer/",
        &[
            "loom urcu-core/loom deferred::a_call",
            "tsan urcu-core/orders calls_",
            "tsan urcu-core/orders what_is_retired",
            "tsan urcu-core/orders queues_",
            "tsan urcu-core/orders heads_",
        ],
        "open: the models of a call and the ThreadSanitizer programs of calls and queues stay green; \
         it stands by the argument beside it",
    ),
    search("urcu-core/src/report", &[], NOWHERE),
    search("urcu-core/src/sys/", &[], NOWHERE),
    search("urcu-core/src/fork", &[], NOWHERE),
    // Sections of the flavor for several processes.
    search(
        "urcu-core/src/mirror",
        &[
            "native urcu-shm/conformance suite::store_buffers::",
            "native urcu-shm/conformance_reader suite::store_buffers::",
        ],
        "open: suite::store_buffers of urcu-shm stays green, and x86-64 executes both orders alike; \
         it stands by the argument beside it",
    ),
    search(
        "urcu-core/src/raw",
        &["tsan urcu-core/orders sections_", "tsan urcu-core/orders typed_"],
        "open: the ThreadSanitizer programs of sections and typed pointers stay green; it stands by the argument beside it",
    ),
    search(
        "urcu-core/src/",
        &[
            "loom urcu-core/loom grace_period::",
            "tsan urcu-core/orders sections_",
            "tsan urcu-core/orders quiescent_",
            "tsan urcu-core/orders offline_",
            "tsan urcu-core/orders threads_",
            "tsan urcu-core/orders whoever_shares",
        ],
        "open: the models of grace periods and the ThreadSanitizer programs of sections and threads stay green; \
         it stands by the argument beside it",
    ),
    search("urcu-mb/src/", &["native urcu-mb/conformance suite::store_buffers::"], ALIKE),
    search("urcu-qsbr/src/", &["native urcu-qsbr/conformance suite::store_buffers::"], ALIKE),
    search("urcu-signal/src/", &["native urcu-signal/conformance suite::store_buffers::"], ALIKE),
    search("urcu-membarrier/src/", &[], NOWHERE),
    search("urcu-bp/src/", &[], NOWHERE),
    search(
        "urcu-shm/src/",
        &[
            "native urcu-shm/conformance suite::store_buffers::",
            "native urcu-shm/conformance_reader suite::store_buffers::",
        ],
        OF_PROCESSES,
    ),
    search(
        "cds-list/src/",
        &["loom cds-list/loom ", "tsan cds-list/stress *mb", "tsan cds-list/basic *mb"],
        OF_STRUCTURES,
    ),
    search(
        "cds-lfstack/src/",
        &["loom cds-lfstack/loom ", "tsan cds-lfstack/stress *mb", "tsan cds-lfstack/basic *mb"],
        OF_STRUCTURES,
    ),
    search(
        "cds-wfqueue/src/",
        &["loom cds-wfqueue/loom ", "tsan cds-wfqueue/stress *mb", "tsan cds-wfqueue/recv *mb"],
        OF_STRUCTURES,
    ),
    search(
        "cds-lfht/src/",
        &[
            "loom cds-lfht/loom ",
            "tsan cds-lfht/lib ",
            "tsan cds-lfht/map_stress *mb",
            "tsan cds-lfht/map_orders *mb",
            "tsan cds-lfht/raw_guarantees *mb",
            "tsan cds-lfht/raw_resize *mb",
        ],
        OF_STRUCTURES,
    ),
    search("", &[], OF_PROCESSES),
];

pub(crate) fn search_of(file: &str) -> &'static Search {
    SEARCHES.iter().find(|search| file.starts_with(search.start)).expect("the last one fits every file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::Control;

    #[test]
    fn every_search_is_well_formed_and_has_a_reason() {
        for search in SEARCHES {
            assert!(!search.uncaught.is_empty());
            for pattern in search.tests {
                pattern.parse::<Control>().expect("a pattern");
            }
        }
        assert_eq!(search_of("urcu-core/src/defer/queue.rs").tests.len(), 5);
        assert_eq!(search_of("cds-shm/src/heap.rs").uncaught, OF_PROCESSES);
    }
}

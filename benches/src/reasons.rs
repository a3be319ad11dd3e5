//! Why a peer is ahead, where that is known: shown beside the rows of a report.
//!
//! A reason covers cases, rows of ours and peers by pattern (`*` stands for anything), up to a factor: what is further behind than
//! that has another reason, and is shown as not explained. The first line that fits counts. Reasons are measured or read off our
//! code and the peer's; one that only follows from how the two are built begins with "probably". A row whose reason nobody knows has no
//! line here.

/// One reason.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    /// `suite/case`.
    cases: &'static [&'static str],
    /// Rows of ours.
    ours: &'static [&'static str],
    /// Rows that are ahead.
    peers: &'static [&'static str],
    /// Covers rows that are so many times worse than the peer, at most.
    up_to: f64,
    /// The sentence, to follow on "because".
    why: &'static str,
}

/// The reason of a row that is `times` worse than another one.
pub fn find(suite: &str, case: &str, ours: &str, peer: &str, times: f64) -> Option<&'static str> {
    let case = format!("{suite}/{case}");
    let any = |patterns: &[&str], text: &str| patterns.iter().any(|pattern| fits(pattern, text));
    ALL.iter()
        .find(|reason| {
            any(reason.cases, &case) && any(reason.ours, ours) && any(reason.peers, peer) && times <= reason.up_to
        })
        .map(|reason| reason.why)
}

/// Whether a text fits a pattern whose stars stand for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|&at| rest.is_char_boundary(at)).any(|at| fits(after, &rest[at..]))
}

/// Flavors whose grace periods interrupt the readers' processors.
const ASYMMETRIC: &[&str] = &["urcu-membarrier", "urcu-signal", "urcu-bp"];
const LOCKS: &[&str] = &["std-*", "parking_lot-*"];
const ANY: &[&str] = &["*"];

const ALL: &[Reason] = &[
    // ---- sections ----
    Reason {
        cases: &["read/*", "scale/read-threads@*"],
        ours: &["urcu-mb"],
        peers: &["kovan", "sdd", "haphazard", "crossbeam-epoch", "seize", "arc-swap", "std-*", "parking_lot-*"],
        up_to: 9.0,
        why: "a section of the mb flavor begins with a locked instruction, which is what the flavor is: its updaters need none of \
              the kernel's help. kovan compares two numbers and executes a fence only when its epoch has moved",
    },
    Reason {
        cases: &["read/free"],
        ours: &["urcu-qsbr"],
        peers: &["liburcu-qsbr"],
        up_to: 4.0,
        why: "the free `read_lock()` finds the thread's record and checks that it is registered and online; the C library's is \
              nothing at all, and undefined on other threads. `Thread::read_lock` and the raw tier are as fast as that",
    },
    Reason {
        cases: &["read/nested"],
        ours: &["urcu-mb", "urcu-membarrier", "urcu-signal", "urcu-bp"],
        peers: &["liburcu-mb", "liburcu-memb", "liburcu-signal", "liburcu-bp"],
        up_to: 1.8,
        why: "a nested lock of ours also looks whether it is nested too deeply, and marks the section as one of the safe tier; its \
              unlock whether it is awaited: a third of a nanosecond",
    },
    Reason {
        cases: &["read/free", "read/raw"],
        ours: &["urcu-signal"],
        peers: &["liburcu-signal"],
        up_to: 1.25,
        why: "20 instructions in a loop where the C library has 19, two more of its jumps are taken, and the thread's record is found \
              through a pointer (disassembly): a tenth of a nanosecond",
    },
    Reason {
        cases: &["read/thread", "read/raw", "read/nested", "scale/read-threads@*"],
        ours: &["urcu-qsbr", "urcu-signal", "urcu-membarrier"],
        peers: &["liburcu-*"],
        up_to: 1.12,
        why: "0.26 or 0.28 ns, from build to build, for either side: the same load in loops that lie elsewhere",
    },
    // ---- grace periods ----
    Reason {
        cases: &["grace/register-during-gp"],
        ours: ANY,
        peers: &["liburcu-*"],
        up_to: 12.0,
        why: "registering does more: it asks the kernel for the thread's number and sets the thread's exit destructor, so that a \
              thread that ends without unregistering is not waited for for ever; 0.4 us, once per thread",
    },
    Reason {
        cases: &["grace/updaters-2"],
        ours: &["urcu-qsbr"],
        peers: &["liburcu-qsbr"],
        up_to: 1.8,
        why: "on two cores one of the three threads always waits for one, so both updaters sleep in each grace period and are woken one \
              after the other, 10 us each in this virtual machine (perf sched)",
    },
    Reason {
        cases: &["scale/grace-threads@1", "scale/grace-threads@2"],
        ours: &["urcu-qsbr", "urcu-mb"],
        peers: &["liburcu-*"],
        up_to: 1.3,
        why: "a waiting updater looks at the readers' lines in growing steps of up to a microsecond, so as not to take them away from \
              the readers all the time",
    },
    Reason {
        cases: &[
            "scale/grace-threads@2",
            "scale/grace-threads@4",
            "scale/grace-threads@8",
            "scale/grace-threads@16",
            "scale/grace-threads@32",
            "scale/grace-threads@64",
        ],
        ours: ANY,
        peers: &["liburcu-*"],
        up_to: f64::INFINITY,
        why: "with more threads than cores (the updater is one more) a call waits for the turns of all readers that the kernel has put \
              aside inside their sections, milliseconds each, and for nothing when there are none. Interrupts fall behind the locked \
              instruction: a reader of urcu-mb is inside then in 95 % of a profile's samples, one of liburcu-mb in 61 %, so that the \
              latter has spells of fast calls; which flavors else have them is chance",
    },
    Reason {
        cases: &["scale/section-length@0"],
        ours: ANY,
        peers: LOCKS,
        up_to: 1000.0,
        why: "whoever takes a lock waits for the one reader that holds it at most, mostly for nobody; a grace period has to reach the \
              reader's processor and hear from it, through the kernel where sections have no fence",
    },
    Reason {
        cases: &["scale/section-length@1us", "scale/section-length@10us"],
        ours: &["urcu-qsbr", "urcu-mb"],
        peers: &["liburcu-*", "std-*", "parking_lot-*"],
        up_to: 1.7,
        why: "a waiting updater looks at the reader's line in growing steps of up to a microsecond, so as not to take it away from \
              the reader all the time; it sees the end of a section that much later",
    },
    Reason {
        cases: &["scale/section-length@1us", "scale/section-length@10us"],
        ours: ASYMMETRIC,
        peers: LOCKS,
        up_to: 15.0,
        why: "the grace period begins with a call of the kernel that interrupts the reader (10 us here); a lock waits for the \
              section only",
    },
    Reason {
        cases: &["scale/section-length@100us", "scale/section-length@1ms"],
        ours: ANY,
        peers: &["std-*", "parking_lot-*", "liburcu-*"],
        up_to: 1.25,
        why: "the updater sleeps until the reader's unlock wakes it, which takes the kernel 5 to 20 us, and again when its wait has a bound; \
              a lock's waiter has that one section to wait for and no kernel call before it",
    },
    // ---- reclamation ----
    Reason {
        cases: &["reclaim/retire-1", "scale/retire-threads@1", "instructions/count-retire"],
        ours: ANY,
        peers: LOCKS,
        up_to: 1.7,
        why: "an uncontended lock frees each block at once while it is in the nearest cache; retired ones come back 512 at a time. 198 \
              instructions per block against our 313 (callgrind)",
    },
    Reason {
        cases: &["reclaim/retire-1-reader", "reclaim/retire-2-reading"],
        ours: ASYMMETRIC,
        peers: &["sdd", "kovan"],
        up_to: 2.5,
        why: "each block of 512 calls needs a grace period, whose barrier interrupts the reader's processor (10 us here, 20 ns per \
              value); sdd's readers pay a locked instruction per section instead, ten times the cost of ours",
    },
    Reason {
        cases: &["reclaim/retire-drop-1"],
        ours: ANY,
        peers: &["std-*", "parking_lot-*", "kovan", "sdd", "seize", "crossbeam-epoch", "liburcu-*"],
        up_to: 6.0,
        why: "destructors run on a worker, where they may take any lock, and so the memory is freed by another thread than the one \
              that allocates: in a profile both spend most of their time in the allocator's slow paths (`_int_malloc`, `_int_free`), which \
              the peers do not reach, who run destructors within the updater's call",
    },
    Reason {
        cases: &["reclaim/stalled-reader"],
        ours: ANY,
        peers: &["std-*", "parking_lot-*", "arc-swap", "haphazard", "kovan"],
        up_to: 100_000.0,
        why: "readers of these hold up the updater itself, one block, or only what is older than their guard; ours go on retiring up to \
              the hard limit (65,536 unless set otherwise)",
    },
    // ---- lists ----
    Reason {
        cases: &["list/walk*", "list/hlist*"],
        ours: ANY,
        peers: &["rwlock-vec"],
        up_to: 9.0,
        why: "a vector's values lie one behind the other: several are added per cycle, while a list has to load a link before the next \
              one. As fast as the plain list",
    },
    Reason {
        cases: &["list/update"],
        ours: ANY,
        peers: &["rwlock-linked-list"],
        up_to: 3.2,
        why: "under a lock the removed block is freed at once and handed out again while it is in the nearest cache; with RCU 512 of them \
              wait for a grace period",
    },
    Reason {
        cases: &["list/update-raw"],
        ours: ANY,
        peers: &["rwlock-linked-list"],
        up_to: 14.0,
        why: "callbacks run on a worker: it frees what the updater allocates, and both are in the allocator's slow paths most of the time \
              (in a profile `_int_malloc` 20 %, `_int_free` and `free` 24 %); at the hard limit of 65,536 the updater waits for it. \
              Under a lock the block is freed at once and handed out again",
    },
    Reason {
        cases: &["list/update-reader", "list/update-reader-raw"],
        ours: ANY,
        peers: &["rwlock-linked-list"],
        up_to: 4.0,
        why: "the reader reads the list all the time, so that each update has to take its lines back, and each 512 values need a grace \
              period, raw ones a worker; the lock keeps the reader out meanwhile, which the figure does not show",
    },
    Reason {
        cases: &["list/update-reader", "list/update-reader-raw"],
        ours: &["urcu-signal"],
        peers: &["liburcu-signal"],
        up_to: 2.5,
        why: "the thread that retires sends the signal itself, for each 512 values, and waits for the handler; the C library leaves \
              that to its worker, which does it every 10 ms",
    },
    // ---- stacks ----
    Reason {
        cases: &["stack/put-drain", "scale/stack-threads@*"],
        ours: ANY,
        peers: &["crossbeam-seg-queue"],
        up_to: 3.4,
        why: "a queue has two ends, so its threads meet less often than at the one head of a stack, and it allocates 31 places at a \
              time instead of a node per value; it is here for programs that do not mind the order",
    },
    Reason {
        cases: &["stack/wfs-*", "stack/lfs-*"],
        ours: &["cds-lfstack"],
        peers: &["liburcu-cds"],
        up_to: 1.06,
        why: "the same steps, by two compilers, up to a twentieth either way from build to build",
    },
    Reason {
        cases: &["stack/bursts", "stack/pairs", "scale/stack-threads@*"],
        ours: &["LfStack-*", "WfStack-*", "Serial*"],
        peers: ANY,
        up_to: 1.6,
        why: "each pop is a section and each value a node that is retired, where the peers have one lock around a vector: with few \
              threads that is less work. `LockedStack` is that",
    },
    // ---- queues ----
    Reason {
        cases: &["queue/*", "scale/queue-threads@*"],
        ours: &["WfcQueue", "WfcQueue-split", "SegmentQueue", "LfQueue-*", "LockedQueue"],
        peers: &["crossbeam-ArrayQueue"],
        up_to: 4.5,
        why: "crossbeam's `ArrayQueue` is a ring of 65,536 places that are there from the beginning, and has one locked instruction per \
              operation; the unbounded ones allocate nodes or arrays, `WfcQueue` also takes a lock per dequeue, `LfQueue` a section per \
              operation. `BoundedQueue` is its like",
    },
    Reason {
        cases: &["queue/pairs", "queue/burst", "scale/queue-threads@*"],
        ours: &["WfcQueue"],
        peers: &["crossbeam-SegQueue"],
        up_to: 2.5,
        why: "a node is allocated for each value and a lock taken for each dequeue, since its algorithm has one consumer at a time; \
              crossbeam's has 31 places per allocation and consumers that pass each other by one exchange. `SegmentQueue` and \
              `BoundedQueue` are for several consumers",
    },
    Reason {
        cases: &["scale/queue-threads@*"],
        ours: &["LfQueue-*"],
        peers: &["crossbeam-SegQueue"],
        up_to: 1.5,
        why: "a node per value instead of 31 places at a time, and for `LfQueue-mb` two locked instructions more per section; \
              `SegmentQueue` has arrays, too",
    },
    Reason {
        cases: &["scale/queue-threads@64", "scale/queue-threads@32"],
        ours: &["BoundedQueue"],
        peers: &["crossbeam-ArrayQueue"],
        up_to: 1.35,
        why: "the same ring; with 16 threads per core it matters which of them the kernel puts aside within an operation, and for how \
              long the others spin before they yield",
    },
    Reason {
        cases: &["queue/recv"],
        ours: &["WfcQueue-split"],
        peers: ANY,
        up_to: 1.35,
        why: "a wake-up through the kernel, as in the peers; the sleeper looks at two words of the queue and of its event once more \
              before it sleeps and after",
    },
    // ---- maps ----
    Reason {
        cases: &["map/hit-*", "map/miss-*", "map/mix-*", "scale/map-threads@*", "scale/map-entries@*"],
        ours: &["cds-lfht", "cds-lfht:get_many"],
        peers: &["RwLock<HashMap>"],
        up_to: 5.0,
        why: "probably: entries of the standard library's map lie inside its array, found by comparing 16 hashes at once, and the lock is taken \
              once per 512 keys, while nobody writes; an entry of ours is a node behind a pointer, which stays where it is while the map \
              changes",
    },
    Reason {
        cases: &["map/hit-*", "map/miss-*", "scale/map-threads@*", "scale/map-entries@*", "route/lookups"],
        ours: &["cds-lfht", "cds-lfht:get_many"],
        peers: &["scc:HashIndex"],
        up_to: 1.5,
        why: "probably: its buckets hold 32 entries inline with a byte of each hash, so a lookup needs one cache line less than one that follows \
              a pointer to a node",
    },
    Reason {
        cases: &["map/memory-*", "map/raw-memory-*"],
        ours: &["cds-lfht*"],
        peers: ANY,
        up_to: 2.0,
        why: "probably: a node of its own for each entry, with a link and the hash, beside the array of buckets; the peer keeps key and value \
              in its array",
    },
    Reason {
        cases: &["map/raw-hit-1k", "map/raw-miss-1k", "map/raw-mix-1k"],
        ours: &["cds-lfht-raw-presized"],
        peers: &["liburcu-lfht"],
        up_to: 1.6,
        why: "probably: a presized table has a bucket per entry, one that resizes itself has more of them and shorter chains; the C library's \
              presized table is the one to compare with, and it is slower",
    },
    Reason {
        cases: &["map/grow-*", "map/p999-insert"],
        ours: &["cds-lfht"],
        peers: &["dashmap", "RwLock<HashMap>", "scc:*", "papaya"],
        up_to: 2.0,
        why: "probably: an insertion allocates a node and links it where readers may be; maps behind locks move entries into larger arrays while \
              nobody reads them",
    },
    Reason {
        cases: &["map/p999-rest*", "map/p999-resize", "map/p999-updates"],
        ours: &["cds-lfht"],
        peers: &["dashmap", "RwLock<HashMap>", "scc:*", "papaya"],
        up_to: 1.6,
        why: "probably: a lookup follows a pointer from the bucket's line to the entry's; the peer keeps keys in its array",
    },
    Reason {
        cases: &["map/p999-resize-any"],
        ours: &["cds-lfht"],
        peers: ANY,
        up_to: 6.0,
        why: "the removals' grace periods interrupt the reader by membarrier, for 7 us and more often than once in a thousand lookups; with urcu-mb \
              the same threads are as fast as at rest (measured). The peer frees at once, under its lock",
    },
    Reason {
        cases: &["route/updates"],
        ours: &["cds-lfht"],
        peers: &["dashmap", "scc:HashMap", "RwLock<HashMap>"],
        up_to: 2.5,
        why: "two thirds of the updater's time wait for memory (a profile): for the bucket's line, and after it for the entry's, whose key is to be \
              compared, since entries never move; probably the peer waits once: its entries are in its array, and their bytes of hash in the cache",
    },
    // ---- shared memory ----
    Reason {
        cases: &["shm/lookup"],
        ours: ANY,
        peers: &["pthread-rwlock"],
        up_to: 2.3,
        why: "probably: while nobody updates, its lock is two locked instructions on a line of the reader's own, and its table holds entries \
              inline, where ours follows a link; beside updates and with several readers it is another matter (`reads`)",
    },
    Reason {
        cases: &["map/raw-grow-*"],
        ours: &["cds-lfht-raw"],
        peers: &["liburcu-lfht-presized"],
        up_to: 2.0,
        why: "that table does not grow: it is there to be compared with ours of the same kind, `cds-lfht-raw-presized`",
    },
    // ---- instructions and lines ----
    Reason {
        cases: &["instructions/count-read"],
        ours: ANY,
        peers: LOCKS,
        up_to: 2.0,
        why: "a lock that nobody else wants is two locked instructions and little else; each counts as one, and costs as much as twenty \
              others, more if another reader has the line",
    },
    Reason {
        cases: &["instructions/count-stack", "instructions/count-queue"],
        ours: ANY,
        peers: &["parking_lot-*", "mutex-*"],
        up_to: 11.0,
        why: "an array behind a lock that nobody else wants: a locked instruction counts as one, and nothing is allocated per value. Ours \
              allocate and free a node per value, and those whose nodes are reclaimed by grace periods retire it in between",
    },
    Reason {
        cases: &["instructions/transfers-stack", "instructions/transfers-queue"],
        ours: ANY,
        peers: &["parking_lot-*", "mutex-*"],
        up_to: 2.6,
        why: "a value in a node of its own brings that node's line along, beside the line of the head; in an array several values share one",
    },
    Reason {
        cases: &["scale/map-threads@*"],
        ours: &["cds-lfht:get_many"],
        peers: &["papaya"],
        up_to: 1.8,
        why: "probably: `get_many` goes over its keys several times, to have their lines fetched side by side, and these are in the cache: \
              single lookups of the same map are level with the peer's",
    },
    Reason {
        cases: &["instructions/count-map"],
        ours: &["cds-lfht*"],
        peers: &["RwLock<HashMap>"],
        up_to: 3.0,
        why: "probably: the lock is taken once per 512 keys, and sixteen hashes are compared by one vector instruction; `get_many` goes over \
              its keys several times, to have their lines fetched side by side",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Arguments;
    use crate::harness::plan::Kind;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, answer) in [
            ("read/*", "read/raw", true),
            ("scale/read-threads@*", "scale/read-threads@64", true),
            ("list/*-raw", "list/update-raw", true),
            ("list/*-raw", "list/update", false),
            ("*", "", true),
            ("a*b*c", "aXbbYc", true),
            ("read", "read/raw", false),
        ] {
            assert_eq!(fits(pattern, text), answer, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_further_behind_than_a_reason_covers_is_not_explained() {
        let why = |times| find("read", "free", "urcu-qsbr", "liburcu-qsbr", times);
        assert!(why(2.9).is_some());
        assert_eq!(why(40.0), None);
        assert_eq!(find("read", "free", "urcu-bp", "liburcu-bp", 1.5), None);
    }

    #[test]
    fn every_pattern_fits_something_that_is_measured() {
        let cases = Arguments::default().plan().unwrap().cases;
        for reason in ALL {
            assert!(!reason.why.ends_with('.') && reason.up_to > 1.0, "{}", reason.why);
            for pattern in reason.cases {
                let of_case = |kind: fn(Kind) -> bool, patterns: &'static [&'static str]| {
                    cases.iter().any(|(suite, case)| {
                        fits(pattern, &format!("{suite}/{}", case.name))
                            && case.contenders.iter().any(|contender| {
                                kind(contender.kind) && patterns.iter().any(|pattern| fits(pattern, &contender.name))
                            })
                    })
                };
                assert!(of_case(|kind| kind == Kind::Ours, reason.ours), "{pattern}: none of {:?}", reason.ours);
                assert!(of_case(|kind| kind == Kind::Peer, reason.peers), "{pattern}: none of {:?}", reason.peers);
            }
        }
    }
}

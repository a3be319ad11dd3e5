//! RCU from a locked value upward: a guide in chapters.
//!
//! Read it in order the first time. Every example compiles and runs as it stands.
//!
//! 1. [`from_locks`]: one routing table behind a mutex, a reader-writer lock and RCU. What each costs the reader.
//! 2. [`publish`]: how a new version becomes visible, and why the order of two stores matters.
//! 3. [`remove`]: how an old version goes away while readers still stand on it.
//! 4. [`grace_period`]: what exactly an updater waits for.
//! 5. [`deferred`]: freeing without waiting: who does it, how much may pile up, and how to wait after all.
//! 6. [`flavors`]: five ways to pay for the barrier, and how to choose one.
//! 7. [`qsbr`]: the flavor whose readers cost nothing, in a work loop and in an event loop.
//! 8. [`tiers`]: the safe face, the raw tier, and where each C name went.
//! 9. [`rules`]: what the compiler checks, what panics, and what is left to you.
//! 10. [`patterns`]: five shapes that most uses of RCU fall into.
//! 11. [`mixing`]: several flavors in one program: what may be passed between libraries, and what waits for what.
//! 12. [`processes`]: readers in several processes, over shared memory.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | section | a read-side critical section: from `read_lock` to the drop of its guard. Sections nest |
//! | reader | a registered thread, seen as something that may be inside a section |
//! | registry | the set of readers that a grace period looks at |
//! | updater | whoever changes the structure. Updaters exclude each other by their own means |
//! | publish | make an object reachable by storing its pointer |
//! | unlink | make an object unreachable for readers that have not started yet |
//! | grace period | a stretch of time at whose end every section that was open at its start is over |
//! | quiescent state | a moment at which a thread holds no RCU reference |
//! | retire | hand over an unlinked object, to be reclaimed after a grace period |
//! | defer | have code run after a grace period, without waiting for it |
//! | reclaim | do with a retired object what it was retired for: drop it, usually |
//! | worker | a thread that waits for grace periods on behalf of others and runs what they have deferred |
//! | flavor | one way to implement readers and grace periods, one crate each |
//! | domain | the global state of one flavor: its registry and its grace-period number |

// The chapters are markdown files. A figure stands between a chapter's first line and its text: markdown cannot include a
// file, `concat!` can.
macro_rules! figure {
    ($file:literal) => {
        concat!("<div style=\"margin:1em 0\">\n", include_str!(concat!("../../docs/", $file)), "</div>\n\n")
    };
}

pub mod from_locks {
    //! Chapter 1: one routing table behind a mutex, a reader-writer lock and RCU.
    //!
    #![doc = include_str!("from_locks.md")]
}

pub mod publish {
    //! Chapter 2: publishing a new version.
    //!
    #![doc = figure!("insertion.svg")]
    #![doc = include_str!("publish.md")]
}

pub mod remove {
    //! Chapter 3: removing an old version while readers stand on it.
    //!
    #![doc = figure!("deletion.svg")]
    #![doc = include_str!("remove.md")]
}

pub mod grace_period {
    //! Chapter 4: what a grace period waits for, and what it does not.
    //!
    #![doc = figure!("grace-period.svg")]
    #![doc = include_str!("grace_period.md")]
}

pub mod deferred {
    //! Chapter 5: retiring without waiting.
    //!
    #![doc = figure!("deferred.svg")]
    #![doc = include_str!("deferred.md")]
}

pub mod flavors {
    //! Chapter 6: the five flavors, what each costs and forbids, how to choose.
    //!
    #![doc = figure!("flavors.svg")]
    #![doc = include_str!("flavors.md")]
}

pub mod qsbr {
    //! Chapter 7: QSBR in a work loop and in an event loop.
    //!
    #![doc = figure!("qsbr-loops.svg")]
    #![doc = include_str!("qsbr.md")]
}

pub mod tiers {
    //! Chapter 8: the face, the raw tier and the C names.
    //!
    #![doc = include_str!("tiers.md")]
}

pub mod rules {
    //! Chapter 9: rules and traps.
    //!
    #![doc = include_str!("rules.md")]
}

pub mod patterns {
    //! Chapter 10: patterns.
    //!
    #![doc = include_str!("patterns.md")]
}

pub mod mixing {
    //! Chapter 11: libraries with flavors of their own in one program.
    //!
    #![doc = include_str!("mixing.md")]
}

pub mod processes {
    //! Chapter 12: readers in several processes.
    //!
    #![doc = include_str!("processes.md")]
}

//! Things that went wrong where no caller is there to be told.

use core::fmt;
use core::panic::Location;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::error::WorkerError;
use crate::flavor::Flavor;
use crate::sync::{AtomicPtr, Ordering};

/// An event for the report hook.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Report {
    /// A thread ended while it was inside a read-side critical section.
    ThreadEndedInSection {
        /// The flavor's crate.
        flavor: &'static str,
        /// The kernel's id of the thread.
        tid: i32,
        /// The thread's name, where it could still be asked for.
        name: Option<String>,
        /// How deeply the sections were nested.
        nesting: u64,
        /// Where the outermost section began; known in builds with debug assertions.
        entered_at: Option<&'static Location<'static>>,
        /// Whether the section has been ended with the thread: so for sections of the raw tier. One behind a guard (or,
        /// in QSBR, a `Thread`) that was leaked stays open for ever, and no grace period can end any more: whoever
        /// waits for one panics.
        ended: bool,
    },
    /// A grace period waits for one reader longer than [the stall limit](crate::set_stall_limit); again at each doubling.
    GracePeriodStalled {
        /// The flavor's crate.
        flavor: &'static str,
        /// The kernel's id of the reader's thread.
        tid: i32,
        /// The thread's name, where it could be found.
        name: Option<String>,
        /// How deeply its sections are nested (QSBR: 1 for an online thread).
        nesting: u64,
        /// How long the grace period has been waiting for it.
        waited: Duration,
        /// Where the outermost section began; known in builds with debug assertions.
        entered_at: Option<&'static Location<'static>>,
    },
    /// A grace period waits for a reader of another process longer than [the stall limit](crate::set_stall_limit); again at
    /// each doubling. What is said about the reader comes from that process, or from the system.
    ProcessStalls {
        /// The flavor's crate.
        flavor: &'static str,
        /// The process.
        pid: i32,
        /// Its name, where it could be found.
        name: Option<String>,
        /// The thread.
        tid: i32,
        /// Whether somebody has stopped it (`SIGSTOP`, a debugger).
        stopped: bool,
        /// How long the grace period has been waiting for it.
        waited: Duration,
    },
    /// The thread of the default worker cannot be started; deferred calls wait for a barrier or a hard limit.
    NoWorker {
        /// The flavor's crate.
        flavor: &'static str,
        /// Why.
        error: WorkerError,
    },
    /// A thread that retires beyond the hard limit ([`Limits`](crate::Limits)) has been waiting for room longer than
    /// [the stall limit](crate::set_stall_limit); again at each doubling. Some section does not end, or the thread holds a lock
    /// that a deferred call waits for.
    RetireStalled {
        /// The flavor's crate.
        flavor: &'static str,
        /// How long the thread has been waiting.
        waited: Duration,
        /// How many calls are deferred.
        items: usize,
        /// How many bytes they are known to hold.
        bytes: usize,
    },
    /// A destructor or closure panicked when it was run after its grace period. The worker goes on.
    DeferredPanicked {
        /// The flavor's crate.
        flavor: &'static str,
        /// The panic's message, if it was text.
        message: String,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThreadEndedInSection { flavor, tid, name, nesting, entered_at, ended } => {
                let name = name.as_deref().unwrap_or("?");
                write!(
                    f,
                    "{flavor}: thread {tid} ({name}) ended inside a read-side critical section (nesting {nesting}"
                )?;
                if let Some(site) = entered_at {
                    write!(f, ", entered at {site}")?;
                }
                f.write_str(if *ended {
                    "); the section has been ended"
                } else {
                    "); its guard or `Thread` was leaked, so the section stays open and no grace period can end any more"
                })
            }
            Self::GracePeriodStalled { flavor, tid, name, nesting, waited, entered_at } => {
                let name = name.as_deref().unwrap_or("?");
                write!(
                    f,
                    "{flavor}: a grace period has been waiting {:.1} s for thread {tid} ({name}), nesting {nesting}",
                    waited.as_secs_f64()
                )?;
                entered_at.map_or(Ok(()), |site| write!(f, ", inside a section entered at {site}"))
            }
            Self::ProcessStalls { flavor, pid, name, tid, stopped, waited } => write!(
                f,
                "{flavor}: a grace period has been waiting {:.1} s for process {pid} ({}), thread {tid}{}",
                waited.as_secs_f64(),
                name.as_deref().unwrap_or("?"),
                if *stopped { ", which is stopped" } else { "" }
            ),
            Self::RetireStalled { flavor, waited, items, bytes } => write!(
                f,
                "{flavor}: a thread has been waiting {:.1} s to retire more: {items} calls ({bytes} bytes) are deferred; does it \
                 hold a lock that a deferred call or a reader takes?",
                waited.as_secs_f64()
            ),
            Self::NoWorker { flavor, error } => write!(f, "{flavor}: deferred calls have no worker: {error}"),
            Self::DeferredPanicked { flavor, message } => write!(f, "{flavor}: a deferred call panicked: {message}"),
        }
    }
}

/// How long something has been waited for, and when that is worth a report: after the stall limit, and at each doubling.
#[derive(Debug)]
pub struct Stall {
    since: Instant,
    report_after: Option<Duration>,
}

impl Stall {
    /// Waiting begins now.
    #[allow(clippy::new_without_default, reason = "the limit is a flavor's")]
    pub fn new<F: Flavor>() -> Self {
        let millis = F::domain().stall_after.load(Ordering::Relaxed);
        Self { since: Instant::now(), report_after: (millis != 0).then(|| Duration::from_millis(millis)) }
    }

    /// How long it has been, if that is to be reported now.
    pub fn due(&mut self) -> Option<Duration> {
        let waited = self.since.elapsed();
        let limit = self.report_after.filter(|&limit| waited >= limit)?;
        self.report_after = limit.checked_mul(2);
        Some(waited)
    }

    /// How long it has been.
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What is called with each report.
pub type ReportHook = fn(&Report);

static HOOK: AtomicPtr<()> = AtomicPtr::new(print as ReportHook as *mut ());

/// Sets the function that is told of every [`Report`] of every flavor in this copy of the library, and returns the
/// one before. The first hook prints one line on stderr.
///
/// Any context; lock-free. The hook runs on whatever thread found the event, maybe one that is ending (thread-locals
/// may be gone) or an updater in the middle of a grace period: it must not call the library, and a panic in it is
/// caught and dropped.
pub fn set_report_hook(hook: ReportHook) -> ReportHook {
    // AcqRel pairs with the load in `report` and with other calls: whatever the hook relies on happened before.
    let before = HOOK.swap(hook as *mut (), Ordering::AcqRel);
    // SAFETY: only values of type `ReportHook` are ever stored, and function pointers have the size of `*mut ()`.
    unsafe { core::mem::transmute::<*mut (), ReportHook>(before) }
}

/// Tells the hook.
pub fn report(event: &Report) {
    let hook = HOOK.load(Ordering::Acquire);
    // SAFETY: as in `set_report_hook`.
    let hook = unsafe { core::mem::transmute::<*mut (), ReportHook>(hook) };
    // A hook that panics has nobody to unwind to.
    drop(catch_unwind(AssertUnwindSafe(|| hook(event))));
}

/// One line on stderr by one system call: works on a thread whose thread-locals are gone, and lines do not mix.
fn print(event: &Report) {
    let line = format!("{event}\n");
    // SAFETY: the buffer is valid for its length; a short or failed write loses only the message.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

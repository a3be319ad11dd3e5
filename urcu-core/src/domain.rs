//! The global state of one flavor, and its identity.

use core::fmt;

use crate::defer::Deferred;
use crate::grace_period::GracePeriods;
use crate::registry::Registry;
use crate::sync::{AtomicBool, AtomicU64, CachePadded};
use crate::sys::{self, ExitKey, ForkMark};
use crate::word::WordLayout;

/// Everything that a flavor shares between its threads. One static per flavor crate, that is: one per *copy* of the
/// crate in the process. Two copies (a program's and a `dlopen`ed library's) are two domains that know nothing of
/// each other's readers.
pub struct Domain {
    /// The current grace period as a reader word with nesting 1. Readers load it at every section, updaters change it
    /// once per grace period: alone on its cache line.
    pub(crate) period: CachePadded<AtomicU64>,
    pub(crate) registry: Registry,
    pub(crate) grace_periods: GracePeriods,
    pub(crate) exit_key: ExitKey,
    /// A period all of whose older sections have ended. PAIR(elapsed)
    pub(crate) elapsed: CachePadded<AtomicU64>,
    /// The longest wait for one reader so far, in nanoseconds.
    pub(crate) longest_wait: AtomicU64,
    /// After how many milliseconds a grace period is reported as stalled; 0: never.
    pub(crate) stall_after: AtomicU64,
    pub(crate) deferred: Deferred,
    /// The process that the registry belongs to, since the first registration.
    pub(crate) process: ForkMark,
    /// Whether the shared object has been pinned.
    pub(crate) pinned: AtomicBool,
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("period", &self.period.0).finish_non_exhaustive()
    }
}

impl Domain {
    /// The state of a flavor that nobody has used yet, for readers whose words have this layout.
    pub const fn new(layout: WordLayout) -> Self {
        Self {
            period: CachePadded(AtomicU64::new(layout.first_period())),
            registry: Registry::new(),
            grace_periods: GracePeriods::new(),
            exit_key: ExitKey::new(),
            elapsed: CachePadded(AtomicU64::new(0)),
            longest_wait: AtomicU64::new(0),
            stall_after: AtomicU64::new(10_000),
            deferred: Deferred::new(),
            process: ForkMark::new(),
            pinned: AtomicBool::new(false),
        }
    }

    /// What tells this domain from every other one in the process.
    #[inline]
    pub fn id(&'static self) -> DomainId {
        DomainId::of(self)
    }

    /// The registered readers.
    pub fn registry(&'static self) -> &'static Registry {
        &self.registry
    }
}

/// The identity of a [`Domain`]: equal exactly when two flavors share their readers and grace periods.
///
/// Function pointers and vtable addresses would not do: both may be duplicated across compilation units.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DomainId(usize);

impl DomainId {
    #[inline]
    pub(crate) fn of(domain: *const Domain) -> Self {
        Self(domain.addr())
    }

    /// The file of the program or shared object that the domain lives in: what distinguishes two copies of one flavor for
    /// people. `None` if the system does not know. Any context but signal handlers; allocates.
    pub fn object(self) -> Option<String> {
        sys::shared_object_of(self.0)
    }
}

impl fmt::Debug for DomainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainId({:#x})", self.0)
    }
}

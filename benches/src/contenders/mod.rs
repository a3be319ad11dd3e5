//! Every implementation of RCU under test, ours and the C library's, behind one table of functions.

pub mod api;
pub mod cdylib;
pub mod deferral;
pub mod liburcu;
pub mod ours;

use api::Api;
use deferral::DeferralEntry;

use crate::harness::plan::{Contender, Flavor, Kind, Sample, Shot};

/// An implementation that may be missing on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name in the record.
    pub name: &'static str,
    /// Ours or a peer.
    pub kind: Kind,
    /// The flavor.
    pub flavor: Flavor,
    /// Its functions, or why there are none.
    pub api: Result<&'static Api, &'static str>,
}

impl Entry {
    /// Makes the row of this implementation, measured by `measure` if it is there.
    pub fn contender(
        &self,
        mut measure: impl FnMut(&'static Api, &Shot<'_>) -> Result<Sample, String> + 'static,
    ) -> Contender {
        match self.api {
            Ok(api) => Contender::new(self.name, self.kind, move |shot| {
                api.ready()?;
                measure(api, shot)
            }),
            Err(reason) => Contender::unavailable(self.name, self.kind, reason),
        }
        .of(self.flavor)
    }
}

/// Ours first, then the C library's, each in the order of the tables.
pub fn all() -> impl Iterator<Item = Entry> {
    ours::entries().into_iter().chain(liburcu::entries())
}

/// Deferred reclamation of the same, the C library's queues per thread last.
pub fn deferrals() -> impl Iterator<Item = DeferralEntry> {
    with_callbacks().chain(liburcu::queues())
}

/// Those that have callbacks.
pub fn with_callbacks() -> impl Iterator<Item = DeferralEntry> {
    ours::deferrals().into_iter().chain(liburcu::callbacks())
}

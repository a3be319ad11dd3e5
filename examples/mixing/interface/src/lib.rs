//! What the libraries of the mixing examples agree on: the structures that they pass to each other, and nothing of
//! flavors. A structure knows its flavor, and whoever gets it asks the structure.

mod entry;
mod plugin;
mod visitor;

pub use entry::{Entry, Ledger};
pub use plugin::{Host, PLUGIN_VERSION, Plugin, Refusal, accept, shared_object, stamp};
pub use visitor::{Tally, Visitor};

/// A hash table that is passed around, of whatever flavor.
pub type Table = cds_lfht::LfHashMap<u64, Entry>;
/// A queue that is passed around, of whatever flavor.
pub type Queue = cds_wfqueue::LfQueue<Entry>;

/// Every thread works on keys below this.
pub const KEYS: u64 = 256;

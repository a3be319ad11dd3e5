//! Negative controls: what can be weakened, and which test has to turn red for it.

mod places;
mod table;

pub(crate) use places::{Mutant, find};
pub(crate) use table::{Build, Control, Entry, Table};

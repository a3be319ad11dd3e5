//! Negative controls: what can be weakened, and which test has to turn red for it.

mod places;
mod searches;
mod table;

pub(crate) use places::{Mutant, find};
pub(crate) use searches::search_of;
pub(crate) use table::{Build, Control, Entry, Table};

//! Machine code as text that can be committed and compared.

mod golden;
mod listing;
mod symbol;

pub(crate) use golden::{Golden, difference};
pub(crate) use listing::functions;

//! The public API of a crate as text, and the comparison of several crates.

mod compare;
mod signature;
mod surface;

pub(crate) use compare::{Allowance, compare};
pub(crate) use surface::{Surface, read};

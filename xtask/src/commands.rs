//! One file per command.

pub(crate) mod api;
pub(crate) mod asm;
pub(crate) mod bench;
pub(crate) mod coverage;
pub(crate) mod deny;
pub(crate) mod features;
pub(crate) mod fuzz;
pub(crate) mod headers;
pub(crate) mod loom;
pub(crate) mod mutants;
pub(crate) mod oldest;
pub(crate) mod portable;
pub(crate) mod sanitize;
pub(crate) mod spin;
pub(crate) mod stutter;
pub(crate) mod test;
pub(crate) mod tidy;
pub(crate) mod torture;

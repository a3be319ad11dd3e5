//! What `cargo xtask coverage` is made of: the tools that read profiles, and what they report.

pub(crate) mod lines;
pub(crate) mod tools;

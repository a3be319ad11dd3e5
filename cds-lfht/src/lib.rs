//! A resizable lock-free hash table.
//!
//! [`raw`] is the C library's model: nodes inside the caller's objects, the caller's hash, `unsafe`.

pub mod raw;

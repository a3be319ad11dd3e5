//! Random programs over the whole face at once: three threads that share a map, a list, a queue, a stack and a pointer under
//! one flavor, read in nested sections, and wait, defer, poll, go offline and register anew in between.
//!
//! What is checked: each structure's history is linearizable (that a program of linearizable parts is one needs no check
//! of its own); what a section has read stays whole until its end; deferred calls run once, behind barriers at the latest;
//! at the end every value has been dropped once. See [`program`] for what programs are made of.

pub mod program;
mod run;
mod value;

pub use run::run;

//! What happens when the code is loaded, before anybody reads.
//!
//! Threads register themselves, maybe in a signal handler, where it is too late for all of this.

use urcu_core::{prepare, repair_children};

use crate::Flavor;

extern "C" fn on_load() {
    prepare::<Flavor>();
    repair_children::<Flavor>();
}

// SAFETY: the section holds pointers to functions that the loader calls once, on the loading thread; this one only makes
// a thread-specific key, registers a fork handler, and raises the object's own reference count.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

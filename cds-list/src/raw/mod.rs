//! The C library's model: links inside your own objects, free functions, and rules that you keep.
//!
//! | module | C header | readers | updaters |
//! |---|---|---|---|
//! | [`list`] | `urcu/list.h` | exclude updaters | one at a time, readers excluded |
//! | [`rculist`] | `urcu/rculist.h` | in a section, beside one updater | one at a time |
//! | [`hlist`] | `urcu/hlist.h` | exclude updaters | one at a time, readers excluded |
//! | [`rcuhlist`] | `urcu/rcuhlist.h` | in a section, beside one updater | one at a time |
//!
//! The functions of [`list`] and [`rculist`] work on the same [`ListHead`], those of [`hlist`] and [`rcuhlist`] on the same
//! [`HlistHead`] and [`HlistNode`]: a list that has RCU readers is updated through the `rcu` module, and walked by its own
//! updater through either. Layouts are those of liburcu 8 on x86-64, so C code may walk and update the same lists.
//!
//! An object has one [`ListHead`] (or [`HlistNode`]) per list that it is in, and may be in several at once:
//!
//! ```
//! use cds_list::container_of;
//! use cds_list::raw::{ListHead, list};
//!
//! #[repr(C)]
//! struct Job {
//!     number: u32,
//!     all: ListHead,
//!     ready: ListHead,
//! }
//!
//! let heads = Box::into_raw(Box::new([ListHead::new(), ListHead::new()]));
//! let (all, ready) = (heads.cast::<ListHead>(), heads.cast::<ListHead>().wrapping_add(1));
//! let job = Box::into_raw(Box::new(Job { number: 7, all: ListHead::new(), ready: ListHead::new() }));
//! // SAFETY: all of it is live and used by this thread only.
//! unsafe {
//!     list::init(all);
//!     list::init(ready);
//!     list::add(&raw mut (*job).all, all);
//!     list::add(&raw mut (*job).ready, ready);
//!     for links in list::iter(ready) {
//!         assert_eq!((*container_of!(links, Job, ready)).number, 7);
//!     }
//!     list::del(&raw mut (*job).ready);
//!     assert!(list::empty(ready) && !list::empty(all));
//!     drop(Box::from_raw(job));
//!     drop(Box::from_raw(heads));
//! }
//! ```
//!
//! [`rculist`] is written over a [`Space`](urcu_core::space::Space): its functions that end in `_in` work on lists in memory
//! that several processes map, where links are distances and every one of them is checked. Those that end in `_rcu` are the same
//! code over the memory of this process, where a link is a pointer.
//!
//! Two rules of this tier concern pointers rather than lists. Heads and nodes must not move while they are linked, since
//! they point at each other. And links given to these functions must come from a pointer to the whole object
//! (`&raw mut (*object).links`, not a reference to the field) if [`container_of!`](crate::container_of) is to lead back to it.

pub mod hlist;
pub mod list;
pub mod rcuhlist;
pub mod rculist;
mod walk;

pub use hlist::{HlistHead, HlistNode};
pub use list::ListHead;
pub use walk::{
    Backward, BackwardRcu, Forward, ForwardRcu, HlistWalk, SafeHlistWalk, SafeWalk, SharedWalk, Step, Walk,
};

/// From a pointer to field `$field` of a `$object` to the object: an address, nothing is read.
///
/// The result may be used as far as the pointer's provenance goes: make links with `&raw mut (*object).field`.
#[doc(alias = "caa_container_of")]
#[doc(alias = "cds_list_entry")]
#[doc(alias = "cds_hlist_entry")]
#[macro_export]
macro_rules! container_of {
    ($links:expr, $object:ty, $field:ident) => {
        ($links).wrapping_byte_sub(::core::mem::offset_of!($object, $field)).cast::<$object>()
    };
}

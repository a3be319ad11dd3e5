//! A hash map for readers that never wait: [`LfHashMap`], and [`LfHashSet`].
//!
//! ```
//! use cds_lfht::LfHashMap;
//!
//! let thread = urcu_membarrier::register().expect("a kernel with membarrier, or the fallback");
//! let map = LfHashMap::<String, u32>::new(urcu_membarrier::vtable());
//! {
//!     let guard = thread.read_lock();
//!     assert_eq!(map.insert("one".into(), 1, &guard), None);
//!     // The reference that comes out lives as long as the guard, whatever others do to the map.
//!     let one = map.get("one", &guard);
//!     map.remove("one", &guard);
//!     assert_eq!(one, Some(&1));
//! }
//! // Without a guard of one's own:
//! let pinned = map.pin();
//! pinned.insert("two".into(), 2);
//! assert_eq!(pinned.get("two"), Some(&2));
//! assert_eq!(pinned.get_many(["one", "two"]), [None, Some(&2)]);
//! ```
//!
//! Values are not changed in place, unless they can be shared and changed, like atomics: an entry never moves while a reader may
//! hold it. Otherwise a new value takes the place of the old one:
//!
//! ```
//! use cds_lfht::map::{Computed, Operation};
//! use cds_lfht::{LfHashMap, LfHashSet};
//!
//! # let _thread = urcu_membarrier::register().expect("a kernel with membarrier, or the fallback");
//! let visits = LfHashMap::<&str, u64>::new(urcu_membarrier::vtable());
//! let visits = visits.pin();
//! assert_eq!(visits.get_or_insert_with("home", || 1), &1);
//! assert_eq!(visits.update("home", |count| count + 1), Some((&1, &2)));
//! let counted = visits.compute("news", |there| Operation::Insert(there.map_or(1, |(_, count)| count + 1)));
//! assert_eq!(counted, Computed::Inserted(&"news", &1));
//! assert!(visits.try_insert("news", 9).is_err());
//! assert!(visits.remove_if("home", |_, count| *count == 2).is_some());
//! assert_eq!(visits.iter().collect::<Vec<_>>(), [(&"news", &1)]);
//!
//! // Several entries with one key.
//! visits.insert_duplicate("news", 7);
//! assert_eq!(visits.get_all("news").sum::<u64>(), 8);
//!
//! let seen = LfHashSet::<u32>::new(urcu_membarrier::vtable());
//! assert!(seen.pin().insert(5) && !seen.pin().insert(5));
//! ```
//!
//! # Who may do what
//!
//! | operations | beside everything else | a guard | may wait | progress |
//! |---|---|---|---|---|
//! | lookups: `get`, `contains`, `get_all`, `get_many` | yes | yes | no | wait-free (see *Duplicates*) |
//! | `iter`, `keys`, `values` | yes | yes | no | wait-free, each step |
//! | `insert`, `try_insert`, `replace`, `remove`, and what is made of them | yes | yes | for another update of the same bucket | blocking |
//! | `reserve`, `resize`, `shrink_to_fit` | yes | yes | for updates of a bucket | blocking |
//! | `len`, `is_empty` | yes | no | no | wait-free |
//! | `insert_mut`, `extend`, `into_iter`, dropping | no: the map is borrowed mutably, or owned | no | no | |
//!
//! - The table grows and shrinks by itself, a few buckets with each update; readers do not notice.
//! - *Ordering.* An update happens before every lookup that finds what it has put there. A lookup that begins after an update
//!   has returned (in the sense of happens-before) sees it or a later one. Each key's history is linearizable; `len` and traversals are
//!   no snapshots.
//! - *Uniqueness.* As long as no duplicates are inserted, no traversal meets a key twice. A key that is only replaced is found by
//!   every lookup.
//! - *Duplicates.* A key that has an entry at every moment is found by every lookup, also when its entries come and go
//!   ([`insert_duplicate`](LfHashMap::insert_duplicate)). A map that ever had duplicates pays for that where nothing is found: the
//!   lookup looks again as long as others remove entries beside equal ones, or those that look alike. Hits are wait-free, such misses
//!   lock-free. Traversals and `get_all` are about entries: what is there all the time is met once, but a key of which each entry
//!   comes or goes meanwhile may not be met.
//! - *Reclamation.* What is removed or replaced is dropped after a grace period, on a thread of the flavor if it has a
//!   destructor. Dropping the map drops what is in it at once, and needs no grace period: no reference can be left.
//! - *Context.* Any thread that may have a guard. Not signal handlers.
//! - *Panics* of `Hash`, `Eq` and closures leave the map usable, unlocked and unchanged by that operation. A drop that panics is
//!   reported ([`urcu_core::Report`]) when it happens after a grace period, and goes on when it happens in dropping the map.
//! - *Re-entrancy.* Closures, hashers and drops may use the map. `Eq` of a key ([`Equivalent`](equivalent::Equivalent) of what stands for
//!   one), and the `Hash` of stored keys, must not change the same map: they may run while a bucket is locked. What would wait for that
//!   very bucket panics; two threads that wait for each other do.
//! - Keys must keep their hash and what they are equal to. Otherwise entries may not be found; nothing worse happens.
//! - *Fork.* A child has the map as it was, and may do everything with it, once its flavor can be used (by the flavor's hooks; bp needs
//!   none). What another thread of the parent was doing at that moment has been done for the child or has not, key by key. Its locks
//!   are taken over by whoever needs them, without hooks: lookups never need one. What such a thread was adding or removing may be lost
//!   to the child: never dropped there, and [`len`](LfHashMap::len) may be wrong by as many. So may be free memory of entries. Not for
//!   children that share memory (`vfork`), nor from inside `Eq`, or `Hash` of stored keys. A bucket's lock tells 32 generations of
//!   processes apart: one that was held when the ancestor 32 forks (or 64, ...) back was forked, and that nobody in between has
//!   met, is taken for one that somebody holds, and who needs it waits for ever.
//! - *Hashing.* The default is the standard library's `RandomState`, which resists floods of chosen keys. `foldhash` or
//!   `ahash` with a random key are several times faster on small keys, with less of a promise.
//! - A map has a share of its memory per processor (a few kilobytes); thousands of tiny maps are not what it is made for.
//!
//! # What does not compile
//!
//! References that outlive their guard, or the map:
//!
//! ```compile_fail,E0505
//! # let thread = urcu_mb::register().unwrap();
//! # let map = cds_lfht::LfHashMap::<u32, u32>::new(urcu_mb::vtable());
//! let guard = thread.read_lock();
//! let one = map.get(&1, &guard);
//! drop(guard);
//! println!("{one:?}");
//! ```
//!
//! ```compile_fail,E0505
//! # let thread = urcu_mb::register().unwrap();
//! # let map = cds_lfht::LfHashMap::<u32, u32>::new(urcu_mb::vtable());
//! let guard = thread.read_lock();
//! let all = map.iter(&guard);
//! drop(map);
//! println!("{}", all.count());
//! ```
//!
//! Values that must not go to another thread, where they may be dropped, or that borrow what may be gone by then:
//!
//! ```compile_fail,E0599
//! let map = cds_lfht::LfHashMap::<u32, std::rc::Rc<u32>>::new(urcu_mb::vtable());
//! ```
//!
//! ```compile_fail,E0597
//! let text = String::from("gone before it is dropped");
//! let map = cds_lfht::LfHashMap::<u32, &str>::new(urcu_mb::vtable());
//! map.pin().insert(1, &text);
//! ```
//!
//! Sharing a map whose values must not be shared:
//!
//! ```compile_fail,E0277
//! fn share<T: Sync>(_: &T) {}
//! share(&cds_lfht::LfHashMap::<u32, std::cell::Cell<u32>>::new(urcu_mb::vtable()));
//! ```
//!
//! How it works: see the `design` module, and for the table of the C library's model `raw`.

mod bucket;
#[cfg(doc)]
pub mod design;
mod entry;
mod face;
mod held;
mod index;
mod iter;
#[cfg(urcu_loom)]
#[doc(hidden)]
pub mod model;
mod nodes;
mod pinned;
mod reclaim;
mod resize;
#[cfg(feature = "serde")]
mod serial;
mod set;
#[cfg_attr(urcu_loom, path = "slab_model.rs")]
mod slab;
mod table;
mod teardown;
mod traits;
mod update;

pub use entry::{Computed, Occupied, Operation};
pub use face::LfHashMap;
pub use iter::{GetAll, Iter, Keys, Values};
pub use pinned::Pinned;
#[cfg(feature = "serde")]
pub use serial::InFlavor;
pub use set::{IntoValues, LfHashSet, PinnedSet};
pub use traits::IntoIter;

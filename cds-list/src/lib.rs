//! Doubly linked lists that are read under RCU: readers walk at the speed of a plain list, without waiting and without
//! writing, while one updater at a time adds, removes, replaces and moves.
//!
//! For any flavor: a list takes a flavor's table when it is made. [`RcuList`] is doubly linked and circular; [`RcuHList`] has a head of
//! one pointer and ends in null. [`raw`] is the C library's model of the same lists (`urcu/rculist.h`, `urcu/rcuhlist.h`,
//! `urcu/list.h`, `urcu/hlist.h`), with links inside your own objects.
//!
//! # When
//!
//! Something short to walk that is read far more often than written: subscribers, routes, devices, plugins, configuration
//! entries. Not for finding one of many by its key (that is a hash table), and not where many threads write at once (updaters take turns
//! by a mutex).
//!
//! # Reading and updating
//!
//! ```
//! use cds_list::RcuList;
//!
//! let names = RcuList::new(urcu_membarrier::vtable());
//! names.push_back("b");
//! names.push_front("a");
//!
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         let thread = urcu_membarrier::register().unwrap();
//!         let guard = thread.read_lock();
//!         for name in names.iter(&guard) {
//!             println!("{name}");
//!         }
//!     });
//!     // Updaters need no section and no registration.
//!     let mut updater = names.lock();
//!     updater.push_back("c");
//!     let mut cursor = updater.cursor_at(|name| *name == "b");
//!     cursor.insert_before("ab");
//!     // Dropped after a grace period, on the flavor's worker.
//!     assert_eq!(cursor.remove(), Some(&"b"));
//!     assert_eq!(cursor.replace("d"), Ok(&"c"));
//! });
//!
//! let thread = urcu_membarrier::register().unwrap();
//! let guard = thread.read_lock();
//! assert_eq!(names.iter(&guard).collect::<Vec<_>>(), [&"a", &"ab", &"d"]);
//! assert_eq!(names.iter_rev(&guard).next(), Some(&"d"));
//! ```
//!
//! # Moving elements between lists
//!
//! A reader that stands on an element must not be led into another list. So an element is taken out ([`Detached`]), spends a grace period
//! in no list, and is then linked in elsewhere, without being copied ([`Chain`]). The wait is the caller's, and without a lock:
//!
//! ```
//! use cds_list::RcuList;
//!
//! let waiting = RcuList::from_values(urcu_mb::vtable(), 1..=6);
//! let done = RcuList::new(urcu_mb::vtable());
//!
//! let odd = waiting.detach_if(|job| job % 2 == 1);
//! let chain = odd.synchronize().unwrap();
//! done.lock().append(chain);
//!
//! // All of it, in one call:
//! assert_eq!(done.append_from(&waiting).unwrap(), 3);
//! assert_eq!(done.into_iter().collect::<Vec<_>>(), [1, 3, 5, 2, 4, 6]);
//! ```
//!
//! # What readers see
//!
//! A walk inside a section meets only elements that were in the list at some time since the section began, whole, each live until the
//! section ends; and every element that was there all the time, in the list's order. It ends if updates do. Concretely, beside
//!
//! | update | a reader on its way |
//! |---|---|
//! | `push_*`, `insert_*` | sees the element or not |
//! | `append`, `prepend`, `splice_*`, `extend` of several | sees all of them, or none if it has passed the place |
//! | `remove`, `pop_*`, `retain`, `detach*` | sees the element or not; standing on it, goes on as if it were there |
//! | `clear`, `detach_all` | sees the list as it was, to its end, or empty |
//! | `replace` | sees the old or the new element, one of them |
//! | `move_to_front`, `move_to_back`, `shift_*` | may see the element twice or not at all; standing on it, is carried along: sees what lies between again, or misses it |
//! | `append_from`, `prepend_from` | sees each element in one of the lists, or for a grace period in neither |
//!
//! Backward walks ([`RcuList::iter_rev`](List::iter_rev)) have the same guarantees. The C library promises forward walks only, because its
//! removal may spoil the way back; ours keeps both. But the two directions change one after the other: an element may be seen by
//! forward walks and not yet by backward ones, and the other way round.
//!
//! # Synchronization
//!
//! | operation | needs | blocks | progress |
//! |---|---|---|---|
//! | `iter`, `iter_rev`, `first`, `last`, `contains`, `find` | a guard of the list's flavor | never | wait-free: a load per element |
//! | `is_empty`, `len` | nothing | never | wait-free |
//! | `lock`, `push_*` of the list, `Debug` | nothing | for another updater (`try_lock`, `Debug`: never) | mutex |
//! | all of [`Updater`] and [`Cursor`] | the lock | never | a constant number of steps, unless it says otherwise |
//! | dropping an [`Updater`] that has removed, or a [`Detached`] | no other lock that is taken inside sections | beyond the flavor's hard limit, unless inside a section | retires |
//! | ending a section (QSBR: a quiescent state) in which something was retired | no updater of a list that is locked inside sections | beyond the flavor's hard limit | |
//! | [`Detached::synchronize`], `append_from`, `prepend_from` | outside of sections; no lock that is taken inside sections | for a grace period | |
//! | [`Detached::poll`] | nothing | never | |
//! | `&mut`: `iter_mut`, `drain`, `clear`, `into_iter`, `extend`, drop | exclusive access | never | |
//!
//! An updater's stores are Release, a reader's loads Acquire: what was written before an element was added is seen by who
//! sees the element. See [`raw::rculist`] for the argument.
//!
//! # Panics and poisoning
//!
//! The updaters' lock is not poisoned. The callers' code (predicates, iterators, `Debug`) runs between whole steps, so after a panic
//! the list is whole and holds what had been done. Values that panic when they are dropped: those that were removed are dropped by the worker,
//! which reports it; when a list or a chain is dropped, the others are dropped too and the first panic goes on.
//!
//! # `fork`
//!
//! In a forked child lists can be read, if the flavor's hooks were called. A list that another thread was updating at the fork cannot be
//! updated there: its lock stays locked, and `lock` waits for ever. (What was half done is whole for readers who walk forward.) Exclusive
//! access takes no lock; but it must not be used then either, since the links backward may be behind.
//!
//! # Costs
//!
//! A walk is that over a plain linked list, plus the section. An element has two pointers beside its value, and an allocation; removing
//! adds a deferred call. The list's own memory is a head and, away from it, a mutex and a counter.
//!
//! # Rules that the compiler checks
//!
//! What a walk gives borrows the guard and the list:
//!
//! ```compile_fail,E0505
//! # let list = cds_list::RcuList::from_values(urcu_mb::vtable(), [1]);
//! # let thread = urcu_mb::register().unwrap();
//! let guard = thread.read_lock();
//! let first = list.first(&guard);
//! drop(guard);
//! println!("{first:?}");
//! ```
//!
//! An element of an updater lives no longer than it is certain to be there:
//!
//! ```compile_fail,E0499
//! # let list = cds_list::RcuList::from_values(urcu_mb::vtable(), [1]);
//! let mut updater = list.lock();
//! let removed = updater.pop_front();
//! updater.pop_front();
//! println!("{removed:?}");
//! ```
//!
//! Values may be dropped later and elsewhere, so updaters want `Send` and `'static`:
//!
//! ```compile_fail,E0277
//! let list = cds_list::RcuList::new(urcu_mb::vtable());
//! list.push_back(std::rc::Rc::new(1));
//! ```
//!
//! And an [`RcuHList`] has no end to push to:
//!
//! ```compile_fail,E0599
//! cds_list::RcuHList::new(urcu_mb::vtable()).push_back(1);
//! ```

mod chain;
mod cursor;
mod iter;
mod kind;
mod list;
mod pending;
pub mod raw;
mod updater;

pub use chain::{Chain, Detached};
pub use cursor::Cursor;
pub use iter::{ChainIter, IntoIter, Iter, IterMut, IterRev};
pub use kind::{Doubly, Hlist, Kind};
pub use list::{List, RcuHList, RcuList};
pub use updater::Updater;

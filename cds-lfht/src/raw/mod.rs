//! The C library's model: nodes inside the caller's objects, the caller's hash, `unsafe`.
//!
//! A [`Table`] is a resizable hash table over any flavor of RCU. Lookups are wait-free and write nothing; insertion,
//! replacement and removal are lock-free; the number of buckets follows the number of nodes, up and down, beside all of that.
//! Keys may have several nodes, or one: it depends on how they are added. The [`design`] page says how it works, and what it
//! promises, letter by letter.
//!
//! # Who must do what
//!
//! Everything that looks at nodes is called inside a section of the table's flavor, and what it returns is used
//! within that section. None of it goes through the flavor's table of functions.
//!
//! | operation | context | progress | beside |
//! |---|---|---|---|
//! | [`lookup`](Table::lookup), [`next_duplicate`](Table::next_duplicate), [`first`](Table::first), [`next`](Table::next), [`count_nodes`](Table::count_nodes) | section | wait-free | everything |
//! | [`add`](Table::add), [`add_unique`](Table::add_unique), [`add_replace`](Table::add_replace), [`replace`](Table::replace), [`del`](Table::del) | section | lock-free | everything |
//! | [`is_node_deleted`] | section | wait-free | everything |
//! | [`resize`](Table::resize) | outside of sections | blocks | everything |
//! | [`Table::new`], [`size`](Table::size), [`approximate_len`](Table::approximate_len) | any | | everything |
//! | [`TableBox::destroy`], its drop | any | blocks for a moment | nothing else |
//!
//! A removed or replaced node is reclaimed, or used again, after a grace period: by `call_rcu`, or
//! [`FlavorVtable::retire_with`](urcu_core::FlavorVtable::retire_with). A successful update is a full barrier among
//! sequentially consistent operations; to order it with others, use a fence.
//!
//! With [`Options::auto_resize`] an addition may allocate bucket memory, and puts new buckets in place when the
//! background is late. Background work is a call deferred to the flavor's worker. No other operation allocates,
//! but a thread's first update may, for a thread-local destructor. Not for signal handlers: an interrupted update of the same
//! thread may be in the allocator, or counting.
//!
//! # Keys with one node each
//!
//! ```
//! use std::ptr::NonNull;
//! use cds_lfht::raw::{Node, Options, Table};
//!
//! #[repr(C)]
//! struct Account {
//!     node: Node,
//!     number: u64,
//!     balance: u64,
//! }
//!
//! fn hash_of(number: u64) -> usize {
//!     (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7) as usize
//! }
//!
//! /// What tells nodes with equal hashes apart.
//! fn is(number: u64) -> impl FnMut(NonNull<Node>) -> bool {
//!     // SAFETY: all nodes of the table are the first fields of accounts.
//!     move |node| unsafe { node.cast::<Account>().as_ref() }.number == number
//! }
//!
//! fn account(number: u64, balance: u64) -> NonNull<Node> {
//!     NonNull::from(Box::leak(Box::new(Account { node: Node::new(), number, balance }))).cast()
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use urcu_mb as rcu;
//! let flavor = rcu::vtable();
//! let table = Table::new(flavor, Options::new())?;
//! let thread = rcu::register()?;
//!
//! let guard = thread.read_lock();
//! // SAFETY: inside a section; fresh nodes.
//! unsafe {
//!     assert!(table.add_unique(hash_of(7), account(7, 100), is(7)).is_none());
//!     let old = table.add_replace(hash_of(7), account(7, 150), is(7)).expect("there was one");
//!     // Readers may still be looking at it.
//!     flavor.retire_raw(old.cast::<Account>().as_ptr());
//! }
//!
//! // SAFETY: inside a section.
//! let found = unsafe { table.lookup(hash_of(7), is(7)) }.node().expect("there is one");
//! // SAFETY: found in this section.
//! assert_eq!(unsafe { found.cast::<Account>().as_ref() }.balance, 150);
//!
//! // SAFETY: found in this section. Whoever removes a node reclaims it.
//! unsafe {
//!     if table.del(found).is_ok() {
//!         flavor.retire_raw(found.cast::<Account>().as_ptr());
//!     }
//! }
//! drop(guard);
//! table.destroy()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Keys with several nodes, and traversal
//!
//! ```
//! # use std::ptr::NonNull;
//! use cds_lfht::raw::{Node, Options, Table};
//!
//! #[repr(C)]
//! struct Word {
//!     node: Node,
//!     text: &'static str,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use urcu_mb as rcu;
//! # let flavor = rcu::vtable();
//! let table = Table::new(flavor, Options::new())?;
//! let thread = rcu::register()?;
//! let guard = thread.read_lock();
//! // By length: the hash is the key, so whatever has the same hash matches.
//! for text in ["one", "two", "three", "six"] {
//!     let node = NonNull::from(Box::leak(Box::new(Word { node: Node::new(), text }))).cast();
//!     // SAFETY: inside a section; a fresh node.
//!     unsafe { table.add(text.len(), node) };
//! }
//!
//! let mut found = Vec::new();
//! // SAFETY: inside a section.
//! let mut iter = unsafe { table.lookup(3, |_| true) };
//! while let Some(node) = iter.node() {
//!     // SAFETY: all nodes of the table are the first fields of words.
//!     found.push(unsafe { node.cast::<Word>().as_ref() }.text);
//!     // SAFETY: the same section.
//!     iter = unsafe { table.next_duplicate(iter, |_| true) };
//! }
//! assert_eq!(found, ["one", "two", "six"]);
//!
//! // SAFETY: inside a section.
//! let mut iter = unsafe { table.first() };
//! while let Some(node) = iter.node() {
//!     // SAFETY: found in this section; and a node may be removed where one stands.
//!     if unsafe { table.del(node) }.is_ok() {
//!         // SAFETY: removed by this thread.
//!         unsafe { flavor.retire_raw(node.cast::<Word>().as_ptr()) };
//!     }
//!     // SAFETY: the same section.
//!     iter = unsafe { table.next(iter) };
//! }
//! drop(guard);
//! table.destroy()?;
//! # Ok(())
//! # }
//! ```
//!
//! # A lock for each object
//!
//! Reads need no lock; but an update of an object *in place* must not hit one that has just been removed. The object has a lock
//! of its own, and a flag that is set under it by whoever removes the object. Find it under RCU, lock it, look at the
//! flag: if it is set, the object is gone, and the search begins anew.
//!
//! ```
//! use std::ptr::NonNull;
//! use std::sync::Mutex;
//! use cds_lfht::raw::{Node, Options, Table};
//! # use urcu_mb as rcu;
//!
//! #[repr(C)]
//! struct Account {
//!     node: Node,
//!     number: u64,
//!     state: Mutex<State>,
//! }
//!
//! struct State {
//!     balance: u64,
//!     /// Removed, or about to be.
//!     deleted: bool,
//! }
//! # fn is(number: u64) -> impl FnMut(NonNull<Node>) -> bool {
//! #     // SAFETY: all nodes of the table are the first fields of accounts.
//! #     move |node| unsafe { node.cast::<Account>().as_ref() }.number == number
//! # }
//!
//! /// Runs `change` on the account, under its lock, unless there is none.
//! fn change<R>(table: &Table, thread: &rcu::Thread, number: u64, change: impl FnOnce(&mut State) -> R) -> Option<R> {
//!     let _guard = thread.read_lock();
//!     // SAFETY: inside a section.
//!     let node = unsafe { table.lookup(number as usize, is(number)) }.node()?;
//!     // SAFETY: found in this section, which keeps it alive.
//!     let account = unsafe { node.cast::<Account>().as_ref() };
//!     let mut state = account.state.lock().unwrap();
//!     if state.deleted { None } else { Some(change(&mut state)) }
//! }
//!
//! /// Closes the account; what was on it.
//! fn close(table: &Table, thread: &rcu::Thread, number: u64) -> Option<u64> {
//!     let _guard = thread.read_lock();
//!     // SAFETY: inside a section.
//!     let node = unsafe { table.lookup(number as usize, is(number)) }.node()?;
//!     // SAFETY: found in this section.
//!     let account = unsafe { node.cast::<Account>().as_ref() };
//!     let mut state = account.state.lock().unwrap();
//!     if state.deleted {
//!         return None;
//!     }
//!     state.deleted = true;
//!     let balance = state.balance;
//!     // SAFETY: found in this section; only the one who has set the flag comes here.
//!     unsafe { table.del(node) }.expect("removed by those who set the flag");
//!     drop(state);
//!     // SAFETY: removed by this thread. Others may still be waiting for its lock, in sections.
//!     unsafe { table.flavor().retire_raw(node.cast::<Account>().as_ptr()) };
//!     Some(balance)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = Table::new(rcu::vtable(), Options::new())?;
//! let thread = rcu::register()?;
//! let state = Mutex::new(State { balance: 5, deleted: false });
//! let node = NonNull::from(Box::leak(Box::new(Account { node: Node::new(), number: 1, state }))).cast();
//! let guard = thread.read_lock();
//! // SAFETY: inside a section; a fresh node.
//! unsafe { table.add(1, node) };
//! drop(guard);
//! assert_eq!(change(&table, &thread, 1, |state| { state.balance += 1; state.balance }), Some(6));
//! assert_eq!(close(&table, &thread, 1), Some(6));
//! assert_eq!(close(&table, &thread, 1), None);
//! assert_eq!(change(&table, &thread, 1, |state| state.balance += 1), None);
//! table.destroy()?;
//! # Ok(())
//! # }
//! ```
//!
//! (In a section of QSBR or of a flavor whose updaters wait for readers, waiting for a lock keeps them waiting, too: hold such
//! locks for moments.)
//!
//! # Shared memory
//!
//! A [`Table`] over another [`Ground`] has its links, its buckets and its size in memory that several processes map, each where
//! it likes: the same code, with distances for pointers, and every one of them checked. Its operations begin with `try_`, because what
//! another process wrote there may be anything: see [`Table::try_lookup`], and the crate `cds-shm`, which builds a map on it.
//!
//! # Errors
//!
//! [`NewError`] names the parameter; [`ResizeError`], [`ReplaceError`], [`NotFound`] and [`NotEmpty`] are what the C library
//! returns as numbers. If there is no memory for more buckets, the table works on with those that it has.
//!
//! # Fork
//!
//! See the [`design`] page: with the flavor's fork hooks the child's table works, and its resizes go on.

mod allocator;
mod buckets;
mod count;
#[cfg(doc)]
pub mod design;
mod error;
mod family;
mod ground;
#[cfg(not(urcu_loom))]
mod kept;
mod lookup;
mod resize;
mod section;
mod shared;
mod split_order;
mod table;
mod turn;
mod update;
mod word;

pub use allocator::{Allocate, Allocator, Free};
pub use buckets::BucketMemory;
pub use error::{NewError, NotFound, ReplaceError, ResizeError};
pub use ground::{Ground, OwnSize};
pub use lookup::{Iter, NodeCount, is_node_deleted};
pub use table::{NotEmpty, Options, Table, TableBox};
pub use word::{Link, Node};

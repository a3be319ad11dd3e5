//! The raw tier: the C library's model, intrusive nodes and the caller's promises.
//!
//! A node is a field of the element, and the caller gets from one to the other by [`core::mem::offset_of`]. Layouts are
//! liburcu8's on x86-64.
//!
//! # Who conflicts with whom
//!
//! | | `push` | `pop` | `pop_all` |
//! |---|---|---|---|
//! | `push` | – | – | – |
//! | `pop` | – | conflict | conflict |
//! | `pop_all` | – | conflict | – |
//!
//! `is_empty`, and walking a chain that was popped, conflict with nothing. A conflict is about ABA and about memory that is
//! freed while another pop looks at it. Any one of these resolves it, if *all* who pop keep to the same one:
//!
//! 1. **Sections.** Each `pop` is inside a read-side critical section, and no popped node is freed or pushed again before a
//!    grace period has passed (nor, in the [`WfsStack`], changed). `pop_all` needs no section; its nodes wait as the others.
//! 2. **A mutex** around each `pop` and `pop_all`: what the `Locked` types contain. Nodes may be used again at once.
//! 3. **One consumer**: a single thread pops. Nodes may be used again at once.
//!
//! # Progress
//!
//! | | [`LfsStack`] | [`WfsStack`] |
//! |---|---|---|
//! | `is_empty` | wait-free | wait-free |
//! | `push` | lock-free | wait-free |
//! | `pop` | lock-free | waits for a push that is half done, or answers [`WouldBlock`] |
//! | `pop_all` | wait-free | wait-free |
//! | next of a popped chain | wait-free | waits for a push that is half done, or answers [`WouldBlock`] |
//! | with the mutex | blocks | blocks |
//!
//! # C names
//!
//! | C | here |
//! |---|---|
//! | `cds_lfs_node`, `cds_lfs_head`, `__cds_lfs_stack`, `cds_lfs_stack` | [`LfsNode`], [`LfsHead`], [`LfsStack`], [`LfsLockedStack`] |
//! | `cds_wfs_node`, `cds_wfs_head`, `__cds_wfs_stack`, `cds_wfs_stack` | [`WfsNode`], [`WfsHead`], [`WfsStack`], [`WfsLockedStack`] |
//! | `cds_lfs_push`, `__cds_lfs_pop`, `__cds_lfs_pop_all` | [`LfsStack::push`], [`LfsStack::pop`], [`LfsStack::pop_all`] |
//! | `cds_lfs_pop_blocking`, `cds_lfs_pop_all_blocking` | [`LfsLockedStack::pop_locked`], [`LfsLockedStack::pop_all_locked`] |
//! | `cds_wfs_push`, `__cds_wfs_pop[_with_state]_{blocking,nonblocking}` | [`WfsStack::push`], `WfsStack::pop[_with_state]_{blocking,nonblocking}` |
//! | `cds_wfs_pop_blocking`, `cds_wfs_pop_with_state_blocking`, `cds_wfs_pop_all_blocking` | [`WfsLockedStack::pop_locked`], [`WfsLockedStack::pop_with_state_locked`], [`WfsLockedStack::pop_all_locked`] |
//! | `CDS_WFS_WOULDBLOCK`, `CDS_WFS_STATE_LAST` | [`WouldBlock`], [`Popped::last`] |
//! | for-each loops | [`LfsIter`], [`WfsIter`] |
//! | `cds_lfs_init_rcu`, `cds_lfs_push_rcu`, `cds_lfs_pop_rcu` of the deprecated `rculfstack.h` | [`LfsStack`] under the first remedy: it is the same stack with sections as the only choice |

pub mod lfs;
pub mod wfs;

pub use lfs::{LfsHead, LfsIter, LfsLockedStack, LfsNode, LfsStack};
pub use wfs::{Popped, WfsHead, WfsIter, WfsLockedStack, WfsNode, WfsStack, WouldBlock};

//! The table of roots: where a segment's structures are, by name.
//!
//! It lies at the beginning of the data, so only the writer can write it.

use core::mem::size_of;

use urcu_core::sync::{AtomicU64, Ordering};

use crate::error::RootError;
use crate::layout::hash;
use crate::offset::Offset;

/// How many roots a segment can have.
pub const ROOTS: usize = 31;

#[derive(Debug)]
#[repr(C)]
pub(crate) struct RootTable {
    /// To keep the first root, too, away from offset 0.
    reserved: [AtomicU64; 4],
    roots: [Root; ROOTS],
}

/// A free one has the name 0.
#[derive(Debug)]
#[repr(C)]
struct Root {
    /// [`RootName::hash`]. Stored last, and never changed.
    name: AtomicU64,
    layout: AtomicU64,
    offset: AtomicU64,
    reserved: AtomicU64,
}

/// Where the writer's data may begin.
pub(crate) const ROOT_TABLE_BYTES: usize = size_of::<RootTable>();

/// What a root is called, and what its structure looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootName {
    hash: u64,
    layout: u64,
}

impl RootName {
    /// A root called `name` whose structure has `layout`: a number that differs between structures which are not
    /// compatible (say, a hash of type sizes and a version). Who looks the root up has to give the same.
    pub const fn new(name: &str, layout: u64) -> Self {
        let hash = hash(name.as_bytes());
        Self { hash: if hash == 0 { 1 } else { hash }, layout }
    }
}

impl RootTable {
    /// The offset of a root, `None` if there is none of that name or it has been cleared. Wait-free.
    ///
    /// The offset is what somebody wrote there: resolving it checks it.
    pub(crate) fn get(&self, name: RootName) -> Result<Option<Offset>, RootError> {
        // Acquire: layout and offset were there before the name. PAIR(root)
        let Some(root) = self.roots.iter().find(|root| root.name.load(Ordering::Acquire) == name.hash) else {
            return Ok(None);
        };
        if root.layout.load(Ordering::Relaxed) != name.layout {
            return Err(RootError::OtherLayout);
        }
        // Acquire: what it refers to has been written. PAIR(root-offset)
        let offset = Offset::new(root.offset.load(Ordering::Acquire));
        Ok((!offset.is_null()).then_some(offset))
    }

    /// Publishes a root. One writer at a time.
    pub(crate) fn set(&self, name: RootName, offset: Offset) -> Result<(), RootError> {
        // Relaxed: only this writer, and writers before it, whose lock came over with Acquire, store names. PAIR(writer)
        let known = self.roots.iter().find(|root| root.name.load(Ordering::Relaxed) == name.hash);
        if let Some(root) = known {
            if root.layout.load(Ordering::Relaxed) != name.layout {
                return Err(RootError::OtherLayout);
            }
            // PAIR(root-offset)
            root.offset.store(offset.get(), Ordering::Release);
            return Ok(());
        }
        let free = self.roots.iter().find(|root| root.name.load(Ordering::Relaxed) == 0).ok_or(RootError::Full)?;
        free.layout.store(name.layout, Ordering::Relaxed);
        free.offset.store(offset.get(), Ordering::Release);
        // A crash before this leaves the root free. PAIR(root)
        free.name.store(name.hash, Ordering::Release);
        Ok(())
    }
}

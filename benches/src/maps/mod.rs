//! Concurrent hash maps from `u64` to `u64`, all with the same hasher: the interface that every contender of the suite `map`
//! fills, and the contenders: the typed ones ([`FACE`]), and the intrusive tables ([`RAW`]), which have a hash function of their own.
//!
//! Work is handed over in batches. A map whose reads need a guard takes one per batch.

mod contenders;
mod locked;
mod raw;

pub use contenders::FACE;
use foldhash::fast::FixedState;
pub use raw::RAW;

/// The hasher of all of them.
pub type Hasher = FixedState;

/// Makes one.
pub fn hasher() -> Hasher {
    FixedState::with_seed(0x5eed)
}

/// The value that belongs to a key.
#[inline]
pub fn value_of(key: u64) -> u64 {
    key.rotate_left(17) ^ 0x0123_4567_89ab_cdef
}

/// What a batch of lookups has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Keys that are there.
    pub keys: u64,
    /// The sum of their values.
    pub sum: u64,
}

impl Found {
    /// Adds one answer.
    #[inline]
    pub fn add(&mut self, value: Option<u64>) {
        if let Some(value) = value {
            self.keys += 1;
            self.sum = self.sum.wrapping_add(value);
        }
    }
}

/// A map.
pub trait Map: Send + Sync {
    /// The calling thread's access.
    fn session(&self) -> Box<dyn Session + '_>;
}

/// A thread's access to a map.
pub trait Session {
    /// Looks all of these up.
    fn get(&mut self, keys: &[u64]) -> Found;
    /// Inserts all of these, which are not there, with [`value_of`] each.
    fn insert(&mut self, keys: &[u64]);
    /// Removes all of these, which are there.
    fn remove(&mut self, keys: &[u64]);
    /// A lookup, an insertion of a key that is not there, or a removal of one that is, each.
    fn mixed(&mut self, steps: &[Step]) -> Found;
}

/// One operation of a mix. Layout shared with `shims/lfht.c`.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Step {
    /// A lookup.
    Get(u64),
    /// An insertion.
    Insert(u64),
    /// A removal.
    Remove(u64),
}

/// Makes an empty map with room for so many entries; zero: with nothing said about it.
pub type Make = fn(usize) -> Box<dyn Map>;

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This workspace's, with the membarrier flavor.
    Ours,
    /// The C library's, with the same flavor.
    SameFlavor,
    /// Somebody else's.
    Other,
}

/// Who is measured.
#[derive(Clone, Copy, Debug)]
pub struct Entrant {
    /// The crate, with a part of its name where it has several maps or ways.
    pub name: &'static str,
    /// Whose it is.
    pub kind: Kind,
    /// Another way to look up in a map that is measured anyway.
    pub batched: bool,
    /// Whether it is told its size from the beginning, and keeps it.
    pub presized: bool,
    /// Whether its growth can come to a stop for good.
    pub stalls: bool,
    /// What makes one, or why it is missing.
    pub make: Result<Make, &'static str>,
}

impl Entrant {
    /// An empty map that is going to have so many entries.
    ///
    /// # Errors
    /// Why there is none.
    pub fn empty(&self, entries: u64) -> Result<Box<dyn Map>, String> {
        #[allow(clippy::cast_possible_truncation, reason = "of 64 bits everywhere")]
        let capacity = if self.presized { entries as usize } else { 0 };
        Ok((self.make?)(capacity))
    }
}

/// The processor time of the calling thread, in seconds.
pub fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid pointer to a local value.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

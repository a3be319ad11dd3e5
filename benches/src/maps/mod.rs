//! Concurrent hash maps from `u64` to `u64`, all with the same hasher: the interface that every contender of the suite `map`
//! fills, and the contenders.
//!
//! Work is handed over in batches. A map whose reads need a guard takes one per batch.

mod contenders;
mod locked;

pub use contenders::ALL;
use foldhash::fast::FixedState;

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

/// One operation of a mix.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A lookup.
    Get(u64),
    /// An insertion.
    Insert(u64),
    /// A removal.
    Remove(u64),
}

/// Who is measured.
#[derive(Clone, Copy, Debug)]
pub struct Entrant {
    /// The crate, with a part of its name where it has several maps or ways.
    pub name: &'static str,
    /// Whether it is this workspace's.
    pub is_ours: bool,
    /// An empty map with room for so many entries; zero: with nothing said about it.
    pub make: fn(usize) -> Box<dyn Map>,
}

/// The processor time of the calling thread, in seconds.
pub fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid pointer to a local value.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

//! Tables that several processes share: who has them, how they are read and updated, and the processes that do it.
//!
//! The program starts itself once more for each reader. A reader says that it is ready, waits for its start, works for as long as it is
//! told, and says one figure. Every answer is checked: the upper half of a value belongs to its key.

pub mod child;
pub mod lmdb;
pub mod process;
pub mod rwlock;
pub mod segment;
pub mod single;
pub mod socket;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries of each table.
pub const ENTRIES: u64 = 1 << 16;

/// The key with this number.
#[inline]
pub fn key(number: u64) -> u64 {
    mix(number % ENTRIES)
}

/// Bits well spread.
#[inline]
pub fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

/// What a key has, in some version.
#[inline]
pub fn value(key: u64, version: u64) -> u64 {
    mix(key) << 32 | version & u64::from(u32::MAX)
}

/// Whether a value may be this key's.
#[inline]
pub fn belongs(key: u64, value: u64) -> bool {
    value >> 32 == mix(key) & u64::from(u32::MAX)
}

/// Reads a table of another process, or of this one.
pub trait Reader {
    /// The value of a key, after whatever one read takes.
    fn get(&mut self, key: u64) -> Option<u64>;
}

/// Updates a table. Not `Sync`: one at a time.
pub trait Writer {
    /// Gives a key another value.
    fn update(&mut self, key: u64, value: u64);
}

/// A place for a table's files, removed when it is dropped.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// A fresh folder in memory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/dev/shm/urcu-benches-{}-{number}-{name}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody would learn of it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

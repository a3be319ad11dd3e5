//! Peer: LMDB, through `heed`. A memory-mapped B-tree whose readers take no lock but a slot; without syncing to a disk, which there
//! is none of.

use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};

use super::{ENTRIES, Reader, Writer, key, value};

type Table = Database<Bytes, Bytes>;

fn open(path: &str, flags: EnvFlags) -> Result<Env, String> {
    let mut options = EnvOpenOptions::new();
    options.map_size(2 << 30).max_readers(512);
    // SAFETY: nothing is synced, so a crash of the machine loses the table: it is in memory anyway.
    unsafe { options.flags(flags) };
    // SAFETY: the file is this program's alone.
    unsafe { options.open(Path::new(path)) }.map_err(|error| error.to_string())
}

fn fast() -> EnvFlags {
    EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::WRITE_MAP | EnvFlags::MAP_ASYNC | EnvFlags::NO_MEM_INIT
}

/// The writer's.
pub struct Map {
    env: Env,
    table: Table,
}

impl Map {
    /// A full one in this folder.
    ///
    /// # Errors
    /// LMDB's.
    pub fn fill(path: &str) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let env = open(path, fast())?;
        let mut update = env.write_txn().map_err(|error| error.to_string())?;
        let table: Table = env.create_database(&mut update, None).map_err(|error| error.to_string())?;
        for number in 0..ENTRIES {
            let key = key(number);
            let put = table.put(&mut update, &key.to_be_bytes(), &value(key, 0).to_ne_bytes());
            put.map_err(|error| error.to_string())?;
        }
        update.commit().map_err(|error| error.to_string())?;
        Ok(Self { env, table })
    }
}

impl Writer for Map {
    /// A transaction each. A reader that was put aside inside one keeps pages: then there may be no room for a moment.
    fn update(&mut self, key: u64, value: u64) {
        loop {
            let mut update = self.env.write_txn().expect("no other writer");
            match self.table.put(&mut update, &key.to_be_bytes(), &value.to_ne_bytes()).and_then(|()| update.commit()) {
                Err(heed::Error::Mdb(heed::MdbError::MapFull)) => {
                    std::thread::sleep(std::time::Duration::from_millis(1))
                }
                outcome => return outcome.expect("LMDB works"),
            }
        }
    }
}

/// A reader's.
pub struct Lookups {
    env: Env,
    table: Table,
}

impl Lookups {
    /// In that folder.
    ///
    /// # Errors
    /// LMDB's.
    pub fn open(path: &str) -> Result<Self, String> {
        let env = open(path, EnvFlags::empty())?;
        let read = env.read_txn().map_err(|error| error.to_string())?;
        let table = env.open_database(&read, None).map_err(|error| error.to_string())?;
        drop(read);
        Ok(Self { env, table: table.ok_or("no table")? })
    }
}

impl Reader for Lookups {
    /// A transaction each.
    #[inline]
    fn get(&mut self, key: u64) -> Option<u64> {
        let read = self.env.read_txn().ok()?;
        let found = self.table.get(&read, &key.to_be_bytes()).ok()??;
        Some(u64::from_ne_bytes(found.try_into().ok()?))
    }
}

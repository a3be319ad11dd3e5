//! Ours: `cds-shm` in a segment of `urcu-shm`.

use cds_shm::{Heap, MapWriter, ShmHashMap};
use urcu_shm::{Access, Barriers, Segment, SegmentOptions};

use super::{ENTRIES, Reader, Writer, key, value};

const NAME: &str = "table";

/// A segment with readers' records for so many processes.
///
/// # Errors
/// When the system has no room.
pub fn create(path: &str, barriers: Option<Barriers>) -> Result<Segment, String> {
    let mut options = SegmentOptions::new(64 << 20).processes(256);
    if let Some(barriers) = barriers {
        options = options.barriers(barriers);
    }
    options.create(path).map_err(|error| error.to_string())
}

/// The writer's map.
#[derive(Debug)]
pub struct Map(MapWriter<u64, u64>);

impl Map {
    /// A full one.
    ///
    /// # Errors
    /// When the segment has no room, or another writer.
    pub fn fill(segment: &Segment) -> Result<Self, String> {
        let heap =
            Heap::open(segment.writer().map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        let mut map = heap.map::<u64, u64>(NAME).map_err(|error| error.to_string())?;
        for number in 0..ENTRIES {
            map.insert(&key(number), &value(key(number), 0)).map_err(|error| error.to_string())?;
        }
        Ok(Self(map))
    }
}

impl Writer for Map {
    fn update(&mut self, key: u64, value: u64) {
        self.0.insert(&key, &value).expect("there is room").expect("it is there");
    }
}

/// A reader's.
pub struct Lookups {
    map: ShmHashMap<u64, u64>,
    thread: urcu_shm::Thread,
}

impl Lookups {
    /// In the segment of that name; for reading only.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(path: &str) -> Result<Self, String> {
        let segment = Segment::open(path, Access::Read).map_err(|error| error.to_string())?;
        urcu_shm::attach(&segment).map_err(|error| error.to_string())?;
        let map = ShmHashMap::open(&segment, NAME).map_err(|error| error.to_string())?;
        let thread = urcu_shm::register().map_err(|error| error.to_string())?;
        Ok(Self { map, thread })
    }
}

impl Reader for Lookups {
    #[inline]
    fn get(&mut self, key: u64) -> Option<u64> {
        self.map.get(&self.thread.read_lock(), &key).ok().flatten()
    }
}

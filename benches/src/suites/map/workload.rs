//! What all tables of the suite can do, and the rows they come from.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::nanoseconds;
use crate::harness::plan::{Contender, Flavor, Kind, Sample, Shot};

/// A table of some contender.
pub trait Map: Send + Sync {
    /// The calling thread's access to it.
    ///
    /// # Errors
    /// What the contender says when it refuses.
    fn session(&self, seed: u64) -> Result<Box<dyn Session + '_>, String>;

    /// The number of entries, when nobody updates. By a thread that has no session.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    fn count(&self) -> Result<u64, String>;
}

/// A thread at a table. The value of a key is its complement. All loops are the contender's own, so that its code is inlined
/// into them; random keys are made in the loop, by the same generator.
pub trait Session {
    /// `count` lookups of random keys in `from..from + range`, each in a section of its own; how many found the right value.
    fn lookup(&mut self, from: u64, range: u64, count: u64) -> u64;

    /// The same, each timed by itself, in nanoseconds.
    fn lookup_timed(&mut self, from: u64, range: u64, times: &mut [u32]) -> u64;

    /// Inserts every `step`-th key of `from..to` unless it is there; how many were not.
    fn insert(&mut self, from: u64, to: u64, step: u64) -> u64;

    /// Inserts `from..`, each timed by itself.
    fn insert_timed(&mut self, from: u64, times: &mut [u32]) -> u64;

    /// Removes `from..to`; how many were there.
    fn remove(&mut self, from: u64, to: u64) -> u64;

    /// `count` operations on random keys below `range`: 90 % lookups, 5 % insertions, 5 % removals. Insertions less removals.
    fn mix(&mut self, range: u64, count: u64) -> i64;

    /// Announces that no section is open, where that is needed.
    fn quiescent(&mut self) {}
}

/// SplitMix64; the C loops have the same.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "never ends, so it is no iterator that one would loop over")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A key in `from..from + range`.
    #[inline(always)]
    pub fn key(&mut self, from: u64, range: u64) -> u64 {
        from + scale(self.next(), range)
    }
}

/// Below `range`.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the high half of a product")]
pub fn scale(random: u64, range: u64) -> u64 {
    ((u128::from(random) * u128::from(range)) >> 64) as u64
}

/// What [`Session::mix`] does next, from the bits that do not choose the key: 0 insert, 1 remove, else look up.
#[inline(always)]
pub fn choice(random: u64) -> u64 {
    ((random & 0xFFFF) * 20) >> 16
}

/// The hash of a key, for all contenders that take one.
#[inline(always)]
pub fn hash_of(key: u64) -> u64 {
    let mut key = key;
    key ^= key >> 33;
    key = key.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    key ^= key >> 33;
    key = key.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    key ^ (key >> 33)
}

/// Makes a table: for so many entries from the beginning, or empty, to grow by itself.
pub type Make = fn(Option<u64>) -> Result<Arc<dyn Map>, String>;

/// A row before it is bound to a case.
#[derive(Clone, Copy)]
pub struct Line {
    /// The contender's name.
    pub name: &'static str,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor.
    pub flavor: Option<Flavor>,
    /// Whether the table gets its size from the beginning.
    pub presized: bool,
    /// Whether its growth can come to a stop, so that a table has to be thrown away and made again.
    pub stalls: bool,
    /// What makes a table, or why it is missing.
    pub make: Result<Make, &'static str>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.name).finish()
    }
}

/// An insertion that takes longer on average than this, over a batch, is into a table that has stopped growing.
const STALLED: Duration = Duration::from_micros(4);
const BATCH: u64 = 4096;
const TRIES: u32 = 20;

impl Line {
    /// An empty table.
    ///
    /// # Errors
    /// Why there is none.
    pub fn empty(&self, entries: u64) -> Result<Arc<dyn Map>, String> {
        (self.make?)(self.presized.then_some(entries))
    }

    /// A row.
    pub fn contender(&self, measure: impl FnMut(&Shot<'_>) -> Result<Sample, String> + 'static) -> Contender {
        let mut contender = match self.make {
            Ok(_) => Contender::new(self.name, self.kind, measure),
            Err(reason) => Contender::unavailable(self.name, self.kind, reason),
        };
        contender.flavor = self.flavor;
        contender
    }

    /// A table with keys `0..entries`. Where growth can stop for good, the fastest of three that went on growing.
    fn filled(&self, entries: u64) -> Result<Arc<dyn Map>, String> {
        let mut best: Option<(f64, Arc<dyn Map>)> = None;
        let wanted = if self.stalls && entries <= 100_000 { 3 } else { 1 };
        let mut made = 0;
        for _ in 0..TRIES {
            let map = self.empty(entries)?;
            let mut session = map.session(0)?;
            let mut stalled = false;
            let mut from = 0;
            while from < entries && !stalled {
                let to = (from + BATCH).min(entries);
                let start = Instant::now();
                if session.insert(from, to, 1) != to - from {
                    return Err("an insertion of a new key was refused".into());
                }
                session.quiescent();
                #[allow(clippy::cast_possible_truncation, reason = "at most a batch")]
                let limit = STALLED * (to - from) as u32 + Duration::from_millis(20);
                stalled = self.stalls && start.elapsed() > limit;
                from = to;
            }
            // Growth in the background comes to rest.
            std::thread::sleep(Duration::from_millis(if entries > 100_000 { 300 } else { 20 }));
            let start = Instant::now();
            session.lookup(0, entries, 20_000);
            let time = nanoseconds(start.elapsed());
            drop(session);
            if stalled {
                continue;
            }
            if best.as_ref().is_none_or(|(least, _)| time < *least) {
                best = Some((time, map));
            }
            made += 1;
            if made == wanted {
                break;
            }
        }
        best.map(|(_, map)| map).ok_or_else(|| "its tables have stopped growing, again and again".into())
    }
}

/// A filled table that is made when it is first needed, and shared by the cases that do not change it.
#[derive(Clone)]
pub struct Table {
    line: Line,
    entries: u64,
    map: Rc<RefCell<Option<Arc<dyn Map>>>>,
}

impl Table {
    /// Not made yet.
    pub fn new(line: Line, entries: u64) -> Self {
        Self { line, entries, map: Rc::default() }
    }

    /// Makes it, or returns it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self) -> Result<Arc<dyn Map>, String> {
        let mut map = self.map.borrow_mut();
        if map.is_none() {
            *map = Some(self.line.filled(self.entries)?);
        }
        map.clone().ok_or_else(|| "just made".into())
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("line", &self.line).field("entries", &self.entries).finish_non_exhaustive()
    }
}

//! Lookups in a table that is passed across the boundary of the shared object, in either direction.
//!
//! The loops are inlined into whoever calls them: the benchmarks run them as their own code, the shared object exports
//! them as its own.

use std::any::TypeId;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use cds_lfht::LfHashMap;
use urcu_core::AnyGuard;

/// What is passed. The value of a key is its complement.
pub type Table = LfHashMap<u64, u64, Spread>;

/// Keys in a table, a power of two: few enough for the first two caches, since memory would hide everything else.
pub const KEYS: u64 = 4096;

/// A hasher that costs one multiplication, so that the lookup is what is measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread;

/// See [`Spread`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Spreading(u64);

impl BuildHasher for Spread {
    type Hasher = Spreading;

    #[inline]
    fn build_hasher(&self) -> Spreading {
        Spreading(0)
    }
}

impl Hasher for Spreading {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, key: u64) {
        let product = u128::from(self.0 ^ key) * 0x9E37_79B9_7F4A_7C15;
        #[allow(clippy::cast_possible_truncation, reason = "both halves go in")]
        let folded = (product as u64) ^ ((product >> 64) as u64);
        self.0 = folded;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Puts the keys in.
pub fn fill(table: &Table) -> Result<(), String> {
    let _registered = table.flavor().register_if_needed().map_err(|error| error.to_string())?;
    let table = table.pin();
    (0..KEYS).for_each(|key| {
        table.insert(key, !key);
    });
    Ok(())
}

/// Pseudo-random keys.
#[derive(Debug)]
pub struct Walk(pub u64);

impl Walk {
    #[inline(always)]
    fn key(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> (u64::BITS - KEYS.trailing_zeros())
    }
}

/// One lookup in the caller's section: 1 if it finds the right value.
#[inline(always)]
fn lookup(table: &Table, walk: &mut Walk, guard: &impl AnyGuard) -> u64 {
    let key = walk.key();
    u64::from(table.get(&key, guard).is_some_and(|value| *value == !key))
}

/// `length` lookups in the caller's section; how many found the right value.
#[inline(always)]
pub fn lookups(table: &Table, walk: &mut Walk, length: u64, guard: &impl AnyGuard) -> u64 {
    (0..length).map(|_| lookup(table, walk, guard)).sum()
}

/// `length` lookups, each in a section of its own. The section is a function of its own, as a library's would be.
#[inline(always)]
pub fn sections<G: AnyGuard>(table: &Table, walk: &mut Walk, length: u64, enter: impl Fn(&Table) -> G) -> u64 {
    (0..length).map(|_| section(table, walk, &enter)).sum()
}

#[inline(never)]
fn section<G: AnyGuard>(table: &Table, walk: &mut Walk, enter: impl Fn(&Table) -> G) -> u64 {
    let guard = enter(table);
    lookup(table, walk, &guard)
}

/// Equal on both sides if the tables are laid out alike: the same compiler and the same crates.
pub fn stamp() -> u64 {
    let mut hasher = DefaultHasher::new();
    TypeId::of::<Table>().hash(&mut hasher);
    hasher.finish()
}

/// [`stamp`], of the shared object.
#[unsafe(no_mangle)]
pub extern "C" fn urcu_bench_cdylib_mixing_stamp() -> u64 {
    stamp()
}

/// The shared object's own table, of its own copy of membarrier; null if that cannot be used.
#[unsafe(no_mangle)]
pub extern "C" fn urcu_bench_cdylib_mixing_table() -> *const Table {
    static TABLE: OnceLock<Option<Table>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let table = Table::with_hasher(Spread, urcu_membarrier::vtable());
        fill(&table).ok().map(|()| table)
    });
    table.as_ref().map_or(std::ptr::null(), std::ptr::from_ref)
}

/// `length` lookups in one section of the table's flavor.
///
/// # Safety
/// The table lives, and is laid out as here. The thread is registered with its flavor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn urcu_bench_cdylib_mixing_lookups(table: *const Table, seed: u64, length: u64) -> u64 {
    // SAFETY: the caller's promise.
    let table = unsafe { &*table };
    lookups(table, &mut Walk(seed), length, &table.flavor().pin())
}

/// `length` lookups, each in a section of the table's flavor.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn urcu_bench_cdylib_mixing_sections(table: *const Table, seed: u64, length: u64) -> u64 {
    // SAFETY: the caller's promise.
    let table = unsafe { &*table };
    sections(table, &mut Walk(seed), length, |table| table.flavor().pin())
}

/// The same with the shared object's own flavor, by its free `read_lock()`.
///
/// # Safety
/// As above; the table is the shared object's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn urcu_bench_cdylib_mixing_own_sections(table: *const Table, seed: u64, length: u64) -> u64 {
    // SAFETY: the caller's promise.
    let table = unsafe { &*table };
    sections(table, &mut Walk(seed), length, |_| urcu_membarrier::read_lock())
}

//! The raw tier, and the C library's hash table. Both with the membarrier flavor, with a section for each operation.

use std::ptr::NonNull;
use std::sync::Once;

use cds_lfht::raw::{Node, Options, TableBox};
use urcu_membarrier as rcu;

use super::{Entrant, Found, Kind, Make, Map, Session, Step, value_of};
use crate::harness::threads::unpinned;

/// Tables that begin with one bucket and resize themselves; and such that have their size from the beginning and keep it.
pub const RAW: [Entrant; 4] = [
    ours("cds-lfht-raw", false),
    ours("cds-lfht-raw-presized", true),
    theirs("liburcu-lfht", false),
    theirs("liburcu-lfht-presized", true),
];

const fn ours(name: &'static str, presized: bool) -> Entrant {
    Entrant { name, kind: Kind::Ours, batched: false, presized, stalls: false, make: Ok(Raw::make) }
}

const fn theirs(name: &'static str, presized: bool) -> Entrant {
    Entrant { name, kind: Kind::SameFlavor, batched: false, presized, stalls: !presized, make: C_TABLE }
}

/// The hash of a key, for both.
#[inline(always)]
fn hash_of(key: u64) -> u64 {
    let mut key = key;
    key ^= key >> 33;
    key = key.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    key ^= key >> 33;
    key = key.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    key ^ (key >> 33)
}

#[repr(C)]
struct Entry {
    node: Node,
    key: u64,
    value: u64,
}

struct Raw {
    table: Option<TableBox>,
}

impl Raw {
    fn make(entries: usize) -> Box<dyn Map> {
        start_worker();
        let options = Options::new();
        let options = match entries {
            0 => options,
            // As the other one: a size that stays.
            _ => options.initial(entries.next_power_of_two()).auto_resize(false).accounting(false),
        };
        let table = cds_lfht::raw::Table::new(rcu::vtable(), options).expect("memory for buckets");
        Box::new(Self { table: Some(table) })
    }

    fn table(&self) -> &cds_lfht::raw::Table {
        self.table.as_ref().expect("there until it is dropped")
    }
}

/// Starts the flavor's worker on a thread that may run anywhere, which the worker inherits; the C library starts its own when
/// the table is made.
fn start_worker() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        unpinned(|| {
            rcu::defer(|| ());
            // Fails in deferred calls only.
            let _ = rcu::barrier();
        });
    });
}

impl Map for Raw {
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(RawSession { table: self.table(), thread: rcu::register().expect("not registered yet") })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let Ok(mut thread) = rcu::register() else { return };
        let table = self.table.take().expect("taken here only");
        let mut entries = Vec::new();
        {
            let _guard = thread.read_lock();
            // SAFETY: inside a section.
            let mut iter = unsafe { table.first() };
            while let Some(node) = iter.node() {
                entries.push(node);
                // SAFETY: the same section.
                iter = unsafe { table.next(iter) };
            }
        }
        drop(table);
        // A resize in the background may still be looking.
        thread.synchronize();
        // In the order of their addresses, so that the next table finds a heap that is as good as new.
        entries.sort_unstable();
        for node in entries {
            // SAFETY: made by `entry`, in no table any more, and nobody has a session.
            drop(unsafe { Box::from_raw(node.cast::<Entry>().as_ptr()) });
        }
    }
}

struct RawSession<'t> {
    table: &'t cds_lfht::raw::Table,
    thread: rcu::Thread,
}

#[inline(always)]
fn matches(key: u64) -> impl FnMut(NonNull<Node>) -> bool {
    move |node| {
        // SAFETY: only nodes of entries are in the table.
        unsafe { node.cast::<Entry>().as_ref() }.key == key
    }
}

#[allow(clippy::cast_possible_truncation, reason = "of 64 bits everywhere")]
#[inline(always)]
fn hash(key: u64) -> usize {
    hash_of(key) as usize
}

impl RawSession<'_> {
    #[inline(always)]
    fn find(&self, key: u64) -> Option<u64> {
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section.
        let node = unsafe { self.table.lookup(hash(key), matches(key)) }.node()?;
        // SAFETY: found in this section.
        Some(unsafe { node.cast::<Entry>().as_ref() }.value)
    }

    #[inline(always)]
    fn put(&self, key: u64) {
        let entry = Box::new(Entry { node: Node::new(), key, value: value_of(key) });
        let node = NonNull::from(Box::leak(entry)).cast::<Node>();
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section; a node of our own.
        let found = unsafe { self.table.add_unique(hash(key), node, matches(key)) };
        assert!(found.is_none(), "it was there");
    }

    #[inline(always)]
    fn take(&self, key: u64) {
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section.
        let node = unsafe { self.table.lookup(hash(key), matches(key)) }.node().expect("it is there");
        // SAFETY: found in this section.
        unsafe { self.table.del(node) }.expect("nobody else removes it");
        // SAFETY: removed by us; made as a box.
        unsafe { rcu::raw::retire(node.cast::<Entry>().as_ptr()) };
    }
}

impl Session for RawSession<'_> {
    #[inline(never)]
    fn get(&mut self, keys: &[u64]) -> Found {
        let mut found = Found::default();
        for &key in keys {
            found.add(self.find(key));
        }
        found
    }

    #[inline(never)]
    fn insert(&mut self, keys: &[u64]) {
        for &key in keys {
            self.put(key);
        }
    }

    #[inline(never)]
    fn remove(&mut self, keys: &[u64]) {
        for &key in keys {
            self.take(key);
        }
    }

    #[inline(never)]
    fn mixed(&mut self, steps: &[Step]) -> Found {
        let mut found = Found::default();
        for &step in steps {
            match step {
                Step::Get(key) => found.add(self.find(key)),
                Step::Insert(key) => self.put(key),
                Step::Remove(key) => self.take(key),
            }
        }
        found
    }
}

#[cfg(not(liburcu_cds = "lfht"))]
const C_TABLE: Result<Make, &str> =
    Err("liburcu's hash table not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config");
#[cfg(liburcu_cds = "lfht")]
const C_TABLE: Result<Make, &str> = Ok(c::Table::make);

#[cfg(liburcu_cds = "lfht")]
mod c {
    use std::ffi::{c_int, c_void};
    use std::marker::PhantomData;
    use std::ptr;

    use super::super::{Found, Map, Session, Step};
    use crate::contenders::api::Reader;
    use crate::contenders::liburcu;
    use crate::harness::plan::Flavor;

    unsafe extern "C" {
        fn urcu_bench_lfht_new(buckets: u64, automatic: c_int) -> *mut c_void;
        fn urcu_bench_lfht_destroy(table: *mut c_void, entries: *mut *mut c_void, count: u64) -> c_int;
        fn urcu_bench_lfht_free(entry: *mut c_void);
        fn urcu_bench_lfht_count(table: *mut c_void) -> u64;
        fn urcu_bench_lfht_get(table: *mut c_void, keys: *const u64, count: u64, sum: *mut u64) -> u64;
        fn urcu_bench_lfht_insert(table: *mut c_void, keys: *const u64, count: u64) -> u64;
        fn urcu_bench_lfht_remove(table: *mut c_void, keys: *const u64, count: u64) -> u64;
        fn urcu_bench_lfht_mixed(table: *mut c_void, steps: *const Step, count: u64, sum: *mut u64) -> u64;
    }

    pub(super) struct Table(*mut c_void);

    // SAFETY: the C library's table is made for several threads.
    unsafe impl Send for Table {}
    // SAFETY: as above.
    unsafe impl Sync for Table {}

    impl Table {
        pub(super) fn make(entries: usize) -> Box<dyn Map> {
            let _reader = reader();
            let buckets = entries.next_power_of_two() as u64;
            // SAFETY: a power of two, and an initialised library.
            let table = unsafe { urcu_bench_lfht_new(buckets, c_int::from(entries == 0)) };
            assert!(!table.is_null(), "cds_lfht_new failed");
            Box::new(Self(table))
        }
    }

    /// Registers the calling thread with the flavor that the table uses.
    fn reader() -> Reader {
        let entry = liburcu::entries().into_iter().find(|entry| entry.flavor == Flavor::Membarrier);
        let api = entry.expect("it is there").api.expect("it was found");
        api.register().expect("not registered yet")
    }

    impl Map for Table {
        fn session(&self) -> Box<dyn Session + '_> {
            Box::new(CSession { table: self.0, _reader: reader(), marker: PhantomData })
        }
    }

    impl Drop for Table {
        fn drop(&mut self) {
            let reader = reader();
            // SAFETY: a registered thread.
            let count = unsafe { urcu_bench_lfht_count(self.0) };
            let mut entries = vec![ptr::null_mut(); count as usize];
            // SAFETY: a registered thread, sessions borrow the table, and there is room for all entries.
            let code = unsafe { urcu_bench_lfht_destroy(self.0, entries.as_mut_ptr(), count) };
            drop(reader);
            // As ours.
            entries.sort_unstable();
            for entry in entries {
                // SAFETY: in no table any more, and a grace period has passed.
                unsafe { urcu_bench_lfht_free(entry) };
            }
            assert!(code == 0 || std::thread::panicking(), "cds_lfht_destroy failed with {code}");
        }
    }

    struct CSession<'t> {
        table: *mut c_void,
        _reader: Reader,
        marker: PhantomData<&'t Table>,
    }

    impl Session for CSession<'_> {
        fn get(&mut self, keys: &[u64]) -> Found {
            let mut sum = 0;
            // SAFETY: a registered thread, and so many keys.
            let found = unsafe { urcu_bench_lfht_get(self.table, keys.as_ptr(), keys.len() as u64, &raw mut sum) };
            Found { keys: found, sum }
        }

        fn insert(&mut self, keys: &[u64]) {
            // SAFETY: a registered thread, and so many keys.
            let inserted = unsafe { urcu_bench_lfht_insert(self.table, keys.as_ptr(), keys.len() as u64) };
            assert_eq!(inserted, keys.len() as u64, "it was there");
        }

        fn remove(&mut self, keys: &[u64]) {
            // SAFETY: a registered thread, and so many keys.
            let removed = unsafe { urcu_bench_lfht_remove(self.table, keys.as_ptr(), keys.len() as u64) };
            assert_eq!(removed, keys.len() as u64, "it was not there");
        }

        fn mixed(&mut self, steps: &[Step]) -> Found {
            let mut sum = 0;
            // SAFETY: a registered thread, and so many steps.
            let found = unsafe { urcu_bench_lfht_mixed(self.table, steps.as_ptr(), steps.len() as u64, &raw mut sum) };
            Found { keys: found, sum }
        }
    }
}

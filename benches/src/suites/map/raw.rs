//! The raw tier, and the C library's hash table. Both with the membarrier flavor, with a section for each operation.

use std::ptr::NonNull;
use std::sync::{Arc, Once};
use std::time::Instant;

use cds_lfht::raw::{Node, Options, TableBox};
use urcu_membarrier as rcu;

use super::workload::{Line, Map, Random, Session, choice, hash_of, scale};
use crate::harness::plan::{Flavor, Kind};
use crate::harness::threads::unpinned;

pub(super) fn lines() -> Vec<Line> {
    let flavor = Some(Flavor::Membarrier);
    let ours = |name, presized| Line { name, kind: Kind::Ours, flavor, presized, stalls: false, make: Ok(Raw::make) };
    let theirs = |name, presized| Line { name, kind: Kind::Peer, flavor, presized, stalls: !presized, make: C_TABLE };
    vec![
        ours("cds-lfht-raw", false),
        ours("cds-lfht-raw-presized", true),
        theirs("liburcu-lfht", false),
        theirs("liburcu-lfht-presized", true),
    ]
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
    fn make(entries: Option<u64>) -> Result<Arc<dyn Map>, String> {
        start_worker();
        let options = Options::new();
        let options = match entries {
            // As the other one: a size that stays.
            Some(entries) => options.initial(buckets_for(entries)).auto_resize(false).accounting(false),
            None => options,
        };
        let table = cds_lfht::raw::Table::new(rcu::vtable(), options).map_err(|error| error.to_string())?;
        Ok(Arc::new(Self { table: Some(table) }))
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

#[allow(clippy::cast_possible_truncation, reason = "of 64 bits everywhere")]
fn buckets_for(entries: u64) -> usize {
    entries.next_power_of_two() as usize
}

impl Map for Raw {
    fn session(&self, seed: u64) -> Result<Box<dyn Session + '_>, String> {
        let thread = rcu::register().map_err(|error| error.to_string())?;
        Ok(Box::new(RawSession { table: self.table(), thread, random: Random(hash_of(seed)), spare: None }))
    }

    fn count(&self) -> Result<u64, String> {
        let thread = rcu::register().map_err(|error| error.to_string())?;
        let _guard = thread.read_lock();
        // SAFETY: inside a section.
        Ok(unsafe { self.table().count_nodes() }.nodes as u64)
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
    random: Random,
    spare: Option<Box<Entry>>,
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
    fn find(&self, key: u64) -> u64 {
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section.
        match unsafe { self.table.lookup(hash(key), matches(key)) }.node() {
            // SAFETY: found in this section.
            Some(node) => unsafe { node.cast::<Entry>().as_ref() }.value,
            None => 0,
        }
    }

    #[inline(always)]
    fn put(&mut self, key: u64) -> bool {
        let entry = match self.spare.take() {
            Some(mut entry) => {
                (entry.key, entry.value) = (key, !key);
                entry
            }
            None => Box::new(Entry { node: Node::new(), key, value: !key }),
        };
        let node = NonNull::from(Box::leak(entry)).cast::<Node>();
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section; a node of our own.
        let found = unsafe { self.table.add_unique(hash(key), node, matches(key)) };
        if found.is_some() {
            // SAFETY: rejected: still ours alone.
            self.spare = Some(unsafe { Box::from_raw(node.cast::<Entry>().as_ptr()) });
        }
        found.is_none()
    }

    #[inline(always)]
    fn take(&mut self, key: u64) -> bool {
        let _guard = self.thread.read_lock();
        // SAFETY: inside a section.
        let Some(node) = unsafe { self.table.lookup(hash(key), matches(key)) }.node() else { return false };
        // SAFETY: found in this section.
        if unsafe { self.table.del(node) }.is_err() {
            return false;
        }
        // SAFETY: removed by us; made as a box.
        unsafe { rcu::raw::retire(node.cast::<Entry>().as_ptr()) };
        true
    }
}

#[allow(clippy::cast_possible_truncation, reason = "nobody waits for four seconds")]
fn nanos_since(start: Instant) -> u32 {
    start.elapsed().as_nanos() as u32
}

impl Session for RawSession<'_> {
    fn lookup(&mut self, from: u64, range: u64, count: u64) -> u64 {
        let mut found = 0;
        for _ in 0..count {
            let key = self.random.key(from, range);
            found += u64::from(self.find(key) == !key);
        }
        found
    }

    fn lookup_timed(&mut self, from: u64, range: u64, times: &mut [u32]) -> u64 {
        let mut found = 0;
        for time in times {
            let key = self.random.key(from, range);
            let start = Instant::now();
            found += u64::from(self.find(key) == !key);
            *time = nanos_since(start);
        }
        found
    }

    #[allow(clippy::cast_possible_truncation, reason = "of 64 bits everywhere")]
    fn insert(&mut self, from: u64, to: u64, step: u64) -> u64 {
        (from..to).step_by(step as usize).map(|key| u64::from(self.put(key))).sum()
    }

    fn insert_timed(&mut self, from: u64, times: &mut [u32]) -> u64 {
        let mut inserted = 0;
        for (key, time) in (from..).zip(times) {
            let start = Instant::now();
            inserted += u64::from(self.put(key));
            *time = nanos_since(start);
        }
        inserted
    }

    fn remove(&mut self, from: u64, to: u64) -> u64 {
        (from..to).map(|key| u64::from(self.take(key))).sum()
    }

    fn mix(&mut self, range: u64, count: u64) -> i64 {
        let mut net = 0;
        for _ in 0..count {
            let random = self.random.next();
            let key = scale(random, range);
            match choice(random) {
                0 => net += i64::from(self.put(key)),
                1 => net -= i64::from(self.take(key)),
                _ => {
                    let value = self.find(key);
                    assert!(value == 0 || value == !key, "a wrong value");
                }
            }
        }
        net
    }
}

#[cfg(not(liburcu_cds = "lfht"))]
const C_TABLE: Result<super::workload::Make, &str> =
    Err("liburcu's hash table not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config");
#[cfg(liburcu_cds = "lfht")]
const C_TABLE: Result<super::workload::Make, &str> = Ok(c::Table::make);

#[cfg(liburcu_cds = "lfht")]
mod c {
    use std::ffi::{c_int, c_void};
    use std::marker::PhantomData;
    use std::ptr;

    use super::super::workload::{Map, Session, hash_of};
    use super::{Arc, buckets_for};
    use crate::contenders::api::Reader;
    use crate::contenders::liburcu;
    use crate::harness::plan::Flavor;

    /// Layout shared with `shims/lfht.c`.
    #[repr(C)]
    struct Raw {
        table: *mut c_void,
        random: u64,
        spare: *mut c_void,
    }

    unsafe extern "C" {
        fn urcu_bench_lfht_new(buckets: u64, automatic: c_int) -> *mut c_void;
        fn urcu_bench_lfht_destroy(table: *mut c_void, entries: *mut *mut c_void, count: u64) -> c_int;
        fn urcu_bench_lfht_free(entry: *mut c_void);
        fn urcu_bench_lfht_count(table: *mut c_void) -> u64;
        fn urcu_bench_lfht_lookup(session: *mut Raw, from: u64, range: u64, count: u64) -> u64;
        fn urcu_bench_lfht_timed(session: *mut Raw, from: u64, range: u64, times: *mut u32, count: u64) -> u64;
        fn urcu_bench_lfht_insert(session: *mut Raw, from: u64, to: u64, step: u64) -> u64;
        fn urcu_bench_lfht_insert_timed(session: *mut Raw, from: u64, to: u64, times: *mut u32) -> u64;
        fn urcu_bench_lfht_remove(session: *mut Raw, from: u64, to: u64) -> u64;
        fn urcu_bench_lfht_mix(session: *mut Raw, range: u64, count: u64) -> i64;
        fn urcu_bench_lfht_end(session: *mut Raw);
    }

    pub(super) struct Table(*mut c_void);

    // SAFETY: the C library's table is made for several threads.
    unsafe impl Send for Table {}
    // SAFETY: as above.
    unsafe impl Sync for Table {}

    impl Table {
        pub(super) fn make(entries: Option<u64>) -> Result<Arc<dyn Map>, String> {
            let _reader = reader()?;
            let buckets = entries.map_or(1, |entries| buckets_for(entries) as u64);
            // SAFETY: a power of two, and an initialised library.
            let table = unsafe { urcu_bench_lfht_new(buckets, c_int::from(entries.is_none())) };
            if table.is_null() { Err("cds_lfht_new failed".into()) } else { Ok(Arc::new(Self(table))) }
        }
    }

    /// Registers the calling thread with the flavor that the table uses.
    fn reader() -> Result<Reader, String> {
        let entry = liburcu::entries().into_iter().find(|entry| entry.flavor == Flavor::Membarrier);
        entry.ok_or("no such flavor")?.api?.register()
    }

    impl Map for Table {
        fn session(&self, seed: u64) -> Result<Box<dyn Session + '_>, String> {
            let raw = Raw { table: self.0, random: hash_of(seed), spare: ptr::null_mut() };
            Ok(Box::new(CSession { raw, _reader: reader()?, table: PhantomData }))
        }

        fn count(&self) -> Result<u64, String> {
            let _reader = reader()?;
            // SAFETY: a registered thread.
            Ok(unsafe { urcu_bench_lfht_count(self.0) })
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
        raw: Raw,
        _reader: Reader,
        table: PhantomData<&'t Table>,
    }

    impl Session for CSession<'_> {
        fn lookup(&mut self, from: u64, range: u64, count: u64) -> u64 {
            // SAFETY: a registered thread's session.
            unsafe { urcu_bench_lfht_lookup(&raw mut self.raw, from, range, count) }
        }

        fn lookup_timed(&mut self, from: u64, range: u64, times: &mut [u32]) -> u64 {
            let count = times.len() as u64;
            // SAFETY: a registered thread's session, and room for so many times.
            unsafe { urcu_bench_lfht_timed(&raw mut self.raw, from, range, times.as_mut_ptr(), count) }
        }

        fn insert(&mut self, from: u64, to: u64, step: u64) -> u64 {
            // SAFETY: a registered thread's session.
            unsafe { urcu_bench_lfht_insert(&raw mut self.raw, from, to, step) }
        }

        fn insert_timed(&mut self, from: u64, times: &mut [u32]) -> u64 {
            let to = from + times.len() as u64;
            // SAFETY: a registered thread's session, and room for so many times.
            unsafe { urcu_bench_lfht_insert_timed(&raw mut self.raw, from, to, times.as_mut_ptr()) }
        }

        fn remove(&mut self, from: u64, to: u64) -> u64 {
            // SAFETY: a registered thread's session.
            unsafe { urcu_bench_lfht_remove(&raw mut self.raw, from, to) }
        }

        fn mix(&mut self, range: u64, count: u64) -> i64 {
            // SAFETY: a registered thread's session.
            unsafe { urcu_bench_lfht_mix(&raw mut self.raw, range, count) }
        }
    }

    impl Drop for CSession<'_> {
        fn drop(&mut self) {
            // SAFETY: the session ends.
            unsafe { urcu_bench_lfht_end(&raw mut self.raw) };
        }
    }
}

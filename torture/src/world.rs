//! What all threads of a flavor's process share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};

use urcu_conformance::{panics, signal, task};
use urcu_core::sync::CachePadded;
use urcu_core::{Flavor, FlavorVtable, raw};

use crate::flags::{Flags, Mode};
use crate::object::{Object, Pool, Seen};
use crate::record::{BUCKETS, Record};

/// Pointers to current objects.
pub(crate) const SLOTS: usize = 4;
/// Threads that signals may go to.
const TARGETS: usize = 64;

pub(crate) struct World {
    pub(crate) flags: Flags,
    pub(crate) vtable: &'static FlavorVtable,
    slots: [CachePadded<AtomicPtr<Object>>; SLOTS],
    pub(crate) pool: Pool,
    stop: CachePadded<AtomicBool>,
    found: CachePadded<[AtomicU64; BUCKETS]>,
    pub(crate) counts: Counts,
    targets: [AtomicI32; TARGETS],
    failures: Mutex<Vec<String>>,
}

/// Each in what its name says.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) awaited: AtomicU64,
    pub(crate) callbacks: AtomicU64,
    pub(crate) sections: AtomicU64,
    pub(crate) lives: AtomicU64,
    pub(crate) handler_sections: AtomicU64,
    pub(crate) forks: AtomicU64,
    pub(crate) races: AtomicU64,
    pub(crate) flooded: AtomicU64,
    pub(crate) flood_executed: AtomicU64,
    pub(crate) workers: AtomicU64,
    pub(crate) moves: AtomicU64,
}

static WORLD: OnceLock<World> = OnceLock::new();

/// The one world of this process. Async-signal-safe, once it has been made.
pub(crate) fn world() -> &'static World {
    WORLD.get().expect("made before any thread")
}

impl World {
    pub(crate) fn make(flags: &Flags, vtable: &'static FlavorVtable) -> &'static Self {
        let world = WORLD.get_or_init(|| Self {
            flags: flags.clone(),
            vtable,
            slots: std::array::from_fn(|_| CachePadded(AtomicPtr::default())),
            pool: Pool::new(),
            stop: CachePadded(AtomicBool::new(false)),
            found: CachePadded(std::array::from_fn(|_| AtomicU64::new(0))),
            counts: Counts::default(),
            targets: std::array::from_fn(|_| AtomicI32::new(0)),
            failures: Mutex::default(),
        });
        for slot in &world.slots {
            let first = world.pool.hand_out(&mut Vec::new(), u64::MAX).expect("no limit");
            raw::assign_pointer(slot, std::ptr::from_ref(first).cast_mut());
        }
        world
    }

    pub(crate) fn does(&self, mode: Mode) -> bool {
        self.flags.does(mode)
    }

    pub(crate) fn ended(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// The current object of a slot; inside a section.
    #[inline]
    pub(crate) fn look(&self, slot: usize) -> Seen {
        // SAFETY: never null, and objects are never freed.
        unsafe { &*raw::dereference(&self.slots[slot % SLOTS]) }.look()
    }

    /// Publishes `fresh`; the object that it replaced has been unlinked.
    pub(crate) fn replace(&self, slot: usize, fresh: &'static Object) -> &'static Object {
        let old = raw::exchange_pointer(&self.slots[slot % SLOTS], std::ptr::from_ref(fresh).cast_mut());
        // SAFETY: never null, and objects are never freed.
        let old = unsafe { &*old };
        old.unlinked();
        old
    }

    /// Adds a reader's own histogram.
    pub(crate) fn add_found(&self, found: &mut [u64; BUCKETS]) {
        for (shared, own) in self.found.iter().zip(found.iter_mut()) {
            if *own != 0 {
                shared.fetch_add(std::mem::take(own), Ordering::Relaxed);
            }
        }
    }

    /// One look of a signal handler.
    pub(crate) fn add_bucket(&self, bucket: usize) {
        self.found[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, what: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < 20 {
            failures.push(what);
        }
        self.end();
    }

    /// Makes the calling thread a target of signals until the answer is dropped.
    pub(crate) fn be_target(&self) -> Target<'_> {
        let tid = task::id();
        let claim = |slot: &&AtomicI32| slot.compare_exchange(0, tid, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        Target(self.targets.iter().find(claim))
    }

    pub(crate) fn target(&self, number: u64) -> i32 {
        self.targets[number as usize % TARGETS].load(Ordering::Acquire)
    }

    /// A thread whose panic is a failure of the run.
    pub(crate) fn spawn(&'static self, name: &str, life: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let called = name.to_owned();
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(life)) {
                self.fail(format!("thread '{called}' panicked: {}", panics::text_of(&*panic)));
            }
        };
        Builder::new().name(name.to_owned()).spawn(body).expect("a thread")
    }

    pub(crate) fn record<F: Flavor>(&self, seconds: f64) -> Record {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        let mut record = Record {
            seconds,
            grace_periods: urcu_core::stats::<F>().grace_periods,
            awaited: of(&counts.awaited),
            callbacks: of(&counts.callbacks) + of(&counts.flood_executed),
            sections: of(&counts.sections) + of(&counts.handler_sections),
            lives: of(&counts.lives),
            signals: signal::handled() as u64,
            handler_sections: of(&counts.handler_sections),
            forks: of(&counts.forks),
            races: of(&counts.races),
            flooded: of(&counts.flood_executed),
            workers: of(&counts.workers),
            moves: of(&counts.moves),
            ..Record::default()
        };
        for (total, count) in record.ages.iter_mut().zip(self.found.iter()) {
            *total = of(count);
        }
        record.failures.clone_from(&self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        record
    }
}

/// See [`World::be_target`].
pub(crate) struct Target<'a>(Option<&'a AtomicI32>);

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.store(0, Ordering::Release);
        }
    }
}

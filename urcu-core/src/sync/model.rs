//! The core under the model checker: atomics that statics can hold, and a kernel that puts to sleep and wakes.
//!
//! loom's atomics are made anew for each execution that it explores, which no `const fn` can do. These here become one of loom's
//! when an execution first touches them, with the value that the static holds; so every execution finds the whole state of a
//! flavor as it was when the program started, and the algorithms are the product's own. Outside of [`explore`] they are
//! the standard library's.
//!
//! For loom, making an atomic is a write, which has to happen before all that other threads do with it. So they are made
//! before the model's first step, enough of each value, and handed out.
//!
//! What is not explored: the thread's exit destructor, `fork`, signals, `membarrier(2)` (full fences take its place), and plain
//! memory, but for what [`Watched`] stands for: the rest is ThreadSanitizer's.

// Types that the rest of the crate sees in place of the standard library's, documented there.
#![allow(missing_docs, unreachable_pub)]

use core::ptr;
use core::sync::atomic::{self, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The execution that is being explored, from one; zero outside of a model.
static EXECUTION: atomic::AtomicU64 = atomic::AtomicU64::new(0);
static EXECUTIONS: atomic::AtomicU64 = atomic::AtomicU64::new(0);
/// Whether a sleep with a time limit never ends by it.
static SLEEPS_LAST: atomic::AtomicBool = atomic::AtomicBool::new(false);
/// One model at a time has the statics.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether the caller runs in a model of this crate.
pub fn in_model() -> bool {
    execution() != 0
}

fn execution() -> u64 {
    EXECUTION.load(Ordering::Relaxed)
}

/// Explores `body` with at most so many preemptions.
pub fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let _alone = lock(&ALONE);
    check(preemptions, body);
}

/// [`explore`], where nobody who sleeps wakes up because time passes: a wake-up that is lost is a deadlock, though it would cost
/// a bounded time only.
pub fn explore_without_time(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let _alone = lock(&ALONE);
    SLEEPS_LAST.store(true, Ordering::Relaxed);
    let _time = crate::util::OnDrop(|| SLEEPS_LAST.store(false, Ordering::Relaxed));
    check(preemptions, body);
}

fn check(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 50_000;
    let outside = crate::util::OnDrop(|| EXECUTION.store(0, Ordering::Relaxed));
    builder.check(move || {
        EXECUTION.store(EXECUTIONS.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        fill_pools();
        body();
    });
    drop(outside);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Atomics of one type that have been made for the current execution, by their first value.
struct Pool<A>(Vec<(u64, Vec<A>)>);

// SAFETY: loom runs all threads of a model on one thread of the system, and models come one after the other.
unsafe impl<A> Send for Pool<A> {}

impl<A> Pool<A> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes so many of each value.
    fn fill(&mut self, values: &[(u64, usize)], make: impl Fn(u64) -> A) {
        self.0 = values.iter().map(|&(value, count)| (value, (0..count).map(|_| make(value)).collect())).collect();
    }

    fn take(&mut self, value: u64) -> Option<A> {
        self.0.iter_mut().find(|(of, _)| *of == value)?.1.pop()
    }
}

/// As many of each value as models need. Where it is too few loom says *concurrent load and mut access*.
fn fill_pools() {
    AtomicU8::fill(&[(0, 6)]);
    AtomicI32::fill(&[(0, 16)]);
    AtomicU32::fill(&[(0, 32), (1, 4), (16, 2)]);
    AtomicU64::fill(&[(0, 40), (1, 2), (10_000, 2), (1 << 63, 3), (0x8_0001, 3), (u64::MAX, 12)]);
    AtomicUsize::fill(&[(0, 24), (1 << 13, 2), (1 << 16, 2), (8 << 20, 2), (64 << 20, 2)]);
    AtomicBool::fill(&[(0, 24), (1, 6)]);
    let null_or_mark = |value| loom::sync::atomic::AtomicPtr::new(ptr::without_provenance_mut(value as usize));
    lock(&POINTERS).fill(&[(0, 48), (1, 4)], null_or_mark);
    lock(&WATCHED).0 = (0..24).map(|_| loom::cell::UnsafeCell::new(())).collect();
}

/// What an atomic is in the execution that is being explored.
struct Slot<A> {
    execution: u64,
    atomic: A,
}

/// loom runs all threads of a model on one thread of the system, so nothing here races.
struct Lazy<A>(atomic::AtomicPtr<Slot<A>>);

impl<A> Lazy<A> {
    const fn new() -> Self {
        Self(atomic::AtomicPtr::new(ptr::null_mut()))
    }

    fn get(&self, make: impl FnOnce() -> A) -> &A {
        let now = execution();
        let slot = self.0.load(Ordering::Relaxed);
        // SAFETY: null or made below; it is freed when the next execution replaces it, and no reference lasts that long.
        if unsafe { slot.as_ref() }.is_none_or(|slot| slot.execution != now) {
            self.forget();
            self.0.store(Box::into_raw(Box::new(Slot { execution: now, atomic: make() })), Ordering::Relaxed);
        }
        // SAFETY: not null.
        &unsafe { &*self.0.load(Ordering::Relaxed) }.atomic
    }

    fn current(&self) -> Option<&A> {
        // SAFETY: as in `get`.
        let slot = unsafe { self.0.load(Ordering::Relaxed).as_ref() }?;
        (slot.execution == execution()).then_some(&slot.atomic)
    }

    fn forget(&self) {
        let slot = self.0.swap(ptr::null_mut(), Ordering::Relaxed);
        if !slot.is_null() {
            // SAFETY: made by `get`, and out of reach now.
            drop(unsafe { Box::from_raw(slot) });
        }
    }
}

impl<A> Drop for Lazy<A> {
    fn drop(&mut self) {
        self.forget();
    }
}

macro_rules! pool {
    ($modelled:ty, $to:expr, $from:expr) => {
        fn fill(values: &[(u64, usize)]) {
            lock(Self::POOL).fill(values, |value| <$modelled>::new($from(value)));
        }

        fn modelled(&self) -> &$modelled {
            self.lazy.get(|| {
                let value = self.plain.load(Ordering::Relaxed);
                let pooled = lock(Self::POOL).take($to(value));
                pooled.unwrap_or_else(|| <$modelled>::new(value))
            })
        }
    };
}

macro_rules! operations {
    ($value:ty) => {
        #[track_caller]
        pub fn load(&self, order: Ordering) -> $value {
            if in_model() { self.modelled().load(order) } else { self.plain.load(order) }
        }

        #[track_caller]
        pub fn store(&self, value: $value, order: Ordering) {
            if in_model() { self.modelled().store(value, order) } else { self.plain.store(value, order) }
        }

        #[track_caller]
        pub fn swap(&self, value: $value, order: Ordering) -> $value {
            if in_model() { self.modelled().swap(value, order) } else { self.plain.swap(value, order) }
        }

        #[track_caller]
        pub fn compare_exchange(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            if in_model() {
                self.modelled().compare_exchange(current, new, success, failure)
            } else {
                self.plain.compare_exchange(current, new, success, failure)
            }
        }

        #[track_caller]
        pub fn compare_exchange_weak(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            // The model checker does not make it fail without a reason.
            self.compare_exchange(current, new, success, failure)
        }

        #[track_caller]
        pub fn fetch_update(
            &self,
            success: Ordering,
            failure: Ordering,
            update: impl FnMut($value) -> Option<$value>,
        ) -> Result<$value, $value> {
            if in_model() {
                self.modelled().fetch_update(success, failure, update)
            } else {
                self.plain.fetch_update(success, failure, update)
            }
        }

        /// Of the place, as a name for it; nothing is read or written through it in a model.
        pub const fn as_ptr(&self) -> *mut $value {
            self.plain.as_ptr()
        }

        pub fn get_mut(&mut self) -> &mut $value {
            if let Some(modelled) = self.lazy.current() {
                // SAFETY: exclusive.
                let value = unsafe { modelled.unsync_load() };
                self.lazy.forget();
                *self.plain.get_mut() = value;
            }
            self.plain.get_mut()
        }

        pub fn into_inner(mut self) -> $value {
            *self.get_mut()
        }
    };
}

macro_rules! fetches {
    ($value:ty: $($name:ident),*) => {
        $(
            #[track_caller]
            pub fn $name(&self, value: $value, order: Ordering) -> $value {
                if in_model() { self.modelled().$name(value, order) } else { self.plain.$name(value, order) }
            }
        )*
    };
}

macro_rules! shown {
    ($name:ident $(<$parameter:ident>)?) => {
        impl $(<$parameter>)? core::fmt::Debug for $name $(<$parameter>)? {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.plain.fmt(f)
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $value:ty) => {
        #[repr(C)]
        pub struct $name {
            plain: atomic::$name,
            lazy: Lazy<loom::sync::atomic::$name>,
        }

        impl $name {
            const POOL: &'static Mutex<Pool<loom::sync::atomic::$name>> = {
                static POOL: Mutex<Pool<loom::sync::atomic::$name>> = Mutex::new(Pool::new());
                &POOL
            };

            pub const fn new(value: $value) -> Self {
                Self { plain: atomic::$name::new(value), lazy: Lazy::new() }
            }

            pool!(loom::sync::atomic::$name, |value: $value| value as u64, |value: u64| value as $value);
            operations!($value);
            fetches!($value: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max, fetch_min);
        }

        shown!($name);

        impl Default for $name {
            fn default() -> Self {
                Self::new(0)
            }
        }
    };
}

number!(AtomicU8, u8);
number!(AtomicI32, i32);
number!(AtomicU32, u32);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);

#[repr(C)]
pub struct AtomicBool {
    plain: atomic::AtomicBool,
    lazy: Lazy<loom::sync::atomic::AtomicBool>,
}

impl AtomicBool {
    const POOL: &'static Mutex<Pool<loom::sync::atomic::AtomicBool>> = {
        static POOL: Mutex<Pool<loom::sync::atomic::AtomicBool>> = Mutex::new(Pool::new());
        &POOL
    };

    pub const fn new(value: bool) -> Self {
        Self { plain: atomic::AtomicBool::new(value), lazy: Lazy::new() }
    }

    pool!(loom::sync::atomic::AtomicBool, u64::from, |value: u64| value != 0);
    operations!(bool);
    fetches!(bool: fetch_and, fetch_or, fetch_xor);
}

shown!(AtomicBool);

impl Default for AtomicBool {
    fn default() -> Self {
        Self::new(false)
    }
}

/// One pool for pointers to anything.
static POINTERS: Mutex<Pool<loom::sync::atomic::AtomicPtr<()>>> = Mutex::new(Pool::new());

#[repr(C)]
pub struct AtomicPtr<T> {
    plain: atomic::AtomicPtr<T>,
    lazy: Lazy<Pointer<T>>,
}

/// A pointer of the pool's, with its type.
struct Pointer<T>(loom::sync::atomic::AtomicPtr<()>, core::marker::PhantomData<*mut T>);

impl<T> Pointer<T> {
    #[track_caller]
    fn load(&self, order: Ordering) -> *mut T {
        self.0.load(order).cast()
    }

    #[track_caller]
    fn store(&self, value: *mut T, order: Ordering) {
        self.0.store(value.cast(), order);
    }

    #[track_caller]
    fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.0.swap(value.cast(), order).cast()
    }

    #[track_caller]
    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let exchanged = self.0.compare_exchange(current.cast(), new.cast(), success, failure);
        exchanged.map(<*mut ()>::cast).map_err(<*mut ()>::cast)
    }

    #[track_caller]
    fn fetch_update(
        &self,
        success: Ordering,
        failure: Ordering,
        mut update: impl FnMut(*mut T) -> Option<*mut T>,
    ) -> Result<*mut T, *mut T> {
        let updated = self.0.fetch_update(success, failure, |value| update(value.cast()).map(<*mut T>::cast));
        updated.map(<*mut ()>::cast).map_err(<*mut ()>::cast)
    }

    unsafe fn unsync_load(&self) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.unsync_load() }.cast()
    }
}

impl<T> AtomicPtr<T> {
    pub const fn new(value: *mut T) -> Self {
        Self { plain: atomic::AtomicPtr::new(value), lazy: Lazy::new() }
    }

    fn modelled(&self) -> &Pointer<T> {
        self.lazy.get(|| {
            let value = self.plain.load(Ordering::Relaxed);
            // Addresses differ from execution to execution, but for those that stand for something else.
            let pooled = if value.addr() <= 1 { lock(&POINTERS).take(value.addr() as u64) } else { None };
            let pointer = pooled.unwrap_or_else(|| loom::sync::atomic::AtomicPtr::new(value.cast()));
            Pointer(pointer, core::marker::PhantomData)
        })
    }

    operations!(*mut T);
}

shown!(AtomicPtr<T>);

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(ptr::null_mut())
    }
}

/// What the full fences of a model touch, so that each of them is a step of its own.
static FENCES: AtomicU32 = AtomicU32::new(0);

/// The model checker's fence in a model. For loom it is no step: no other thread runs between it and the access before, so
/// nobody would ever see that access without the fence. Hence the access here. It adds no order that full fences do not have
/// for loom anyway (they are in one order, and each carries on what those before it knew); it would to others.
#[track_caller]
pub fn fence(order: Ordering) {
    if !in_model() {
        return atomic::fence(order);
    }
    if order == Ordering::SeqCst {
        FENCES.fetch_add(0, Ordering::Relaxed);
    }
    loom::sync::atomic::fence(order);
}

pub use atomic::compiler_fence;

/// Plain memory, as far as the checker is told of accesses to it: it reports two that nothing orders.
pub struct Watched(Lazy<loom::cell::UnsafeCell<()>>);

static WATCHED: Mutex<WatchedPool> = Mutex::new(WatchedPool(Vec::new()));

struct WatchedPool(Vec<loom::cell::UnsafeCell<()>>);

// SAFETY: as for `Pool`.
unsafe impl Send for WatchedPool {}

impl Watched {
    pub const fn new() -> Self {
        Self(Lazy::new())
    }

    fn cell(&self) -> &loom::cell::UnsafeCell<()> {
        self.0.get(|| lock(&WATCHED).0.pop().unwrap_or_else(|| loom::cell::UnsafeCell::new(())))
    }

    #[track_caller]
    pub fn is_read(&self) {
        if in_model() {
            self.cell().with(|_| ());
        }
    }

    #[track_caller]
    pub fn is_written(&self) {
        if in_model() {
            self.cell().with_mut(|_| ());
        }
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Watched {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Watched")
    }
}

/// Who sleeps on what, first come first.
struct Sleepers {
    queue: loom::sync::Mutex<VecDeque<(usize, Arc<loom::sync::atomic::AtomicBool>)>>,
    changed: loom::sync::Condvar,
}

/// Those of the current execution.
static SLEEPERS: Mutex<Option<(u64, Arc<Sleepers>)>> = Mutex::new(None);

fn sleepers() -> Arc<Sleepers> {
    let mut sleepers = lock(&SLEEPERS);
    match &*sleepers {
        Some((made, sleepers)) if *made == execution() => sleepers.clone(),
        _ => {
            let made = Arc::new(Sleepers { queue: loom::sync::Mutex::default(), changed: loom::sync::Condvar::new() });
            *sleepers = Some((execution(), made.clone()));
            made
        }
    }
}

/// What the kernel does: comparing and queueing is one step. A sleep with a time limit may end at any time, so it ends at once.
pub(crate) fn futex_wait(word: &super::AtomicU32, expected: u32, is_limited: bool) {
    if is_limited && !SLEEPS_LAST.load(Ordering::Relaxed) {
        return loom::thread::yield_now();
    }
    let sleepers = sleepers();
    let mut queue = sleepers.queue.lock().expect("nobody panics with it");
    // A read-modify-write, to see the latest value, as the kernel does.
    if word.fetch_add(0, Ordering::Relaxed) != expected {
        return;
    }
    let woken = Arc::new(loom::sync::atomic::AtomicBool::new(false));
    queue.push_back((word.as_ptr().addr(), woken.clone()));
    while !woken.load(Ordering::Relaxed) {
        queue = sleepers.changed.wait(queue).expect("nobody panics with it");
    }
}

pub(crate) fn futex_wake(word: usize, count: i32) {
    let sleepers = sleepers();
    let mut queue = sleepers.queue.lock().expect("nobody panics with it");
    let mut left = count;
    queue.retain(|(address, woken)| {
        let stays = *address != word || left == 0;
        if !stays {
            left -= 1;
            woken.store(true, Ordering::Relaxed);
        }
        stays
    });
    sleepers.changed.notify_all();
}

//! The raw tier and the C library's stacks: intrusive nodes, no allocation.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Mutex;

use cds_lfstack::raw::{LfsIter, LfsLockedStack, LfsNode, LfsStack, WfsIter, WfsLockedStack, WfsNode, WfsStack};
use urcu_core::sync::CachePadded;

use super::{Looped, Member, Ops, PUT, Subject, Tally};

/// A link and a value. The layout is shared with the C shim.
#[repr(C)]
#[derive(Debug)]
pub struct Element {
    node: UnsafeCell<MaybeUninit<*mut c_void>>,
    value: UnsafeCell<u64>,
}

/// The elements that a thread has at hand. The layout is shared with the C shim.
#[repr(C)]
#[derive(Debug)]
struct Own {
    elements: *mut *mut Element,
    count: u64,
}

/// Elements for the largest team and workload.
const ELEMENTS: u64 = 8 * PUT;

/// All elements of a subject, and those that no member has.
#[derive(Debug)]
struct Pool {
    free: Mutex<Vec<*mut Element>>,
    all: *mut [Element],
}

// SAFETY: elements are handed on under the lock, or by a stack.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    fn new() -> Self {
        let element = |_| Element { node: UnsafeCell::new(MaybeUninit::zeroed()), value: UnsafeCell::new(0) };
        let all: Box<[Element]> = (0..ELEMENTS).map(element).collect();
        let all = Box::into_raw(all);
        // Not indexed, so that no reference to the whole is made.
        let free = (0..all.len()).map(|index| all.cast::<Element>().wrapping_add(index)).rev().collect();
        Self { free: Mutex::new(free), all }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: made from a box; the measurement is over.
        drop(unsafe { Box::from_raw(self.all) });
    }
}

struct Hand<'p> {
    pool: &'p Pool,
    elements: Vec<*mut Element>,
}

impl<'p> Hand<'p> {
    fn new(pool: &'p Pool) -> Self {
        Self { pool, elements: Vec::with_capacity(usize::try_from(ELEMENTS).expect("small")) }
    }

    fn give(&mut self, keep: u64) {
        let keep = usize::try_from(keep).expect("small").min(self.elements.len());
        self.pool.free.lock().expect("no panic under it").extend(self.elements.drain(keep..));
    }

    fn take(&mut self, up_to: u64) {
        let mut free = self.pool.free.lock().expect("no panic under it");
        while (self.elements.len() as u64) < up_to {
            self.elements.push(free.pop().expect("enough for the workload"));
        }
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.give(0);
    }
}

/// One of our raw stacks, with one remedy.
pub trait Ours: Send + Sync + 'static {
    /// Empty.
    fn new() -> Self;
    /// # Safety
    /// A valid element in no stack.
    unsafe fn push(&self, node: *mut Element);
    /// # Safety
    /// As the remedy has it.
    unsafe fn pop(&self) -> *mut Element;
    /// # Safety
    /// As the remedy has it.
    unsafe fn pop_all(&self, each: impl FnMut(*mut Element));
}

/// Nothing is asked for; zeroed elements are nodes. As in C, where the function is empty.
#[inline(always)]
unsafe fn lfs_init(_: *mut LfsNode) {}

#[inline(always)]
unsafe fn wfs_init(node: *mut WfsNode) {
    // SAFETY: zeroed or used before; not shared.
    unsafe { &*node }.init();
}

macro_rules! ours {
    ($stack:ident, $node:ident, $iter:ident, $pop:ident, $pop_all:ident, $init:ident) => {
        impl Ours for $stack {
            fn new() -> Self {
                $stack::new()
            }
            #[inline(always)]
            unsafe fn push(&self, element: *mut Element) {
                let node: *mut $node = element.cast();
                // SAFETY: the first field, which is the node's; not shared.
                unsafe { $init(node) };
                // SAFETY: as promised.
                unsafe { (**self).push(node) };
            }
            #[inline(always)]
            unsafe fn pop(&self) -> *mut Element {
                // SAFETY: as promised.
                unsafe { self.$pop() }.cast()
            }
            #[inline(always)]
            unsafe fn pop_all(&self, each: impl FnMut(*mut Element)) {
                // SAFETY: as promised.
                let head = unsafe { self.$pop_all() };
                // SAFETY: just popped.
                unsafe { $iter::new(head) }.map(<*mut $node>::cast).for_each(each);
            }
        }
    };
}

/// A stack that is used without its mutex: derefs as the locked ones do.
#[derive(Debug)]
pub struct Bare<S>(S);

impl<S> std::ops::Deref for Bare<S> {
    type Target = S;
    #[inline(always)]
    fn deref(&self) -> &S {
        &self.0
    }
}

/// [`LfsStack`], one consumer.
pub type LfsSingle = Bare<LfsStack>;
/// [`WfsStack`], one consumer.
pub type WfsSingle = Bare<WfsStack>;

macro_rules! bare {
    ($stack:ident, $node:ident, $iter:ident, $pop:ident, $init:ident) => {
        impl Bare<$stack> {
            const fn new() -> Self {
                Self($stack::new())
            }
        }
        impl Ours for Bare<$stack> {
            fn new() -> Self {
                Self::new()
            }
            #[inline(always)]
            unsafe fn push(&self, element: *mut Element) {
                let node: *mut $node = element.cast();
                // SAFETY: the first field, which is the node's; not shared.
                unsafe { $init(node) };
                // SAFETY: as promised.
                unsafe { self.0.push(node) };
            }
            #[inline(always)]
            unsafe fn pop(&self) -> *mut Element {
                // SAFETY: as promised.
                unsafe { self.0.$pop() }.cast()
            }
            #[inline(always)]
            unsafe fn pop_all(&self, each: impl FnMut(*mut Element)) {
                // SAFETY: as promised.
                let head = unsafe { self.0.pop_all() };
                // SAFETY: just popped.
                unsafe { $iter::new(head) }.map(<*mut $node>::cast).for_each(each);
            }
        }
    };
}

ours!(LfsLockedStack, LfsNode, LfsIter, pop_locked, pop_all_locked, lfs_init);
ours!(WfsLockedStack, WfsNode, WfsIter, pop_locked, pop_all_locked, wfs_init);
bare!(LfsStack, LfsNode, LfsIter, pop, lfs_init);
bare!(WfsStack, WfsNode, WfsIter, pop_blocking, wfs_init);

struct OursSubject<S> {
    stack: CachePadded<S>,
    pool: Pool,
}

/// One of ours.
pub fn ours<S: Ours>() -> Box<dyn Subject> {
    Box::new(OursSubject { stack: CachePadded(S::new()), pool: Pool::new() })
}

impl<S: Ours> Subject for OursSubject<S> {
    fn member(&self) -> Result<Box<dyn Member + '_>, String> {
        Ok(Box::new(OursMember(Looped(OursOps { stack: &self.stack.0, hand: Hand::new(&self.pool) }))))
    }
}

struct OursOps<'s, S> {
    stack: &'s S,
    hand: Hand<'s>,
}

impl<S: Ours> OursOps<'_, S> {
    #[inline(always)]
    fn keep(&mut self, element: *mut Element) -> u64 {
        let end = self.hand.elements.len();
        self.hand.elements.spare_capacity_mut()[0].write(element);
        // SAFETY: just written.
        unsafe { self.hand.elements.set_len(end + 1) };
        // SAFETY: popped by this thread alone.
        let value = unsafe { &*element }.value.get();
        // SAFETY: as above.
        unsafe { *value }
    }
}

impl<S: Ours> Ops for OursOps<'_, S> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        // SAFETY: the workloads push no more than they took.
        let element = unsafe { self.hand.elements.pop().unwrap_unchecked() };
        // SAFETY: this thread's element.
        let place = unsafe { &*element }.value.get();
        // SAFETY: as above.
        unsafe { *place = value };
        // SAFETY: an element of the pool, in no stack. Its remedy lets it be pushed at once.
        unsafe { self.stack.push(element) };
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<u64> {
        // SAFETY: under the mutex, or by a team of one.
        let element = unsafe { self.stack.pop() };
        (!element.is_null()).then(|| self.keep(element))
    }

    #[inline(always)]
    fn pop_all(&mut self) -> Tally {
        let mut tally = Tally::default();
        let stack = self.stack;
        // SAFETY: under the mutex, or by a team of one.
        unsafe {
            stack.pop_all(|element| {
                tally.popped += 1;
                tally.sum += self.keep(element);
            });
        }
        tally
    }
}

struct OursMember<'s, S: Ours>(Looped<OursOps<'s, S>>);

impl<S: Ours> Member for OursMember<'_, S> {
    fn pairs(&mut self, pairs: u64) -> Tally {
        self.0.pairs(pairs)
    }
    fn bursts(&mut self, bursts: u64, length: u64) -> Tally {
        self.0.bursts(bursts, length)
    }
    fn pop_alls(&mut self, bursts: u64, length: u64) -> Tally {
        self.0.pop_alls(bursts, length)
    }
    fn put(&mut self, length: u64) {
        self.0.put(length);
    }
    fn drain(&mut self, length: u64) -> Tally {
        self.0.drain(length)
    }
    fn give(&mut self, keep: u64) {
        self.0.0.hand.give(keep);
    }
    fn take(&mut self, up_to: u64) {
        self.0.0.hand.take(up_to);
    }
}

/// The functions of the C shim for one kind of stack and one remedy.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    new: unsafe extern "C" fn() -> *mut c_void,
    pairs: unsafe extern "C" fn(*mut c_void, *mut c_void, u64, *mut Tally),
    bursts: unsafe extern "C" fn(*mut c_void, *mut c_void, u64, u64, *mut Tally),
    pop_alls: unsafe extern "C" fn(*mut c_void, *mut c_void, u64, u64, *mut Tally),
    put: unsafe extern "C" fn(*mut c_void, *mut c_void, u64),
    drain: unsafe extern "C" fn(*mut c_void, *mut c_void, u64, *mut Tally),
    free: unsafe extern "C" fn(*mut c_void),
}

#[cfg(liburcu_cds = "stack")]
macro_rules! table {
    ($name:ident, $kind:literal) => {
        /// Of the C library.
        pub const $name: Result<Table, &str> = {
            unsafe extern "C" {
                #[link_name = concat!("urcu_bench_", $kind, "_new")]
                fn new() -> *mut c_void;
                #[link_name = concat!("urcu_bench_", $kind, "_pairs")]
                fn pairs(stack: *mut c_void, member: *mut c_void, pairs: u64, tally: *mut Tally);
                #[link_name = concat!("urcu_bench_", $kind, "_bursts")]
                fn bursts(stack: *mut c_void, member: *mut c_void, bursts: u64, length: u64, tally: *mut Tally);
                #[link_name = concat!("urcu_bench_", $kind, "_pop_alls")]
                fn pop_alls(stack: *mut c_void, member: *mut c_void, bursts: u64, length: u64, tally: *mut Tally);
                #[link_name = concat!("urcu_bench_", $kind, "_put")]
                fn put(stack: *mut c_void, member: *mut c_void, length: u64);
                #[link_name = concat!("urcu_bench_", $kind, "_drain")]
                fn drain(stack: *mut c_void, member: *mut c_void, length: u64, tally: *mut Tally);
                #[link_name = "urcu_bench_stack_free"]
                fn free(stack: *mut c_void);
            }
            Ok(Table { new, pairs, bursts, pop_alls, put, drain, free })
        };
    };
}

#[cfg(not(liburcu_cds = "stack"))]
macro_rules! table {
    ($name:ident, $kind:literal) => {
        /// Of the C library, which is not here.
        pub const $name: Result<Table, &str> =
            Err("liburcu not found; on Debian or Ubuntu: apt install liburcu-dev pkg-config");
    };
}

table!(C_LFS_SINGLE, "lfs_single");
table!(C_LFS_LOCKED, "lfs_locked");
table!(C_WFS_SINGLE, "wfs_single");
table!(C_WFS_LOCKED, "wfs_locked");

struct CSubject {
    table: Table,
    stack: *mut c_void,
    pool: Pool,
}

// SAFETY: made to be shared; the stack is used by the functions of its table only.
unsafe impl Sync for CSubject {}

/// One of the C library's.
pub fn c(table: Table) -> Box<dyn Subject> {
    // SAFETY: takes nothing.
    let stack = unsafe { (table.new)() };
    Box::new(CSubject { table, stack, pool: Pool::new() })
}

impl Drop for CSubject {
    fn drop(&mut self) {
        // SAFETY: made by `new`; the measurement is over.
        unsafe { (self.table.free)(self.stack) };
    }
}

impl Subject for CSubject {
    fn member(&self) -> Result<Box<dyn Member + '_>, String> {
        Ok(Box::new(CMember { subject: self, hand: Hand::new(&self.pool) }))
    }
}

struct CMember<'s> {
    subject: &'s CSubject,
    hand: Hand<'s>,
}

impl CMember<'_> {
    fn call(&mut self, run: impl FnOnce(&Table, *mut c_void, *mut c_void, *mut Tally)) -> Tally {
        let mut tally = Tally::default();
        let mut own = Own { elements: self.hand.elements.as_mut_ptr(), count: self.hand.elements.len() as u64 };
        run(&self.subject.table, self.subject.stack, (&raw mut own).cast(), &raw mut tally);
        // SAFETY: the shim has filled so many; there are no more elements than the capacity.
        unsafe { self.hand.elements.set_len(usize::try_from(own.count).expect("small")) };
        tally
    }
}

impl Member for CMember<'_> {
    fn pairs(&mut self, pairs: u64) -> Tally {
        // SAFETY: a stack of the table's, and enough elements.
        self.call(|table, stack, own, tally| unsafe { (table.pairs)(stack, own, pairs, tally) })
    }
    fn bursts(&mut self, bursts: u64, length: u64) -> Tally {
        // SAFETY: a stack of the table's, and enough elements.
        self.call(|table, stack, own, tally| unsafe { (table.bursts)(stack, own, bursts, length, tally) })
    }
    fn pop_alls(&mut self, bursts: u64, length: u64) -> Tally {
        // SAFETY: a stack of the table's, and enough elements.
        self.call(|table, stack, own, tally| unsafe { (table.pop_alls)(stack, own, bursts, length, tally) })
    }
    fn put(&mut self, length: u64) {
        // SAFETY: a stack of the table's, and enough elements.
        self.call(|table, stack, own, _| unsafe { (table.put)(stack, own, length) });
    }
    fn drain(&mut self, length: u64) -> Tally {
        // SAFETY: a stack of the table's, and room for all elements.
        self.call(|table, stack, own, tally| unsafe { (table.drain)(stack, own, length, tally) })
    }
    fn give(&mut self, keep: u64) {
        self.hand.give(keep);
    }
    fn take(&mut self, up_to: u64) {
        self.hand.take(up_to);
    }
}

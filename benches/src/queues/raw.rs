//! The raw tier's queues, ours and the C library's, behind tables of loops; nodes belong to the workload.

use std::ffi::c_void;
use std::ptr;
use std::sync::Mutex;

use cds_wfqueue::raw::{lfqueue, wfcqueue};

use super::{Subject, Taken, Worker, opaque};
use crate::contenders::api::{Api, Reader};

// ---- wfcqueue ----

/// A node with its value, as the shim has it.
#[repr(C)]
#[derive(Debug)]
pub struct WfcItem {
    node: wfcqueue::Node,
    value: u64,
}

/// One implementation of `wfcqueue`. Nodes are the caller's before a put and after a take.
#[derive(Debug)]
pub struct Wfc {
    /// Makes a queue.
    pub new: unsafe fn() -> *mut c_void,
    /// Frees it, empty.
    pub free: unsafe fn(*mut c_void),
    /// Pairs with one spare node, exchanged by each.
    pub pairs: unsafe fn(*mut c_void, &mut *mut WfcItem, u64, u64) -> u64,
    /// Puts nodes.
    pub put: unsafe fn(*mut c_void, *mut WfcItem, u64, u64),
    /// Takes nodes.
    pub take: unsafe fn(*mut c_void, u64) -> Taken,
    /// Takes all nodes by a splice to a queue of its own, and walks over them there.
    pub splice: unsafe fn(*mut c_void) -> Taken,
}

type Ends = wfcqueue::Ends<wfcqueue::Head>;

unsafe fn ours_new() -> *mut c_void {
    let ends = Box::into_raw(Box::<Ends>::default());
    // SAFETY: a fresh box, which stays where it is.
    let head = unsafe { &raw mut (*ends).head.0 };
    // SAFETY: as above.
    let tail = unsafe { &raw mut (*ends).tail.0 };
    // SAFETY: as above.
    unsafe { wfcqueue::init(head, tail) };
    ends.cast()
}

unsafe fn ours_free(queue: *mut c_void) {
    // SAFETY: made by `ours_new`, as the caller says.
    drop(unsafe { Box::from_raw(queue.cast::<Ends>()) });
}

#[inline(always)]
unsafe fn put_one(ends: &Ends, item: *mut WfcItem, value: u64) {
    let fresh = WfcItem { node: wfcqueue::Node::new(), value };
    // SAFETY: the caller's node, in no queue.
    unsafe { item.write(fresh) };
    // SAFETY: not null, as above.
    let node = unsafe { ptr::NonNull::new_unchecked(item.cast()) };
    // SAFETY: initialised, fresh, and the queue's from now on.
    unsafe { wfcqueue::enqueue(&ends.head.0, &ends.tail.0, node) };
}

#[inline(always)]
unsafe fn take_one<const LOCKED: bool>(ends: &Ends) -> *mut WfcItem {
    let node = if LOCKED {
        // SAFETY: initialised, and everybody takes the lock.
        unsafe { wfcqueue::dequeue_locked(&ends.head.0, &ends.tail.0) }
    } else {
        // SAFETY: initialised, and the workload has one consumer.
        unsafe { wfcqueue::dequeue_blocking(&ends.head.0, &ends.tail.0) }
    };
    node.map_or(ptr::null_mut(), |node| node.as_ptr().cast())
}

unsafe fn ours_pairs<const LOCKED: bool>(
    queue: *mut c_void,
    spare: &mut *mut WfcItem,
    mut count: u64,
    mut first: u64,
) -> u64 {
    // SAFETY: made by `ours_new`.
    let ends = unsafe { &*queue.cast::<Ends>() };
    let mut item = *spare;
    let mut sum = 0;
    while count != 0 {
        // SAFETY: the caller's spare node, or one that came out of the queue.
        unsafe { put_one(ends, item, first) };
        first += 1;
        // SAFETY: one consumer, or locked.
        item = unsafe { take_one::<LOCKED>(ends) };
        // SAFETY: not empty: this thread has put a node before.
        sum += unsafe { (*item).value };
        count -= 1;
        opaque(&mut count);
    }
    *spare = item;
    sum
}

unsafe fn ours_put(queue: *mut c_void, mut items: *mut WfcItem, mut count: u64, mut first: u64) {
    // SAFETY: made by `ours_new`.
    let ends = unsafe { &*queue.cast::<Ends>() };
    while count != 0 {
        // SAFETY: the caller has given so many nodes.
        unsafe { put_one(ends, items, first) };
        // SAFETY: as above.
        items = unsafe { items.add(1) };
        first += 1;
        count -= 1;
        opaque(&mut count);
    }
}

unsafe fn ours_take<const LOCKED: bool>(queue: *mut c_void, most: u64) -> Taken {
    // SAFETY: made by `ours_new`.
    let ends = unsafe { &*queue.cast::<Ends>() };
    let mut taken = Taken::default();
    while taken.count != most {
        // SAFETY: one consumer, or locked.
        let item = unsafe { take_one::<LOCKED>(ends) };
        if item.is_null() {
            break;
        }
        // SAFETY: came out of the queue.
        taken.sum += unsafe { (*item).value };
        taken.count += 1;
    }
    taken
}

unsafe fn ours_splice<const LOCKED: bool>(queue: *mut c_void) -> Taken {
    // SAFETY: made by `ours_new`.
    let ends = unsafe { &*queue.cast::<Ends>() };
    let mut head = wfcqueue::BareHead::new();
    let mut tail = wfcqueue::Tail::new();
    // SAFETY: both stay where they are until the end of this function.
    unsafe { wfcqueue::init(&raw mut head, &raw mut tail) };
    let (dest, source) = ((&head, &tail), (&ends.head.0, &ends.tail.0));
    if LOCKED {
        // SAFETY: initialised, different, and everybody takes the lock.
        unsafe { wfcqueue::splice_locked(dest, source) };
    } else {
        // SAFETY: initialised, different, and the workload has one consumer.
        unsafe { wfcqueue::splice_blocking(dest, source) };
    }
    let mut taken = Taken::default();
    // SAFETY: this thread's own queue.
    for node in unsafe { wfcqueue::iter(&head, &tail) } {
        // SAFETY: nodes of this queue are in items.
        taken.sum += unsafe { (*node.cast::<WfcItem>().as_ptr()).value };
        taken.count += 1;
    }
    taken
}

/// Ours, with one consumer.
pub static OURS: Wfc = Wfc {
    new: ours_new,
    free: ours_free,
    pairs: ours_pairs::<false>,
    put: ours_put,
    take: ours_take::<false>,
    splice: ours_splice::<false>,
};

/// Ours, under the dequeue lock.
pub static OURS_LOCKED: Wfc = Wfc {
    new: ours_new,
    free: ours_free,
    pairs: ours_pairs::<true>,
    put: ours_put,
    take: ours_take::<true>,
    splice: ours_splice::<true>,
};

/// A queue and nodes for all of its threads.
struct WfcSubject {
    table: &'static Wfc,
    queue: *mut c_void,
}

// SAFETY: the queue is what threads share; the workload keeps to its rules.
unsafe impl Sync for WfcSubject {}

/// A subject of one implementation.
pub fn wfc(table: &'static Wfc) -> Box<dyn Subject> {
    // SAFETY: freed with the subject.
    Box::new(WfcSubject { table, queue: unsafe { (table.new)() } })
}

impl Drop for WfcSubject {
    fn drop(&mut self) {
        // SAFETY: made by the same table; workers borrow the subject.
        unsafe { (self.table.free)(self.queue) };
    }
}

impl Subject for WfcSubject {
    fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
        let spare = Box::into_raw(Box::new(WfcItem { node: wfcqueue::Node::new(), value: 0 }));
        Ok(Box::new(WfcWorker { subject: self, items: Vec::new(), spare }))
    }
}

struct WfcWorker<'s> {
    subject: &'s WfcSubject,
    /// For puts; out of the queue again when the next put begins.
    items: Vec<WfcItem>,
    spare: *mut WfcItem,
}

impl Drop for WfcWorker<'_> {
    fn drop(&mut self) {
        // SAFETY: one box went in and one came out of each pair, and all threads' pairs have ended.
        drop(unsafe { Box::from_raw(self.spare) });
    }
}

impl Worker for WfcWorker<'_> {
    fn pairs(&mut self, count: u64, first: u64) -> Result<u64, String> {
        // SAFETY: one spare node per thread.
        Ok(unsafe { (self.subject.table.pairs)(self.subject.queue, &mut self.spare, count, first) })
    }

    fn put(&mut self, count: u64, first: u64) {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        while self.items.len() < wanted {
            // The first put of a thread is not measured.
            self.items.push(WfcItem { node: wfcqueue::Node::new(), value: 0 });
        }
        // SAFETY: so many nodes, which stay where they are until they have come out.
        unsafe { (self.subject.table.put)(self.subject.queue, self.items.as_mut_ptr(), count, first) };
    }

    fn take(&mut self, most: u64) -> Taken {
        // SAFETY: the table with the lock, or the one consumer.
        unsafe { (self.subject.table.take)(self.subject.queue, most) }
    }

    fn drain(&mut self) -> Taken {
        // SAFETY: as above.
        unsafe { (self.subject.table.splice)(self.subject.queue) }
    }
}

// ---- lfqueue ----

/// A node with its value, as the shim has it.
#[repr(C)]
#[derive(Debug)]
pub struct LfItem {
    node: lfqueue::Node,
    value: u64,
}

/// One implementation of `lfqueue` with one flavor; a section for each call.
#[derive(Debug)]
pub struct Lf {
    /// The flavor.
    pub api: &'static Api,
    /// Makes a queue.
    pub new: unsafe fn() -> *mut c_void,
    /// Frees it, empty; otherwise not zero.
    pub free: unsafe fn(*mut c_void) -> i32,
    /// Pairs: nodes go in, and what comes out takes their places.
    pub pairs: unsafe fn(*mut c_void, *mut *mut LfItem, u64, u64) -> u64,
    /// Puts nodes.
    pub put: unsafe fn(*mut c_void, *mut *mut LfItem, u64, u64),
    /// Takes nodes.
    pub take: unsafe fn(*mut c_void, *mut *mut LfItem, u64) -> Taken,
}

/// A queue on cache lines of its own, as the C library's is in the shim.
#[repr(align(128))]
struct Line {
    _queue: lfqueue::Queue,
}

/// Ours with one flavor: the same code for each.
macro_rules! ours_lf {
    ($module:ident, $krate:ident, $flavor:expr) => {
        mod $module {
            use super::*;

            unsafe fn new() -> *mut c_void {
                let queue = Box::into_raw(Box::<Line>::new_uninit()).cast();
                // SAFETY: room for a queue, which stays there.
                unsafe { lfqueue::init(queue, $krate::vtable().call_rcu) };
                queue.cast()
            }

            unsafe fn free(queue: *mut c_void) -> i32 {
                // SAFETY: made by `new`, and not used any more.
                let destroyed = unsafe { lfqueue::destroy(&*queue.cast::<lfqueue::Queue>()) };
                if destroyed.is_ok() {
                    // SAFETY: as above; a queue has no destructor.
                    drop(unsafe { Box::from_raw(queue.cast::<std::mem::MaybeUninit<Line>>()) });
                }
                i32::from(destroyed.is_err())
            }

            #[inline(always)]
            unsafe fn put_one(queue: &lfqueue::Queue, item: *mut LfItem, value: u64) {
                let fresh = LfItem { node: lfqueue::Node::new(), value };
                // SAFETY: the caller's node, in no queue, and a grace period has passed.
                unsafe { item.write(fresh) };
                // SAFETY: as above.
                let node = unsafe { ptr::NonNull::new_unchecked(item.cast()) };
                // SAFETY: the thread is registered.
                unsafe { $krate::raw::read_lock() };
                // SAFETY: inside a section; fresh.
                unsafe { lfqueue::enqueue(queue, node) };
                // SAFETY: matches the lock.
                unsafe { $krate::raw::read_unlock() };
            }

            #[inline(always)]
            unsafe fn take_one(queue: &lfqueue::Queue) -> *mut LfItem {
                // SAFETY: the thread is registered.
                unsafe { $krate::raw::read_lock() };
                // SAFETY: dummies come out once, and are retired through the same flavor.
                let retire = |dummy| unsafe { lfqueue::Dummy::retire(dummy, $krate::vtable()) };
                // SAFETY: inside a section.
                let node = unsafe { lfqueue::dequeue_with(queue, retire) };
                // SAFETY: matches the lock.
                unsafe { $krate::raw::read_unlock() };
                node.map_or(ptr::null_mut(), |node| node.as_ptr().cast())
            }

            unsafe fn pairs(queue: *mut c_void, mut items: *mut *mut LfItem, mut count: u64, mut first: u64) -> u64 {
                // SAFETY: made by `new`.
                let queue = unsafe { &*queue.cast::<lfqueue::Queue>() };
                let mut sum = 0;
                while count != 0 {
                    // SAFETY: so many nodes, all of them in no queue.
                    let item = unsafe { *items };
                    // SAFETY: in no queue, as above.
                    unsafe { put_one(queue, item, first) };
                    first += 1;
                    // SAFETY: the thread is registered.
                    let item = unsafe { take_one(queue) };
                    // SAFETY: in place of the one that went in.
                    unsafe { *items = item };
                    // SAFETY: not empty: this thread has put a node before.
                    sum += unsafe { (*item).value };
                    // SAFETY: as above.
                    items = unsafe { items.add(1) };
                    count -= 1;
                    opaque(&mut count);
                }
                sum
            }

            unsafe fn put(queue: *mut c_void, mut items: *mut *mut LfItem, mut count: u64, mut first: u64) {
                // SAFETY: made by `new`.
                let queue = unsafe { &*queue.cast::<lfqueue::Queue>() };
                while count != 0 {
                    // SAFETY: so many nodes, all of them in no queue.
                    let item = unsafe { *items };
                    // SAFETY: in no queue, as above.
                    unsafe { put_one(queue, item, first) };
                    // SAFETY: as above.
                    items = unsafe { items.add(1) };
                    first += 1;
                    count -= 1;
                    opaque(&mut count);
                }
            }

            unsafe fn take(queue: *mut c_void, mut items: *mut *mut LfItem, most: u64) -> Taken {
                // SAFETY: made by `new`.
                let queue = unsafe { &*queue.cast::<lfqueue::Queue>() };
                let mut taken = Taken::default();
                while taken.count != most {
                    // SAFETY: the thread is registered.
                    let item = unsafe { take_one(queue) };
                    if item.is_null() {
                        break;
                    }
                    // SAFETY: room for so many.
                    unsafe { *items = item };
                    // SAFETY: as above.
                    items = unsafe { items.add(1) };
                    // SAFETY: came out of the queue.
                    taken.sum += unsafe { (*item).value };
                    taken.count += 1;
                }
                taken
            }

            pub(super) static TABLE: Lf =
                Lf { api: crate::contenders::ours::api($flavor), new, free, pairs, put, take };
        }
    };
}

use crate::harness::plan::Flavor;

ours_lf!(qsbr, urcu_qsbr, Flavor::Qsbr);
ours_lf!(mb, urcu_mb, Flavor::Mb);
ours_lf!(membarrier, urcu_membarrier, Flavor::Membarrier);
ours_lf!(signal, urcu_signal, Flavor::Signal);
ours_lf!(bp, urcu_bp, Flavor::Bp);

/// Ours, by flavor.
pub fn ours_lf() -> [&'static Lf; 5] {
    [&qsbr::TABLE, &mb::TABLE, &membarrier::TABLE, &signal::TABLE, &bp::TABLE]
}

/// A queue, and the nodes that nobody has.
struct LfSubject {
    table: &'static Lf,
    queue: *mut c_void,
    #[allow(clippy::vec_box, reason = "nodes go on by their addresses")]
    nodes: Mutex<Vec<Box<LfItem>>>,
}

// SAFETY: the queue is what threads share.
unsafe impl Sync for LfSubject {}

/// A subject of one implementation.
///
/// # Errors
/// When the flavor cannot be used.
pub fn lf(table: &'static Lf) -> Result<Box<dyn Subject>, String> {
    table.api.ready()?;
    // SAFETY: freed with the subject.
    Ok(Box::new(LfSubject { table, queue: unsafe { (table.new)() }, nodes: Mutex::new(Vec::new()) }))
}

impl Drop for LfSubject {
    fn drop(&mut self) {
        // SAFETY: made by the same table; workers borrow the subject. A queue that is not empty is leaked.
        unsafe { (self.table.free)(self.queue) };
    }
}

/// Nodes that a thread has at a time, in pairs; then it waits for a grace period, off the clock.
const POOL: usize = 8192;

impl Subject for LfSubject {
    fn worker(&self, _: usize) -> Result<Box<dyn Worker + '_>, String> {
        let reader = self.table.api.register()?;
        Ok(Box::new(LfWorker { subject: self, reader, fresh: Vec::new(), used: Vec::new() }))
    }
}

struct LfWorker<'s> {
    subject: &'s LfSubject,
    reader: Reader,
    fresh: Vec<*mut LfItem>,
    used: Vec<*mut LfItem>,
}

impl LfWorker<'_> {
    /// So many nodes at the end of `fresh`, and where.
    fn provide(&mut self, count: u64) -> usize {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        while self.fresh.len() < wanted {
            self.fresh.push(Box::into_raw(Box::new(LfItem { node: lfqueue::Node::new(), value: 0 })));
        }
        self.fresh.len() - wanted
    }
}

impl Worker for LfWorker<'_> {
    fn pairs(&mut self, count: u64, first: u64) -> Result<u64, String> {
        let from = self.provide(count);
        let nodes = self.fresh[from..].as_mut_ptr();
        // SAFETY: so many nodes.
        let sum = unsafe { (self.subject.table.pairs)(self.subject.queue, nodes, count, first) };
        self.used.extend(self.fresh.drain(from..));
        Ok(sum)
    }

    fn put(&mut self, count: u64, first: u64) {
        let from = self.provide(count);
        let nodes = self.fresh[from..].as_mut_ptr();
        // SAFETY: so many nodes.
        unsafe { (self.subject.table.put)(self.subject.queue, nodes, count, first) };
        self.fresh.truncate(from);
    }

    fn take(&mut self, most: u64) -> Taken {
        let room = usize::try_from(most.min(super::MOST)).unwrap_or(usize::MAX);
        let from = self.used.len();
        self.used.resize(from + room, ptr::null_mut());
        let places = self.used[from..].as_mut_ptr();
        // SAFETY: room for so many.
        let taken = unsafe { (self.subject.table.take)(self.subject.queue, places, room as u64) };
        self.used.truncate(from + usize::try_from(taken.count).unwrap_or(room));
        taken
    }

    fn rest(&mut self, wait: &mut dyn FnMut()) {
        let _offline = self.reader.offline();
        wait();
    }

    fn between(&mut self) {
        self.reader.quiescent();
        if self.used.len() >= POOL {
            self.reader.synchronize();
            self.fresh.append(&mut self.used);
        }
        // Threads that put get nodes from threads that take.
        if let Ok(mut nodes) = self.subject.nodes.lock() {
            // SAFETY: boxes of this module that are in no queue, after a grace period.
            while self.fresh.len() > 2 * POOL {
                if let Some(node) = self.fresh.pop() {
                    // SAFETY: as above.
                    nodes.push(unsafe { Box::from_raw(node) });
                }
            }
            while self.fresh.len() < POOL {
                let Some(node) = nodes.pop() else { break };
                self.fresh.push(Box::into_raw(node));
            }
        }
        let _ = self.provide(POOL as u64);
    }
}

impl Drop for LfWorker<'_> {
    fn drop(&mut self) {
        self.reader.synchronize();
        for node in self.fresh.drain(..).chain(self.used.drain(..)) {
            // SAFETY: a box of this module, in no queue, after a grace period.
            drop(unsafe { Box::from_raw(node) });
        }
    }
}

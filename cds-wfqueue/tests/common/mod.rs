//! All queues behind one trait.

#![allow(dead_code, reason = "each test program uses a part")]

use std::ptr::NonNull;

use cds_wfqueue::raw::{lfqueue, wfcqueue};
use cds_wfqueue::{BoundedQueue, LfQueue, LockedQueue, SegmentQueue, WfcQueue};
use structure_conformance::{Tested, Thread};

/// A queue of numbers, used by threads that are registered with flavor `F`.
pub(crate) trait Fifo<F: Tested>: Send + Sync {
    fn fresh() -> Self;
    fn enqueue(&self, thread: &Thread<F>, value: u64);
    fn dequeue(&self, thread: &Thread<F>) -> Option<u64>;
    fn is_empty(&self, thread: &Thread<F>) -> bool;
}

impl<F: Tested> Fifo<F> for WfcQueue<u64> {
    fn fresh() -> Self {
        Self::new()
    }

    fn enqueue(&self, _: &Thread<F>, value: u64) {
        self.enqueue(value);
    }

    fn dequeue(&self, _: &Thread<F>) -> Option<u64> {
        self.dequeue()
    }

    fn is_empty(&self, _: &Thread<F>) -> bool {
        self.is_empty()
    }
}

impl<F: Tested> Fifo<F> for SegmentQueue<u64> {
    fn fresh() -> Self {
        Self::new()
    }

    fn enqueue(&self, _: &Thread<F>, value: u64) {
        self.enqueue(value);
    }

    fn dequeue(&self, _: &Thread<F>) -> Option<u64> {
        self.dequeue()
    }

    fn is_empty(&self, _: &Thread<F>) -> bool {
        self.is_empty()
    }
}

impl<F: Tested> Fifo<F> for LockedQueue<u64> {
    fn fresh() -> Self {
        Self::new()
    }

    fn enqueue(&self, _: &Thread<F>, value: u64) {
        self.enqueue(value);
    }

    fn dequeue(&self, _: &Thread<F>) -> Option<u64> {
        self.dequeue()
    }

    fn is_empty(&self, _: &Thread<F>) -> bool {
        self.is_empty()
    }
}

/// Enqueues wait for room.
impl<F: Tested> Fifo<F> for BoundedQueue<u64> {
    fn fresh() -> Self {
        Self::new(16)
    }

    fn enqueue(&self, _: &Thread<F>, value: u64) {
        while self.enqueue(value).is_err() {
            std::thread::yield_now();
        }
    }

    fn dequeue(&self, _: &Thread<F>) -> Option<u64> {
        self.dequeue()
    }

    fn is_empty(&self, _: &Thread<F>) -> bool {
        self.is_empty()
    }
}

impl<F: Tested> Fifo<F> for LfQueue<u64> {
    fn fresh() -> Self {
        Self::new(F::vtable())
    }

    fn enqueue(&self, thread: &Thread<F>, value: u64) {
        self.enqueue(value, &thread.read_lock());
    }

    fn dequeue(&self, thread: &Thread<F>) -> Option<u64> {
        self.dequeue(&thread.read_lock())
    }

    fn is_empty(&self, thread: &Thread<F>) -> bool {
        self.is_empty(&thread.read_lock())
    }
}

/// The raw `wfcqueue` under its lock, with nodes in boxes that are freed as soon as they are dequeued.
pub(crate) struct RawWfc(Box<wfcqueue::Ends<wfcqueue::Head>>);

#[repr(C)]
pub(crate) struct WfcItem {
    node: wfcqueue::Node,
    value: u64,
}

impl WfcItem {
    pub(crate) fn boxed(value: u64) -> NonNull<wfcqueue::Node> {
        NonNull::from(Box::leak(Box::new(Self { node: wfcqueue::Node::new(), value }))).cast()
    }

    /// # Safety
    ///
    /// A dequeued node that `boxed` made.
    pub(crate) unsafe fn unbox(node: NonNull<wfcqueue::Node>) -> u64 {
        // SAFETY: as promised.
        unsafe { Box::from_raw(node.cast::<Self>().as_ptr()) }.value
    }

    /// # Safety
    ///
    /// A node of the queue that `boxed` made, which stays there.
    pub(crate) unsafe fn value(node: NonNull<wfcqueue::Node>) -> u64 {
        // SAFETY: as promised.
        unsafe { (*node.cast::<Self>().as_ptr()).value }
    }
}

impl RawWfc {
    pub(crate) fn new() -> Self {
        let mut ends = Box::<wfcqueue::Ends<wfcqueue::Head>>::default();
        // SAFETY: stays in its box.
        unsafe { wfcqueue::init(&raw mut ends.head.0, &raw mut ends.tail.0) };
        Self(ends)
    }

    pub(crate) fn ends(&self) -> (&wfcqueue::Head, &wfcqueue::Tail) {
        (&self.0.head.0, &self.0.tail.0)
    }

    /// Whether the queue had nodes.
    pub(crate) fn put(&self, value: u64) -> bool {
        let (head, tail) = self.ends();
        // SAFETY: initialised, and a fresh node.
        unsafe { wfcqueue::enqueue(head, tail, WfcItem::boxed(value)) }
    }

    pub(crate) fn take(&self) -> Option<u64> {
        let (head, tail) = self.ends();
        // SAFETY: everybody takes the lock.
        let node = unsafe { wfcqueue::dequeue_locked(head, tail) }?;
        // SAFETY: dequeued, and made by `put`.
        Some(unsafe { WfcItem::unbox(node) })
    }
}

impl Drop for RawWfc {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

impl<F: Tested> Fifo<F> for RawWfc {
    fn fresh() -> Self {
        Self::new()
    }

    fn enqueue(&self, _: &Thread<F>, value: u64) {
        self.put(value);
    }

    fn dequeue(&self, _: &Thread<F>) -> Option<u64> {
        self.take()
    }

    fn is_empty(&self, _: &Thread<F>) -> bool {
        let (head, tail) = self.ends();
        wfcqueue::empty(head, tail)
    }
}

/// The raw `lfqueue`, with nodes in boxes that are freed after a grace period.
pub(crate) struct RawLf<F: Tested>(Box<lfqueue::Queue>, std::marker::PhantomData<fn() -> F>);

#[repr(C)]
struct LfItem {
    node: lfqueue::Node,
    value: u64,
}

impl<F: Tested> Fifo<F> for RawLf<F> {
    fn fresh() -> Self {
        let mut queue = Box::<lfqueue::Queue>::new_uninit();
        // SAFETY: room for a queue, which stays in its box; sections are of flavor `F`.
        unsafe { lfqueue::init(queue.as_mut_ptr(), F::vtable().call_rcu) };
        // SAFETY: initialised.
        Self(unsafe { queue.assume_init() }, std::marker::PhantomData)
    }

    fn enqueue(&self, thread: &Thread<F>, value: u64) {
        let item = Box::leak(Box::new(LfItem { node: lfqueue::Node::new(), value }));
        let _guard = thread.read_lock();
        // SAFETY: inside a section; fresh.
        unsafe { lfqueue::enqueue(&self.0, NonNull::from(item).cast()) };
    }

    fn dequeue(&self, thread: &Thread<F>) -> Option<u64> {
        let guard = thread.read_lock();
        // Both ways to reclaim a dummy.
        let node = if value_of_a_coin() {
            // SAFETY: inside a section.
            unsafe { lfqueue::dequeue(&self.0) }
        } else {
            // SAFETY: dummies come out once, and go to the same flavor.
            let retire = |dummy| unsafe { lfqueue::Dummy::retire(dummy, F::vtable()) };
            // SAFETY: inside a section.
            unsafe { lfqueue::dequeue_with(&self.0, retire) }
        }?;
        drop(guard);
        let item = node.cast::<LfItem>().as_ptr();
        // SAFETY: dequeued; freed below only.
        let value = unsafe { (*item).value };
        // SAFETY: a box, that only this dequeue has got.
        unsafe { F::vtable().retire_raw(item) };
        Some(value)
    }

    fn is_empty(&self, _: &Thread<F>) -> bool {
        false
    }
}

fn value_of_a_coin() -> bool {
    use std::cell::Cell;
    thread_local!(static COIN: Cell<bool> = const { Cell::new(false) });
    COIN.replace(!COIN.get())
}

impl<F: Tested> Drop for RawLf<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: nobody else uses the queue any more.
        let destroyed = unsafe { lfqueue::destroy(&self.0) };
        assert!(destroyed.is_ok(), "tests empty their queues");
    }
}

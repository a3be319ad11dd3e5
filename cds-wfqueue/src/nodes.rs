//! Nodes with a value, and those that wait to be used again.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use urcu_core::sync::modelled::{AtomicPtr, Ordering};

use crate::lock;
use crate::raw::wfcqueue::Node;

/// Empty nodes that the consumer collects before it offers them to producers.
const BATCH: usize = if cfg!(urcu_loom) { 1 } else { 32 };
/// The most empty nodes that the consumer keeps when no producer takes them.
const MOST: usize = 1024;

/// A node with room for a value.
#[repr(C)]
pub(crate) struct Item<T> {
    /// First, so that a pointer to the node is one to the item.
    node: Node,
    /// The next empty one.
    below: *mut Item<T>,
    value: MaybeUninit<T>,
    /// Lets the model checker see who accesses the item while it is empty, and who takes the value out.
    #[cfg(urcu_loom)]
    watched: loom::cell::UnsafeCell<()>,
}

impl<T> Item<T> {
    fn new(value: T) -> Self {
        Self {
            node: Node::new(),
            below: ptr::null_mut(),
            value: MaybeUninit::new(value),
            #[cfg(urcu_loom)]
            watched: loom::cell::UnsafeCell::new(()),
        }
    }

    /// Tells the model checker of an access to all of it.
    ///
    /// # Safety
    ///
    /// The item is the caller's.
    #[inline]
    unsafe fn watch(item: NonNull<Self>) {
        #[cfg(urcu_loom)]
        // SAFETY: valid, as promised.
        unsafe {
            item.as_ref().watched.with_mut(|_| ());
        }
        #[cfg(not(urcu_loom))]
        let _ = item;
    }

    /// An item for the allocator to remember.
    fn allocate(value: T) -> NonNull<Node> {
        NonNull::from(Box::leak(Box::new(Self::new(value)))).cast()
    }

    /// Takes the value out of a dequeued node.
    ///
    /// # Safety
    ///
    /// The node was made by [`Producing`] for this `T`, it has a value, and it is the caller's.
    #[inline]
    unsafe fn take(node: NonNull<Node>) -> (T, NonNull<Self>) {
        let item = node.cast::<Self>();
        // SAFETY: the caller's, as promised.
        unsafe { Self::watch(item) };
        // SAFETY: a valid item, as promised.
        let value = unsafe { &raw const (*item.as_ptr()).value };
        // SAFETY: as above.
        let value = unsafe { value.read() };
        // SAFETY: filled, and not used any more.
        (unsafe { value.assume_init() }, item)
    }

    /// # Safety
    ///
    /// The item is the caller's and empty.
    #[inline]
    unsafe fn set_below(item: NonNull<Self>, below: *mut Self) {
        // SAFETY: as promised.
        unsafe { (*item.as_ptr()).below = below };
    }

    /// # Safety
    ///
    /// As above.
    #[inline]
    unsafe fn below(item: NonNull<Self>) -> *mut Self {
        // SAFETY: as promised.
        unsafe { Self::watch(item) };
        // SAFETY: as promised.
        unsafe { (*item.as_ptr()).below }
    }

    /// Frees a list of empty items.
    ///
    /// # Safety
    ///
    /// It is the caller's.
    unsafe fn free_all(mut top: *mut Self) {
        while let Some(item) = NonNull::new(top) {
            // SAFETY: as promised.
            top = unsafe { Self::below(item) };
            // SAFETY: allocated as a box; the value is not dropped.
            drop(unsafe { Box::from_raw(item.as_ptr()) });
        }
    }
}

/// The empty items that the consumer has offered: one list, or none.
#[derive(Debug)]
pub(crate) struct Offered<T>(AtomicPtr<Item<T>>);

impl<T> Offered<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T> Drop for Offered<T> {
    fn drop(&mut self) {
        // SAFETY: nobody uses the queue any more.
        unsafe { Item::free_all(self.0.load(Ordering::Relaxed)) };
    }
}

/// A producer's empty items. Public only because a sealed trait names it.
#[derive(Debug)]
pub struct Producing<T> {
    top: *mut Item<T>,
    /// The node that this producer has enqueued last. Only compared.
    last: *const Node,
    /// So many enqueues are not followed by another absence.
    insists: u32,
}

/// Enqueues that a producer does in a row before it makes way again.
const ROW: u32 = 32;

impl<T> Producing<T> {
    pub(crate) fn new() -> Self {
        Self { top: ptr::null_mut(), last: ptr::null(), insists: ROW }
    }

    /// A node with `value`, used again if there is one.
    #[inline]
    pub(crate) fn fill(&mut self, value: T, offered: &Offered<T>) -> NonNull<Node> {
        let Some(item) = NonNull::new(self.top).or_else(|| self.accept(offered)) else {
            return Item::allocate(value);
        };
        // SAFETY: this producer's, and empty.
        self.top = unsafe { Item::below(item) };
        // SAFETY: as above.
        unsafe { item.write(Item::new(value)) };
        item.cast()
    }

    /// After an enqueue of `node` that found `before`: when that is another producer's, makes way for a while.
    ///
    /// Producers that take turns move the queue's cache lines for each value. This way each of them has them for a row.
    #[inline]
    pub(crate) fn has_enqueued(&mut self, node: NonNull<Node>, before: *const Node, is_first: bool) {
        let met_another = before != self.last && !is_first;
        self.last = node.as_ptr();
        if met_another && self.insists == 0 {
            self.insists = ROW;
            lock::make_way();
        } else {
            self.insists = self.insists.saturating_sub(1);
        }
    }

    #[inline]
    fn accept(&mut self, offered: &Offered<T>) -> Option<NonNull<Item<T>>> {
        // Relaxed: a hint, so that nothing is written where nothing is offered.
        if offered.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // Acquire: the values have been taken out, the list is complete. PAIR(offered-nodes)
        self.top = offered.0.swap(ptr::null_mut(), Ordering::Acquire);
        NonNull::new(self.top)
    }

    /// A node with `value`, of a producer that keeps none.
    #[inline]
    pub(crate) fn fill_fresh(value: T) -> NonNull<Node> {
        Item::allocate(value)
    }
}

impl<T> Default for Producing<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Producing<T> {
    fn drop(&mut self) {
        // SAFETY: this producer's, and empty.
        unsafe { Item::free_all(self.top) };
    }
}

// SAFETY: empty items that nobody else has.
unsafe impl<T: Send> Send for Producing<T> {}

/// The empty items that the consumer has not offered yet.
#[derive(Debug)]
pub(crate) struct Consuming<T>(UnsafeCell<Collected<T>>);

#[derive(Debug)]
struct Collected<T> {
    top: *mut Item<T>,
    count: usize,
}

impl<T> Consuming<T> {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(Collected { top: ptr::null_mut(), count: 0 }))
    }

    /// Takes the value out of a dequeued node, which is used again later.
    ///
    /// # Safety
    ///
    /// - The caller is the consumer of the queue that this and `offered` belong to: nobody else calls it meanwhile.
    /// - The node was made by [`Producing`] for this `T`, it has a value, and it is the caller's.
    #[inline]
    pub(crate) unsafe fn empty(&self, node: NonNull<Node>, offered: &Offered<T>) -> T {
        // SAFETY: as promised.
        let (value, item) = unsafe { Item::take(node) };
        // SAFETY: used by one at a time, as promised.
        let collected = unsafe { &mut *self.0.get() };
        // SAFETY: the caller's, and empty now.
        unsafe { Item::set_below(item, collected.top) };
        collected.top = item.as_ptr();
        collected.count += 1;
        if collected.count >= BATCH {
            collected.offer(offered);
        }
        value
    }
}

impl<T> Collected<T> {
    /// Offers all items, if the last ones have been accepted; frees them if there are too many.
    #[inline]
    fn offer(&mut self, offered: &Offered<T>) {
        // Relaxed: producers only ever take what is there, and nobody else puts anything there.
        if offered.0.load(Ordering::Relaxed).is_null() {
            // Release: the values have been taken out, the list is complete. PAIR(offered-nodes)
            offered.0.store(self.top, Ordering::Release);
        } else if self.count >= MOST {
            // SAFETY: the consumer's, and empty.
            unsafe { Item::free_all(self.top) };
        } else {
            return;
        }
        *self = Self { top: ptr::null_mut(), count: 0 };
    }
}

impl<T> Drop for Consuming<T> {
    fn drop(&mut self) {
        // SAFETY: the consumer's, and empty.
        unsafe { Item::free_all(self.0.get_mut().top) };
    }
}

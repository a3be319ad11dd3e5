//! `rculfqueue`: a FIFO with lock-free enqueue and dequeue, under RCU.
//!
//! # Algorithm
//!
//! Michael and Scott's queue (1996), with read-side sections in place of counted pointers. A node is dequeued itself, not its
//! successor, so the last one needs something behind it: then a *dummy* is enqueued first.
//!
//! ```text
//!   head -> D -> null                tail = D      (empty: a dummy alone)
//!   head -> D -> a -> b -> null      tail = b
//! ```
//!
//! - **E1** enqueue links its node behind the last one (null becomes the node, by compare-and-swap): here the call takes effect.
//! - **E2** then it moves `tail` there, but only if it found `tail` behind the last node: so every second enqueue saves a
//!   compare-and-swap, and the next one goes a step further.
//! - **D1** dequeue looks at the first node. A dummy without a successor: empty.
//! - **D2** a node without a successor: a new dummy is linked behind it, unless somebody else has linked something there meanwhile.
//! - **D3** `tail` is moved on if it still is at a node that is about to go: so it never lags behind `head`.
//! - **D4** `head` moves behind the first node that is no dummy, by compare-and-swap, together with the dummy before that: the
//!   call takes effect. (A dummy is behind a node or the first of all: there are never two in a row.)
//! - **D5** the dummy is reclaimed after a grace period; the node is the caller's.
//!
//! A `next` that is not null never changes while the node is in the queue, so the two links that D4 jumps over are those that it
//! has seen. Nodes come back after a grace period only, so inside a section an address stands for one node: no compare-and-swap
//! is fooled.
//!
//! D3 is what makes the grace period enough. Without it a section that begins after a node was dequeued could still find that node
//! in `tail`, which lags behind; and grace periods do not wait for sections that begin after them.
//! With it, both `head` and `tail` are past the node before it is handed out, and neither ever goes back. It is also what moves `tail`
//! behind the nodes that D2 puts a dummy behind.
//!
//! Whoever loses the exchange of E1 or D4 stays away for a while ([`Absence`]), and begins again at `tail` or `head`: the
//! queue's cache lines stay with the winner meanwhile, which is several times faster than taking turns.
//!
//! # Memory order
//!
//! E1 is a Release; whoever follows the link does so by an Acquire load: what came before the enqueue happens before what follows
//! the dequeue. `head` and `tail` are moved by Release, for those who start from there by an Acquire load. The exchanges need
//! no Acquire: they only compare `tail`, and D4 finds the very store that the load of `head` has acquired, since within a
//! section an address is in `head` once. On x86-64 each of these is a locked instruction.
//!
//! # Who excludes whom
//!
//! Nobody: enqueue and dequeue run together with themselves and each other. [`init`] and [`destroy`] run alone.
//!
//! # Contexts
//!
//! | | section | progress |
//! |---|---|---|
//! | [`enqueue`] | inside one of the queue's flavor | lock-free |
//! | [`dequeue`], [`dequeue_with`] | inside one of the queue's flavor | lock-free, but for the allocator |
//! | [`init`], [`destroy`] | any | allocate, free |
//!
//! A dequeued node may be freed, changed or enqueued again after a grace period that begins after its dequeue.

use core::ffi::c_int;
use core::ptr::{self, NonNull};

use urcu_core::sync::modelled::{AtomicPtr, Ordering};
use urcu_core::{Absence, Callback, FlavorVtable, RcuHead};

/// What links an object into a queue; inside of the object.
///
/// Belongs to the queue from the enqueue until a grace period after the dequeue: it keeps its address meanwhile.
#[doc(alias = "cds_lfq_node_rcu")]
#[derive(Debug)]
#[repr(C)]
pub struct Node {
    next: AtomicPtr<Node>,
    /// Not zero in dummies. Never changes while the node is shared.
    dummy: c_int,
}

impl Node {
    /// In no queue.
    #[doc(alias = "cds_lfq_node_init_rcu")]
    #[inline]
    pub fn new() -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()), dummy: 0 }
    }

    /// Makes it ready to be enqueued (again).
    #[inline]
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

/// A flavor's `call_rcu`: [`FlavorVtable::call_rcu`].
pub type CallRcu = unsafe extern "C" fn(head: *mut RcuHead, callback: Callback);

/// The queue.
///
/// Both ends share a cache line, as in the C library. [`LfQueue`](crate::LfQueue) keeps them apart.
#[doc(alias = "cds_lfq_queue_rcu")]
#[derive(Debug)]
#[repr(C)]
pub struct Queue {
    head: AtomicPtr<Node>,
    tail: AtomicPtr<Node>,
    queue_call_rcu: CallRcu,
}

/// The queue is not empty, and still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotEmpty;

impl core::fmt::Display for NotEmpty {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the queue is not empty")
    }
}

impl core::error::Error for NotEmpty {}

/// A dummy, with what reclaims it.
#[derive(Debug)]
#[repr(C)]
pub struct Dummy {
    node: Node,
    head: RcuHead,
}

impl Dummy {
    fn allocate() -> *mut Node {
        let node = Node { next: AtomicPtr::new(ptr::null_mut()), dummy: 1 };
        Box::into_raw(Box::new(Self { node, head: RcuHead::new() })).cast()
    }

    /// Frees a dummy at once.
    ///
    /// # Safety
    ///
    /// It came out of a [`dequeue_with`], and a grace period has passed since.
    pub unsafe fn free(dummy: NonNull<Self>) {
        // SAFETY: made by `allocate`, and nobody uses it any more, as promised.
        drop(unsafe { Box::from_raw(dummy.as_ptr()) });
    }

    /// Frees a dummy after a grace period, without a worker: [`FlavorVtable::defer_free`].
    ///
    /// # Safety
    ///
    /// It came out of a [`dequeue_with`], once, and `flavor` is that of the queue's sections.
    #[inline]
    pub unsafe fn retire(dummy: NonNull<Self>, flavor: &FlavorVtable) {
        unsafe extern "C" fn free(dummy: *mut core::ffi::c_void) {
            // SAFETY: the one call that owns the dummy, after a grace period.
            drop(unsafe { Box::from_raw(dummy.cast::<Dummy>()) });
        }
        // SAFETY: it only frees; nobody else does, as promised.
        unsafe { (flavor.defer_free)(free, dummy.as_ptr().cast(), size_of::<Self>()) };
    }

    /// Frees a dummy after a grace period, by the queue's `call_rcu`.
    ///
    /// # Safety
    ///
    /// As for [`retire`](Self::retire).
    unsafe fn call(dummy: NonNull<Self>, call_rcu: CallRcu) {
        unsafe extern "C" fn free(head: *mut RcuHead) {
            let dummy = head.wrapping_byte_sub(core::mem::offset_of!(Dummy, head)).cast::<Dummy>();
            // SAFETY: the one call that owns the dummy around this head, after a grace period.
            drop(unsafe { Box::from_raw(dummy) });
        }
        // SAFETY: a field of a valid dummy; a raw place expression keeps the provenance of the whole.
        let head = unsafe { &raw mut (*dummy.as_ptr()).head };
        // SAFETY: a head in no queue, and its memory stays until the callback.
        unsafe { call_rcu(head, free) };
    }
}

/// Makes an empty queue, whose dummies are freed through `call_rcu`.
///
/// # Safety
///
/// - `queue` is valid for writes, keeps its address as long as the queue is used, and is used by nobody else during this call.
/// - `call_rcu` is that of the flavor whose sections [`enqueue`] and [`dequeue`] are called in.
#[doc(alias = "cds_lfq_init_rcu")]
pub unsafe fn init(queue: *mut Queue, call_rcu: CallRcu) {
    let dummy = Dummy::allocate();
    let value = Queue { head: AtomicPtr::new(dummy), tail: AtomicPtr::new(dummy), queue_call_rcu: call_rcu };
    // SAFETY: valid for writes, as promised.
    unsafe { queue.write(value) };
}

/// Frees what belongs to an empty queue.
///
/// # Errors
///
/// [`NotEmpty`] (the C library: `-EPERM`), and nothing has changed.
///
/// # Safety
///
/// The queue is initialised, and not used by anybody else; after `Ok` not used at all.
#[doc(alias = "cds_lfq_destroy_rcu")]
pub unsafe fn destroy(queue: &Queue) -> Result<(), NotEmpty> {
    // Relaxed: used by nobody else.
    let head = queue.head.load(Ordering::Relaxed);
    // SAFETY: the first node of a queue that nobody else uses.
    let first = unsafe { &*head };
    // A node, or one behind the dummy.
    if first.dummy == 0 || !first.next.load(Ordering::Relaxed).is_null() {
        return Err(NotEmpty);
    }
    // SAFETY: a dummy that nobody uses any more: it was made by `allocate`.
    drop(unsafe { Box::from_raw(head.cast::<Dummy>()) });
    Ok(())
}

/// Appends a node. Lock-free.
///
/// # Safety
///
/// - The queue is initialised, and the caller inside a section of its flavor.
/// - The node is valid, fresh ([`Node::new`], [`Node::reset`]), in no queue, and from now on it belongs to the queue.
#[doc(alias = "cds_lfq_enqueue_rcu")]
#[inline]
pub unsafe fn enqueue(queue: &Queue, node: NonNull<Node>) {
    let mut absence = Absence::new();
    // Acquire: the node's initialisation. PAIR(lfq-tail)
    let mut tail = queue.tail.load(Ordering::Acquire);
    let mut last = tail;
    loop {
        // SAFETY: `tail` was past everything that had been dequeued when this section began, and this node is not before it.
        let node_before = unsafe { &*last };
        // Acquire: a successor is initialised. PAIR(lfq-link)
        let next = node_before.next.load(Ordering::Acquire);
        if !next.is_null() {
            last = next;
            continue;
        }
        // E1. Release: what came before the enqueue. Relaxed: a failure loads again. PAIR(lfq-link)
        let fresh = node.as_ptr();
        if node_before.next.compare_exchange(next, fresh, Ordering::Release, Ordering::Relaxed).is_ok() {
            break;
        }
        absence.stay_away();
        // Much may have been enqueued meanwhile. Acquire as above. PAIR(lfq-tail)
        tail = queue.tail.load(Ordering::Acquire);
        last = tail;
    }
    if last != tail {
        // E2. Release: the node's initialisation. A failure: somebody else has moved it. PAIR(lfq-tail)
        let _ = queue.tail.compare_exchange(tail, node.as_ptr(), Ordering::Release, Ordering::Relaxed);
    }
}

/// Removes the first node; `None` if the queue is empty. Lock-free, but for the allocator: without another node behind it a
/// dummy is allocated, and an old one goes to `call_rcu`.
///
/// The node may be freed, changed or enqueued again after a grace period.
///
/// # Safety
///
/// The queue is initialised, and the caller inside a section of its flavor.
#[doc(alias = "cds_lfq_dequeue_rcu")]
#[inline]
pub unsafe fn dequeue(queue: &Queue) -> Option<NonNull<Node>> {
    // SAFETY: each dummy comes out once, and this is the flavor's, as promised to `init`.
    let reclaim = |dummy| unsafe { Dummy::call(dummy, queue.queue_call_rcu) };
    // SAFETY: as promised.
    unsafe { dequeue_with(queue, reclaim) }
}

/// As [`dequeue`], with the caller's way to reclaim a dummy; [`Dummy::retire`] is cheaper than `call_rcu`.
///
/// # Safety
///
/// As for [`dequeue`]. `reclaim` frees each dummy after a grace period of the queue's flavor.
#[inline]
pub unsafe fn dequeue_with(queue: &Queue, reclaim: impl Fn(NonNull<Dummy>)) -> Option<NonNull<Node>> {
    // A node with another one behind it, and the tail elsewhere: the ordinary case of a queue that is being emptied. It stays in the
    // caller's registers: what a call saves on the stack would have to reach the cache before D4's exchange.
    // Acquire: as below. PAIR(lfq-head)
    let head = queue.head.load(Ordering::Acquire);
    // SAFETY: found in this section, so it is still there.
    let first = unsafe { &*head };
    // D1. Acquire: the successor's contents. PAIR(lfq-link)
    let next = first.next.load(Ordering::Acquire);
    // D3: nothing to do. Relaxed as in `advance`.
    let is_plain = first.dummy == 0 && !next.is_null() && queue.tail.load(Ordering::Relaxed) != head;
    if is_plain {
        // D4, as in `advance`. PAIR(lfq-head)
        if queue.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed).is_ok() {
            return NonNull::new(head);
        }
    }
    // SAFETY: as promised.
    unsafe { dequeue_slowly(queue, reclaim, is_plain) }
}

/// As [`dequeue_with`], in all cases; `has_lost` a race already, or not.
///
/// # Safety
///
/// As there.
#[inline(never)]
unsafe fn dequeue_slowly(queue: &Queue, reclaim: impl Fn(NonNull<Dummy>), mut has_lost: bool) -> Option<NonNull<Node>> {
    let mut absence = Absence::new();
    loop {
        if has_lost {
            absence.stay_away();
        }
        has_lost = true;
        // Acquire: the node's initialisation, and how far `tail` is. PAIR(lfq-head)
        let head = queue.head.load(Ordering::Acquire);
        // SAFETY: found in this section, so it is still there.
        let first = unsafe { &*head };
        // D1. Acquire: the successor's contents. PAIR(lfq-link)
        let next = first.next.load(Ordering::Acquire);
        if first.dummy == 0 {
            if advance(queue, head, head, successor(first, next)) {
                return NonNull::new(head);
            }
            continue;
        }
        let node = NonNull::new(next)?;
        // SAFETY: it is behind `head`, which was not removed before this section began; so neither was this.
        let second = unsafe { node.as_ref() };
        debug_assert_eq!(second.dummy, 0, "dummies are linked behind nodes");
        // Acquire: as D1. PAIR(lfq-link)
        let behind = second.next.load(Ordering::Acquire);
        if advance(queue, head, next, successor(second, behind)) {
            // D5.
            // SAFETY: found in `head`, hence not null.
            reclaim(unsafe { NonNull::new_unchecked(head.cast()) });
            return Some(node);
        }
    }
}

/// What is behind `node`, where `next` was seen: a new dummy, or what somebody else has linked there meanwhile (D2).
#[inline]
fn successor(node: &Node, next: *mut Node) -> *mut Node {
    if !next.is_null() {
        return next;
    }
    let dummy = Dummy::allocate();
    // As E1; on failure as D1. PAIR(lfq-link)
    match node.next.compare_exchange(next, dummy, Ordering::Release, Ordering::Acquire) {
        Ok(_) => dummy,
        Err(linked) => {
            // SAFETY: made by `allocate`, and nobody has seen it.
            drop(unsafe { Box::from_raw(dummy.cast::<Dummy>()) });
            linked
        }
    }
}

/// D3 and D4: takes `head` up to `last`, the first nodes of the queue (one or two), out of it; `next` is behind them. False when they are not the first
/// ones any more.
#[inline]
fn advance(queue: &Queue, head: *mut Node, last: *mut Node, next: *mut Node) -> bool {
    // D3. Relaxed: only compared; what was seen here is what a section after the grace period sees at least, by coherence.
    let mut tail = queue.tail.load(Ordering::Relaxed);
    while tail == head || tail == last {
        // Past all of them at once. Release: `next` is initialised. PAIR(lfq-tail)
        match queue.tail.compare_exchange(tail, next, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(moved) => tail = moved,
        }
    }
    // D4. Release: D3 and the successor, for who starts from there. PAIR(lfq-head)
    queue.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed).is_ok()
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_of_the_c_library() {
        assert_eq!((size_of::<Node>(), align_of::<Node>()), (16, 8));
        assert_eq!((offset_of!(Node, next), offset_of!(Node, dummy)), (0, 8));
        assert_eq!((size_of::<Queue>(), align_of::<Queue>()), (24, 8));
        assert_eq!((offset_of!(Queue, head), offset_of!(Queue, tail), offset_of!(Queue, queue_call_rcu)), (0, 8, 16));
        assert_eq!(offset_of!(Dummy, node), 0);
    }
}

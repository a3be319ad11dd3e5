//! `wfcqueue`: a FIFO with wait-free enqueue and one dequeuer at a time. It needs no RCU.
//!
//! # Algorithm
//!
//! A list with a head node in front that is never dequeued (Mathieu Desnoyers' wait-free concurrent queue). `tail.p` is the
//! last node, the head node when there is none.
//!
//! ```text
//!   head.node ---> a ---> b ---> c ---> null            tail.p = &c
//!   head.node ---> null                                 tail.p = &head.node           (empty)
//!   head.node ---> a ---> null   b ---> c ---> null     tail.p = &c                   (b's enqueue is half done)
//! ```
//!
//! - **E1** enqueue swaps `tail.p` for its node: this is where the call takes effect, and the order of these swaps is the
//!   order of the queue.
//! - **E2** then it links: the node that it found gets its `next`. Between E1 and E2 the list is cut there.
//! - **D1** the dequeuer follows `head.node.next`. Null is *empty* only if `tail.p` is the head node; otherwise somebody is
//!   between E1 and E2, and the call waits, or says that it would have to.
//! - **D2** if the first node has a successor, that one becomes `head.node.next`.
//! - **D3** if it has none, `head.node.next` becomes null and `tail.p` goes from the node back to the head node by
//!   compare-and-swap. When that fails an enqueuer has found this node in E1 and will link behind it: wait for that, then D2.
//!   (Nonblocking: put `head.node.next` back first. Nobody else has written there, since `tail.p` was not the head node.)
//!
//! After D2 or D3 nobody has the node's address any more: an enqueuer has it only between an E1 that found it as the last
//! node and its E2, and both D2 and a successful D3 come after that E2, or exclude that E1. So **a dequeued node may be freed or
//! enqueued again at once**.
//!
//! A splice takes everything: `head.node.next` by compare-and-swap for null, then `tail.p` by swap for the head node, and appends the
//! chain to another queue as one enqueue does a node.
//!
//! # Memory order
//!
//! E2 is a Release store, D1's load of the same field Acquire: what came before the enqueue happens before what follows the
//! dequeue. E1 is SeqCst: Release so that the next E1, which stores into this node, and a splice have the node's initialisation,
//! Acquire so that they have it, and so that an E1 that finds the head node follows the null that D3 wrote into `head.node.next`, and its E2 is not overtaken by
//! it; and in the one order of SeqCst operations, for protocols that put their consumers to sleep
//! ([`Event::wake_one_after_seq_cst`](urcu_core::Event::wake_one_after_seq_cst)). On x86-64 all of that is the one locked
//! instruction that a swap is.
//!
//! # Who excludes whom
//!
//! | | enqueue | dequeue | splice from | splice to | first, next | empty |
//! |---|---|---|---|---|---|---|
//! | **enqueue**     | - | - | - | - | - | - |
//! | **dequeue**     | - | x | x | - | x | - |
//! | **splice from** | - | x | - | - | x | - |
//! | **splice to**   | - | - | - | - | - | - |
//! | **first, next** | - | x | x | - | - | - |
//!
//! x: by the dequeue lock of a [`Head`], or because one thread does both. Two splices from one queue to *different* or the
//! same destinations may run together.
//!
//! # Progress
//!
//! Enqueue, empty and nonblocking calls are wait-free (splice: three exchanges). Blocking calls wait for enqueuers between E1
//! and E2, which are two instructions apart: they spin, then yield, then sleep in short naps. They may be called inside a
//! section, but an enqueuer that has lost the processor prolongs it.
//!
//! # Of `wfqueue.h`
//!
//! The C library's older `cds_wfq_*` is deprecated there: it keeps a dummy node inside of the queue, which makes its splice
//! impossible. What replaces what:
//!
//! | deprecated | here |
//! |---|---|
//! | `cds_wfq_node_init`, `cds_wfq_init` | [`Node::new`], [`init`] |
//! | `cds_wfq_destroy` | [`destroy`] |
//! | `cds_wfq_enqueue` | [`enqueue`] |
//! | `cds_wfq_dequeue_blocking` | [`dequeue_locked`] |
//! | `__cds_wfq_dequeue_blocking` | [`dequeue_blocking`] |

use core::ptr::{self, NonNull};

use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicPtr, Ordering};

use crate::lock::{Held, RawLock};

mod consume;

pub use consume::{
    dequeue_blocking, dequeue_nonblocking, dequeue_with_state_blocking, dequeue_with_state_nonblocking, first_blocking,
    first_nonblocking, iter, next_blocking, next_nonblocking, splice_blocking, splice_nonblocking,
};

/// What links an object into a queue; inside of the object.
///
/// Belongs to the queue from the enqueue to the dequeue: it keeps its address meanwhile.
#[doc(alias = "cds_wfcq_node")]
#[derive(Debug)]
#[repr(C)]
pub struct Node {
    next: AtomicPtr<Node>,
}

impl Node {
    /// In no queue.
    #[doc(alias = "cds_wfcq_node_init")]
    #[inline]
    pub fn new() -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()) }
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

/// The dequeuing end, without a lock.
#[doc(alias = "__cds_wfcq_head")]
#[derive(Debug)]
#[repr(C)]
pub struct BareHead {
    node: Node,
}

/// The dequeuing end with the dequeue lock.
///
/// The lock takes the room of a `pthread_mutex_t`, of which it uses the first word.
#[doc(alias = "cds_wfcq_head")]
#[derive(Debug)]
#[repr(C)]
pub struct Head {
    node: Node,
    lock: RawLock,
    rest: [u32; 9],
}

/// The enqueuing end. Keep it on another cache line than the head: enqueuers write here, dequeuers there.
#[doc(alias = "cds_wfcq_tail")]
#[derive(Debug)]
#[repr(C)]
pub struct Tail {
    p: AtomicPtr<Node>,
}

impl BareHead {
    /// Of no queue yet: [`init`] comes next.
    pub fn new() -> Self {
        Self { node: Node::new() }
    }
}

impl Head {
    /// Of no queue yet: [`init`] comes next.
    pub fn new() -> Self {
        Self { node: Node::new(), lock: RawLock::new(), rest: [0; 9] }
    }
}

impl Tail {
    /// Of no queue yet: [`init`] comes next.
    pub fn new() -> Self {
        Self { p: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Default for BareHead {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::BareHead {}
    impl Sealed for super::Head {}
}

/// [`Head`] or [`BareHead`]: what does not take the lock accepts both, as the C library's transparent union does.
#[doc(alias = "cds_wfcq_head_ptr_t")]
pub trait AnyHead: sealed::Sealed {
    #[doc(hidden)]
    fn node(&self) -> &Node;
}

impl AnyHead for BareHead {
    #[inline]
    fn node(&self) -> &Node {
        &self.node
    }
}

impl AnyHead for Head {
    #[inline]
    fn node(&self) -> &Node {
        &self.node
    }
}

/// A head and a tail with cache lines of their own, which is what most users want.
///
/// Does nothing by itself: [`init`] both fields where they are going to stay.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Ends<H> {
    /// The dequeuing end.
    pub head: CachePadded<H>,
    /// The enqueuing end.
    pub tail: CachePadded<Tail>,
}

/// An enqueue is half done; a blocking call would wait for it.
#[doc(alias = "CDS_WFCQ_WOULDBLOCK")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

impl core::fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("an enqueue is half done")
    }
}

impl core::error::Error for WouldBlock {}

/// What a dequeue found out about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nodes remain in the queue.
    More,
    /// The queue was empty after it.
    #[doc(alias = "CDS_WFCQ_STATE_LAST")]
    Last,
}

/// What a splice did.
#[doc(alias = "cds_wfcq_ret")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(clippy::enum_variant_names, reason = "the C library's names")]
pub enum Spliced {
    /// Moved everything to a queue that was empty.
    #[doc(alias = "CDS_WFCQ_RET_DEST_EMPTY")]
    DestEmpty = 0,
    /// Moved everything behind other nodes.
    #[doc(alias = "CDS_WFCQ_RET_DEST_NON_EMPTY")]
    DestNonEmpty = 1,
    /// Nothing was there to be moved.
    #[doc(alias = "CDS_WFCQ_RET_SRC_EMPTY")]
    SrcEmpty = 2,
}

/// Makes an empty queue of a head and a tail.
///
/// # Safety
///
/// - Both are valid, keep their addresses as long as the queue is used, and are used by nobody else during this call.
/// - No node is in the queue.
#[doc(alias("cds_wfcq_init", "__cds_wfcq_init", "cds_wfq_init"))]
pub unsafe fn init<H: AnyHead>(head: *mut H, tail: *mut Tail) {
    // SAFETY: valid, as promised.
    let node = unsafe { (*head).node() };
    // Relaxed: the caller publishes the queue.
    node.next.store(ptr::null_mut(), Ordering::Relaxed);
    // Both kinds of head begin with their node; this pointer may be used for all of the head.
    // SAFETY: valid, as promised.
    unsafe { (*tail).p.store(head.cast(), Ordering::Relaxed) };
}

/// Ends a queue: nothing to be done, the memory is the caller's. Nodes that are still in it are forgotten.
///
/// # Safety
///
/// The queue is not used any more.
#[doc(alias("cds_wfcq_destroy", "cds_wfq_destroy"))]
pub unsafe fn destroy<H: AnyHead>(_head: *mut H, _tail: *mut Tail) {}

/// Whether the queue has no nodes: at some moment during the call. A half done enqueue counts. Wait-free; any context.
#[doc(alias = "cds_wfcq_empty")]
#[inline]
pub fn empty(head: &impl AnyHead, tail: &Tail) -> bool {
    // The tail alone would do, but dequeuers of a queue that is not empty then touch the enqueuers' cache line.
    // Acquire, so that the load of the tail comes after. Relaxed: only compared. PAIR(wfcq-link)
    head.node().next.load(Ordering::Acquire).is_null() && is_head(head, tail.p.load(Ordering::Relaxed))
}

#[inline]
pub(crate) fn is_head(head: &impl AnyHead, node: *const Node) -> bool {
    ptr::eq(node, head.node())
}

/// Appends a node; `false` if the queue was empty. Wait-free; any context.
///
/// What the caller did before happens before what follows the dequeue of the node.
///
/// # Safety
///
/// - The queue is initialised.
/// - The node is valid, its `next` is null ([`Node::new`], [`Node::reset`]), it is in no queue, and from now on it belongs
///   to the queue.
#[doc(alias("cds_wfcq_enqueue", "cds_wfq_enqueue"))]
#[inline]
pub unsafe fn enqueue(head: &impl AnyHead, tail: &Tail, node: NonNull<Node>) -> bool {
    // SAFETY: a chain of one node, as promised.
    let before = unsafe { append(tail, node.as_ptr(), node.as_ptr()) };
    !is_head(head, before)
}

/// As [`enqueue`]; the node before, which may be gone already.
///
/// # Safety
///
/// As there.
#[inline]
pub(crate) unsafe fn enqueue_behind(tail: &Tail, node: NonNull<Node>) -> *const Node {
    // SAFETY: a chain of one node, as promised.
    unsafe { append(tail, node.as_ptr(), node.as_ptr()) }
}

/// Appends nodes that the caller has linked from `first` to `last`; `false` if the queue was empty. Wait-free; any context.
///
/// # Safety
///
/// As for [`enqueue`], for each of them; `last`'s `next` is null, and the others' lead from `first` to `last`.
#[inline]
pub unsafe fn enqueue_chain(head: &impl AnyHead, tail: &Tail, first: NonNull<Node>, last: NonNull<Node>) -> bool {
    // SAFETY: as promised.
    let before = unsafe { append(tail, first.as_ptr(), last.as_ptr()) };
    !is_head(head, before)
}

/// Links `node` to `next`, for [`enqueue_chain`].
///
/// # Safety
///
/// Both are valid, and in no queue.
#[inline]
pub unsafe fn link(node: NonNull<Node>, next: NonNull<Node>) {
    // SAFETY: valid, as promised.
    let node = unsafe { node.as_ref() };
    // Relaxed: the enqueue publishes it.
    node.next.store(next.as_ptr(), Ordering::Relaxed);
}

/// An enqueue that is stopped between its two steps, until the returned function is called.
///
/// # Safety
///
/// As for [`enqueue`]; the function is called before the queue goes.
#[cfg(all(test, not(urcu_loom)))]
pub(crate) unsafe fn begin_enqueue(tail: &Tail, node: NonNull<Node>) -> impl FnOnce() + Send + use<> {
    struct Halves(*mut Node, *mut Node);
    // SAFETY: what any thread may do that enqueues.
    unsafe impl Send for Halves {}
    let halves = Halves(tail.p.swap(node.as_ptr(), Ordering::SeqCst), node.as_ptr());
    move || {
        let Halves(before, first) = { halves };
        // SAFETY: not dequeued before it has a successor, as in `append`.
        unsafe { &*before }.next.store(first, Ordering::Release);
    }
}

/// # Safety
///
/// A chain of nodes that are in no queue.
#[inline]
unsafe fn append(tail: &Tail, first: *mut Node, last: *mut Node) -> *mut Node {
    // E1. Release: the nodes' initialisation, for who finds `last` here: the next enqueuer, a splice. Acquire: that of the node
    // found here, or the head node's null. SeqCst: for a wake-up that follows. PAIR(wfcq-tail), PAIR(queue-sleep)
    let before = tail.p.swap(last, Ordering::SeqCst);
    // SAFETY: the last node is not dequeued before somebody, which is this call, links behind it (D3).
    let before_node = unsafe { &*before };
    // E2. Release: everything before the enqueue. PAIR(wfcq-link)
    before_node.next.store(first, Ordering::Release);
    before
}

/// Takes the dequeue lock. Blocks; not to be taken twice by one thread.
#[doc(alias = "cds_wfcq_dequeue_lock")]
pub fn dequeue_lock(head: &Head) {
    head.lock.take();
}

/// Gives the dequeue lock back.
///
/// # Safety
///
/// The calling thread has taken it.
#[doc(alias = "cds_wfcq_dequeue_unlock")]
pub unsafe fn dequeue_unlock(head: &Head) {
    // SAFETY: as promised.
    unsafe { head.lock.give_back() };
}

impl Head {
    #[inline]
    pub(crate) fn hold(&self) -> Held<'_> {
        self.lock.hold()
    }

    #[inline]
    pub(crate) fn lock(&self) -> &RawLock {
        &self.lock
    }
}

/// [`dequeue_blocking`] under the dequeue lock.
///
/// # Safety
///
/// The queue is initialised, and whoever dequeues, splices from it or iterates holds the dequeue lock.
#[doc(alias("cds_wfcq_dequeue_blocking", "cds_wfq_dequeue_blocking"))]
#[inline]
pub unsafe fn dequeue_locked(head: &Head, tail: &Tail) -> Option<NonNull<Node>> {
    // SAFETY: as promised.
    unsafe { dequeue_with_state_locked(head, tail) }.map(|(node, _)| node)
}

/// [`dequeue_with_state_blocking`] under the dequeue lock.
///
/// # Safety
///
/// As for [`dequeue_locked`].
#[doc(alias = "cds_wfcq_dequeue_with_state_blocking")]
#[inline]
pub unsafe fn dequeue_with_state_locked(head: &Head, tail: &Tail) -> Option<(NonNull<Node>, State)> {
    let _held = head.hold();
    // SAFETY: as promised, under the lock.
    unsafe { dequeue_with_state_blocking(head, tail) }
}

/// [`splice_blocking`] under the dequeue lock of the source.
///
/// # Safety
///
/// Both are initialised and not the same queue, and whoever dequeues from `source` or iterates over it holds its lock.
#[doc(alias = "cds_wfcq_splice_blocking")]
#[inline]
pub unsafe fn splice_locked(dest: (&impl AnyHead, &Tail), source: (&Head, &Tail)) -> Spliced {
    let _held = source.0.hold();
    // SAFETY: as promised, under the lock.
    unsafe { splice_blocking(dest, source) }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_of_the_c_library() {
        assert_eq!((size_of::<Node>(), align_of::<Node>(), offset_of!(Node, next)), (8, 8, 0));
        assert_eq!((size_of::<BareHead>(), align_of::<BareHead>(), offset_of!(BareHead, node)), (8, 8, 0));
        assert_eq!((size_of::<Head>(), align_of::<Head>()), (48, 8));
        assert_eq!((offset_of!(Head, node), offset_of!(Head, lock)), (0, 8));
        assert_eq!((size_of::<Tail>(), align_of::<Tail>(), offset_of!(Tail, p)), (8, 8, 0));
        assert_eq!([Spliced::DestEmpty as i32, Spliced::DestNonEmpty as i32, Spliced::SrcEmpty as i32], [0, 1, 2]);
    }
}

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
//! dequeue. E1 is SeqCst: Release so that a dequeuer whose D3 reads it (and fails) has the node's initialisation, Acquire so
//! that an E1 that finds the head node follows the null that D3 wrote into `head.node.next`, and its E2 is not overtaken by
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

use urcu_core::Backoff;
use urcu_core::sync::CachePadded;
use urcu_core::sync::modelled::{AtomicPtr, Ordering};

use crate::lock::{self, Held, RawLock};

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
    // Acquire, so that the load of the tail comes after. PAIR(wfcq-link)
    head.node().next.load(Ordering::Acquire).is_null() && is_head(head, tail.p.load(Ordering::Acquire))
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

/// # Safety
///
/// A chain of nodes that are in no queue.
#[inline]
unsafe fn append(tail: &Tail, first: *mut Node, last: *mut Node) -> *mut Node {
    // E1. Release: the nodes' initialisation, for a dequeuer that finds `last` here before it is linked. Acquire: the head
    // node's null, when that is what it finds. SeqCst: for a wake-up that follows. PAIR(wfcq-tail), PAIR(queue-sleep)
    let before = tail.p.swap(last, Ordering::SeqCst);
    // SAFETY: the last node is not dequeued before somebody, which is this call, links behind it (D3).
    let before_node = unsafe { &*before };
    // E2. Release: everything before the enqueue. PAIR(wfcq-link)
    before_node.next.store(first, Ordering::Release);
    before
}

/// How a call waits for a half done enqueue.
trait Wait {
    type Refusal;

    /// # Errors
    ///
    /// It does not wait.
    fn wait(&mut self) -> Result<(), Self::Refusal>;
}

#[derive(Default)]
struct Blocking(Backoff);

enum Never {}

impl Wait for Blocking {
    type Refusal = Never;

    fn wait(&mut self) -> Result<(), Never> {
        // Who is between E1 and E2 may have lost the processor.
        lock::wait(&mut self.0);
        Ok(())
    }
}

struct Nonblocking;

impl Wait for Nonblocking {
    type Refusal = WouldBlock;

    fn wait(&mut self) -> Result<(), WouldBlock> {
        Err(WouldBlock)
    }
}

fn certain<T>(answer: Result<T, Never>) -> T {
    match answer {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// The node that will be linked behind `node`, which is not the last.
#[inline]
fn successor<W: Wait>(node: &Node, mut wait: W) -> Result<*mut Node, W::Refusal> {
    loop {
        // D1. Acquire: what came before the enqueue. PAIR(wfcq-link)
        let next = node.next.load(Ordering::Acquire);
        if !next.is_null() {
            return Ok(next);
        }
        wait.wait()?;
    }
}

/// D1.
#[inline]
fn first<W: Wait>(head: &impl AnyHead, tail: &Tail, wait: W) -> Result<Option<NonNull<Node>>, W::Refusal> {
    // Acquire as in `successor`; the ordinary case, without the tail. PAIR(wfcq-link)
    let next = head.node().next.load(Ordering::Acquire);
    if next.is_null() {
        // Relaxed: only compared. Who is going to sleep if it is empty comes here behind a fence. PAIR(queue-sleep)
        if is_head(head, tail.p.load(Ordering::Relaxed)) {
            return Ok(None);
        }
        return Ok(NonNull::new(successor(head.node(), wait)?));
    }
    Ok(NonNull::new(next))
}

type Dequeued = Option<(NonNull<Node>, State)>;

/// # Safety
///
/// As for `dequeue_blocking`.
#[inline]
unsafe fn dequeue<W: Wait>(head: &impl AnyHead, tail: &Tail, wait: impl Fn() -> W) -> Result<Dequeued, W::Refusal> {
    let Some(node) = first(head, tail, wait())? else { return Ok(None) };
    // SAFETY: the first node of the queue, which only this call may dequeue.
    let node_ref = unsafe { node.as_ref() };
    // Acquire: the successor's contents belong to whoever follows `head.node.next`. PAIR(wfcq-link)
    let mut next = node_ref.next.load(Ordering::Acquire);
    if next.is_null() {
        // D3. Relaxed: ordered for the enqueuer that needs it by the exchange below.
        head.node().next.store(ptr::null_mut(), Ordering::Relaxed);
        let head_node = ptr::from_ref(head.node()).cast_mut();
        // Release: the null. Acquire: nothing is dequeued yet that the node's own link has not given us.
        // An enqueuer that finds the head node stores behind it later than that null. PAIR(wfcq-tail)
        if tail.p.compare_exchange(node.as_ptr(), head_node, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return Ok(Some((node, State::Last)));
        }
        next = match successor(node_ref, wait()) {
            Ok(next) => next,
            Err(refusal) => {
                // Relaxed: dequeuers exclude each other, and `empty` only wants something that is not null.
                head.node().next.store(node.as_ptr(), Ordering::Relaxed);
                return Err(refusal);
            }
        };
    }
    // D2. Release: for `empty`, `first` and later dequeuers, to whom the lock says the same. PAIR(wfcq-link)
    head.node().next.store(next, Ordering::Release);
    Ok(Some((node, State::More)))
}

/// Removes the first node; `None` if the queue is empty. Blocks while an enqueue is half done.
///
/// The node is the caller's at once: to be freed, or reset and enqueued again.
///
/// # Safety
///
/// - The queue is initialised.
/// - Nobody else dequeues, splices from it or iterates during this call (table in the [module](self)'s page).
#[doc(alias("__cds_wfcq_dequeue_blocking", "__cds_wfq_dequeue_blocking"))]
#[inline]
pub unsafe fn dequeue_blocking(head: &impl AnyHead, tail: &Tail) -> Option<NonNull<Node>> {
    // SAFETY: as promised.
    unsafe { dequeue_with_state_blocking(head, tail) }.map(|(node, _)| node)
}

/// As [`dequeue_blocking`], and says whether it was the last node.
///
/// # Safety
///
/// As there.
#[doc(alias = "__cds_wfcq_dequeue_with_state_blocking")]
#[inline]
pub unsafe fn dequeue_with_state_blocking(head: &impl AnyHead, tail: &Tail) -> Option<(NonNull<Node>, State)> {
    // SAFETY: as promised.
    certain(unsafe { dequeue(head, tail, Blocking::default) })
}

/// Removes the first node; `None` if the queue is empty. Wait-free.
///
/// # Errors
///
/// [`WouldBlock`], with the queue unchanged, when an enqueue is half done.
///
/// # Safety
///
/// As for [`dequeue_blocking`].
#[doc(alias = "__cds_wfcq_dequeue_nonblocking")]
#[inline]
pub unsafe fn dequeue_nonblocking(head: &impl AnyHead, tail: &Tail) -> Result<Option<NonNull<Node>>, WouldBlock> {
    // SAFETY: as promised.
    Ok(unsafe { dequeue_with_state_nonblocking(head, tail) }?.map(|(node, _)| node))
}

/// As [`dequeue_nonblocking`], and says whether it was the last node.
///
/// # Errors
///
/// As there.
///
/// # Safety
///
/// As there.
#[doc(alias = "__cds_wfcq_dequeue_with_state_nonblocking")]
#[inline]
pub unsafe fn dequeue_with_state_nonblocking(
    head: &impl AnyHead,
    tail: &Tail,
) -> Result<Option<(NonNull<Node>, State)>, WouldBlock> {
    // SAFETY: as promised.
    unsafe { dequeue(head, tail, || Nonblocking) }
}

/// # Safety
///
/// As for `splice_blocking`.
#[inline]
unsafe fn splice<W: Wait>(
    dest: (&impl AnyHead, &Tail),
    source: (&impl AnyHead, &Tail),
    mut wait: W,
) -> Result<Spliced, W::Refusal> {
    let (head, tail) = source;
    // Relaxed: only hints whether the swap is worth its price.
    if head.node().next.load(Ordering::Relaxed).is_null() && is_head(head, tail.p.load(Ordering::Relaxed)) {
        return Ok(Spliced::SrcEmpty);
    }
    let first = loop {
        // Acquire: as D1. PAIR(wfcq-link)
        let first = head.node().next.load(Ordering::Acquire);
        // An exchange, since another splice may be doing the same. Null is never written over anything else: what is linked
        // there next is linked behind the swap below.
        if !first.is_null()
            && head.node().next.compare_exchange(first, ptr::null_mut(), Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            break first;
        }
        // Relaxed: as in `first`. The other splice may have taken everything.
        if is_head(head, tail.p.load(Ordering::Relaxed)) {
            return Ok(Spliced::SrcEmpty);
        }
        wait.wait()?;
    };
    let head_node = ptr::from_ref(head.node()).cast_mut();
    // Release: the null, as in D3. Acquire: the last node is initialised, and this queue's order so far. PAIR(wfcq-tail)
    let last = tail.p.swap(head_node, Ordering::AcqRel);
    // SAFETY: a chain from `first` to `last` that is in no queue any more: enqueuers that are between E1 and E2 in it still
    // complete it, as they would there.
    let before = unsafe { append(dest.1, first, last) };
    Ok(if is_head(dest.0, before) { Spliced::DestEmpty } else { Spliced::DestNonEmpty })
}

/// Moves all nodes of `source` to the end of `dest`, in constant time. Blocks while the first enqueue is half done.
///
/// # Safety
///
/// - Both are initialised, and not the same queue.
/// - Nobody else dequeues from `source` or iterates over it during this call (table in the [module](self)'s page).
#[doc(alias = "__cds_wfcq_splice_blocking")]
#[inline]
pub unsafe fn splice_blocking(dest: (&impl AnyHead, &Tail), source: (&impl AnyHead, &Tail)) -> Spliced {
    // SAFETY: as promised.
    certain(unsafe { splice(dest, source, Blocking::default()) })
}

/// Moves all nodes of `source` to the end of `dest`, in constant time. Wait-free.
///
/// # Errors
///
/// [`WouldBlock`], with nothing moved, when the first enqueue is half done.
///
/// # Safety
///
/// As for [`splice_blocking`].
#[doc(alias = "__cds_wfcq_splice_nonblocking")]
#[inline]
pub unsafe fn splice_nonblocking(
    dest: (&impl AnyHead, &Tail),
    source: (&impl AnyHead, &Tail),
) -> Result<Spliced, WouldBlock> {
    // SAFETY: as promised.
    unsafe { splice(dest, source, Nonblocking) }
}

/// The first node, which stays; `None` if the queue is empty. Blocks while an enqueue is half done.
///
/// # Safety
///
/// - The queue is initialised.
/// - Nobody dequeues or splices from it as long as the node is used.
#[doc(alias = "__cds_wfcq_first_blocking")]
#[inline]
pub unsafe fn first_blocking(head: &impl AnyHead, tail: &Tail) -> Option<NonNull<Node>> {
    certain(first(head, tail, Blocking::default()))
}

/// As [`first_blocking`]. Wait-free.
///
/// # Errors
///
/// [`WouldBlock`] when an enqueue is half done.
///
/// # Safety
///
/// As there.
#[doc(alias = "__cds_wfcq_first_nonblocking")]
#[inline]
pub unsafe fn first_nonblocking(head: &impl AnyHead, tail: &Tail) -> Result<Option<NonNull<Node>>, WouldBlock> {
    first(head, tail, Nonblocking)
}

/// # Safety
///
/// As for `next_blocking`.
#[inline]
unsafe fn next<W: Wait>(tail: &Tail, node: NonNull<Node>, wait: W) -> Result<Option<NonNull<Node>>, W::Refusal> {
    // SAFETY: in the queue, as promised.
    let node_ref = unsafe { node.as_ref() };
    // Acquire: as D1. PAIR(wfcq-link)
    let next = node_ref.next.load(Ordering::Acquire);
    if next.is_null() {
        // Relaxed: only compared.
        if ptr::eq(tail.p.load(Ordering::Relaxed), node.as_ptr()) {
            return Ok(None);
        }
        return Ok(NonNull::new(successor(node_ref, wait)?));
    }
    Ok(NonNull::new(next))
}

/// The node behind `node`; `None` if it is the last. Blocks while an enqueue is half done.
///
/// # Safety
///
/// - `node` is in the queue whose tail this is.
/// - Nobody dequeues or splices from it as long as the nodes are used.
#[doc(alias = "__cds_wfcq_next_blocking")]
#[inline]
pub unsafe fn next_blocking(tail: &Tail, node: NonNull<Node>) -> Option<NonNull<Node>> {
    // SAFETY: as promised.
    certain(unsafe { next(tail, node, Blocking::default()) })
}

/// As [`next_blocking`]. Wait-free.
///
/// # Errors
///
/// [`WouldBlock`] when an enqueue is half done.
///
/// # Safety
///
/// As there.
#[doc(alias = "__cds_wfcq_next_nonblocking")]
#[inline]
pub unsafe fn next_nonblocking(tail: &Tail, node: NonNull<Node>) -> Result<Option<NonNull<Node>>, WouldBlock> {
    // SAFETY: as promised.
    unsafe { next(tail, node, Nonblocking) }
}

/// The nodes of a queue from first to last, which stay. Blocks while an enqueue is half done. The next node is found before
/// one is given out, so that one may be moved elsewhere or freed once all are forgotten.
///
/// # Safety
///
/// As for [`first_blocking`], as long as the iterator is used.
#[doc(alias("__cds_wfcq_for_each_blocking", "__cds_wfcq_for_each_blocking_safe"))]
pub unsafe fn iter<'q>(head: &'q impl AnyHead, tail: &'q Tail) -> impl Iterator<Item = NonNull<Node>> + 'q {
    // SAFETY: as promised.
    let first = unsafe { first_blocking(head, tail) };
    // SAFETY: as promised; `node` comes from this queue.
    core::iter::successors(first, |node| unsafe { next_blocking(tail, *node) })
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

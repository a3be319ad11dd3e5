//! The consuming side of a `wfcqueue`: dequeue, splice, looking at nodes. The steps are those of the [module](super)'s page.

use core::ptr::{self, NonNull};

use urcu_core::Backoff;
use urcu_core::sync::modelled::Ordering;

use super::{AnyHead, Node, Spliced, State, Tail, WouldBlock, append, is_head};
use crate::lock;

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
        // Release: the null. An enqueuer that finds the head node stores behind it later than that. No Acquire: what it finds was
        // written by the E1 before the E2 that has led here. PAIR(wfcq-tail)
        if tail.p.compare_exchange(node.as_ptr(), head_node, Ordering::Release, Ordering::Relaxed).is_ok() {
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
/// - Nobody else dequeues, splices from it or iterates during this call (table in the [module](super)'s page).
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
        // Relaxed, both: the nodes are acquired by the swap below.
        let first = head.node().next.load(Ordering::Relaxed);
        // An exchange, since another splice may be doing the same. Null is never written over anything else: what is linked
        // there next is linked behind the swap below.
        if !first.is_null()
            && head.node().next.compare_exchange(first, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
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
    // Release: the null, as in D3. Acquire: all nodes are initialised, the first and the last among them: their E1s were swaps of
    // this word, Release, and each swap carries on what those before it released. This one comes behind the E1 whose E2 was read
    // above: if it came before, that E1, an Acquire, would find this Release, and the link be read before it was written. PAIR(wfcq-tail)
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
/// - Nobody else dequeues from `source` or iterates over it during this call (table in the [module](super)'s page).
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

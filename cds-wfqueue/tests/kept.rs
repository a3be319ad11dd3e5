//! What queues keep for later is bounded, and goes with them.

#![cfg(not(urcu_loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cds_wfqueue::{SegmentQueue, WfcQueue};

/// Counts what is allocated and not freed.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static BLOCKS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// One test at a time.
static TURN: Mutex<()> = Mutex::new(());

// SAFETY: does what `System` does.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What the harness may allocate or free meanwhile, in blocks and bytes.
const SLACK: (usize, usize) = (200, 64 << 10);
const VALUES: u64 = 100_000;

fn now() -> (usize, usize) {
    (BLOCKS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
}

#[test]
fn empty_nodes() {
    let _turn = TURN.lock();
    let before = now();
    let queue = WfcQueue::new();
    let mut enqueuers = [queue.enqueuer(), queue.enqueuer()];
    for round in 0..5 {
        for value in 0..VALUES {
            enqueuers[value as usize % 2].enqueue(value);
        }
        assert!(now().0 + SLACK.0 >= before.0 + VALUES as usize, "a node for each value");
        assert!((0..VALUES).all(|value| queue.dequeue() == Some(value)));
        // 2,000 by the queue, and 1,000 by each of its producers.
        let kept = now().0.saturating_sub(before.0);
        assert!(kept <= 2_000 + 2 * 1_000 + 2 * 100 + SLACK.0, "round {round}: {kept} nodes are kept");
    }
    // Node by node: they are used again.
    let kept = now().0;
    for value in 0..VALUES {
        enqueuers[0].enqueue(value);
        assert_eq!(queue.dequeue(), Some(value));
    }
    assert!(now().0 <= kept + 100 + SLACK.0);
    drop(enqueuers);
    drop(queue);
    assert!(now().0 <= before.0 + SLACK.0, "what was kept goes with the queue");
}

#[test]
fn empty_segments() {
    let _turn = TURN.lock();
    let before = now();
    let queue = SegmentQueue::new();
    for round in 0..5 {
        (0..VALUES).for_each(|value| queue.enqueue(value));
        assert!(now().1 + SLACK.1 >= before.1 + 8 * VALUES as usize, "room for each value");
        assert!((0..VALUES).all(|value| queue.dequeue() == Some(value)));
        // 64 arrays of 4 KiB, and the one that is in use.
        let kept = now().1.saturating_sub(before.1);
        assert!(kept <= 65 * 4096 + SLACK.1, "round {round}: {kept} bytes are kept");
    }
    drop(queue);
    assert!(now().1 <= before.1 + SLACK.1, "what was kept goes with the queue");
}

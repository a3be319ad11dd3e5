//! A thread's queue: its owner, who fills it, and those who empty it. Nothing else orders them.

use loom::thread;
use urcu_core::queue_model::Queue;
use urcu_core::sync::explore;

fn assert_once(mut taken: Vec<usize>, calls: usize) {
    taken.sort_unstable();
    assert!(taken.iter().copied().eq(1..=calls), "{taken:?}");
}

/// Owner and worker take turns, and emptied blocks go back to the owner.
#[test]
fn both_empty_it() {
    explore(3, || {
        let queue = Queue::leaked();
        let worker = thread::spawn(|| {
            let mut taken = queue.take_sealed();
            thread::yield_now();
            taken.extend(queue.take_sealed());
            taken
        });
        for call in 1..=3 {
            queue.add(call);
            queue.seal();
        }
        let mut taken = queue.take_sealed();
        thread::yield_now();
        queue.add(4);
        queue.seal();
        taken.extend(worker.join().unwrap());
        taken.extend(queue.take_sealed());
        assert_once(taken, 4);
    });
}

/// Oldest first, also what is taken from a block that is being filled, or let go of just now.
#[test]
fn everything_is_taken_in_order() {
    explore(3, || {
        let queue = Queue::leaked();
        let worker = thread::spawn(|| {
            let mut taken = queue.take_all();
            taken.extend(queue.take_all());
            taken
        });
        for call in 1..=2 {
            queue.add(call);
            queue.seal();
        }
        queue.add(3);
        let mut taken = worker.join().unwrap();
        taken.extend(queue.take_all());
        assert!(taken.iter().copied().eq(1..=3), "{taken:?}");
    });
}

/// Who empties it after a fork finds it as the one before has left it.
#[test]
fn a_fork_takes_its_turn() {
    explore(3, || {
        let queue = Queue::leaked();
        queue.add(1);
        queue.seal();
        let worker = thread::spawn(|| queue.take_all());
        queue.hold_for_fork();
        queue.release_after_fork();
        let mut taken = queue.take_sealed();
        taken.extend(worker.join().unwrap());
        assert_once(taken, 1);
    });
}

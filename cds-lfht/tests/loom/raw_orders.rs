//! One memory order each: models in which exactly one pair of accesses, or one direction of it, makes the difference.
//!
//! Who looks runs in a spawned thread, and behind those that change something in the first execution: the model checker only
//! remembers the last access to an atomic.

use loom::sync::atomic::{AtomicUsize, Ordering};

use super::*;

struct Sent(NonNull<Node>);

// SAFETY: nodes are shared in the table anyway.
unsafe impl Send for Sent {}

/// Updates are full barriers, as the C library's are: two threads write a word each, change the same link, and read the other
/// one's word. Not both may have missed it.
///
/// `there_and_back` leaves the link as it was, by other exchanges; so what the other thread has seen there before is not what
/// its exchange finds.
fn barrier(there_and_back: fn(&Shared), change: fn(&Shared, NonNull<Node>)) {
    model(2, move || {
        let shared = Shared::new(1);
        let node = shared.add(0, 1);
        shared.add(2, 3);
        let words = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let other = {
            let (shared, words, node) = (Arc::clone(&shared), Arc::clone(&words), Sent(node));
            thread::spawn(move || {
                let Sent(node) = { node };
                words[0].store(1, Ordering::Relaxed);
                change(&shared, node);
                words[1].load(Ordering::Relaxed)
            })
        };
        words[1].store(1, Ordering::Relaxed);
        there_and_back(&shared);
        let seen = words[0].load(Ordering::Relaxed);
        assert!(other.join().unwrap() + seen != 0, "both have missed what the other one had written");
    });
}

/// In front of all nodes, and away again.
fn in_front(shared: &Shared) {
    let node = shared.node(5);
    // SAFETY: nothing is reclaimed; a fresh node.
    assert!(unsafe { shared.table().add_unique(0, node, has(5)) }.is_none());
    assert!(shared.del(node));
}

/// Behind the first node, and away again.
fn behind(shared: &Shared) {
    let node = shared.add(0, 5);
    assert!(shared.del(node));
}

#[test]
fn an_insertion_is_a_full_barrier() {
    barrier(in_front, |shared, _| assert!(shared.add_unique(0, 6)));
}

#[test]
fn a_removal_is_a_full_barrier() {
    barrier(behind, |shared, node| assert!(shared.del(node)));
}

#[test]
fn a_replacement_is_a_full_barrier() {
    barrier(behind, |shared, _| assert!(!shared.add_replace(0, 1)));
}

/// Who adds a key that is not there any more sees what was done before it went.
#[test]
fn a_removal_is_before_what_comes_in_its_place() {
    model(2, || {
        let shared = Shared::new(1);
        let old = shared.add(2, 20);
        let word = Arc::new(AtomicUsize::new(0));
        let adding = {
            let (shared, word) = (Arc::clone(&shared), Arc::clone(&word));
            thread::spawn(move || {
                let is_added = shared.add_unique(2, 20);
                assert!(!is_added || word.load(Ordering::Relaxed) == 1);
                is_added
            })
        };
        word.store(1, Ordering::Relaxed);
        assert!(shared.del(old));
        let is_added = adding.join().unwrap();
        assert_eq!(shared.finds(2, 20), usize::from(is_added));
    });
}

fn sweep(shared: &Shared) {
    // SAFETY: nothing is reclaimed.
    while unsafe { shared.table().model_sweep() } {}
}

fn begin_growth(shared: &Shared, goal: usize) {
    // SAFETY: nothing is reclaimed.
    unsafe { shared.table().model_begin_growth(goal) };
}

/// Who joins in finds the memory of the buckets, and the chunks that are left.
#[test]
fn a_growth_is_joined_by_whoever_finds_it() {
    model(2, || {
        let shared = Shared::new(1);
        shared.add(1, 2);
        let other = Arc::clone(&shared);
        let joining = thread::spawn(move || sweep(&other));
        begin_growth(&shared, 2);
        joining.join().unwrap();
        sweep(&shared);
        assert_eq!(shared.table().size(), 2);
        assert_eq!((shared.finds(1, 2), shared.all()), (1, vec![2]));
    });
}

/// The next growth begins where the last one has ended, and not where that began.
#[test]
fn a_growth_begins_behind_the_last_one() {
    model(2, || {
        let options = Options::new().initial(2).auto_resize(false).accounting(false).max(16);
        let options = options.memory(cds_lfht::raw::BucketMemory::Order);
        let shared = Arc::new(Shared { table: Some(Table::new(flavor(), options).unwrap()), made: Default::default() });
        begin_growth(&shared, 8);
        let other = Arc::clone(&shared);
        let next = thread::spawn(move || {
            // One step at least, hence not to this size if there are eight already.
            begin_growth(&other, 4);
            sweep(&other);
        });
        sweep(&shared);
        next.join().unwrap();
        sweep(&shared);
        let size = shared.table().size();
        assert!(size == 8 || size == 16, "{size} buckets after eight");
    });
}

/// A size is halved that no growth is just leaving, also if that begins and ends between two looks.
#[test]
fn the_size_that_a_growth_has_ended_with_is_halved() {
    model(2, || {
        let options = Options::new().initial(4).auto_resize(false).accounting(false).max(16);
        let options = options.memory(cds_lfht::raw::BucketMemory::Order);
        let shared = Arc::new(Shared { table: Some(Table::new(flavor(), options).unwrap()), made: Default::default() });
        let other = Arc::clone(&shared);
        let shrinking = thread::spawn(move || other.table().model_advance(2));
        // SAFETY: nothing is reclaimed.
        let has_grown = unsafe { shared.table().model_try_begin_growth(16) };
        sweep(&shared);
        let has_halved = shrinking.join().unwrap();
        let expected = match (has_grown, has_halved) {
            (true, false) => [16, 16],
            // Before the growth, which takes it back, or behind it.
            (true, true) => [8, 16],
            (false, _) => [2, 4],
        };
        let size = shared.table().size();
        assert!(expected.contains(&size), "{size} buckets: grown {has_grown}, halved {has_halved}");
    });
}

/// Half a size has the buckets of a growth that its finder has not seen.
#[test]
fn a_smaller_size_has_buckets_too() {
    model(2, || {
        let shared = Shared::new(2);
        shared.add(3, 2);
        let other = Arc::clone(&shared);
        let reader = thread::spawn(move || assert_eq!(other.finds(3, 2), 1));
        begin_growth(&shared, 8);
        sweep(&shared);
        shared.table().model_publish_half();
        reader.join().unwrap();
        assert_eq!(shared.table().size(), 4);
    });
}

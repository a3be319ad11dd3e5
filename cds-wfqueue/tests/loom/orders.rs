//! One memory order each: models in which exactly one pair of accesses, or one direction of it, makes the difference.
//!
//! Who only compares a word needs no order of it; who follows it does. So in most of these a thread comes to a node or a segment
//! that another thread has made, by one way alone.
//!
//! Who looks runs in a spawned thread, and behind those that change something in the first execution: the model checker, which only
//! remembers the last access to an atomic, would otherwise miss that a load and an exchange might have come in the other order.

use super::*;

// ---- a fixed array: one order of all changes of both ends ----

/// Two queues; each of two threads changes one and looks at the other one. Not both can have looked before the other one's change.
///
/// Both queues were in use before: the model checker knows no order of SeqCst with the value that an atomic begins with.
fn one_look_is_behind_the_other_change<V: 'static>(
    values: u64,
    change: impl Fn(&BoundedQueue<u64>) -> V + Copy + Send + Sync + 'static,
    has_missed: impl Fn(&BoundedQueue<u64>) -> bool + Copy + Send + Sync + 'static,
) {
    model(2, move || {
        let queues = Arc::new([BoundedQueue::new(2), BoundedQueue::new(2)]);
        for queue in &*queues {
            assert!(queue.enqueue(0).is_ok());
            assert!(queue.dequeue().is_some());
            (0..values).for_each(|value| assert!(queue.enqueue(value).is_ok()));
        }
        let other = {
            let queues = Arc::clone(&queues);
            thread::spawn(move || {
                change(&queues[0]);
                has_missed(&queues[1])
            })
        };
        change(&queues[1]);
        let mine = has_missed(&queues[0]);
        assert!(!(other.join().unwrap() && mine), "both have looked before the other one's change");
    });
}

#[test]
fn bounded_queue_empty_is_said_after_all_enqueues() {
    one_look_is_behind_the_other_change(0, |queue| queue.enqueue(1), |queue| queue.dequeue().is_none());
}

#[test]
fn bounded_queue_full_is_said_after_all_dequeues() {
    one_look_is_behind_the_other_change(2, BoundedQueue::dequeue, |queue| queue.enqueue(1).is_err());
}

#[test]
fn bounded_queue_is_empty_sees_all_enqueues() {
    one_look_is_behind_the_other_change(0, |queue| queue.enqueue(1), BoundedQueue::is_empty);
}

#[test]
fn bounded_queue_is_empty_sees_all_dequeues() {
    one_look_is_behind_the_other_change(1, BoundedQueue::dequeue, |queue| !queue.is_empty());
}

#[test]
fn bounded_queue_is_full_sees_all_dequeues() {
    one_look_is_behind_the_other_change(2, BoundedQueue::dequeue, BoundedQueue::is_full);
}

#[test]
fn bounded_queue_is_full_sees_all_enqueues() {
    one_look_is_behind_the_other_change(1, |queue| queue.enqueue(1), |queue| !queue.is_full());
}

#[test]
fn bounded_queue_len_sees_all_dequeues() {
    one_look_is_behind_the_other_change(1, BoundedQueue::dequeue, |queue| queue.len() == 1);
}

#[test]
fn bounded_queue_len_sees_all_enqueues() {
    one_look_is_behind_the_other_change(1, |queue| queue.enqueue(1), |queue| queue.len() == 1);
}

// ---- lock-free ----

/// A queue with `values`, of which as many as `taken` are gone.
fn lf_queue(values: u64, taken: u64) -> Arc<LfQueue<Watched>> {
    let queue = Arc::new(LfQueue::new(flavor()));
    (1..=values).for_each(|value| queue.enqueue(Watched::new(value), &INSIDE));
    (1..=taken).for_each(|value| assert_eq!(lf_take(&queue), Some(value)));
    queue
}

fn lf_take(queue: &LfQueue<Watched>) -> Option<u64> {
    queue.dequeue(&INSIDE).map(|value| value.value())
}

/// Takes the rest, and ends the model.
fn lf_end(queue: Arc<LfQueue<Watched>>, mut got: Vec<u64>, expected: &[u64]) {
    got.extend(std::iter::from_fn(|| lf_take(&queue)));
    got.sort_unstable();
    assert_eq!(got, expected);
    assert!(queue.is_empty(&INSIDE));
    drop(queue);
    end_grace_period();
}

/// Who has put a value finds one; so does everybody else, since no more are taken than were put before.
#[test]
fn lf_queue_says_empty_only_of_an_empty_queue() {
    model(2, || {
        let queue = lf_queue(1, 0);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || lf_take(&queue))
        };
        queue.enqueue(Watched::new(2), &INSIDE);
        let mine = lf_take(&queue);
        let got = vec![mine.expect("there are as many as are taken"), other.join().unwrap().expect("as above")];
        lf_end(queue, got, &[1, 2]);
    });
}

#[test]
fn lf_queue_is_empty_only_when_it_is() {
    model(2, || {
        let queue = lf_queue(1, 0);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert!(!queue.is_empty(&INSIDE), "one of two is taken"))
        };
        queue.enqueue(Watched::new(2), &INSIDE);
        let got = Vec::from_iter(lf_take(&queue));
        other.join().unwrap();
        lf_end(queue, got, &[1, 2]);
    });
}

#[test]
fn lf_queue_a_segment_is_found_by_the_tail() {
    model(2, || {
        let queue = lf_queue(2, 0);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.enqueue(Watched::new(5), &INSIDE))
        };
        (3..=4).for_each(|value| queue.enqueue(Watched::new(value), &INSIDE));
        other.join().unwrap();
        lf_end(queue, Vec::new(), &[1, 2, 3, 4, 5]);
    });
}

#[test]
fn lf_queue_a_segment_is_found_by_the_head() {
    model(2, || {
        let queue = lf_queue(2, 2);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || lf_take(&queue))
        };
        queue.enqueue(Watched::new(3), &INSIDE);
        let mut got = Vec::from_iter(lf_take(&queue));
        got.extend(other.join().unwrap());
        lf_end(queue, got, &[3]);
    });
}

/// A consumer that does not wait for a half done enqueue, and finds the value after all.
#[test]
fn lf_queue_a_skipped_slot_may_be_full() {
    model(3, || {
        let queue = lf_queue(0, 0);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.enqueue(Watched::new(1), &INSIDE))
        };
        let got = Vec::from_iter(lf_take(&queue));
        other.join().unwrap();
        lf_end(queue, got, &[1]);
    });
}

/// `puts` in one thread, a dequeue in a second and a third one: what the second one has found is found by the third one through
/// the head alone.
fn lfqueue_by_the_head(before: &'static [u64], taken: usize, puts: &'static [u64]) {
    model(2, move || {
        let queue = Arc::new(RawLf::new());
        before.iter().for_each(|&value| queue.put(value));
        (0..taken).for_each(|_| assert!(queue.take().is_some()));
        let others = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.take())
        });
        puts.iter().for_each(|&value| queue.put(value));
        let mut got: Vec<u64> = others.into_iter().filter_map(|other| other.join().unwrap()).collect();
        got.extend(std::iter::from_fn(|| queue.take()));
        got.sort_unstable();
        assert!(got.iter().eq(before[taken..].iter().chain(puts)));
        Arc::try_unwrap(queue).ok().expect("the others have ended").end();
    });
}

#[test]
fn lfqueue_two_nodes_behind_a_dummy_are_found_by_the_head() {
    lfqueue_by_the_head(&[], 0, &[1, 2]);
}

#[test]
fn lfqueue_a_node_in_place_of_a_dummy_is_found_by_the_head() {
    lfqueue_by_the_head(&[1], 0, &[2]);
}

/// The ordinary case of a dequeue: no dummy, and the tail is elsewhere.
#[test]
fn lfqueue_a_node_behind_a_node_is_found_by_the_head() {
    lfqueue_by_the_head(&[1, 2], 1, &[3, 4]);
}

/// A dequeuer puts the tail behind a node that it has found, or a dummy that it has made: an enqueue begins there.
#[test]
fn lfqueue_what_a_dequeue_left_is_found_by_the_tail() {
    model(2, || {
        let queue = Arc::new(RawLf::new());
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.put(1);
                queue.take()
            })
        };
        queue.put(2);
        let mut got = Vec::from_iter(other.join().unwrap());
        got.extend(std::iter::from_fn(|| queue.take()));
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        Arc::try_unwrap(queue).ok().expect("the other thread has ended").end();
    });
}

// ---- wfcqueue ----

impl RawQueue {
    /// Whether a value is left behind it.
    fn take_with_state(&self) -> Option<wfcqueue::State> {
        // SAFETY: each test has one consumer per queue.
        let (node, state) = unsafe { wfcqueue::dequeue_with_state_blocking(&self.0.0, &self.0.1) }?;
        // SAFETY: dequeued, and made by `put`.
        drop(unsafe { Box::from_raw(node.cast::<Item>().as_ptr()) });
        Some(state)
    }

    fn is_empty(&self) -> bool {
        wfcqueue::empty(&self.0.0, &self.0.1)
    }
}

/// `puts` values are enqueued and dequeued; another one comes meanwhile, from a second thread. When it came in time the queue
/// was not empty after the first enqueue: then nobody who has found it so finds it empty afterwards.
fn wfcqueue_empty_does_not_go_back(puts: u64) {
    model(2, move || {
        let queue = Arc::new(RawQueue::new());
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                (0..puts).for_each(|value| _ = queue.put(value));
                let states: Vec<_> = (0..puts).map(|_| queue.take_with_state()).collect();
                states.iter().all(|&state| state == Some(wfcqueue::State::More))
            })
        };
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || _ = queue.put(puts))
        };
        let goes_back = !queue.is_empty() && queue.is_empty();
        let was_never_empty = consumer.join().unwrap();
        producer.join().unwrap();
        assert!(!(goes_back && was_never_empty), "empty, although it was not");
        while queue.take().is_some() {}
    });
}

#[test]
fn wfcqueue_empty_knows_the_tail_of_what_it_has_found() {
    wfcqueue_empty_does_not_go_back(1);
}

#[test]
fn wfcqueue_empty_knows_the_tail_of_what_a_dequeue_has_left() {
    wfcqueue_empty_does_not_go_back(2);
}

#[test]
fn wfcqueue_walks_beside_enqueues() {
    model(2, || {
        let queue = Arc::new(RawQueue::new());
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (1..=2).for_each(|value| _ = queue.put(value)))
        };
        let (head, tail) = queue.ends();
        // SAFETY: nobody dequeues meanwhile.
        let nodes = unsafe { wfcqueue::iter(head, tail) };
        // SAFETY: made by `put`, and not dequeued yet.
        let got: Vec<u64> = nodes.map(|node| unsafe { node.cast::<Item>().as_ref() }.value.value()).collect();
        assert!([1, 2].starts_with(&got));
        producer.join().unwrap();
        assert_eq!(Vec::from_iter(std::iter::from_fn(|| queue.take())), [1, 2]);
    });
}

/// What was spliced is as good as enqueued: an enqueue behind it, and dequeues of all of it.
#[test]
fn wfcqueue_enqueues_behind_what_was_spliced() {
    model(2, || {
        let queue = Arc::new(RawQueue::new());
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (1..=2).for_each(|value| _ = queue.put(value)))
        };
        let own = RawQueue::new();
        // SAFETY: this thread is the only one that takes from either.
        let _ = unsafe { wfcqueue::splice_nonblocking(own.ends(), queue.ends()) };
        own.put(3);
        let mut got: Vec<u64> = std::iter::from_fn(|| own.take()).collect();
        assert_eq!(got.pop(), Some(3));
        producer.join().unwrap();
        got.extend(std::iter::from_fn(|| queue.take()));
        assert_eq!(got, [1, 2]);
    });
}

/// An empty node goes from the consumer to the producer, which fills it again.
#[test]
fn wfcqueue_nodes_that_are_offered_are_empty() {
    model(2, || {
        let (mut producer, mut consumer) = WfcQueue::new().split();
        assert!(producer.enqueue(Watched::new(1)).is_ok());
        let other = thread::spawn(move || assert!(producer.enqueue(Watched::new(2)).is_ok()));
        assert_eq!(consumer.dequeue().map(|it| it.value()), Some(1));
        other.join().unwrap();
        assert_eq!(consumer.dequeue().map(|it| it.value()), Some(2));
    });
}

// ---- segments ----

/// Two segments are put aside while a producer takes one of them.
#[test]
fn segment_queue_takes_a_segment_while_others_are_put_aside() {
    model(3, || {
        let queue = Arc::new(SegmentQueue::new());
        (0..6).for_each(|value| queue.enqueue(Watched::new(value)));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.enqueue(Watched::new(6)))
        };
        // The second segment is put aside by the fifth.
        for value in 0..5 {
            assert_eq!(queue.dequeue().map(|it| it.value()), Some(value));
        }
        producer.join().unwrap();
        (7..11).for_each(|value| queue.enqueue(Watched::new(value)));
        assert!(std::iter::from_fn(|| queue.dequeue()).map(|it| it.value()).eq(5..11));
    });
}

/// A producer claims a slot in a segment that another one has installed.
#[test]
fn segment_queue_a_segment_is_found_by_the_tail() {
    model(2, || {
        let queue = Arc::new(SegmentQueue::new());
        (0..2).for_each(|value| queue.enqueue(Watched::new(value)));
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.enqueue(Watched::new(2)))
        };
        queue.enqueue(Watched::new(3));
        other.join().unwrap();
        let mut got: Vec<u64> = std::iter::from_fn(|| queue.dequeue()).map(|it| it.value()).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
    });
}

//! The checker accepts what is linearizable and refuses what is not.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use structure_conformance::linearizability::{
    Call, Clock, History, Map, MapOp, MapRet, Model, MultiMap, MultiMapOp, MultiMapRet, Queue, QueueOp, QueueRet,
    Register, RegisterOp, RegisterRet, Rounds, Stack, StackOp, StackRet,
};
use structure_conformance::seed::Random;
use structure_conformance::{Mb, on_every_flavor};

/// Thread, invocation, return, operation, result.
type Row<M> = (usize, u64, u64, <M as Model>::Op, <M as Model>::Ret);

fn history<M: Model + Default>(rows: impl IntoIterator<Item = Row<M>>) -> History<M> {
    let call = |(thread, invoked, returned, op, ret)| Call { thread, invoked, returned, op, ret };
    History::new(M::default(), rows.into_iter().map(call))
}

fn accepted<M: Model + Default>(rows: impl IntoIterator<Item = Row<M>>) -> bool {
    history::<M>(rows).check().is_ok()
}

const DONE: QueueRet = QueueRet::Done;

#[test]
fn overlapping_calls_may_take_effect_in_either_order() {
    let taken = |value| {
        [
            (0, 0, 3, QueueOp::Enqueue(1), DONE),
            (1, 1, 2, QueueOp::Enqueue(2), DONE),
            (0, 4, 5, QueueOp::Dequeue, QueueRet::One(value)),
        ]
    };
    assert!(accepted::<Queue>(taken(Some(1))));
    assert!(accepted::<Queue>(taken(Some(2))));
    assert!(!accepted::<Queue>(taken(None)));
    assert!(!accepted::<Queue>(taken(Some(3))));
}

#[test]
fn calls_that_do_not_overlap_keep_their_order() {
    let rows = |value| {
        [
            (0, 0, 1, QueueOp::Enqueue(1), DONE),
            (1, 2, 3, QueueOp::Enqueue(2), DONE),
            (0, 4, 5, QueueOp::Dequeue, QueueRet::One(value)),
        ]
    };
    assert!(accepted::<Queue>(rows(Some(1))));
    assert!(!accepted::<Queue>(rows(Some(2))));
}

#[test]
fn an_element_taken_twice_is_refused() {
    assert!(!accepted::<Queue>([
        (0, 0, 1, QueueOp::Enqueue(1), DONE),
        (0, 2, 5, QueueOp::Dequeue, QueueRet::One(Some(1))),
        (1, 3, 4, QueueOp::Dequeue, QueueRet::One(Some(1))),
    ]));
}

#[test]
fn a_lost_element_is_missed_by_draining() {
    let rows = |all| {
        [
            (0, 0, 2, QueueOp::EnqueueTelling(1), QueueRet::WasEmpty(true)),
            (1, 1, 3, QueueOp::EnqueueTelling(2), QueueRet::WasEmpty(false)),
            (0, 4, 5, QueueOp::Drain, QueueRet::All(all)),
        ]
    };
    assert!(accepted::<Queue>(rows(vec![1, 2])));
    assert!(!accepted::<Queue>(rows(vec![2, 1])));
    assert!(!accepted::<Queue>(rows(vec![1])));
}

#[test]
fn a_stale_read_is_refused() {
    let rows = |read| {
        [
            (0, 0, 5, RegisterOp::Write(Some(1)), RegisterRet::Done),
            (1, 1, 2, RegisterOp::Read, RegisterRet::Value(Some(1))),
            (2, 3, 4, RegisterOp::Read, RegisterRet::Value(read)),
        ]
    };
    assert!(accepted::<Register>(rows(Some(1))));
    // New, then old: each read alone could be explained.
    assert!(!accepted::<Register>(rows(None)));
}

#[test]
fn both_of_two_exchanges_cannot_succeed() {
    let exchange = |value| RegisterOp::CompareExchange(None, Some(value));
    assert!(!accepted::<Register>([
        (0, 0, 2, exchange(1), RegisterRet::Exchanged),
        (1, 1, 3, exchange(2), RegisterRet::Exchanged)
    ]));
    assert!(accepted::<Register>([
        (0, 0, 2, exchange(1), RegisterRet::Value(Some(2))),
        (1, 1, 3, exchange(2), RegisterRet::Exchanged)
    ]));
}

#[test]
fn stacks_give_back_the_latest() {
    let rows = |first, rest| {
        [
            (0, 0, 1, StackOp::Push(1), StackRet::Done),
            (0, 2, 3, StackOp::Push(2), StackRet::Done),
            (0, 4, 5, StackOp::Pop, StackRet::One(first)),
            (0, 6, 7, StackOp::PopAll, StackRet::All(rest)),
        ]
    };
    assert!(accepted::<Stack>(rows(Some(2), vec![1])));
    assert!(!accepted::<Stack>(rows(Some(1), vec![2])));
    assert!(accepted::<Stack>([
        (0, 0, 2, StackOp::Push(1), StackRet::Done),
        (1, 1, 3, StackOp::IsEmpty, StackRet::WasEmpty(true))
    ]));
    assert!(!accepted::<Stack>([
        (0, 0, 1, StackOp::Push(1), StackRet::Done),
        (1, 2, 3, StackOp::Peek, StackRet::One(None))
    ]));
}

#[test]
fn maps_have_one_value_per_key() {
    let both = |second| {
        [
            (0, 0, 2, MapOp::InsertIfAbsent(7, 1), MapRet::Value(None)),
            (1, 1, 3, MapOp::InsertIfAbsent(7, 2), MapRet::Value(second)),
            (0, 4, 5, MapOp::Remove(7), MapRet::Value(Some(1))),
            (0, 6, 7, MapOp::Get(7), MapRet::Value(None)),
            (0, 8, 9, MapOp::Replace(7, 3), MapRet::Value(None)),
            (0, 10, 11, MapOp::Len, MapRet::Len(0)),
        ]
    };
    assert!(accepted::<Map>(both(Some(1))));
    assert!(!accepted::<Map>(both(None)));
}

#[test]
fn any_value_of_a_key_may_be_found_but_no_other() {
    let rows = |any, removed| {
        [
            (0, 0, 1, MultiMapOp::Add(7, 1), MultiMapRet::Done),
            (0, 2, 3, MultiMapOp::Add(7, 2), MultiMapRet::Done),
            (1, 4, 5, MultiMapOp::Any(7), MultiMapRet::One(any)),
            (1, 6, 7, MultiMapOp::RemoveAny(7), MultiMapRet::One(removed)),
            (1, 8, 9, MultiMapOp::All(7), MultiMapRet::All(vec![1])),
        ]
    };
    assert!(accepted::<MultiMap>(rows(Some(1), Some(2))));
    assert!(accepted::<MultiMap>(rows(Some(2), Some(2))));
    assert!(!accepted::<MultiMap>(rows(Some(2), Some(1))));
    assert!(!accepted::<MultiMap>(rows(Some(3), Some(2))));
    assert!(!accepted::<MultiMap>(rows(None, Some(2))));
}

#[test]
fn a_refusal_shows_the_history() {
    let refused =
        history::<Queue>([(0, 0, 1, QueueOp::Enqueue(41), DONE), (1, 2, 3, QueueOp::Dequeue, QueueRet::One(Some(42)))]);
    let text = refused.check().expect_err("42 was never there").to_string();
    for part in ["thread 0: Enqueue(41) -> Done", "thread 1: Dequeue -> One(Some(42))", "none of these may be next"] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

/// Every order of four calls is tried by brute force: the search must agree.
#[test]
fn the_search_agrees_with_trying_all_orders() {
    let mut random = Random::new(0x0C);
    let mut verdicts = [0; 2];
    for _ in 0..20_000 {
        // Random stamps: a permutation of 0..8, two for each call; each call may also be of any thread.
        let mut stamps: Vec<u64> = (0..8).collect();
        (1..8).rev().for_each(|last| stamps.swap(last, random.below(last as u64 + 1) as usize));
        let rows: Vec<Row<Queue>> = (0..4)
            .map(|call| {
                let [a, b] = [stamps[2 * call], stamps[2 * call + 1]];
                let (op, ret) = match random.below(3) {
                    0 => (QueueOp::Enqueue(call as u64), DONE),
                    1 => (QueueOp::Dequeue, QueueRet::One(None)),
                    _ => (QueueOp::Dequeue, QueueRet::One(Some(random.below(4)))),
                };
                (call, a.min(b), a.max(b), op, ret)
            })
            .collect();
        let expected = permutations(4).into_iter().any(|order| explains(&order, &rows));
        assert_eq!(accepted::<Queue>(rows.clone()), expected, "{rows:?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|&seen| seen > 1000), "too few of one kind: {verdicts:?}");
}

fn explains(order: &[usize], rows: &[Row<Queue>]) -> bool {
    let in_time = order
        .iter()
        .enumerate()
        .all(|(place, &call)| order[..place].iter().all(|&earlier| rows[earlier].1 < rows[call].2));
    let mut queue = Queue::default();
    in_time && order.iter().all(|&call| queue.apply(&rows[call].3) == rows[call].4)
}

fn permutations(length: usize) -> Vec<Vec<usize>> {
    let Some(last) = length.checked_sub(1) else { return vec![vec![]] };
    let insert = |order: Vec<usize>| {
        (0..length).map(move |place| {
            let mut longer = order.clone();
            longer.insert(place, last);
            longer
        })
    };
    permutations(last).into_iter().flat_map(insert).collect()
}

#[test]
fn a_history_of_the_full_length_is_checked() {
    let clock = Clock::new();
    let queue = Mutex::new(VecDeque::new());
    let logs = std::thread::scope(|scope| {
        let work = |thread: u64| {
            let mut recorder = clock.recorder::<Queue>(thread as usize);
            for call in 0..16 {
                let op = if call % 2 == 0 { QueueOp::Enqueue(thread * 100 + call) } else { QueueOp::Dequeue };
                recorder.call(op, |op| locked(&queue, op));
            }
            recorder.into_calls()
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    History::new(Queue::default(), logs).assert_linearizable();
}

fn locked(queue: &Mutex<VecDeque<u64>>, op: &QueueOp) -> QueueRet {
    let mut queue = queue.lock().expect("no panics");
    match *op {
        QueueOp::Enqueue(value) => {
            queue.push_back(value);
            QueueRet::Done
        }
        QueueOp::Dequeue => QueueRet::One(queue.pop_front()),
        _ => QueueRet::All(queue.drain(..).collect()),
    }
}

fn queue_op(choice: &mut structure_conformance::linearizability::Choice) -> QueueOp {
    if choice.random.once_in(2) { QueueOp::Enqueue(choice.value()) } else { QueueOp::Dequeue }
}

on_every_flavor! {
    fn a_locked_queue_is_linearizable<F>() {
        let fresh = |_: &mut Random| (Queue::default(), Mutex::default());
        let concurrent = Rounds::<Queue>::new(500).closing([QueueOp::Drain])
            .run::<F, _>(fresh, queue_op, |queue, _, op| locked(queue, op));
        println!("{concurrent} rounds of 500 were concurrent");
    }

    /// A call may wait for a grace period: threads are offline where they wait for each other.
    fn calls_may_wait_for_grace_periods<F>() {
        Rounds::<Register>::new(20).closing([RegisterOp::Read]).run::<F, _>(
            |random| {
                let start = random.below(10);
                (Register(Some(start)), AtomicU64::new(start))
            },
            |choice| if choice.random.once_in(4) { RegisterOp::Swap(Some(choice.value())) } else { RegisterOp::Read },
            |register, thread, op| match *op {
                RegisterOp::Swap(Some(value)) => {
                    let was = register.swap(value, Ordering::AcqRel);
                    thread.synchronize();
                    RegisterRet::Value(Some(was))
                }
                _ => RegisterRet::Value(Some(register.load(Ordering::Acquire))),
            },
        );
    }
}

/// A counter that forgets increments between its load and its store.
#[test]
fn a_race_is_found() {
    let lost_updates = || {
        Rounds::<Register>::new(1_000_000).run::<Mb, _>(
            |_| (Register(Some(0)), AtomicU64::new(0)),
            |choice| RegisterOp::Swap(Some(choice.value())),
            |register, _, op| {
                let RegisterOp::Swap(Some(value)) = *op else { unreachable!("chosen above") };
                let was = register.load(Ordering::Acquire);
                std::thread::yield_now();
                register.store(value, Ordering::Release);
                RegisterRet::Value(Some(was))
            },
        )
    };
    let failure = catch_unwind(AssertUnwindSafe(lost_updates)).expect_err("two swaps can return the same value");
    let text = failure.downcast_ref::<String>().expect("a message");
    assert!(text.contains("not linearizable") && text.contains("URCU_SEED="), "{text}");
}

#[test]
fn a_call_that_panics_ends_the_rounds() {
    let one_panics = || {
        Rounds::<Queue>::new(100).run::<Mb, _>(
            |_| (Queue::default(), Mutex::default()),
            queue_op,
            |queue, _, op| {
                if let QueueOp::Enqueue(101) = op {
                    std::panic::resume_unwind(Box::new("as the test wants it"));
                }
                locked(queue, op)
            },
        )
    };
    assert!(catch_unwind(AssertUnwindSafe(one_panics)).is_err());
}

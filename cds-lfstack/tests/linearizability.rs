//! Recorded histories of every stack, explained by a sequential one.
#![cfg(not(urcu_loom))]

use cds_lfstack::raw::{LfsStack, WfsStack};
use cds_lfstack::{Kind, LfStack, LockedStack, Serial, WfStack};
use structure_conformance::linearizability::{Choice, Rounds, Stack, StackOp, StackRet};
use structure_conformance::{Membarrier, Thread, on_every_flavor, within_limit};

const ROUNDS: u64 = 400;

fn choose(choice: &mut Choice) -> StackOp {
    match choice.random.below(16) {
        0..5 => StackOp::PushTelling(choice.value()),
        5..7 => StackOp::Push(choice.value()),
        7..12 => StackOp::Pop,
        12..14 => StackOp::PopAll,
        _ => StackOp::IsEmpty,
    }
}

/// Inside a call: lets others run now and then, so that calls overlap on few and busy cores, too.
fn dawdle() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
        std::thread::yield_now();
    }
}

fn rounds() -> Rounds<Stack> {
    Rounds::new(ROUNDS).calls(6).closing([StackOp::Pop, StackOp::PopAll, StackOp::IsEmpty])
}

on_every_flavor! {
    fn lock_free<F>() {
        let concurrent = rounds().run::<F, _>(
            |_| (Stack::default(), LfStack::new(F::vtable())),
            choose,
            |stack, thread: &mut Thread<F>, op| {
                dawdle();
                match *op {
                StackOp::PushTelling(value) => StackRet::WasEmpty(!stack.push(value)),
                StackOp::Push(value) => {
                    stack.push_all([value]);
                    StackRet::Done
                }
                StackOp::PopAll => StackRet::All(stack.pop_all().collect()),
                StackOp::IsEmpty => StackRet::WasEmpty(stack.is_empty()),
                _ => StackRet::One(stack.pop(&thread.read_lock())),
                }
            },
        );
        assert_ne!(concurrent, 0, "no calls overlapped");
    }

    fn wait_free<F>() {
        let concurrent = rounds().run::<F, _>(
            |_| (Stack::default(), WfStack::new(F::vtable())),
            choose,
            |stack, thread: &mut Thread<F>, op| {
                dawdle();
                match *op {
                StackOp::PushTelling(value) => StackRet::WasEmpty(!stack.push(value)),
                StackOp::Push(value) => {
                    stack.push_all([value]);
                    StackRet::Done
                }
                StackOp::PopAll => StackRet::All(stack.pop_all().collect()),
                StackOp::IsEmpty => StackRet::WasEmpty(stack.is_empty()),
                _ => loop {
                    if let Ok(popped) = stack.try_pop(&thread.read_lock()) {
                        break StackRet::One(popped);
                    }
                },
                }
            },
        );
        assert_ne!(concurrent, 0, "no calls overlapped");
    }
}

fn serial<K: Kind + 'static>() {
    let concurrent = rounds().run::<Membarrier, _>(
        |_| (Stack::default(), cds_lfstack::Stack::<K, u64, Serial>::default()),
        |choice| match choose(choice) {
            // Its answer is about what no consumer has taken yet.
            StackOp::PushTelling(value) => StackOp::Push(value),
            StackOp::Pop if choice.random.once_in(3) => StackOp::Peek,
            op => op,
        },
        |stack, _, op| {
            dawdle();
            match *op {
                StackOp::Push(value) => {
                    stack.push(value);
                    StackRet::Done
                }
                StackOp::PopAll => StackRet::All(stack.pop_all().collect()),
                StackOp::IsEmpty => StackRet::WasEmpty(stack.is_empty()),
                StackOp::Peek => StackRet::One(stack.consumer().peek().copied()),
                _ => StackRet::One(stack.pop()),
            }
        },
    );
    assert_ne!(concurrent, 0, "no calls overlapped");
}

#[test]
fn one_consumer_at_a_time() {
    within_limit("one_consumer_at_a_time", || {
        serial::<LfsStack>();
        serial::<WfsStack>();
    });
}

#[test]
fn locked() {
    within_limit("locked", || {
        rounds().run::<Membarrier, _>(
            |_| (Stack::default(), LockedStack::new()),
            choose,
            |stack, _, op| {
                dawdle();
                match *op {
                    StackOp::PushTelling(value) => StackRet::WasEmpty(!stack.push(value)),
                    StackOp::Push(value) => {
                        stack.push_all([value]);
                        StackRet::Done
                    }
                    StackOp::PopAll => StackRet::All(stack.pop_all().collect()),
                    StackOp::IsEmpty => StackRet::WasEmpty(stack.is_empty()),
                    _ => StackRet::One(stack.pop()),
                }
            },
        );
    });
}

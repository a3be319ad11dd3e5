//! Every stack against a vector: random programs, shrunk when they fail.
#![cfg(not(urcu_loom))]
#![allow(clippy::vec_box, reason = "the boxes are the values")]

use cds_lfstack::raw::{LfsStack, WfsStack};
use cds_lfstack::{Kind, LfStack, LockedStack, Serial, Stack, WfStack};
use proptest::prelude::*;
use structure_conformance::{Membarrier, Tested};

#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    PushAll(Vec<u8>),
    Pop,
    TryPop,
    PopAll,
    /// Of everything, some is taken, the rest dropped.
    PopSome(usize),
    IsEmpty,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<u8>().prop_map(Step::Push),
        2 => proptest::collection::vec(any::<u8>(), 0..6).prop_map(Step::PushAll),
        5 => Just(Step::Pop),
        2 => Just(Step::TryPop),
        1 => Just(Step::PopAll),
        1 => (0..5_usize).prop_map(Step::PopSome),
        1 => Just(Step::IsEmpty),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What the programs use of a stack; values are boxed, so that a lost or doubled one is a leak or a double free.
trait Subject {
    /// Whether something was below it, where that is the answer.
    fn push(&mut self, value: Box<u8>) -> Option<bool>;
    fn push_all(&mut self, values: Vec<Box<u8>>);
    fn pop(&mut self) -> Option<Box<u8>>;
    fn try_pop(&mut self) -> Option<Box<u8>> {
        self.pop()
    }
    fn pop_some(&mut self, count: usize) -> Vec<Box<u8>>;
    fn is_empty(&self) -> bool;
    fn into_values(self) -> Vec<Box<u8>>;
}

macro_rules! guarded {
    ($stack:ident, |$this:ident, $guard:ident| $try_pop:expr) => {
        impl Subject for $stack<Box<u8>> {
            fn push(&mut self, value: Box<u8>) -> Option<bool> {
                Some($stack::push(self, value))
            }
            fn push_all(&mut self, values: Vec<Box<u8>>) {
                $stack::push_all(self, values);
            }
            fn pop(&mut self) -> Option<Box<u8>> {
                let guard = self.flavor().pin();
                $stack::pop(self, &guard)
            }
            fn try_pop(&mut self) -> Option<Box<u8>> {
                let $guard = self.flavor().pin();
                let $this = self;
                $try_pop
            }
            fn pop_some(&mut self, count: usize) -> Vec<Box<u8>> {
                self.pop_all().take(count).collect()
            }
            fn is_empty(&self) -> bool {
                $stack::is_empty(self)
            }
            fn into_values(self) -> Vec<Box<u8>> {
                self.into_iter().collect()
            }
        }
    };
}

guarded!(LfStack, |this, guard| LfStack::pop(this, &guard));
guarded!(WfStack, |this, guard| WfStack::try_pop(this, &guard).expect("one thread"));

impl<K: Kind> Subject for Stack<K, Box<u8>, Serial> {
    fn push(&mut self, value: Box<u8>) -> Option<bool> {
        Stack::push(self, value);
        None
    }
    fn push_all(&mut self, values: Vec<Box<u8>>) {
        Stack::push_all(self, values);
    }
    fn pop(&mut self) -> Option<Box<u8>> {
        (*self).consumer().pop()
    }
    fn try_pop(&mut self) -> Option<Box<u8>> {
        let mut consumer = self.consumer();
        let top = consumer.peek().map(|value| **value);
        let popped = consumer.try_pop().expect("one thread");
        assert_eq!(top, popped.as_deref().copied());
        popped
    }
    fn pop_some(&mut self, count: usize) -> Vec<Box<u8>> {
        self.consumer().pop_all().take(count).collect()
    }
    fn is_empty(&self) -> bool {
        Stack::is_empty(self)
    }
    fn into_values(self) -> Vec<Box<u8>> {
        self.into_iter().collect()
    }
}

impl Subject for LockedStack<Box<u8>> {
    fn push(&mut self, value: Box<u8>) -> Option<bool> {
        Some(LockedStack::push(self, value))
    }
    fn push_all(&mut self, values: Vec<Box<u8>>) {
        LockedStack::push_all(self, values);
    }
    fn pop(&mut self) -> Option<Box<u8>> {
        LockedStack::pop(self)
    }
    fn pop_some(&mut self, count: usize) -> Vec<Box<u8>> {
        self.pop_all().take(count).collect()
    }
    fn is_empty(&self) -> bool {
        LockedStack::is_empty(self)
    }
    fn into_values(self) -> Vec<Box<u8>> {
        self.into_iter().collect()
    }
}

fn run<S: Subject>(mut stack: S, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model: Vec<u8> = Vec::new();
    for step in steps {
        match step {
            Step::Push(value) => {
                if let Some(below) = stack.push(Box::new(*value)) {
                    prop_assert_eq!(below, !model.is_empty());
                }
                model.push(*value);
            }
            Step::PushAll(values) => {
                stack.push_all(values.iter().copied().map(Box::new).collect());
                model.extend(values);
            }
            Step::Pop => prop_assert_eq!(stack.pop().map(|value| *value), model.pop()),
            Step::TryPop => prop_assert_eq!(stack.try_pop().map(|value| *value), model.pop()),
            Step::PopAll | Step::PopSome(_) => {
                let count = if let Step::PopSome(count) = step { *count } else { usize::MAX };
                let values: Vec<u8> = stack.pop_some(count).into_iter().map(|value| *value).collect();
                let expected: Vec<u8> = model.drain(..).rev().take(count).collect();
                prop_assert_eq!(values, expected);
            }
            Step::IsEmpty => prop_assert_eq!(stack.is_empty(), model.is_empty()),
        }
    }
    prop_assert_eq!(stack.is_empty(), model.is_empty());
    let left: Vec<u8> = stack.into_values().into_iter().map(|value| *value).collect();
    prop_assert_eq!(left, model.into_iter().rev().collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn behaves_like_a_vector(steps in steps()) {
        // Once per thread; later cases of the same thread find it registered.
        let _thread = structure_conformance::Thread::<Membarrier>::register();
        run(LfStack::new(Membarrier::vtable()), &steps)?;
        run(WfStack::new(Membarrier::vtable()), &steps)?;
        run(Stack::<LfsStack, _, Serial>::default(), &steps)?;
        run(Stack::<WfsStack, _, Serial>::default(), &steps)?;
        run(LockedStack::new(), &steps)?;
    }
}

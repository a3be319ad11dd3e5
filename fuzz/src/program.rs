//! What programs are made of, and how they are made up.

use proptest::collection::vec;
use proptest::prelude::*;
use structure_conformance::linearizability::{MapOp, QueueOp, RegisterOp, StackOp};

/// Threads of a program.
pub const THREADS: usize = 3;
/// Few keys, so that threads meet.
const KEYS: u64 = 4;

/// One access to one structure, inside a section. Values that are put in are numbered when the program runs.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named after the structures")]
pub enum Access {
    Map(MapOp),
    List(MapOp),
    Queue(QueueOp),
    Stack(StackOp),
    Pointer(RegisterOp),
}

/// What a thread does.
#[derive(Clone, Debug)]
pub enum Step {
    /// A section with these accesses; the inner ones have a nested section of their own.
    Section {
        /// Before, and looked at again at the end.
        outer: Vec<Access>,
        /// In the nested section.
        inner: Vec<Access>,
    },
    /// Waits for a grace period.
    Synchronize,
    /// Announces a quiescent state.
    Quiescent,
    /// Is offline for a moment.
    Offline,
    /// Defers a call.
    Defer,
    /// Waits for all deferred calls.
    Barrier,
    /// Starts a grace period, asks for a while, and waits.
    Poll,
    /// Ends its registration and begins another.
    Again,
}

/// What all threads do.
pub type Program = [Vec<Step>; THREADS];

fn access() -> impl Strategy<Value = Access> {
    let map = |key: u64, what: u8| match what {
        0..3 => MapOp::Get(key),
        3..5 => MapOp::Insert(key, 0),
        5 => MapOp::InsertIfAbsent(key, 0),
        6 => MapOp::Replace(key, 0),
        _ => MapOp::Remove(key),
    };
    let list = |key: u64, what: u8| match what {
        0..3 => MapOp::Get(key),
        3..6 => MapOp::InsertIfAbsent(key, 0),
        _ => MapOp::Remove(key),
    };
    prop_oneof![
        3 => (0..KEYS, 0..9u8).prop_map(move |(key, what)| Access::Map(map(key, what))),
        2 => (0..KEYS, 0..9u8).prop_map(move |(key, what)| Access::List(list(key, what))),
        2 => prop_oneof![4 => Just(QueueOp::Enqueue(0)), 4 => Just(QueueOp::Dequeue), 1 => Just(QueueOp::IsEmpty)]
            .prop_map(Access::Queue),
        2 => prop_oneof![4 => Just(StackOp::Push(0)), 4 => Just(StackOp::Pop), 1 => Just(StackOp::PopAll)]
            .prop_map(Access::Stack),
        2 => prop_oneof![3 => Just(RegisterOp::Read), 2 => Just(RegisterOp::Swap(Some(0))), 1 => Just(RegisterOp::Write(None))]
            .prop_map(Access::Pointer),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (vec(access(), 0..4), vec(access(), 0..2)).prop_map(|(outer, inner)| Step::Section { outer, inner }),
        2 => Just(Step::Synchronize),
        2 => Just(Step::Quiescent),
        1 => Just(Step::Offline),
        2 => Just(Step::Defer),
        1 => Just(Step::Barrier),
        1 => Just(Step::Poll),
        1 => Just(Step::Again),
    ]
}

/// Any program that is short enough for its histories to be checked.
pub fn programs() -> impl Strategy<Value = Program> {
    [vec(step(), 1..7), vec(step(), 1..7), vec(step(), 1..7)]
}

//! Linearizability: recording what concurrent calls return, and checking it against a sequential model.
//!
//! A history is linearizable if its calls can be put into one order such that each took effect at one moment between
//! its invocation and its return, and each returned what the sequential [`Model`] returns in that order (Herlihy and
//! Wing 1990). The checker searches for such an order as Wing and Gong do (1993), and remembers the pairs (calls placed,
//! state) that lead nowhere, as Lowe does (2017): so what it looks at is bounded by the number of such pairs.
//!
//! A test is [`Rounds::run`]: many short histories of a fresh structure each. Short ones find more than long ones, since
//! a wrong result is rarely excused by another order of a dozen calls, and they are checked in microseconds.
//!
//! The clock is one counter that every call increments before and after. That orders calls which do not overlap, so it
//! hides a missing barrier *between* two calls; what is missing inside one is found. Stress tests without a clock
//! and the model checker are there for the rest.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

mod models;
mod rounds;

pub use models::{
    Map, MapOp, MapRet, MultiMap, MultiMapOp, MultiMapRet, Queue, QueueOp, QueueRet, Register, RegisterOp, RegisterRet,
    Stack, StackOp, StackRet,
};
pub use rounds::{Choice, Rounds};

/// What a structure does when one thread uses it: its state, with a function from operation to result.
pub trait Model: Clone + Eq + Hash {
    /// An operation with its arguments.
    type Op: Clone + Debug;
    /// What it returns.
    type Ret: Clone + PartialEq + Debug;

    /// Performs `op`.
    fn apply(&mut self, op: &Self::Op) -> Self::Ret;

    /// Performs `op` if it may return `ret` here; else the state does not matter any more. To be replaced where more than
    /// one result is right.
    fn accepts(&mut self, op: &Self::Op, ret: &Self::Ret) -> bool {
        self.apply(op) == *ret
    }
}

/// The clock of a history.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// At zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn tick(&self) -> u64 {
        // SeqCst: a call whose return was stamped before another's invocation has really ended before it.
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// The log of a thread, empty.
    pub fn recorder<M: Model>(&self, thread: usize) -> Recorder<'_, M> {
        Recorder { clock: self, thread, calls: Vec::new() }
    }
}

/// The calls of one thread.
#[derive(Debug)]
pub struct Recorder<'c, M: Model> {
    clock: &'c Clock,
    thread: usize,
    calls: Vec<Call<M>>,
}

impl<M: Model> Recorder<'_, M> {
    /// Runs `run` and records it as `op`.
    pub fn call(&mut self, op: M::Op, run: impl FnOnce(&M::Op) -> M::Ret) -> M::Ret {
        // The log's memory is there before the call begins, so the call is not prolonged by it.
        self.calls.reserve(1);
        let invoked = self.clock.tick();
        let ret = run(&op);
        let returned = self.clock.tick();
        self.calls.push(Call { thread: self.thread, invoked, returned, op, ret: ret.clone() });
        ret
    }

    /// What was recorded.
    pub fn into_calls(self) -> Vec<Call<M>> {
        self.calls
    }
}

/// A call that has returned.
pub struct Call<M: Model> {
    /// The thread that made it.
    pub thread: usize,
    /// When it began, by the history's clock.
    pub invoked: u64,
    /// When it ended.
    pub returned: u64,
    /// What was called.
    pub op: M::Op,
    /// What it returned.
    pub ret: M::Ret,
}

impl<M: Model> Clone for Call<M> {
    fn clone(&self) -> Self {
        Self { op: self.op.clone(), ret: self.ret.clone(), ..*self }
    }
}

impl<M: Model> Debug for Call<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, invoked, returned, op, ret } = self;
        write!(f, "[{invoked:3} ..{returned:3}] thread {thread}: {op:?} -> {ret:?}")
    }
}

/// What several threads have done to one structure.
#[derive(Debug)]
pub struct History<M: Model> {
    start: M,
    /// In the order of their invocations.
    calls: Vec<Call<M>>,
}

impl<M: Model> History<M> {
    /// The most calls that a history may have.
    pub const LONGEST: usize = 64;
    /// The most pairs (calls placed, state) that are looked at. Three threads with twenty calls each have 9261 sets of
    /// calls placed.
    const MOST_PAIRS: usize = 1 << 21;

    /// The calls of all threads on a structure that was in state `start`.
    ///
    /// # Panics
    ///
    /// When there are more than [`LONGEST`](Self::LONGEST).
    pub fn new(start: M, calls: impl IntoIterator<Item = Call<M>>) -> Self {
        let mut calls: Vec<_> = calls.into_iter().collect();
        assert!(calls.len() <= Self::LONGEST, "a history of {} calls takes too long to check", calls.len());
        calls.sort_by_key(|call| call.invoked);
        Self { start, calls }
    }

    /// Whether some calls of different threads overlap; without, the history says nothing about concurrency.
    pub fn is_concurrent(&self) -> bool {
        // Sorted by invocation: if any two calls overlap, two neighbours do.
        self.calls.windows(2).any(|pair| pair[1].invoked < pair[0].returned)
    }

    /// An order of the calls (indices into the calls sorted by invocation) that explains their results.
    ///
    /// # Errors
    ///
    /// There is none: what could be explained at most.
    ///
    /// # Panics
    ///
    /// When the search becomes too long: the history has too many calls at a time.
    pub fn check(&self) -> Result<Vec<usize>, NotLinearizable<'_, M>> {
        let mut search = Search {
            calls: &self.calls,
            before: self.calls.iter().map(|call| self.ended_before(call)).collect(),
            failed: HashSet::new(),
            order: Vec::new(),
            longest: Vec::new(),
        };
        if search.extend(0, &self.start) {
            Ok(search.order)
        } else {
            Err(NotLinearizable { history: self, longest: search.longest })
        }
    }

    /// Panics with the history unless it is linearizable.
    #[track_caller]
    pub fn assert_linearizable(&self) {
        if let Err(refused) = self.check() {
            panic!("{refused}");
        }
    }

    /// The calls, as a set, that ended before `call` began.
    fn ended_before(&self, call: &Call<M>) -> u64 {
        let earlier = |(index, other): (usize, &Call<M>)| u64::from(other.returned < call.invoked) << index;
        self.calls.iter().enumerate().map(earlier).sum()
    }
}

/// Depth first; `order` is the path.
struct Search<'h, M: Model> {
    calls: &'h [Call<M>],
    before: Vec<u64>,
    failed: HashSet<(u64, M)>,
    order: Vec<usize>,
    longest: Vec<usize>,
}

impl<M: Model> Search<'_, M> {
    /// Whether the calls that are not in `placed` can follow in `state`. As deep as there are calls.
    fn extend(&mut self, placed: u64, state: &M) -> bool {
        if self.order.len() > self.longest.len() {
            self.longest.clone_from(&self.order);
        }
        if self.order.len() == self.calls.len() {
            return true;
        }
        for (index, call) in self.calls.iter().enumerate() {
            let with = placed | 1 << index;
            let is_next = with != placed && self.before[index] & !placed == 0;
            let mut next = state.clone();
            if !is_next || !next.accepts(&call.op, &call.ret) || self.failed.contains(&(with, next.clone())) {
                continue;
            }
            self.order.push(index);
            if self.extend(with, &next) {
                return true;
            }
            self.order.pop();
            self.failed.insert((with, next));
            assert!(self.failed.len() < History::<M>::MOST_PAIRS, "too many calls at a time: use shorter histories");
        }
        false
    }
}

/// No order of the calls explains what they returned.
pub struct NotLinearizable<'h, M: Model> {
    history: &'h History<M>,
    longest: Vec<usize>,
}

impl<M: Model> fmt::Display for NotLinearizable<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not linearizable; the calls by invocation, with the clock's readings:")?;
        for call in &self.history.calls {
            writeln!(f, "  {call:?}")?;
        }
        writeln!(f, "the most that can be explained, in this order:")?;
        for &index in &self.longest {
            let Call { thread, op, ret, .. } = &self.history.calls[index];
            writeln!(f, "  thread {thread}: {op:?} -> {ret:?}")?;
        }
        writeln!(f, "but then none of these may be next:")?;
        for (index, call) in self.history.calls.iter().enumerate().filter(|(index, _)| !self.longest.contains(index)) {
            let waits = self.history.ended_before(call) & !self.longest.iter().map(|placed| 1 << placed).sum::<u64>();
            let why = if waits == 0 { "" } else { " (not before another of these)" };
            writeln!(f, "  {:?}{why}", self.history.calls[index])?;
        }
        Ok(())
    }
}

impl<M: Model> Debug for NotLinearizable<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

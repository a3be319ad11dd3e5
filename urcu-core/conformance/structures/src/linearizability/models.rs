//! Sequential models of what the workspace's structures are. Elements are numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Model;

/// First in, first out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queue(pub VecDeque<u64>);

/// What can be done to a [`Queue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOp {
    /// Returns [`QueueRet::Done`].
    Enqueue(u64),
    /// The same, and [`QueueRet::WasEmpty`] tells whether it was empty before.
    EnqueueTelling(u64),
    /// Returns [`QueueRet::One`].
    Dequeue,
    /// The first, which stays. Returns [`QueueRet::One`].
    Peek,
    /// Everything at once, first to last: also splicing to an empty queue. Returns [`QueueRet::All`].
    Drain,
    /// Returns [`QueueRet::WasEmpty`], or [`QueueRet::Hint`] where only a yes tells something.
    IsEmpty,
}

/// What a [`QueueOp`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations say which")]
pub enum QueueRet {
    Done,
    One(Option<u64>),
    All(Vec<u64>),
    WasEmpty(bool),
    Hint,
}

impl Model for Queue {
    type Op = QueueOp;
    type Ret = QueueRet;

    fn apply(&mut self, op: &QueueOp) -> QueueRet {
        let was_empty = self.0.is_empty();
        match *op {
            QueueOp::Enqueue(value) => {
                self.0.push_back(value);
                QueueRet::Done
            }
            QueueOp::EnqueueTelling(value) => {
                self.0.push_back(value);
                QueueRet::WasEmpty(was_empty)
            }
            QueueOp::Dequeue => QueueRet::One(self.0.pop_front()),
            QueueOp::Peek => QueueRet::One(self.0.front().copied()),
            QueueOp::Drain => QueueRet::All(self.0.drain(..).collect()),
            QueueOp::IsEmpty => QueueRet::WasEmpty(was_empty),
        }
    }

    fn accepts(&mut self, op: &QueueOp, ret: &QueueRet) -> bool {
        (*op == QueueOp::IsEmpty && *ret == QueueRet::Hint) || self.apply(op) == *ret
    }
}

/// Last in, first out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stack(pub Vec<u64>);

/// What can be done to a [`Stack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackOp {
    /// Returns [`StackRet::Done`].
    Push(u64),
    /// The same, and [`StackRet::WasEmpty`] tells whether it was empty before.
    PushTelling(u64),
    /// Returns [`StackRet::One`].
    Pop,
    /// The top, which stays. Returns [`StackRet::One`].
    Peek,
    /// Everything at once, top to bottom. Returns [`StackRet::All`].
    PopAll,
    /// Returns [`StackRet::WasEmpty`].
    IsEmpty,
}

/// What a [`StackOp`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations say which")]
pub enum StackRet {
    Done,
    One(Option<u64>),
    All(Vec<u64>),
    WasEmpty(bool),
}

impl Model for Stack {
    type Op = StackOp;
    type Ret = StackRet;

    fn apply(&mut self, op: &StackOp) -> StackRet {
        let was_empty = self.0.is_empty();
        match *op {
            StackOp::Push(value) => {
                self.0.push(value);
                StackRet::Done
            }
            StackOp::PushTelling(value) => {
                self.0.push(value);
                StackRet::WasEmpty(was_empty)
            }
            StackOp::Pop => StackRet::One(self.0.pop()),
            StackOp::Peek => StackRet::One(self.0.last().copied()),
            StackOp::PopAll => StackRet::All(self.0.drain(..).rev().collect()),
            StackOp::IsEmpty => StackRet::WasEmpty(was_empty),
        }
    }
}

/// One value, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Register(pub Option<u64>);

/// What can be done to a [`Register`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOp {
    /// Returns [`RegisterRet::Value`].
    Read,
    /// Returns [`RegisterRet::Done`].
    Write(Option<u64>),
    /// Writes and returns what was there: [`RegisterRet::Value`].
    Swap(Option<u64>),
    /// Writes the second if it holds the first. Returns [`RegisterRet::Exchanged`] or what was there.
    CompareExchange(Option<u64>, Option<u64>),
}

/// What a [`RegisterOp`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations say which")]
pub enum RegisterRet {
    Done,
    Exchanged,
    Value(Option<u64>),
}

impl Model for Register {
    type Op = RegisterOp;
    type Ret = RegisterRet;

    fn apply(&mut self, op: &RegisterOp) -> RegisterRet {
        match *op {
            RegisterOp::Read => RegisterRet::Value(self.0),
            RegisterOp::Write(value) => {
                self.0 = value;
                RegisterRet::Done
            }
            RegisterOp::Swap(value) => RegisterRet::Value(std::mem::replace(&mut self.0, value)),
            RegisterOp::CompareExchange(expected, value) if self.0 == expected => {
                self.0 = value;
                RegisterRet::Exchanged
            }
            RegisterOp::CompareExchange(..) => RegisterRet::Value(self.0),
        }
    }
}

/// At most one value per key. A set is a map whose values do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Map(pub BTreeMap<u64, u64>);

/// What can be done to a [`Map`]. But for `Len` and `Clear`, each returns [`MapRet::Value`]: what was there for the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the standard library")]
pub enum MapOp {
    Get(u64),
    /// Key and value: inserts or replaces.
    Insert(u64, u64),
    /// Key and value: a value that is there stays, and is returned.
    InsertIfAbsent(u64, u64),
    /// Key and value: only if one is there.
    Replace(u64, u64),
    Remove(u64),
    /// Returns [`MapRet::Len`].
    Len,
    /// Returns [`MapRet::All`]: what was removed, by key.
    Clear,
}

/// What a [`MapOp`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations say which")]
pub enum MapRet {
    Value(Option<u64>),
    Len(usize),
    All(Vec<(u64, u64)>),
}

impl Model for Map {
    type Op = MapOp;
    type Ret = MapRet;

    fn apply(&mut self, op: &MapOp) -> MapRet {
        let there = |map: &Self, key| map.0.get(&key).copied();
        MapRet::Value(match *op {
            MapOp::Get(key) => there(self, key),
            MapOp::Insert(key, value) => self.0.insert(key, value),
            MapOp::InsertIfAbsent(key, value) => {
                let was = there(self, key);
                self.0.entry(key).or_insert(value);
                was
            }
            MapOp::Replace(key, value) => self.0.get_mut(&key).map(|was| std::mem::replace(was, value)),
            MapOp::Remove(key) => self.0.remove(&key),
            MapOp::Len => return MapRet::Len(self.0.len()),
            MapOp::Clear => return MapRet::All(std::mem::take(&mut self.0).into_iter().collect()),
        })
    }
}

/// Any number of values per key, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MultiMap(pub BTreeSet<(u64, u64)>);

/// What can be done to a [`MultiMap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiMapOp {
    /// Key and a value that it does not have. Returns [`MultiMapRet::Done`].
    Add(u64, u64),
    /// Key and value. [`MultiMapRet::Was`] tells whether it was there.
    Remove(u64, u64),
    /// Key and value. [`MultiMapRet::Was`] tells whether it is there.
    Contains(u64, u64),
    /// Any value of the key: [`MultiMapRet::One`].
    Any(u64),
    /// Removes any value of the key: [`MultiMapRet::One`].
    RemoveAny(u64),
    /// All values of the key at one moment, in ascending order: [`MultiMapRet::All`].
    All(u64),
}

/// What a [`MultiMapOp`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operations say which")]
pub enum MultiMapRet {
    Done,
    Was(bool),
    One(Option<u64>),
    All(Vec<u64>),
}

impl MultiMap {
    fn of(&self, key: u64) -> impl Iterator<Item = u64> {
        self.0.range((key, 0)..=(key, u64::MAX)).map(|&(_, value)| value)
    }
}

impl Model for MultiMap {
    type Op = MultiMapOp;
    type Ret = MultiMapRet;

    fn apply(&mut self, op: &MultiMapOp) -> MultiMapRet {
        match *op {
            MultiMapOp::Add(key, value) => {
                self.0.insert((key, value));
                MultiMapRet::Done
            }
            MultiMapOp::Remove(key, value) => MultiMapRet::Was(self.0.remove(&(key, value))),
            MultiMapOp::Contains(key, value) => MultiMapRet::Was(self.0.contains(&(key, value))),
            MultiMapOp::Any(key) => MultiMapRet::One(self.of(key).next()),
            MultiMapOp::RemoveAny(key) => {
                let first = self.of(key).next();
                first.map(|value| self.0.remove(&(key, value)));
                MultiMapRet::One(first)
            }
            MultiMapOp::All(key) => MultiMapRet::All(self.of(key).collect()),
        }
    }

    fn accepts(&mut self, op: &MultiMapOp, ret: &MultiMapRet) -> bool {
        match (op, ret) {
            (&MultiMapOp::Any(key), &MultiMapRet::One(Some(value))) => self.0.contains(&(key, value)),
            (&MultiMapOp::RemoveAny(key), &MultiMapRet::One(Some(value))) => self.0.remove(&(key, value)),
            _ => self.apply(op) == *ret,
        }
    }
}

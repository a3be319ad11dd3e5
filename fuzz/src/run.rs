//! Running a program, and checking what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cds_lfht::LfHashMap;
use cds_lfstack::LfStack;
use cds_list::RcuList;
use cds_wfqueue::LfQueue;
use structure_conformance::linearizability::{
    Call, Clock, History, Map, MapOp, MapRet, Model, Queue, QueueOp, QueueRet, Recorder, Register, RegisterOp,
    RegisterRet, Stack, StackOp, StackRet,
};
use structure_conformance::{Gate, Tested, Thread};
use urcu_core::{GracePeriod, Guard, Rcu, RcuBox};

use crate::program::{Access, Program, Step};
use crate::value::{Value, Values};

/// An element of the list.
struct Element {
    key: u64,
    value: Value,
}

struct Shared<F: Tested> {
    map: LfHashMap<u64, Value>,
    list: RcuList<Element>,
    queue: LfQueue<Value>,
    stack: LfStack<Value>,
    pointer: Rcu<Value, F>,
    values: Values,
    clock: Clock,
    deferred: AtomicUsize,
    ran: Arc<AtomicUsize>,
}

/// What one thread did to each structure.
struct Logs<'c> {
    map: Recorder<'c, Map>,
    list: Recorder<'c, Map>,
    queue: Recorder<'c, Queue>,
    stack: Recorder<'c, Stack>,
    pointer: Recorder<'c, Register>,
}

type Calls = (Vec<Call<Map>>, Vec<Call<Map>>, Vec<Call<Queue>>, Vec<Call<Stack>>, Vec<Call<Register>>);

/// Runs `program` once under the flavor `F`.
///
/// # Panics
///
/// When something is not as it has to be.
pub fn run<F: Tested>(program: &Program) {
    let shared = Shared::<F> {
        map: LfHashMap::new(F::vtable()),
        list: RcuList::new(F::vtable()),
        queue: LfQueue::new(F::vtable()),
        stack: LfStack::new(F::vtable()),
        pointer: Rcu::empty(),
        values: Values::default(),
        clock: Clock::new(),
        deferred: AtomicUsize::new(0),
        ran: Arc::default(),
    };
    let gate = Gate::new();
    let calls: Vec<Calls> = thread::scope(|scope| {
        let threads: Vec<_> = program
            .iter()
            .enumerate()
            .map(|(thread, steps)| {
                let (shared, gate) = (&shared, &gate);
                scope.spawn(move || {
                    gate.wait();
                    act(shared, thread, steps)
                })
            })
            .collect();
        gate.open();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut all: Calls = Default::default();
    for (map, list, queue, stack, pointer) in calls {
        all.0.extend(map);
        all.1.extend(list);
        all.2.extend(queue);
        all.3.extend(stack);
        all.4.extend(pointer);
    }
    check(Map::default(), all.0);
    check(Map::default(), all.1);
    check(Queue::default(), all.2);
    check(Stack::default(), all.3);
    check(Register::default(), all.4);
    let Shared { map, list, queue, stack, pointer, values, deferred, ran, clock: _ } = shared;
    drop((map, list, queue, stack, pointer));
    urcu_core::barrier::<F>().expect("outside of calls");
    assert_eq!(ran.load(Ordering::Acquire), deferred.into_inner(), "deferred calls that did not run once");
    assert_eq!(values.live(), 0, "values that were not dropped");
}

/// Too long a history is left to other programs.
fn check<M: Model>(start: M, calls: Vec<Call<M>>) {
    if calls.len() <= History::<M>::LONGEST {
        History::new(start, calls).assert_linearizable();
    }
}

/// One thread's part.
fn act<F: Tested>(shared: &Shared<F>, number: usize, steps: &[Step]) -> Calls {
    let mut logs = Logs {
        map: shared.clock.recorder(number),
        list: shared.clock.recorder(number),
        queue: shared.clock.recorder(number),
        stack: shared.clock.recorder(number),
        pointer: shared.clock.recorder(number),
    };
    let register = || Thread::<F>::register().expect("not registered");
    let mut thread = register();
    for step in steps {
        match step {
            Step::Section { outer, inner } => section(shared, &thread, &mut logs, outer, inner),
            Step::Synchronize => thread.synchronize(),
            Step::Quiescent => thread.quiescent_state(),
            Step::Offline => thread.while_offline(thread::yield_now),
            Step::Defer => {
                shared.deferred.fetch_add(1, Ordering::Relaxed);
                let ran = shared.ran.clone();
                urcu_core::defer::<_, F>(move || {
                    ran.fetch_add(1, Ordering::Release);
                });
            }
            Step::Barrier => thread.while_offline(|| urcu_core::barrier::<F>().expect("outside of calls")),
            Step::Poll => {
                let period = GracePeriod::<F>::start();
                (0..3).for_each(|_| {
                    let _ = period.is_done();
                });
                thread.while_offline(|| period.wait());
                assert!(period.is_done(), "waited for and not done");
            }
            Step::Again => {
                drop(thread);
                thread = register();
            }
        }
    }
    drop(thread);
    let Logs { map, list, queue, stack, pointer } = logs;
    (map.into_calls(), list.into_calls(), queue.into_calls(), stack.into_calls(), pointer.into_calls())
}

fn section<F: Tested>(shared: &Shared<F>, thread: &Thread<F>, logs: &mut Logs<'_>, outer: &[Access], inner: &[Access]) {
    let guard = thread.read_lock();
    // What is met here has to stay whole until the end, whoever removes it.
    let met: Vec<&Value> =
        shared.map.values(&guard).chain(shared.list.iter(&guard).map(|element| &element.value)).collect();
    for access in outer {
        perform(shared, &guard, logs, access);
    }
    let nested = thread.read_lock();
    for access in inner {
        perform(shared, &nested, logs, access);
    }
    drop(nested);
    for value in met {
        let _ = value.number();
    }
}

fn perform<F: Tested>(shared: &Shared<F>, guard: &Guard<'_, F>, logs: &mut Logs<'_>, access: &Access) {
    let values = &shared.values;
    match access {
        Access::Map(op) => drop(logs.map.call(fresh(op, values), |op| MapRet::Value(in_map(shared, guard, op)))),
        Access::List(op) => drop(logs.list.call(fresh(op, values), |op| MapRet::Value(in_list(shared, guard, op)))),
        Access::Queue(op) => {
            let op = match op {
                QueueOp::Enqueue(_) => QueueOp::Enqueue(values.number()),
                other => other.clone(),
            };
            logs.queue.call(op, |op| match *op {
                QueueOp::Enqueue(number) => {
                    shared.queue.enqueue(values.value(number), guard);
                    QueueRet::Done
                }
                QueueOp::IsEmpty => QueueRet::WasEmpty(shared.queue.is_empty(guard)),
                _ => QueueRet::One(shared.queue.dequeue(guard).map(|value| value.number())),
            });
        }
        Access::Stack(op) => {
            let op = match op {
                StackOp::Push(_) => StackOp::Push(values.number()),
                other => other.clone(),
            };
            logs.stack.call(op, |op| match *op {
                StackOp::Push(number) => {
                    shared.stack.push(values.value(number));
                    StackRet::Done
                }
                StackOp::PopAll => StackRet::All(shared.stack.pop_all().map(|value| value.number()).collect()),
                _ => StackRet::One(shared.stack.pop(guard).map(|value| value.number())),
            });
        }
        Access::Pointer(op) => {
            let op = match op {
                RegisterOp::Swap(Some(_)) => RegisterOp::Swap(Some(values.number())),
                other => other.clone(),
            };
            logs.pointer.call(op, |op| match *op {
                RegisterOp::Swap(Some(number)) => RegisterRet::Value(swap(shared, guard, number)),
                RegisterOp::Write(_) => {
                    if let Some(old) = shared.pointer.take() {
                        old.defer_drop();
                    }
                    RegisterRet::Done
                }
                _ => RegisterRet::Value(shared.pointer.load(guard).map(Value::number)),
            });
        }
    }
}

/// By comparing and exchanging, since what was replaced is not for reading.
fn swap<F: Tested>(shared: &Shared<F>, guard: &Guard<'_, F>, number: u64) -> Option<u64> {
    let mut new = RcuBox::new(shared.values.value(number));
    let mut current = shared.pointer.load(guard);
    loop {
        match shared.pointer.compare_exchange(current, new, guard) {
            Ok(old) => {
                if let Some(old) = old {
                    old.defer_drop();
                }
                return current.map(Value::number);
            }
            Err(refused) => (current, new) = (refused.current, refused.new),
        }
    }
}

/// With a number of its own for the value that is put in.
fn fresh(op: &MapOp, values: &Values) -> MapOp {
    match *op {
        MapOp::Insert(key, _) => MapOp::Insert(key, values.number()),
        MapOp::InsertIfAbsent(key, _) => MapOp::InsertIfAbsent(key, values.number()),
        MapOp::Replace(key, _) => MapOp::Replace(key, values.number()),
        ref other => other.clone(),
    }
}

fn in_map<F: Tested>(shared: &Shared<F>, guard: &Guard<'_, F>, op: &MapOp) -> Option<u64> {
    let (map, values) = (&shared.map, &shared.values);
    let found = match *op {
        MapOp::Insert(key, number) => map.insert(key, values.value(number), guard),
        MapOp::InsertIfAbsent(key, number) => {
            map.try_insert(key, values.value(number), guard).err().map(|occupied| occupied.current)
        }
        MapOp::Replace(key, number) => map.replace(key, values.value(number), guard).ok(),
        MapOp::Remove(key) => map.remove(&key, guard),
        _ => map.get(&key_of(op), guard),
    };
    found.map(Value::number)
}

/// A list with one element per key, as its updaters keep it.
fn in_list<F: Tested>(shared: &Shared<F>, guard: &Guard<'_, F>, op: &MapOp) -> Option<u64> {
    let of = |key: u64| move |element: &Element| element.key == key;
    match *op {
        MapOp::InsertIfAbsent(key, number) => {
            let mut updater = shared.list.lock();
            let there = updater.cursor_at(of(key)).current().map(|element| element.value.number());
            if there.is_none() {
                updater.push_front(Element { key, value: shared.values.value(number) });
            }
            there
        }
        MapOp::Remove(key) => {
            let mut updater = shared.list.lock();
            updater.cursor_at(of(key)).remove().map(|element| element.value.number())
        }
        _ => shared.list.find(guard, of(key_of(op))).map(|element| element.value.number()),
    }
}

fn key_of(op: &MapOp) -> u64 {
    match *op {
        MapOp::Get(key)
        | MapOp::Insert(key, _)
        | MapOp::InsertIfAbsent(key, _)
        | MapOp::Replace(key, _)
        | MapOp::Remove(key) => key,
        MapOp::Len | MapOp::Clear => 0,
    }
}

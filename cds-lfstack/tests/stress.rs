//! All pairs of operations that may run at the same time, under each flavor: nothing is lost, nothing comes twice, and what
//! one thread has pushed comes out latest first.
#![cfg(not(urcu_loom))]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cds_lfstack::raw::{LfsLockedStack, LfsNode, LfsStack, WfsLockedStack, WfsNode, WfsStack};
use cds_lfstack::{Kind, LfStack, LockedStack, Serial, Stack, WfStack};
use structure_conformance::seed::Random;
use structure_conformance::{Membarrier, Tested, Thread, on_every_flavor, within_limit};
use urcu_core::{AnyGuard, DynGuard};

const PUSHERS: u64 = 2;
const VALUES: u64 = 10_000;

/// What the stress uses of a stack. `G` is what a pop needs.
trait Subject<G>: Sync {
    fn push(&self, value: u64);
    fn push_all(&self, values: Vec<u64>);
    fn pop(&self, guard: &G) -> Option<u64>;
    fn pop_all(&self) -> Vec<u64>;
    fn is_empty(&self) -> bool;
}

/// A value that the node cache leaves to the allocator, so that sanitizers see each node come and go.
struct Large(u64, #[allow(dead_code, reason = "room")] [u64; 20]);

macro_rules! guarded {
    ($stack:ident, $value:ty, $wrap:expr, $unwrap:expr, $pop:ident) => {
        impl<G: AnyGuard> Subject<G> for $stack<$value> {
            fn push(&self, value: u64) {
                $stack::push(self, $wrap(value));
            }
            fn push_all(&self, values: Vec<u64>) {
                $stack::push_all(self, values.into_iter().map($wrap));
            }
            fn pop(&self, guard: &G) -> Option<u64> {
                $pop(self, guard).map($unwrap)
            }
            fn pop_all(&self) -> Vec<u64> {
                $stack::pop_all(self).map($unwrap).collect()
            }
            fn is_empty(&self) -> bool {
                $stack::is_empty(self)
            }
        }
    };
}

fn same(value: u64) -> u64 {
    value
}
fn large(value: u64) -> Large {
    Large(value, [0; 20])
}
fn small(value: Large) -> u64 {
    value.0
}
fn pop_lf<T>(stack: &LfStack<T>, guard: &impl AnyGuard) -> Option<T> {
    stack.pop(guard)
}
/// Each of the three ways.
fn pop_wf<T>(stack: &WfStack<T>, guard: &impl AnyGuard) -> Option<T> {
    static TURN: AtomicU64 = AtomicU64::new(0);
    match TURN.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => stack.pop(guard),
        1 => stack.pop_with_state(guard).map(|(value, _)| value),
        _ => stack.try_pop(guard).unwrap_or(None),
    }
}

guarded!(LfStack, u64, same, same, pop_lf);
guarded!(LfStack, Large, large, small, pop_lf);
guarded!(WfStack, u64, same, same, pop_wf);
guarded!(WfStack, Large, large, small, pop_wf);

impl<K: Kind> Subject<()> for Stack<K, u64, Serial> {
    fn push(&self, value: u64) {
        Stack::push(self, value);
    }
    fn push_all(&self, values: Vec<u64>) {
        Stack::push_all(self, values);
    }
    fn pop(&self, (): &()) -> Option<u64> {
        match self.try_consumer() {
            Some(mut consumer) => consumer.try_pop().unwrap_or(None),
            None => self.pop(),
        }
    }
    fn pop_all(&self) -> Vec<u64> {
        self.pop_all().collect()
    }
    fn is_empty(&self) -> bool {
        Stack::is_empty(self)
    }
}

impl Subject<()> for LockedStack<u64> {
    fn push(&self, value: u64) {
        LockedStack::push(self, value);
    }
    fn push_all(&self, values: Vec<u64>) {
        LockedStack::push_all(self, values);
    }
    fn pop(&self, (): &()) -> Option<u64> {
        LockedStack::pop(self)
    }
    fn pop_all(&self) -> Vec<u64> {
        self.pop_all().collect()
    }
    fn is_empty(&self) -> bool {
        LockedStack::is_empty(self)
    }
}

const fn value(pusher: u64, number: u64) -> u64 {
    (pusher << 32) | number
}

/// Everything that was popped at one moment has, of each pusher, the latest first.
#[track_caller]
fn assert_latest_first(values: &[u64]) {
    let mut last: HashMap<u64, u64> = HashMap::new();
    for &value in values {
        let (pusher, number) = (value >> 32, value & 0xFFFF_FFFF);
        if let Some(above) = last.insert(pusher, number) {
            assert!(number < above, "pusher {pusher}: {number} lies below {above}");
        }
    }
}

/// Two push, two pop, one takes everything now and then, one looks whether it is empty.
fn churn<G>(stack: &impl Subject<G>, enter: impl Fn(&mut dyn FnMut(&G) -> bool) + Sync) {
    let all = PUSHERS * VALUES;
    let taken = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let popped = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            scope.spawn(move || {
                let mut random = Random::new(pusher);
                let mut number = 0;
                while number < VALUES {
                    let more = if random.once_in(8) { random.below(5).min(VALUES - number) } else { 1 };
                    match more {
                        1 => stack.push(value(pusher, number)),
                        _ => stack.push_all((number..number + more).map(|number| value(pusher, number)).collect()),
                    }
                    number += more;
                    random.dawdle();
                }
            });
        }
        for popper in 0..2 {
            let (taken, popped, enter) = (&taken, &popped, &enter);
            scope.spawn(move || {
                let mut random = Random::new(10 + popper);
                let mut own = Vec::new();
                enter(&mut |guard| {
                    // A few per section.
                    for _ in 0..=random.below(4) {
                        if let Some(value) = stack.pop(guard) {
                            own.push(value);
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        random.dawdle();
                    }
                    taken.load(Ordering::Relaxed) < all
                });
                popped.lock().expect("no panic").extend(own);
            });
        }
        let (taken, popped, over) = (&taken, &popped, &over);
        scope.spawn(move || {
            let mut random = Random::new(20);
            while taken.load(Ordering::Relaxed) < all {
                let values = stack.pop_all();
                assert_latest_first(&values);
                taken.fetch_add(values.len() as u64, Ordering::Relaxed);
                popped.lock().expect("no panic").extend(values);
                random.dawdle();
                std::thread::yield_now();
            }
            over.store(true, Ordering::Relaxed);
        });
        scope.spawn(move || {
            let mut times = 0_u64;
            while !over.load(Ordering::Relaxed) {
                times += u64::from(stack.is_empty());
                std::thread::yield_now();
            }
            times
        });
    });
    assert!(stack.is_empty());
    let mut values = popped.into_inner().expect("no panic");
    values.sort_unstable();
    let expected: Vec<u64> =
        (0..PUSHERS).flat_map(|pusher| (0..VALUES).map(move |number| value(pusher, number))).collect();
    assert_eq!(values.len(), expected.len());
    assert_eq!(values, expected);
}

/// Threads take two of few values and put them back the other way round: addresses come back to the top as fast as the
/// remedy lets them, which is what ABA needs.
fn shuffle<G>(stack: &impl Subject<G>, enter: impl Fn(&mut dyn FnMut(&G) -> bool) + Sync) {
    const FEW: u64 = 4;
    const TURNS: u64 = 100_000;
    stack.push_all((0..FEW).collect());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut turns = 0;
                enter(&mut |guard| {
                    let (one, two) = (stack.pop(guard), stack.pop(guard));
                    one.into_iter().chain(two).for_each(|value| stack.push(value));
                    turns += 1;
                    turns < TURNS
                });
            });
        }
    });
    let mut values = stack.pop_all();
    values.sort_unstable();
    assert_eq!(values, (0..FEW).collect::<Vec<_>>());
}

/// A thread of flavor `F`, with a section for each turn. `DynGuard`s have no lifetime, which closures can name; the typed
/// ones are used by the other tests.
fn in_sections<F: Tested>(turn: &mut dyn FnMut(&DynGuard) -> bool) {
    let mut thread = Thread::<F>::register().expect("a thread of its own");
    while turn(&F::vtable().pin()) {
        thread.quiescent_state();
    }
}

on_every_flavor! {
    fn lock_free_churn<F>() {
        churn(&LfStack::<u64>::new(F::vtable()), in_sections::<F>);
        churn(&LfStack::<Large>::new(F::vtable()), in_sections::<F>);
    }

    fn wait_free_churn<F>() {
        churn(&WfStack::<u64>::new(F::vtable()), in_sections::<F>);
        churn(&WfStack::<Large>::new(F::vtable()), in_sections::<F>);
    }

    fn lock_free_without_aba<F>() {
        shuffle(&LfStack::<u64>::new(F::vtable()), in_sections::<F>);
        shuffle(&LfStack::<Large>::new(F::vtable()), in_sections::<F>);
    }

    fn wait_free_without_aba<F>() {
        shuffle(&WfStack::<u64>::new(F::vtable()), in_sections::<F>);
        shuffle(&WfStack::<Large>::new(F::vtable()), in_sections::<F>);
    }
}

fn unguarded(stack: &impl Subject<()>) {
    churn(stack, |turn| while turn(&()) {});
    shuffle(stack, |turn| while turn(&()) {});
}

#[test]
fn one_consumer_at_a_time() {
    within_limit("one_consumer_at_a_time", || {
        unguarded(&Stack::<LfsStack, u64, Serial>::default());
        unguarded(&Stack::<WfsStack, u64, Serial>::default());
    });
}

#[test]
fn locked() {
    within_limit("locked", || unguarded(&LockedStack::new()));
}

/// Nodes are reused by whoever has popped them, at once: what the mutex allows.
#[test]
fn raw_stacks_under_their_mutex() {
    #[repr(C)]
    struct Element<N>(N, u64);
    macro_rules! test {
        ($stack:ty, $node:ident) => {{
            let stack = <$stack>::new();
            let total = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..4_u64 {
                    let (stack, total) = (&stack, &total);
                    scope.spawn(move || {
                        let fresh = |value| Box::into_raw(Box::new(Element($node::new(), value)));
                        let mut own = vec![fresh(2 * thread + 1), fresh(2 * thread + 2)];
                        for turn in 0..5000 {
                            if let Some(element) = own.pop() {
                                // SAFETY: this thread's, in no stack.
                                unsafe { (&raw mut (*element).0).write($node::new()) };
                                // SAFETY: as above.
                                unsafe { stack.push(element.cast()) };
                            }
                            if turn % 3 != 0 {
                                // SAFETY: everybody pops under the mutex.
                                let element: *mut Element<$node> = unsafe { stack.pop_locked() }.cast();
                                if !element.is_null() {
                                    own.push(element);
                                }
                            }
                        }
                        for element in own {
                            // SAFETY: this thread's, in no stack.
                            total.fetch_add(unsafe { Box::from_raw(element) }.1, Ordering::Relaxed);
                        }
                    });
                }
            });
            loop {
                // SAFETY: everybody pops under the mutex.
                let element: *mut Element<$node> = unsafe { stack.pop_locked() }.cast();
                if element.is_null() {
                    break;
                }
                // SAFETY: popped, in no stack.
                total.fetch_add(unsafe { Box::from_raw(element) }.1, Ordering::Relaxed);
            }
            assert_eq!(total.into_inner(), (1..=8).sum::<u64>());
        }};
    }
    within_limit("raw_stacks_under_their_mutex", || {
        test!(LfsLockedStack, LfsNode);
        test!(WfsLockedStack, WfsNode);
    });
}

/// A consumer that keeps its right, beside pushers: everything comes out, and its memory is reused by the pushers.
#[test]
fn a_consumer_beside_pushers() {
    fn run<K: Kind>() {
        let stack = Stack::<K, u64, Serial>::default();
        std::thread::scope(|scope| {
            for pusher in 0..3 {
                let stack = &stack;
                scope.spawn(move || (0..20_000).for_each(|number| _ = stack.push(value(pusher, number))));
            }
            let mut consumer = stack.consumer();
            let mut seen = [0_u64; 3];
            while seen.iter().sum::<u64>() < 60_000 {
                match consumer.pop() {
                    Some(value) => seen[usize::try_from(value >> 32).expect("small")] += 1,
                    None => std::thread::yield_now(),
                }
            }
            assert_eq!(seen, [20_000; 3]);
            assert_eq!(consumer.pop(), None);
        });
    }
    within_limit("a_consumer_beside_pushers", || {
        run::<LfsStack>();
        run::<WfsStack>();
    });
}

/// One thread only pushes and another only pops: nodes come back through the depot, and none is in two places.
#[test]
fn nodes_go_round_between_threads() {
    within_limit("nodes_go_round_between_threads", || {
        let stack = LfStack::new(Membarrier::vtable());
        std::thread::scope(|scope| {
            scope.spawn(|| (0..50_000_u64).for_each(|value| _ = stack.push([value; 3])));
            scope.spawn(|| {
                let thread = urcu_membarrier::register().expect("a thread of its own");
                let mut popped = 0;
                while popped < 50_000 {
                    match stack.pop(&thread.read_lock()) {
                        Some([one, two, three]) => {
                            assert_eq!((one, two), (two, three));
                            popped += 1;
                        }
                        None => std::thread::yield_now(),
                    }
                }
            });
        });
        assert!(stack.is_empty());
    });
}

//! The raw stacks under the model checker: interleavings of two or three threads with few calls each; not all of them, since
//! loom forgets a thread's load once another thread has loaded the same atomic before its read-modify-write.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release -p cds-lfstack --test loom`. Preemptions are bounded at 3. loom takes
//! SeqCst accesses for AcqRel, which is all that these algorithms ask of them. A grace period is a join here: nodes are
//! freed when all threads have ended, as a section per thread would have it; the memory orders are what is checked, by
//! values in loom's cells, which notice an access that the orders do not put behind the one that filled them. Nodes of a
//! wait-free stack notice, when they are freed, an access to their link that is not behind them.
#![cfg(urcu_loom)]

use cds_lfstack::raw::{LfsIter, LfsNode, LfsStack, Popped, WfsIter, WfsNode, WfsStack, WouldBlock};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

#[path = "loom/barriers.rs"]
mod barriers;

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[repr(C)]
struct Element<N> {
    node: N,
    value: UnsafeCell<u32>,
}

impl<N: Default> Element<N> {
    fn new(value: u32) -> *mut Self {
        Box::into_raw(Box::new(Self { node: N::default(), value: UnsafeCell::new(value) }))
    }
}

/// Reads a popped element as its new owner: exclusive access, as a free would be.
fn own<N>(element: *mut Element<N>) -> u32 {
    // SAFETY: an element of this test, which the caller has popped.
    let element = unsafe { &*element };
    element.value.with_mut(|value| {
        // SAFETY: loom checks that nobody else is at it.
        unsafe { core::mem::replace(&mut *value, 0) }
    })
}

struct Shared<S>(S);
// SAFETY: raw pointers go between the threads of a model through the stack.
unsafe impl<S> Send for Shared<S> {}
// SAFETY: as above.
unsafe impl<S> Sync for Shared<S> {}

type Lfs = Element<LfsNode>;
type Wfs = Element<WfsNode>;

fn lfs_push(stack: &LfsStack, value: u32) -> bool {
    // SAFETY: a fresh node.
    unsafe { stack.push(Lfs::new(value).cast()) }
}

fn wfs_push(stack: &WfsStack, value: u32) -> bool {
    // SAFETY: a fresh node.
    unsafe { stack.push(Wfs::new(value).cast()) }
}

/// Frees what was popped: after all threads have ended.
fn free<N>(elements: Vec<usize>) {
    for element in elements {
        // SAFETY: each was popped once.
        drop(unsafe { Box::from_raw(element as *mut Element<N>) });
    }
}

/// Elements that a thread has popped, by address, and the values that were in them.
#[derive(Default)]
struct Popping {
    elements: Vec<usize>,
    values: Vec<u32>,
}

impl Popping {
    fn take<N>(&mut self, element: *mut Element<N>) {
        if !element.is_null() {
            self.values.push(own(element));
            self.elements.push(element as usize);
        }
    }
}

fn lfs_rest(stack: &LfsStack, popping: &mut Popping) {
    // SAFETY: one thread is left.
    let head = unsafe { stack.pop_all() };
    // SAFETY: just popped.
    unsafe { LfsIter::new(head) }.for_each(|node| popping.take(node.cast::<Lfs>()));
}

fn wfs_rest(stack: &WfsStack, popping: &mut Popping) {
    // SAFETY: one thread is left.
    let head = unsafe { stack.pop_all() };
    // SAFETY: just popped.
    unsafe { WfsIter::new(head) }.for_each(|node| popping.take(node.cast::<Wfs>()));
}

fn assert_values(parts: Vec<Popping>, expected: &[u32]) -> Vec<usize> {
    let mut values: Vec<u32> = parts.iter().flat_map(|part| part.values.iter().copied()).collect();
    values.sort_unstable();
    assert_eq!(values, expected);
    parts.into_iter().flat_map(|part| part.elements).collect()
}

#[test]
fn lfs_two_pops_and_a_push() {
    model(|| {
        let stack = Arc::new(Shared(LfsStack::new()));
        lfs_push(&stack.0, 1);
        let popper = || {
            let stack = stack.clone();
            thread::spawn(move || {
                let mut popping = Popping::default();
                // SAFETY: nodes are not reused in this model.
                popping.take(unsafe { stack.0.pop() }.cast::<Lfs>());
                popping
            })
        };
        let threads = [popper(), popper()];
        lfs_push(&stack.0, 2);
        let mut parts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        // Each came after a push that it must have seen, or found one of two.
        let mut rest = Popping::default();
        lfs_rest(&stack.0, &mut rest);
        parts.push(rest);
        free::<LfsNode>(assert_values(parts, &[1, 2]));
    });
}

#[test]
fn lfs_two_pushes_and_a_pop_all() {
    model(|| {
        let stack = Arc::new(Shared(LfsStack::new()));
        let pusher = |value| {
            let stack = stack.clone();
            thread::spawn(move || lfs_push(&stack.0, value))
        };
        let threads = [pusher(1), pusher(2)];
        let mut parts = vec![Popping::default()];
        lfs_rest(&stack.0, &mut parts[0]);
        let below: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(below.iter().any(|below| !below), "one of them found it empty");
        parts.push(Popping::default());
        lfs_rest(&stack.0, &mut parts[1]);
        free::<LfsNode>(assert_values(parts, &[1, 2]));
    });
}

#[test]
fn lfs_pop_beside_pop_all() {
    model(|| {
        let stack = Arc::new(Shared(LfsStack::new()));
        lfs_push(&stack.0, 1);
        let pusher = {
            let stack = stack.clone();
            thread::spawn(move || _ = lfs_push(&stack.0, 2))
        };
        let popper = {
            let stack = stack.clone();
            thread::spawn(move || {
                let mut popping = Popping::default();
                // SAFETY: nodes are not reused in this model.
                popping.take(unsafe { stack.0.pop() }.cast::<Lfs>());
                popping
            })
        };
        let mut parts = vec![Popping::default()];
        lfs_rest(&stack.0, &mut parts[0]);
        pusher.join().unwrap();
        parts.push(popper.join().unwrap());
        parts.push(Popping::default());
        lfs_rest(&stack.0, &mut parts[2]);
        free::<LfsNode>(assert_values(parts, &[1, 2]));
    });
}

#[test]
fn wfs_push_beside_a_waiting_pop() {
    model(|| {
        let stack = Arc::new(Shared(WfsStack::new()));
        wfs_push(&stack.0, 1);
        let pusher = {
            let stack = stack.clone();
            thread::spawn(move || wfs_push(&stack.0, 2))
        };
        let mut parts = vec![Popping::default()];
        // SAFETY: one consumer.
        let Popped { node, last } = unsafe { stack.0.pop_with_state_blocking() };
        assert!(!node.is_null());
        parts[0].take(node.cast::<Wfs>());
        assert!(parts[0].values == [2] || last, "1 was the only one, or 2 is above it");
        assert!(parts[0].values == [1] || !last);
        // What one consumer has popped may be freed at once: the pusher is done with it.
        // SAFETY: popped by the one consumer.
        drop(unsafe { Box::from_raw(parts[0].elements.pop().unwrap() as *mut Wfs) });
        pusher.join().unwrap();
        parts.push(Popping::default());
        wfs_rest(&stack.0, &mut parts[1]);
        free::<WfsNode>(assert_values(parts, &[1, 2]));
    });
}

#[test]
fn wfs_pops_that_never_wait() {
    model(|| {
        let stack = Arc::new(Shared(WfsStack::new()));
        wfs_push(&stack.0, 1);
        let pusher = {
            let stack = stack.clone();
            thread::spawn(move || wfs_push(&stack.0, 2))
        };
        let popper = {
            let stack = stack.clone();
            thread::spawn(move || {
                let mut popping = Popping::default();
                // SAFETY: nodes are not reused in this model.
                if let Ok(node) = unsafe { stack.0.pop_nonblocking() } {
                    popping.take(node.cast::<Wfs>());
                }
                popping
            })
        };
        let mut parts = vec![Popping::default()];
        // SAFETY: as above.
        match unsafe { stack.0.pop_with_state_nonblocking() } {
            Ok(popped) => parts[0].take(popped.node.cast::<Wfs>()),
            Err(WouldBlock) => {}
        }
        pusher.join().unwrap();
        parts.push(popper.join().unwrap());
        parts.push(Popping::default());
        wfs_rest(&stack.0, &mut parts[2]);
        free::<WfsNode>(assert_values(parts, &[1, 2]));
    });
}

#[test]
fn wfs_two_pushes_and_a_walk_of_all() {
    model(|| {
        let stack = Arc::new(Shared(WfsStack::new()));
        let pusher = |value| {
            let stack = stack.clone();
            thread::spawn(move || wfs_push(&stack.0, value))
        };
        let threads = [pusher(1), pusher(2)];
        let mut parts = vec![Popping::default()];
        // Waits for links that are not stored yet; frees nothing before its pusher is done.
        // SAFETY: one consumer.
        let head = unsafe { stack.0.pop_all() };
        // SAFETY: just popped.
        for node in unsafe { WfsIter::new(head) } {
            parts[0].values.push(own(node.cast::<Wfs>()));
            // SAFETY: popped by the one consumer, and its link has been read.
            drop(unsafe { Box::from_raw(node.cast::<Wfs>()) });
        }
        threads.into_iter().for_each(|thread| _ = thread.join().unwrap());
        parts.push(Popping::default());
        wfs_rest(&stack.0, &mut parts[1]);
        free::<WfsNode>(assert_values(parts, &[1, 2]));
    });
}

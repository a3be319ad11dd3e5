//! What each operation does when one thread uses a stack; drops, leaks, panics; half-done pushes of the raw tier.
#![cfg(not(urcu_loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use cds_lfstack::raw::{
    LfsHead, LfsIter, LfsLockedStack, LfsNode, LfsStack, Popped, WfsIter, WfsLockedStack, WfsNode, WfsStack, WouldBlock,
};
use cds_lfstack::{Kind, LfStack, LockedStack, Serial, SerialLfStack, SerialWfStack, Stack, WfStack, trim_node_cache};
use structure_conformance::{Counts, Membarrier, Tested, Thread, on_every_flavor, within_limit};

on_every_flavor! {
    fn last_in_first_out<F>() {
        let thread = Thread::<F>::register().expect("not registered yet");
        let lf = LfStack::new(F::vtable());
        let wf = WfStack::new(F::vtable());
        assert!(lf.is_empty() && wf.is_empty());
        assert!(!lf.push(1) && !wf.push(1));
        assert!(lf.push(2) && wf.push(2));
        assert_eq!(lf.push_all([]), None);
        assert_eq!((lf.push_all([3, 4]), wf.push_all([3, 4])), (Some(true), Some(true)));
        assert!(!lf.is_empty() && !wf.is_empty());
        let guard = thread.read_lock();
        assert_eq!((lf.pop(&guard), wf.pop(&guard)), (Some(4), Some(4)));
        assert_eq!((lf.pop(&guard), wf.try_pop(&guard)), (Some(3), Ok(Some(3))));
        assert_eq!(wf.pop_with_state(&guard), Some((2, false)));
        assert_eq!(wf.pop_with_state(&guard), Some((1, true)));
        assert_eq!(wf.pop_with_state(&guard), None);
        assert_eq!((wf.pop(&guard), wf.try_pop(&guard)), (None, Ok(None)));
        assert_eq!(lf.pop_all().collect::<Vec<_>>(), [2, 1]);
        assert_eq!(lf.pop(&guard), None);
        assert!(lf.is_empty() && lf.pop_all().is_empty());
    }

    fn a_guard_of_the_vtable_will_do<F>() {
        let _thread = Thread::<F>::register().expect("not registered yet");
        let stack = LfStack::new(F::vtable());
        stack.push(7);
        assert_eq!(stack.pop(&stack.flavor().pin()), Some(7));
    }

    fn values_are_dropped_once_and_at_once<F>() {
        let thread = Thread::<F>::register().expect("not registered yet");
        let counts = Counts::new();
        let stack = LfStack::new(F::vtable());
        (0..1000).for_each(|value| {
            stack.push(counts.make(value));
        });
        {
            let guard = thread.read_lock();
            for value in (900..1000).rev() {
                assert_eq!(stack.pop(&guard).map(|counted| counted.value()), Some(value));
            }
            // The node waits for this section; its value does not.
            assert_eq!(counts.dropped(), 100);
        }
        let mut batch = stack.pop_all();
        assert_eq!(batch.next().map(|counted| counted.value()), Some(899));
        stack.push(counts.make(1));
        stack.push(counts.make(2));
        drop(batch);
        assert_eq!(counts.dropped(), 1000);
        drop(stack);
        assert_eq!((counts.made(), counts.dropped()), (1002, 1002));
    }
}

#[test]
fn a_guard_of_another_flavor_is_refused() {
    let thread = urcu_membarrier::register().expect("not registered yet");
    let stack = LfStack::new(structure_conformance::Mb::vtable());
    stack.push(1);
    let guard = thread.read_lock();
    let refused = catch_unwind(AssertUnwindSafe(|| stack.pop(&guard)));
    assert!(refused.is_err());
    assert_eq!(stack.into_iter().collect::<Vec<_>>(), [1]);
}

fn serial<K: Kind>() {
    let stack: Stack<K, u64, Serial> = (0..4).collect();
    assert_eq!(stack.pop(), Some(3));
    // Something is left, but not where a push would see it.
    assert!(!stack.is_empty());
    stack.push(10);
    let mut consumer = stack.consumer();
    assert!(stack.try_consumer().is_none());
    assert_eq!(consumer.peek().copied(), Some(10));
    *consumer.peek().expect("just seen") = 11;
    assert_eq!(consumer.pop(), Some(11));
    assert_eq!(consumer.try_pop(), Ok(Some(2)));
    stack.push_all([20, 21]);
    assert_eq!(consumer.pop(), Some(21));
    assert_eq!(consumer.pop(), Some(20));
    assert_eq!(consumer.pop(), Some(1));
    stack.push(30);
    assert_eq!(consumer.pop(), Some(30));
    stack.push(31);
    stack.push(32);
    assert_eq!(consumer.pop_all().collect::<Vec<_>>(), [32, 31, 0]);
    assert_eq!((consumer.pop(), consumer.try_pop(), consumer.peek()), (None, Ok(None), None));
    assert!(stack.is_empty());
    drop(consumer);
    let mut stack = stack;
    stack.extend([1, 2]);
    assert_eq!(stack.pop(), Some(2));
    (&stack).extend([3, 4]);
    assert_eq!(stack.pop(), Some(4));
    stack.push(5);
    assert_eq!(stack.take_all().collect::<Vec<_>>(), [5, 3, 1]);
    stack.push_all([6, 7]);
    assert_eq!(stack.pop(), Some(7));
    stack.push(8);
    assert_eq!(stack.pop_all().collect::<Vec<_>>(), [8, 6]);
    stack.push_all([1, 2]);
    assert_eq!(stack.into_iter().collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn one_consumer_finds_what_it_took_and_what_came_later() {
    serial::<LfsStack>();
    serial::<WfsStack>();
}

#[test]
fn a_locked_stack_is_a_vector() {
    let mut stack: LockedStack<u64> = (0..3).collect();
    assert!(stack.push(3));
    assert_eq!((stack.pop(), stack.len(), stack.is_empty()), (Some(3), 3, false));
    assert_eq!(stack.push_all([]), None);
    assert_eq!(stack.push_all([8, 9]), Some(true));
    stack.extend([10]);
    (&stack).extend([11]);
    assert_eq!(stack.pop_all().collect::<Vec<_>>(), [11, 10, 9, 8, 2, 1, 0]);
    assert!(!stack.push(1));
    assert_eq!(stack.into_iter().collect::<Vec<_>>(), [1]);
    assert!(LockedStack::<u64>::with_capacity(4).is_empty());
}

#[test]
fn sizes_and_alignments_beyond_the_cache_work() {
    #[derive(Debug, PartialEq)]
    #[repr(align(64))]
    struct Aligned(u8);
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Large([u64; 40]);

    let thread = urcu_membarrier::register().expect("not registered yet");
    let flavor = Membarrier::vtable();
    let (aligned, large, empty) = (LfStack::new(flavor), WfStack::new(flavor), LfStack::new(flavor));
    for value in 0..100_u8 {
        aligned.push(Aligned(value));
        large.push(Large([u64::from(value); 40]));
        empty.push(());
    }
    let guard = thread.read_lock();
    for value in (0..100_u8).rev() {
        assert_eq!(aligned.pop(&guard), Some(Aligned(value)));
        assert_eq!(large.pop(&guard), Some(Large([u64::from(value); 40])));
        assert_eq!(empty.pop(&guard), Some(()));
    }
    assert_eq!(empty.pop(&guard), None);
    drop(guard);
    trim_node_cache();
    Membarrier::vtable().wait_for_retired().expect("outside of sections");
}

/// Panics when it is dropped, if it is odd.
struct Odd<'c>(u64, &'c AtomicUsize);

impl Drop for Odd<'_> {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        assert!(self.0.is_multiple_of(2), "odd: {}", self.0);
    }
}

fn message(outcome: std::thread::Result<()>) -> String {
    outcome.expect_err("it panics").downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn a_drop_that_panics_loses_nothing_else_and_the_first_panic_goes_on() {
    let dropped = AtomicUsize::new(0);
    let stack = LfStack::new(Membarrier::vtable());
    (0..6).for_each(|value| {
        stack.push(Odd(value, &dropped));
    });
    let batch = stack.pop_all();
    assert_eq!(message(catch_unwind(AssertUnwindSafe(|| drop(batch)))), "odd: 5");
    assert_eq!(dropped.load(Ordering::Relaxed), 6);

    let stack: SerialWfStack<_> = (0..6).map(|value| Odd(value, &dropped)).collect();
    // Leaves two chains.
    assert!(catch_unwind(AssertUnwindSafe(|| drop(stack.pop()))).is_err());
    stack.push(Odd(7, &dropped));
    assert_eq!(message(catch_unwind(AssertUnwindSafe(move || drop(stack)))), "odd: 7");
    assert_eq!(dropped.load(Ordering::Relaxed), 13);
}

#[test]
fn an_iterator_that_panics_pushes_nothing_and_leaks_nothing() {
    let counts = Counts::new();
    let stack = SerialLfStack::new();
    let values = (0..10).map(|value| {
        assert!(value < 5, "no more");
        counts.make(value)
    });
    assert!(catch_unwind(AssertUnwindSafe(|| stack.push_all(values))).is_err());
    assert!(stack.is_empty());
    assert_eq!((counts.made(), counts.dropped()), (5, 5));
}

#[test]
fn a_batch_outlives_its_stack_and_its_thread() {
    let counts = Counts::new();
    let stack = WfStack::new(Membarrier::vtable());
    (0..10).for_each(|value| {
        stack.push(counts.make(value));
    });
    let batch = stack.pop_all();
    drop(stack);
    let values = std::thread::spawn(move || batch.map(|counted| counted.value()).collect::<Vec<_>>()).join();
    assert_eq!(values.expect("no panic"), (0..10).rev().collect::<Vec<_>>());
    assert_eq!(counts.dropped(), 10);
}

#[test]
fn stacks_work_in_destructors_of_thread_locals() {
    struct Late(std::sync::Arc<LfStack<u64>>);
    impl Drop for Late {
        fn drop(&mut self) {
            // The node cache may have been emptied already.
            self.0.push_all(0..100);
            drop(self.0.pop_all().take(50).collect::<Vec<_>>());
            self.0.push(7);
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) });

    within_limit("stacks_work_in_destructors_of_thread_locals", || {
        let stack = std::sync::Arc::new(LfStack::new(Membarrier::vtable()));
        let theirs = stack.clone();
        std::thread::spawn(move || {
            LATE.with(|late| *late.borrow_mut() = Some(Late(theirs.clone())));
            theirs.push(1);
            drop(theirs.pop_all());
        })
        .join()
        .expect("no panic");
        assert_eq!(stack.pop_all().next(), Some(7));
    });
}

#[test]
fn raw_lock_free_stack() {
    let stack = LfsLockedStack::new();
    let nodes: [LfsNode; 4] = Default::default();
    let at = |index: usize| ptr::from_ref(&nodes[index]).cast_mut();
    assert!(stack.is_empty());
    // SAFETY: here and below, nodes of this test, in no stack when they are pushed; one thread.
    assert!(!unsafe { stack.push(at(0)) });
    // SAFETY: as above.
    assert!(unsafe { stack.push(at(1)) });
    nodes[3].link(at(2));
    // SAFETY: as above.
    assert!(unsafe { stack.push_chain(at(3), at(2)) });
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_locked() }, at(3));
    stack.pop_lock();
    // SAFETY: under the mutex.
    assert_eq!(unsafe { stack.pop() }, at(2));
    // SAFETY: taken above.
    unsafe { stack.pop_unlock() };
    // SAFETY: as above.
    let head: *mut LfsHead = unsafe { stack.pop_all_locked() };
    // SAFETY: just popped.
    assert_eq!(unsafe { LfsIter::new(head) }.collect::<Vec<_>>(), [at(1), at(0)]);
    // SAFETY: as above.
    assert!(unsafe { stack.pop_locked() }.is_null());
    // SAFETY: as above.
    assert!(unsafe { stack.pop_all() }.is_null());
    // SAFETY: null is no node.
    assert_eq!(unsafe { LfsIter::new(ptr::null_mut()) }.count(), 0);
}

#[test]
fn raw_stack_with_wait_free_push() {
    let stack = WfsLockedStack::new();
    let nodes: [WfsNode; 3] = Default::default();
    let at = |index: usize| ptr::from_ref(&nodes[index]).cast_mut();
    // SAFETY: here and below, nodes of this test, in no stack when they are pushed; one thread.
    assert!(!unsafe { stack.push(at(0)) });
    // SAFETY: as above.
    assert!(unsafe { stack.push(at(1)) });
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_with_state_locked() }, Popped { node: at(1), last: false });
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_with_state_nonblocking() }, Ok(Popped { node: at(0), last: true }));
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_with_state_blocking() }, Popped { node: ptr::null_mut(), last: false });
    for node in &nodes {
        node.init();
        // SAFETY: as above.
        unsafe { stack.push(ptr::from_ref(node).cast_mut()) };
    }
    // SAFETY: as above.
    let head = unsafe { stack.pop_all_locked() };
    // SAFETY: just popped.
    assert_eq!(unsafe { WfsIter::new(head) }.collect::<Vec<_>>(), [at(2), at(1), at(0)]);
    assert!(stack.is_empty());
}

/// A chain whose top is not linked to its bottom yet looks like a push that is half done.
#[test]
fn a_half_done_push_blocks_pops_and_walks_behind_it_only() {
    let stack = WfsStack::new();
    let nodes: [WfsNode; 3] = Default::default();
    let at = |index: usize| ptr::from_ref(&nodes[index]).cast_mut();
    // SAFETY: nodes of this test; the link from the top to the bottom comes later, as in the middle of a push.
    unsafe { stack.push_chain(at(1), at(0)) };
    assert!(!stack.is_empty());
    // SAFETY: here and below, one thread pops at a time.
    assert_eq!(unsafe { stack.pop_nonblocking() }, Err(WouldBlock));
    // SAFETY: a fresh node.
    assert!(unsafe { stack.push(at(2)) });
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_nonblocking() }, Ok(at(2)));
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_nonblocking() }, Err(WouldBlock));
    within_limit("a_half_done_push_blocks", || {
        std::thread::scope(|scope| {
            let (stack, nodes) = (&stack, &nodes);
            let popped = scope.spawn(move || {
                // SAFETY: this thread alone pops now.
                unsafe { stack.pop_blocking() }.addr()
            });
            std::thread::yield_now();
            nodes[1].link(ptr::from_ref(&nodes[0]).cast_mut());
            assert_eq!(popped.join().expect("no panic"), at(1).addr());
        });
    });
    // SAFETY: as above.
    assert_eq!(unsafe { stack.pop_nonblocking() }, Ok(at(0)));

    nodes.iter().for_each(WfsNode::init);
    // SAFETY: as above.
    unsafe { stack.push_chain(at(1), at(0)) };
    nodes[2].init();
    // SAFETY: a fresh node.
    unsafe { stack.push(at(2)) };
    // SAFETY: one thread.
    let head = unsafe { stack.pop_all() };
    // SAFETY: just popped.
    let mut walk = unsafe { WfsIter::new(head) };
    assert_eq!(walk.next_nonblocking(), Ok(Some(at(2))));
    assert_eq!(walk.next_nonblocking(), Err(WouldBlock));
    assert_eq!(walk.next_nonblocking(), Err(WouldBlock));
    nodes[1].link(at(0));
    assert_eq!(walk.next_nonblocking(), Ok(Some(at(1))));
    assert_eq!(walk.next_nonblocking(), Ok(Some(at(0))));
    assert_eq!(walk.next_nonblocking(), Ok(None));
}

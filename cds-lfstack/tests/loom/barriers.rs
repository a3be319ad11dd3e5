//! What the C library promises beside the stack: its operations are full barriers.
//!
//! Two threads write a word each, use the stack, and read the other one's word. Whose operation comes second in the order of the
//! stack's changes sees what the other one has written before its own; so not both may have missed it.

use loom::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// On a stack with one element; each thread has another one to push.
fn barrier<S: Send + Sync + 'static, E: 'static>(
    stack: fn() -> S,
    element: fn() -> *mut E,
    push: fn(&S, *mut E),
    first: fn(&S, *mut E),
    second: fn(&S, *mut E),
) {
    model(move || {
        let elements = [element(), element(), element()];
        let shared = Arc::new(Shared((stack(), [AtomicUsize::new(0), AtomicUsize::new(0)])));
        let [bottom, of_other, mine] = elements;
        push(&shared.0.0, bottom);
        let other = {
            let shared = shared.clone();
            let of_other = of_other as usize;
            thread::spawn(move || {
                let (stack, words) = &shared.0;
                words[0].store(1, Ordering::Relaxed);
                first(stack, of_other as *mut E);
                words[1].load(Ordering::Relaxed)
            })
        };
        let (stack, words) = &shared.0;
        words[1].store(1, Ordering::Relaxed);
        second(stack, mine);
        let seen = words[0].load(Ordering::Relaxed);
        assert!(other.join().unwrap() + seen != 0, "both have missed what the other one had written");
        drop(shared);
        for element in elements {
            // SAFETY: the stack is gone, and all threads have ended.
            drop(unsafe { Box::from_raw(element) });
        }
    });
}

fn lfs_push_one(stack: &LfsStack, element: *mut Lfs) {
    // SAFETY: a fresh node.
    unsafe { stack.push(element.cast()) };
}

fn lfs_pop_one(stack: &LfsStack, _: *mut Lfs) {
    // SAFETY: nodes are not reused in this model.
    unsafe { stack.pop() };
}

fn lfs_pop_all(stack: &LfsStack, _: *mut Lfs) {
    // SAFETY: as above.
    unsafe { stack.pop_all() };
}

/// The top is the same one afterwards, by another exchange.
fn lfs_push_and_pop(stack: &LfsStack, element: *mut Lfs) {
    lfs_push_one(stack, element);
    lfs_pop_one(stack, element);
}

fn lfs(first: fn(&LfsStack, *mut Lfs), second: fn(&LfsStack, *mut Lfs)) {
    barrier(LfsStack::new, || Lfs::new(0), lfs_push_one, first, second);
}

#[test]
fn lfs_a_push_is_a_full_barrier() {
    lfs(lfs_push_one, lfs_push_one);
}

#[test]
fn lfs_a_pop_is_a_full_barrier() {
    lfs(lfs_push_and_pop, lfs_pop_one);
}

#[test]
fn lfs_a_pop_of_all_is_a_full_barrier() {
    lfs(lfs_pop_all, lfs_pop_all);
}

fn wfs_push_one(stack: &WfsStack, element: *mut Wfs) {
    // SAFETY: a fresh node.
    unsafe { stack.push(element.cast()) };
}

fn wfs_pop_one(stack: &WfsStack, _: *mut Wfs) {
    // SAFETY: nodes are not reused in this model.
    unsafe { stack.pop_blocking() };
}

fn wfs_pop_all(stack: &WfsStack, _: *mut Wfs) {
    // SAFETY: as above.
    unsafe { stack.pop_all() };
}

fn wfs_push_and_pop(stack: &WfsStack, element: *mut Wfs) {
    wfs_push_one(stack, element);
    wfs_pop_one(stack, element);
}

fn wfs(first: fn(&WfsStack, *mut Wfs), second: fn(&WfsStack, *mut Wfs)) {
    barrier(WfsStack::new, || Wfs::new(0), wfs_push_one, first, second);
}

#[test]
fn wfs_a_push_is_a_full_barrier() {
    wfs(wfs_push_one, wfs_push_one);
}

#[test]
fn wfs_a_pop_is_a_full_barrier() {
    wfs(wfs_push_and_pop, wfs_pop_one);
}

#[test]
fn wfs_a_pop_of_all_is_a_full_barrier() {
    wfs(wfs_pop_all, wfs_pop_all);
}

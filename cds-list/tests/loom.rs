//! All interleavings, by the model checker, of one updater's steps and a reader's walk.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release -p cds-list --test loom`; without a bound on preemptions.
//!
//! Objects are never freed inside a model. A reclaimed one is poisoned with a plain write (loom's `UnsafeCell`, so an unordered access
//! is found too), and a reader that meets poison, or a cell that is being written, fails. Grace periods are those of [`Section`]: fences
//! of the strength that every flavor gives. So what is checked is the lists' own part: publishing, unlinking, and what a walk may still reach.
#![cfg(urcu_loom)]

use std::ptr;

use cds_list::container_of;
use cds_list::raw::{HlistHead, HlistNode, ListHead, hlist, list, rcuhlist, rculist};
use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::thread;

#[path = "loom/face.rs"]
mod face;

const POISON: usize = 999;

/// One reader's nesting, and the wait for it.
struct Section(AtomicUsize);

impl Section {
    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    fn enter(&self) {
        self.0.store(1, Ordering::Relaxed);
        // The light barrier, as strong as the heavy one. PAIR(model-section)
        fence(Ordering::SeqCst);
    }

    fn leave(&self) {
        // PAIR(model-end)
        self.0.store(0, Ordering::Release);
    }

    /// Whether a section that began before this call may still be open. If not, a grace period has passed.
    fn is_open(&self) -> bool {
        // The heavy barrier. PAIR(model-section)
        fence(Ordering::SeqCst);
        // PAIR(model-end)
        self.0.load(Ordering::Acquire) != 0
    }
}

struct Object {
    links: ListHead,
    short: HlistNode,
    value: UnsafeCell<usize>,
}

/// What the threads of a model share.
struct Shared {
    head: *mut ListHead,
    short: *mut HlistHead,
    objects: Vec<*mut Object>,
    section: Section,
}

// SAFETY: the objects are shared by the lists' rules, which is what is under test.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// So many objects, of which the first `linked` are in both lists, in their order.
    fn new(objects: usize, linked: usize) -> Arc<Self> {
        let fresh = |value| {
            Box::into_raw(Box::new(Object {
                links: ListHead::new(),
                short: HlistNode::new(),
                value: UnsafeCell::new(value),
            }))
        };
        let shared = Self {
            head: Box::into_raw(Box::new(ListHead::new())),
            short: Box::into_raw(Box::new(HlistHead::new())),
            objects: (0..objects).map(fresh).collect(),
            section: Section::new(),
        };
        // SAFETY: live, not shared yet.
        unsafe { list::init(shared.head) };
        for object in (0..linked).rev() {
            // SAFETY: live, not shared yet, in no list.
            unsafe { rculist::add_rcu(shared.links(object), shared.head) };
            // SAFETY: as above.
            unsafe { rcuhlist::add_head_rcu(shared.short(object), shared.short) };
        }
        Arc::new(shared)
    }

    fn links(&self, object: usize) -> *mut ListHead {
        let object = self.objects[object];
        // SAFETY: a live object.
        unsafe { &raw mut (*object).links }
    }

    fn short(&self, object: usize) -> *mut HlistNode {
        let object = self.objects[object];
        // SAFETY: a live object.
        unsafe { &raw mut (*object).short }
    }

    /// Writes the value of an object that nobody can reach.
    fn set(&self, object: usize, value: usize) {
        let object = self.objects[object];
        // SAFETY: a live object; loom checks that the write is exclusive.
        unsafe { &*object }.value.with_mut(|place| unsafe { *place = value });
    }

    /// Reclaims an unlinked object if the reader's section is over.
    fn reclaim(&self, object: usize) -> bool {
        let over = !self.section.is_open();
        if over {
            self.set(object, POISON);
        }
        over
    }

    fn value(object: *const Object) -> usize {
        // SAFETY: a live object; loom checks that nobody writes.
        let value = unsafe { &*object }.value.with(|place| unsafe { *place });
        assert_ne!(value, POISON, "reclaimed inside the section");
        value
    }

    fn forward(&self) -> Vec<usize> {
        self.section.enter();
        // SAFETY: inside the section.
        let walk = unsafe { rculist::iter_rcu(self.head) };
        let met = walk.take(16).map(|links| Self::value(container_of!(links, Object, links))).collect();
        self.section.leave();
        met
    }

    fn backward(&self) -> Vec<usize> {
        self.section.enter();
        // SAFETY: inside the section.
        let walk = unsafe { rculist::iter_rev_rcu(self.head) };
        let mut met: Vec<usize> = walk.take(16).map(|links| Self::value(container_of!(links, Object, links))).collect();
        self.section.leave();
        met.reverse();
        met
    }

    fn short_walk(&self) -> Vec<usize> {
        self.section.enter();
        // SAFETY: inside the section.
        let walk = unsafe { rcuhlist::iter_rcu(self.short) };
        let met = walk.take(16).map(|links| Self::value(container_of!(links, Object, short))).collect();
        self.section.leave();
        met
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for object in self.objects.drain(..) {
            // SAFETY: a box, given up here.
            drop(unsafe { Box::from_raw(object) });
        }
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(self.head) });
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(self.short) });
    }
}

/// Every execution, however many preemptions it has.
fn exhaustive(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = None;
    builder.check(body);
}

/// Checks what `read` meets beside `update`: one of `expected`, or anything that ends if that is empty.
fn model(
    objects: usize,
    linked: usize,
    read: fn(&Shared) -> Vec<usize>,
    update: fn(&Shared),
    expected: &'static [&'static [usize]],
) {
    exhaustive(move || {
        let shared = Shared::new(objects, linked);
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || read(&shared))
        };
        update(&shared);
        let met = reader.join().expect("the reader has not panicked");
        assert!(met.len() < 16, "the walk does not end: {met:?}");
        assert!(expected.is_empty() || expected.contains(&&met[..]), "met {met:?}");
    });
}

const WALKS: [fn(&Shared) -> Vec<usize>; 2] = [Shared::forward, Shared::backward];

#[test]
fn an_added_element_is_whole() {
    let add = |shared: &Shared| {
        shared.set(2, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::add_rcu(shared.links(2), shared.links(0)) };
    };
    for walk in WALKS {
        model(3, 2, walk, add, &[&[0, 1], &[0, 7, 1]]);
    }
    let add = |shared: &Shared| {
        shared.set(2, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rcuhlist::add_after_rcu(shared.short(2), shared.short(0)) };
    };
    model(3, 2, Shared::short_walk, add, &[&[0, 1], &[0, 7, 1]]);
}

#[test]
fn a_removed_element_is_reclaimed_after_the_section() {
    let remove = |shared: &Shared| {
        // SAFETY: the only updater.
        unsafe { rculist::del_rcu(shared.links(1)) };
        shared.reclaim(1);
    };
    for walk in WALKS {
        model(3, 3, walk, remove, &[&[0, 1, 2], &[0, 2]]);
    }
    let remove = |shared: &Shared| {
        // SAFETY: the only updater.
        unsafe { rcuhlist::del_rcu(shared.short(1)) };
        shared.reclaim(1);
    };
    model(3, 3, Shared::short_walk, remove, &[&[0, 1, 2], &[0, 2]]);
}

/// The walk is led from one removed element to the other: the second must wait for the section, too.
#[test]
fn neighbours_are_removed_one_after_the_other() {
    let remove = |shared: &Shared| {
        for object in [1, 2] {
            // SAFETY: the only updater.
            unsafe { rculist::del_rcu(shared.links(object)) };
            shared.reclaim(object);
        }
    };
    model(4, 4, Shared::forward, remove, &[&[0, 1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 3]]);
    let remove = |shared: &Shared| {
        for object in [2, 1] {
            // SAFETY: the only updater.
            unsafe { rculist::del_rcu(shared.links(object)) };
            shared.reclaim(object);
        }
    };
    model(4, 4, Shared::backward, remove, &[&[0, 1, 2, 3], &[0, 1, 3], &[0, 2, 3], &[0, 3]]);
    let remove = |shared: &Shared| {
        for object in [1, 2] {
            // SAFETY: the only updater.
            unsafe { rcuhlist::del_rcu(shared.short(object)) };
            shared.reclaim(object);
        }
    };
    model(4, 4, Shared::short_walk, remove, &[&[0, 1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 3]]);
}

#[test]
fn one_of_the_two_is_met_when_an_element_is_replaced() {
    let replace = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::replace_rcu(shared.links(1), shared.links(3)) };
        shared.reclaim(1);
    };
    for walk in WALKS {
        model(4, 3, walk, replace, &[&[0, 1, 2], &[0, 7, 2]]);
    }
    let replace = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rcuhlist::replace_rcu(shared.short(1), shared.short(3)) };
        shared.reclaim(1);
    };
    model(4, 3, Shared::short_walk, replace, &[&[0, 1, 2], &[0, 7, 2]]);
}

/// Added beside an element that goes: what is unlinked with it carries the new one to a reader that stands on it.
#[test]
fn an_element_is_added_where_another_one_is_removed() {
    let update = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::add_rcu(shared.links(3), shared.links(1)) };
        // SAFETY: the only updater.
        unsafe { rculist::del_rcu(shared.links(1)) };
        shared.reclaim(1);
    };
    for walk in WALKS {
        model(4, 3, walk, update, &[&[0, 1, 2], &[0, 1, 7, 2], &[0, 7, 2]]);
    }
}

#[test]
fn a_moved_element_is_met_at_either_place_or_neither_or_both() {
    let to_front = |shared: &Shared| {
        // SAFETY: the only updater; both in the list.
        unsafe { rculist::move_rcu(shared.links(2), shared.head) };
    };
    // On 2 when it moves: 0 and 1 again. Then 2 again, too, if the reader was ahead of it.
    model(3, 3, Shared::forward, to_front, &[&[0, 1, 2], &[2, 0, 1], &[0, 1], &[0, 1, 2, 0, 1]]);
    let to_back = |shared: &Shared| {
        // SAFETY: the only updater; both in the list.
        unsafe { rculist::move_tail_rcu(shared.links(0), shared.head) };
    };
    model(3, 3, Shared::forward, to_back, &[&[0, 1, 2], &[0, 1, 2, 0], &[1, 2, 0], &[0], &[1, 2]]);
    let to_back = |shared: &Shared| {
        // SAFETY: the only updater; both in the list.
        unsafe { rcuhlist::move_after_rcu(shared.short(0), shared.short(2)) };
    };
    model(3, 3, Shared::short_walk, to_back, &[&[0, 1, 2], &[0, 1, 2, 0], &[1, 2, 0], &[0], &[1, 2]]);
}

/// The link of an element that is moved leads readers on it to one that they may not have met otherwise.
#[test]
fn a_moved_element_publishes_its_new_neighbours() {
    let update = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::add_rcu(shared.links(3), shared.head) };
        // SAFETY: the only updater; both in the list.
        unsafe { rculist::move_rcu(shared.links(1), shared.head) };
    };
    model(4, 3, Shared::forward, update, &[]);
    let update = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::add_tail_rcu(shared.links(3), shared.head) };
        // SAFETY: the only updater; both in the list.
        unsafe { rculist::move_tail_rcu(shared.links(1), shared.head) };
    };
    model(4, 3, Shared::backward, update, &[]);
    let update = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rcuhlist::add_head_rcu(shared.short(3), shared.short) };
        // SAFETY: the only updater; both in the list.
        unsafe { rcuhlist::move_after_rcu(shared.short(1), hlist_anchor(shared.short)) };
    };
    model(4, 3, Shared::short_walk, update, &[]);
}

/// The head as the node before the first.
fn hlist_anchor(head: *mut HlistHead) -> *mut HlistNode {
    head.cast()
}

/// Taken out, and in again after a grace period: the reader meets what was there or nothing.
#[test]
fn a_whole_list_goes_and_comes_back_after_a_grace_period() {
    let update = |shared: &Shared| {
        // SAFETY: the only updater.
        let chain = unsafe { rculist::take_all_rcu(shared.head) };
        let (first, last) = chain.expect("two elements");
        assert!(ptr::eq(first, shared.links(0)) && ptr::eq(last, shared.links(1)));
        if !shared.section.is_open() {
            shared.set(1, 7);
            // SAFETY: a chain that nobody can reach; the only updater.
            unsafe { rculist::splice_rcu(first, last, shared.head) };
        }
    };
    for walk in WALKS {
        model(2, 2, walk, update, &[&[0, 1], &[], &[0, 7]]);
    }
    let update = |shared: &Shared| {
        // SAFETY: the only updater.
        let first = unsafe { rcuhlist::take_all_rcu(shared.short) };
        // SAFETY: live; the head as the node before the first.
        assert!(ptr::eq(first, shared.short(0)) && unsafe { hlist::empty(shared.short) });
        if !shared.section.is_open() {
            shared.set(1, 7);
            // SAFETY: the only updater; objects that nobody can reach.
            unsafe { rcuhlist::add_head_rcu(shared.short(1), shared.short) };
        }
    };
    model(2, 2, Shared::short_walk, update, &[&[0, 1], &[], &[7]]);
}

/// Two updaters by turns (the join stands for their lock): a link that the second stores leads to what the first has made.
fn by_turns(read: fn(&Shared) -> Vec<usize>, first: fn(&Shared), second: fn(&Shared)) {
    exhaustive(move || {
        let shared = Shared::new(4, 3);
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || read(&shared))
        };
        let updater = {
            let shared = shared.clone();
            thread::spawn(move || first(&shared))
        };
        updater.join().expect("the first updater has not panicked");
        second(&shared);
        shared.reclaim(1);
        let met = reader.join().expect("the reader has not panicked");
        let expected: [&[usize]; 5] = [&[0, 1, 2], &[0, 1, 7, 2], &[0, 7, 1, 2], &[0, 7, 2], &[0, 2]];
        assert!(expected.contains(&&met[..]), "met {met:?}");
    });
}

#[test]
fn a_link_stored_by_another_updater_publishes_too() {
    let behind = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::add_rcu(shared.links(3), shared.links(1)) };
    };
    let before = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rculist::add_tail_rcu(shared.links(3), shared.links(1)) };
    };
    let remove = |shared: &Shared| {
        // SAFETY: the only updater.
        unsafe { rculist::del_rcu(shared.links(1)) };
    };
    by_turns(Shared::forward, behind, remove);
    by_turns(Shared::backward, before, remove);
}

#[test]
fn a_link_of_an_hlist_stored_by_another_updater_publishes_too() {
    let behind = |shared: &Shared| {
        shared.set(3, 7);
        // SAFETY: the only updater; a fresh object.
        unsafe { rcuhlist::add_after_rcu(shared.short(3), shared.short(1)) };
    };
    let remove = |shared: &Shared| {
        // SAFETY: the only updater.
        unsafe { rcuhlist::del_rcu(shared.short(1)) };
    };
    by_turns(Shared::short_walk, behind, remove);
}

//! The list under the model checker: all interleavings of two or three threads with few calls each.
//!
//! `RUSTFLAGS="--cfg urcu_loom" cargo test --release -p cds-lfht --test loom`. Preemptions are bounded at 2 (3 where two
//! threads are enough). loom takes SeqCst accesses for AcqRel, which is all that the list asks of them. Nothing is reclaimed
//! before all threads have ended, as a section per thread would have it. The contents of nodes are in loom's cells: an access that
//! the memory orders do not put behind the one that filled them is found.

use std::ptr::NonNull;

use cds_lfht::raw::{Node, Options, ReplaceError, Table, TableBox};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use urcu_core::FlavorVtable;

#[path = "raw_orders.rs"]
mod orders;

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

#[repr(C)]
struct Entry {
    node: Node,
    key: UnsafeCell<u32>,
}

/// A table whose nodes are freed with it.
struct Shared {
    table: Option<TableBox>,
    made: std::sync::Mutex<Vec<NonNull<Node>>>,
}

// SAFETY: nodes go between the threads of a model through the table.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.table.take());
        for node in self.made.lock().unwrap().drain(..) {
            // SAFETY: made by `node`, and all threads have ended.
            drop(unsafe { Box::from_raw(node.cast::<Entry>().as_ptr()) });
        }
    }
}

fn flavor() -> &'static FlavorVtable {
    // Never called in a model: nothing waits for grace periods.
    <structure_conformance::Mb as structure_conformance::Tested>::vtable()
}

impl Shared {
    fn new(buckets: usize) -> Arc<Self> {
        let options = Options::new().initial(buckets).auto_resize(false).accounting(false).max(8);
        let options = options.memory(cds_lfht::raw::BucketMemory::Order);
        Arc::new(Self { table: Some(Table::new(flavor(), options).unwrap()), made: Default::default() })
    }

    fn table(&self) -> &Table {
        self.table.as_ref().unwrap()
    }

    fn node(&self, key: u32) -> NonNull<Node> {
        let node = NonNull::from(Box::leak(Box::new(Entry { node: Node::new(), key: UnsafeCell::new(key) }))).cast();
        self.made.lock().unwrap().push(node);
        node
    }

    fn add(&self, hash: usize, key: u32) -> NonNull<Node> {
        let node = self.node(key);
        // SAFETY: nothing is reclaimed; a fresh node.
        unsafe { self.table().add(hash, node) };
        node
    }

    fn add_unique(&self, hash: usize, key: u32) -> bool {
        let node = self.node(key);
        // SAFETY: nothing is reclaimed; a fresh node.
        unsafe { self.table().add_unique(hash, node, has(key)) }.is_none()
    }

    fn add_replace(&self, hash: usize, key: u32) -> bool {
        let node = self.node(key);
        // SAFETY: nothing is reclaimed; a fresh node.
        unsafe { self.table().add_replace(hash, node, has(key)) }.is_none()
    }

    fn del(&self, node: NonNull<Node>) -> bool {
        // SAFETY: nothing is reclaimed.
        unsafe { self.table().del(node) }.is_ok()
    }

    fn finds(&self, hash: usize, key: u32) -> usize {
        let mut count = 0;
        // SAFETY: nothing is reclaimed.
        let mut iter = unsafe { self.table().lookup(hash, has(key)) };
        while iter.node().is_some() {
            count += 1;
            // SAFETY: as above.
            iter = unsafe { self.table().next_duplicate(iter, has(key)) };
        }
        count
    }

    fn all(&self) -> Vec<u32> {
        let mut keys = Vec::new();
        // SAFETY: nothing is reclaimed.
        let mut iter = unsafe { self.table().first() };
        while let Some(node) = iter.node() {
            keys.push(key_of(node));
            // SAFETY: as above.
            iter = unsafe { self.table().next(iter) };
        }
        keys
    }
}

fn key_of(node: NonNull<Node>) -> u32 {
    // SAFETY: nodes of this test.
    let entry = unsafe { node.cast::<Entry>().as_ref() };
    // SAFETY: loom checks that it was filled before.
    entry.key.with(|key| unsafe { *key })
}

fn has(key: u32) -> impl FnMut(NonNull<Node>) -> bool {
    move |node| key_of(node) == key
}

/// Reversed hashes: 0 and 2 in bucket 0 of 2, 1 and 3 in bucket 1.
#[test]
fn insertions_at_one_place() {
    model(3, || {
        let shared = Shared::new(1);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.add(2, 20);
        });
        shared.add(2, 21);
        shared.add(0, 1);
        thread.join().unwrap();
        let mut all = shared.all();
        assert_eq!(all.remove(0), 1);
        all.sort_unstable();
        assert_eq!(all, [20, 21]);
    });
}

#[test]
fn unique_keys() {
    model(3, || {
        let shared = Shared::new(1);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || other.add_unique(2, 20));
        let here = shared.add_unique(2, 20);
        assert_eq!(shared.finds(2, 20), 1);
        assert_ne!(here, thread.join().unwrap());
        assert_eq!(shared.all(), [20]);
    });
}

#[test]
fn unique_keys_beside_removal_and_a_node_with_the_same_hash() {
    model(2, || {
        let shared = Shared::new(1);
        let old = shared.add(2, 20);
        shared.add(2, 21);
        let others = [Arc::clone(&shared), Arc::clone(&shared)];
        let [first, second] = others;
        let adding = thread::spawn(move || first.add_unique(2, 20));
        let walking = thread::spawn(move || {
            let all = second.all();
            assert!(all.iter().filter(|key| **key == 20).count() <= 1, "{all:?}");
            assert!(all.contains(&21));
        });
        assert!(shared.del(old));
        let added = adding.join().unwrap();
        walking.join().unwrap();
        assert_eq!(shared.finds(2, 20), usize::from(added));
    });
}

#[test]
fn removal_beside_insertion_behind_the_removed_node() {
    model(3, || {
        let shared = Shared::new(1);
        let old = shared.add(0, 1);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.add(2, 20);
        });
        assert!(shared.del(old));
        thread.join().unwrap();
        assert_eq!(shared.all(), [20]);
    });
}

#[test]
fn neighbours_removed_at_once_and_one_winner() {
    model(2, || {
        let shared = Shared::new(1);
        let (first, second) = (shared.add(0, 1), shared.add(2, 2));
        shared.add(1, 3);
        struct Sent(NonNull<Node>);
        // SAFETY: nodes are shared in the table anyway.
        unsafe impl Send for Sent {}
        let (first_too, second_too) = (Sent(first), Sent(second));
        let others = [Arc::clone(&shared), Arc::clone(&shared)];
        let [one, two] = others;
        let one = thread::spawn(move || {
            let node = first_too;
            one.del(node.0)
        });
        let two = thread::spawn(move || {
            let node = second_too;
            two.del(node.0)
        });
        let won = shared.del(first);
        assert_ne!(won, one.join().unwrap());
        assert!(two.join().unwrap());
        assert_eq!(shared.all(), [3]);
    });
}

#[test]
fn replaced_keys_are_always_there_once() {
    model(3, || {
        let shared = Shared::new(1);
        shared.add(2, 20);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            assert!(!other.add_replace(2, 20));
        });
        assert_eq!(shared.finds(2, 20), 1);
        assert_eq!(shared.all(), [20]);
        thread.join().unwrap();
        assert_eq!(shared.all(), [20]);
    });
}

#[test]
fn replacement_beside_removal() {
    model(3, || {
        let shared = Shared::new(1);
        let old = shared.add(2, 20);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            // SAFETY: nothing is reclaimed.
            let at = unsafe { other.table().lookup(2, has(20)) };
            let new = other.node(20);
            // SAFETY: as above.
            unsafe { other.table().replace(at, 2, new, has(20)) }
        });
        let removed = shared.del(old);
        let replaced = thread.join().unwrap();
        assert_ne!(removed, replaced.is_ok());
        assert!(replaced.is_ok() || replaced == Err(ReplaceError::NotFound));
        assert_eq!(shared.all().len(), usize::from(replaced.is_ok()));
    });
}

#[test]
fn a_new_bucket_beside_insertion_and_lookup() {
    model(2, || {
        let shared = Shared::new(1);
        shared.add(0, 1);
        shared.add(1, 2);
        let others = [Arc::clone(&shared), Arc::clone(&shared)];
        let [growing, adding] = others;
        let growing = thread::spawn(move || {
            // SAFETY: nothing is reclaimed.
            unsafe { growing.table().model_begin_growth(2) };
            // SAFETY: as above.
            while unsafe { growing.table().model_sweep() } {}
        });
        let adding = thread::spawn(move || {
            adding.add(1, 3);
            assert_eq!(adding.finds(1, 3), 1);
        });
        assert_eq!(shared.finds(1, 2), 1);
        assert_eq!(shared.finds(0, 1), 1);
        growing.join().unwrap();
        adding.join().unwrap();
        assert_eq!(shared.table().size(), 2);
        assert_eq!(shared.all(), [1, 2, 3]);
        assert_eq!(shared.finds(1, 3) + shared.finds(1, 2), 2);
    });
}

/// Three buckets are split off one: those without a node between them go in together.
#[test]
fn a_family_of_buckets_beside_insertion_and_lookup() {
    model(2, || {
        let shared = Shared::new(2);
        // Behind bucket 4 of 8, in front of bucket 2.
        shared.add(4, 1);
        let others = [Arc::clone(&shared), Arc::clone(&shared)];
        let [growing, adding] = others;
        let growing = thread::spawn(move || {
            // SAFETY: nothing is reclaimed.
            unsafe { growing.table().model_begin_growth(8) };
            // SAFETY: as above.
            while unsafe { growing.table().model_sweep() } {}
        });
        let adding = thread::spawn(move || {
            // Behind bucket 2, with which bucket 6 goes in.
            adding.add(2, 2);
            assert_eq!(adding.finds(2, 2), 1);
        });
        assert_eq!(shared.finds(4, 1), 1);
        growing.join().unwrap();
        adding.join().unwrap();
        assert_eq!(shared.table().size(), 8);
        shared.add(6, 3);
        shared.add(0, 0);
        assert_eq!(shared.all(), [0, 1, 2, 3]);
        assert_eq!(shared.finds(0, 0) + shared.finds(4, 1) + shared.finds(2, 2) + shared.finds(6, 3), 4);
    });
}

/// The other thread may be interrupted at its bucket, while a size is published that has this bucket.
#[test]
fn two_threads_put_buckets_in() {
    model(3, || {
        let shared = Shared::new(2);
        shared.add(3, 2);
        // SAFETY: nothing is reclaimed.
        unsafe { shared.table().model_begin_growth(4) };
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            // SAFETY: nothing is reclaimed.
            while unsafe { other.table().model_sweep() } {}
        });
        // SAFETY: nothing is reclaimed.
        while unsafe { shared.table().model_sweep() } {}
        assert_eq!(shared.finds(3, 2), 1);
        // Into the other thread's bucket, and where it belongs.
        shared.add(2, 3);
        shared.add(0, 4);
        thread.join().unwrap();
        assert_eq!(shared.table().size(), 4);
        assert_eq!(shared.all(), [4, 3, 2]);
        assert_eq!(shared.finds(0, 4) + shared.finds(2, 3) + shared.finds(3, 2), 3);
    });
}

#[test]
fn a_bucket_is_removed_beside_insertion_behind_it() {
    model(3, || {
        let shared = Shared::new(2);
        shared.add(0, 1);
        // Half the size, a grace period ago.
        shared.table().model_publish_half();
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.add(1, 2);
        });
        // SAFETY: nothing is reclaimed, and the size was published before the other thread began.
        unsafe { shared.table().model_unmake(1) };
        assert_eq!(shared.finds(0, 1), 1);
        thread.join().unwrap();
        // Its memory is not looked at any more.
        // SAFETY: unmade, and the other thread has ended.
        unsafe { shared.table().model_release() };
        assert_eq!(shared.all(), [1, 2]);
        assert_eq!(shared.finds(1, 2), 1);
    });
}

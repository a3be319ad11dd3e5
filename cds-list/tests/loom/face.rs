//! The typed lists' own walks: what a reader reaches is as its updater made it.

use cds_list::{RcuHList, RcuList};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use structure_conformance::{Bp, Tested};
use urcu_core::{AnyGuard, DomainId};

/// A section that keeps everything.
struct Inside;

// SAFETY: nothing is removed while the threads of a model run.
unsafe impl AnyGuard for Inside {
    fn domain(&self) -> DomainId {
        Bp::vtable().domain()
    }

    fn flavor_name(&self) -> &'static str {
        "model"
    }
}

/// A number whose accesses are watched.
struct Watched(UnsafeCell<u64>);

// SAFETY: the model checker reports every race.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(value: u64) -> Self {
        let watched = Self(UnsafeCell::new(0));
        // SAFETY: not shared yet.
        watched.0.with_mut(|it| unsafe { *it = value });
        watched
    }

    fn value(&self) -> u64 {
        // SAFETY: the model checker reports a race.
        self.0.with(|it| unsafe { *it })
    }
}

/// One thread changes what `new` makes, another one walks. (The walk is behind the change in the first execution: the model
/// checker only remembers the last access to an atomic.)
fn walks<L: Send + Sync + 'static>(
    new: fn() -> L,
    change: fn(&L),
    walk: fn(&L) -> Vec<u64>,
    expected: &'static [&'static [u64]],
) {
    loom::model(move || {
        let list = Arc::new(new());
        let reader = {
            let list = Arc::clone(&list);
            thread::spawn(move || {
                let met = walk(&list);
                assert!(expected.contains(&&*met), "{met:?}");
            })
        };
        change(&list);
        reader.join().unwrap();
    });
}

#[test]
fn an_hlist_is_walked_beside_its_updater() {
    walks(
        || RcuHList::new(Bp::vtable()),
        |list| (1..=2).for_each(|value| list.push_front(Watched::new(value))),
        |list| list.iter(&Inside).map(Watched::value).collect(),
        &[&[], &[1], &[2, 1]],
    );
}

#[test]
fn a_list_is_walked_beside_its_updater() {
    walks(
        || RcuList::new(Bp::vtable()),
        |list| (1..=2).for_each(|value| list.push_back(Watched::new(value))),
        |list| list.iter(&Inside).map(Watched::value).collect(),
        &[&[], &[1], &[1, 2]],
    );
}

#[test]
fn a_list_is_walked_back_beside_its_updater() {
    walks(
        || RcuList::new(Bp::vtable()),
        |list| (1..=2).for_each(|value| list.push_front(Watched::new(value))),
        |list| list.iter_rev(&Inside).map(Watched::value).collect(),
        &[&[], &[1], &[1, 2]],
    );
}

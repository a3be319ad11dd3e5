//! User code that panics, in predicates, iterators and drops.
#![cfg(not(urcu_loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cds_list::{Chain, Hlist, RcuHList, RcuList};
use structure_conformance::{FlavorVtable, Mb, Tested};

fn vtable() -> &'static FlavorVtable {
    Mb::vtable()
}

/// Counts its drops; the one with number 2 panics then.
struct Moody(usize, Arc<AtomicUsize>);

impl Drop for Moody {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        assert!(self.0 != 2, "number two");
    }
}

fn moody(count: usize) -> (impl Iterator<Item = Moody>, Arc<AtomicUsize>) {
    let drops = Arc::new(AtomicUsize::new(0));
    let shared = drops.clone();
    ((0..count).map(move |n| Moody(n, shared.clone())), drops)
}

fn panics(body: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

#[test]
fn a_list_whose_element_panics_drops_the_others() {
    let (values, drops) = moody(5);
    let list = RcuList::from_values(vtable(), values);
    assert!(panics(|| drop(list)));
    assert_eq!(drops.load(Ordering::Relaxed), 5);

    let (values, drops) = moody(5);
    let list = RcuHList::from_values(vtable(), values);
    assert!(panics(|| drop(list)));
    assert_eq!(drops.load(Ordering::Relaxed), 5);

    let (values, drops) = moody(5);
    let mut list = RcuList::from_values(vtable(), values);
    assert!(panics(|| list.clear()));
    assert_eq!(drops.load(Ordering::Relaxed), 5);
    assert!(list.is_empty());
    assert_eq!(list.into_iter().len(), 0);
}

#[test]
fn a_drain_or_chain_whose_element_panics_drops_the_others() {
    let (values, drops) = moody(5);
    let mut list = RcuList::from_values(vtable(), values);
    let mut drain = list.drain();
    drop(drain.next());
    assert!(panics(|| drop(drain)));
    assert_eq!(drops.load(Ordering::Relaxed), 5);

    let (values, drops) = moody(5);
    let chain: Chain<_, Hlist> = values.collect();
    assert!(panics(|| drop(chain)));
    assert_eq!(drops.load(Ordering::Relaxed), 5);
}

#[test]
fn a_worker_reports_an_element_that_panics_and_goes_on() {
    let (values, drops) = moody(50);
    let list = RcuList::from_values(vtable(), values);
    list.lock().clear();
    vtable().wait_for_retired().expect("outside");
    assert_eq!(drops.load(Ordering::Relaxed), 50);
}

#[test]
fn a_predicate_that_panics_leaves_what_was_done_and_no_poison() {
    let list = RcuList::from_values(vtable(), 0..10);
    assert!(panics(|| list.lock().retain(|n| {
        assert!(*n != 5, "five");
        n % 2 == 0
    })));
    assert_eq!(list.lock().iter().copied().collect::<Vec<_>>(), [0, 2, 4, 5, 6, 7, 8, 9]);
    let detach = || list.lock().detach_if(|n| *n < 6 || panic!("six"));
    assert!(panics(|| drop(detach())));
    assert!(panics(|| list.lock().extend((0..3).inspect(|n| assert!(*n != 2, "two")))));
    assert_eq!(list.try_lock().expect("free").len(), 4);
    assert_eq!(list.into_iter().collect::<Vec<_>>(), [6, 7, 8, 9]);
}

#[test]
fn an_iterator_that_panics_leaves_nothing_behind() {
    let (values, drops) = moody(2);
    let values = values.chain(std::iter::once_with(|| panic!("no third")));
    assert!(panics(|| drop(RcuList::from_values(vtable(), values))));
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

//! What lists and their iterators show: their contents.
#![cfg(not(urcu_loom))]

use cds_list::{Chain, RcuHList, RcuList};
use structure_conformance::{Mb, Tested, Thread};

#[test]
fn lists_show_their_values() {
    let list = RcuList::new(Mb::vtable());
    [1, 2, 3].into_iter().for_each(|value| list.push_back(value));
    let thread = Thread::<Mb>::register().expect("not registered yet");
    let guard = thread.read_lock();
    assert_eq!(format!("{:?}", list.iter(&guard)), "[1, 2, 3]");
    assert_eq!(format!("{:?}", list.iter_rev(&guard)), "[3, 2, 1]");
    let mut updater = list.lock();
    assert!(!updater.is_empty());
    assert_eq!((&updater).into_iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(updater.pop_front(), Some(&1));
    drop(updater);
    assert_eq!(format!("{:?}", list.iter(&guard)), "[2, 3]");
}

#[test]
fn iterators_are_copied_where_they_stand() {
    let list = RcuHList::new(Mb::vtable());
    [3, 2, 1].into_iter().for_each(|value| list.push_front(value));
    let thread = Thread::<Mb>::register().expect("not registered yet");
    let guard = thread.read_lock();
    let mut iter = list.iter(&guard);
    iter.next();
    let mut copy = iter.clone();
    assert_eq!((iter.next(), copy.next()), (Some(&2), Some(&2)));
    assert_eq!(format!("{copy:?}"), "[3]");
}

#[test]
fn chains_show_what_is_left() {
    let mut chain: Chain<u32> = [1, 2, 3].into_iter().collect();
    assert_eq!(format!("{chain:?}"), "[1, 2, 3]");
    let mut iter = chain.iter();
    iter.next();
    assert_eq!(format!("{:?}", iter.clone()), "[2, 3]");
    for value in &mut chain {
        *value *= 10;
    }
    let mut left = chain.iter_mut();
    left.next();
    assert_eq!(format!("{left:?}"), "IterMut(2 left)");
    let mut values = chain.into_iter();
    assert_eq!(values.next(), Some(10));
    assert_eq!(format!("{values:?}"), "[20, 30]");
}

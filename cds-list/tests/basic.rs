//! Each operation by itself, under one flavor.
#![cfg(not(urcu_loom))]

use cds_list::{Chain, Hlist, Kind, List, RcuHList, RcuList};
use structure_conformance::{Bp, Counts, FlavorVtable, Gate, Mb, Tested, Thread, until, within_limit};

fn vtable() -> &'static FlavorVtable {
    Mb::vtable()
}

fn seen<T: Clone, K: Kind>(list: &List<T, K>) -> Vec<T> {
    let guard = vtable().pin();
    list.iter(&guard).cloned().collect()
}

fn seen_back<T: Clone>(list: &RcuList<T>) -> Vec<T> {
    let guard = vtable().pin();
    list.iter_rev(&guard).cloned().collect()
}

fn registered<R>(body: impl FnOnce() -> R) -> R {
    let _thread = Thread::<Mb>::register().expect("not registered yet");
    body()
}

#[test]
fn ends_are_pushed_and_popped() {
    registered(|| {
        let list = RcuList::new(vtable());
        assert!(list.is_empty());
        list.push_back(2);
        list.push_back(3);
        list.push_front(1);
        assert_eq!((seen(&list), seen_back(&list), list.len()), (vec![1, 2, 3], vec![3, 2, 1], 3));
        let mut updater = list.lock();
        assert_eq!(updater.pop_front(), Some(&1));
        assert_eq!(updater.pop_back(), Some(&3));
        assert_eq!((updater.first(), updater.last(), updater.len()), (Some(&2), Some(&2), 1));
        assert_eq!(updater.pop_back(), Some(&2));
        assert_eq!(updater.pop_back(), None);
        assert_eq!(updater.pop_front(), None);
        drop(updater);
        assert!(list.is_empty() && seen(&list).is_empty());
    });
}

#[test]
fn readers_find_what_is_there() {
    registered(|| {
        let list = RcuList::from_values(vtable(), ["a", "b", "c"]);
        let guard = vtable().pin();
        assert_eq!((list.first(&guard), list.last(&guard)), (Some(&"a"), Some(&"c")));
        assert!(list.contains(&"b", &guard) && !list.contains(&"d", &guard));
        assert_eq!(list.find(&guard, |name| *name > "a"), Some(&"b"));
        assert_eq!(format!("{list:?}"), r#"["a", "b", "c"]"#);
        let updater = list.lock();
        assert_eq!(format!("{updater:?}"), r#"["a", "b", "c"]"#);
        assert_eq!(format!("{list:?}"), "List { len: 3, .. }", "printing does not wait for the lock");
        assert!(list.try_lock().is_none());
    });
}

#[test]
fn cursor_goes_round() {
    let list = RcuList::from_values(vtable(), [1, 2, 3]);
    let mut updater = list.lock();
    let mut cursor = updater.cursor_back();
    assert_eq!((cursor.peek_prev(), cursor.current(), cursor.peek_next()), (Some(&2), Some(&3), None));
    cursor.move_next();
    assert_eq!((cursor.peek_prev(), cursor.current(), cursor.peek_next()), (Some(&3), None, Some(&1)));
    cursor.move_next();
    assert_eq!((cursor.peek_prev(), cursor.current(), cursor.peek_next()), (None, Some(&1), Some(&2)));
    cursor.move_prev();
    assert_eq!(cursor.current(), Some(&1));
}

#[test]
fn what_is_put_at_the_end_of_an_empty_list_is_found_from_both_sides() {
    registered(|| {
        for way in 0..4 {
            let list = RcuList::new(vtable());
            let mut updater = list.lock();
            let mut cursor = updater.cursor_front();
            match way {
                0 => cursor.insert_before(1),
                1 => cursor.insert_after(1),
                2 => cursor.splice_before([1].into_iter().collect()),
                _ => cursor.splice_after([1].into_iter().collect()),
            }
            assert_eq!((cursor.current(), cursor.peek_prev(), cursor.peek_next()), (None, Some(&1), Some(&1)));
            cursor.insert_before(2);
            drop(updater);
            assert_eq!((seen(&list), seen_back(&list)), (vec![1, 2], vec![2, 1]));
        }
    });
}

#[test]
fn removed_elements_can_be_looked_at_until_the_updater_goes_on() {
    let list = RcuList::from_values(vtable(), (0..20).map(|n| n.to_string()));
    let mut updater = list.lock();
    for n in 0..20 {
        assert_eq!(updater.pop_front(), Some(&n.to_string()));
    }
}

#[test]
fn a_reader_on_a_removed_element_walks_on() {
    registered(|| {
        let list = RcuList::from_values(vtable(), 0..6);
        let guard = vtable().pin();
        let mut walk = list.iter(&guard);
        let mut back = list.iter_rev(&guard);
        assert_eq!(walk.by_ref().take(3).collect::<Vec<_>>(), [&0, &1, &2]);
        assert_eq!(back.by_ref().take(3).collect::<Vec<_>>(), [&5, &4, &3]);
        list.lock().retain(|n| !(2..=3).contains(n));
        assert_eq!(walk.collect::<Vec<_>>(), [&3, &4, &5], "2 was taken out when 3 was still there");
        assert_eq!(back.collect::<Vec<_>>(), [&1, &0], "when 3 was taken out 2 had gone");
        assert_eq!(seen(&list), [0, 1, 4, 5]);
        list.lock().clear();
        assert!(seen(&list).is_empty());
    });
}

#[test]
fn a_reader_in_a_cleared_list_walks_to_its_end() {
    registered(|| {
        let list = RcuList::from_values(vtable(), 0..6);
        let guard = vtable().pin();
        let mut walk = list.iter(&guard);
        assert_eq!(walk.next(), Some(&0));
        list.lock().clear();
        list.push_back(7);
        assert_eq!(walk.collect::<Vec<_>>(), [&1, &2, &3, &4, &5]);
        assert_eq!(list.len(), 1);
    });
}

#[test]
fn moved_elements_carry_readers_along() {
    registered(|| {
        let list = RcuList::from_values(vtable(), 0..5);
        let guard = vtable().pin();
        let mut walk = list.iter(&guard);
        assert_eq!(walk.by_ref().take(3).collect::<Vec<_>>(), [&0, &1, &2]);
        assert!(list.lock().cursor_at(|n| *n == 2).move_to_front());
        assert_eq!(walk.clone().collect::<Vec<_>>(), [&0, &1, &3, &4], "carried to the front: again");
        assert!(list.lock().cursor_at(|n| *n == 2).move_to_back());
        assert_eq!(walk.next(), None, "carried to the end: missed");
        assert_eq!((seen(&list), seen_back(&list)), (vec![0, 1, 3, 4, 2], vec![2, 4, 3, 1, 0]));
    });
}

#[test]
fn detached_elements_wait_for_readers() {
    within_limit("detached_elements_wait_for_readers", || {
        let list = RcuList::from_values(vtable(), 0..6);
        let (inside, leave) = (Gate::new(), Gate::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let thread = Thread::<Mb>::register().expect("not registered yet");
                let guard = thread.read_lock();
                let mut walk = list.iter(&guard);
                assert_eq!(walk.next(), Some(&0));
                inside.open();
                leave.wait();
                assert_eq!(walk.collect::<Vec<_>>(), [&1, &3, &5], "each went when the next was there");
            });
            inside.wait();
            let mut detached = list.detach_if(|n| n % 2 == 0);
            detached.merge(list.detach_all());
            assert!(list.is_empty());
            assert_eq!(detached.iter().collect::<Vec<_>>(), [&0, &2, &4, &1, &3, &5]);
            for _ in 0..100 {
                detached = detached.poll().expect_err("a reader is among them");
            }
            leave.open();
            let mut chain = loop {
                match detached.poll() {
                    Ok(chain) => break chain,
                    Err(again) => detached = again,
                }
                std::thread::yield_now();
            };
            chain.iter_mut().for_each(|n| *n += 10);
            list.lock().append(chain);
        });
        assert_eq!(list.into_iter().collect::<Vec<_>>(), [10, 12, 14, 11, 13, 15]);
    });
}

#[test]
fn waiting_is_refused_inside_a_section_and_nothing_is_lost() {
    registered(|| {
        let list = RcuList::from_values(vtable(), [1, 2]);
        let other = RcuList::from_values(vtable(), [0]);
        let guard = vtable().pin();
        let detached = other.append_from(&list).expect_err("inside a section");
        assert!(list.is_empty());
        assert_eq!(detached.len(), 2);
        drop(guard);
        let chain = detached.synchronize().expect("outside");
        other.lock().append(chain);
        assert_eq!(seen(&other), [0, 1, 2]);
        assert_eq!(other.append_from(&other).expect("outside"), 3);
        assert_eq!(seen(&other), [0, 1, 2]);
        assert_eq!(list.prepend_from(&other).expect("outside"), 3);
        assert_eq!(list.append_from(&other).expect("nothing to wait for"), 0);
        assert_eq!(seen(&list), [0, 1, 2]);
    });
}

#[test]
fn no_lock_is_held_while_a_splice_waits() {
    within_limit("no_lock_is_held_while_a_splice_waits", || {
        let (list, other) = (RcuList::from_values(vtable(), [1, 2]), RcuList::new(vtable()));
        let inside = Gate::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let thread = Thread::<Mb>::register().expect("not registered yet");
                let guard = thread.read_lock();
                assert_eq!(list.first(&guard), Some(&1));
                inside.open();
                until("the list is being moved", || list.is_empty());
                // The other thread waits for this section, which waits for the locks.
                list.lock().push_back(3);
                other.lock().push_back(0);
                drop(guard);
            });
            inside.wait();
            assert_eq!(other.append_from(&list).expect("outside"), 2);
        });
        assert_eq!(other.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(list.into_iter().collect::<Vec<_>>(), [3]);
    });
}

#[test]
fn an_hlist_goes_forward() {
    registered(|| {
        let list = RcuHList::from_values(vtable(), [2, 3]);
        list.push_front(1);
        assert_eq!(seen(&list), [1, 2, 3]);
        let mut updater = list.lock();
        let mut cursor = updater.cursor_front();
        while cursor.current().is_some() {
            cursor.move_next();
        }
        cursor.insert_before(5);
        cursor.move_prev();
        cursor.insert_before(4);
        cursor.move_prev();
        assert_eq!(cursor.replace(44), Ok(&4));
        assert_eq!(cursor.shift_back(9), 3);
        assert_eq!(cursor.shift_forward(1), 1);
        drop(updater);
        assert_eq!(seen(&list), [1, 44, 2, 3, 5]);
        let mut chain = list.detach_all().synchronize().expect("outside");
        assert_eq!((chain.len(), chain.pop_front()), (5, Some(1)));
        list.lock().prepend(chain);
        let guard = vtable().pin();
        assert_eq!(list.first(&guard), Some(&44));
    });
}

#[test]
fn exclusive_access_needs_no_section() {
    let mut list = RcuList::from_values(vtable(), 0..4);
    list.extend([4, 5]);
    list.iter_mut().for_each(|n| *n *= 2);
    assert_eq!(list.iter_mut().rev().map(|n| *n).collect::<Vec<_>>(), [10, 8, 6, 4, 2, 0]);
    let mut ends = list.iter_mut();
    assert_eq!((ends.next(), ends.next_back(), ends.len()), (Some(&mut 0), Some(&mut 10), 4));
    assert_eq!(list.drain().rev().take(2).collect::<Vec<_>>(), [10, 8]);
    assert_eq!(list.len(), 0);
    list.extend([7]);
    let chain: Chain<u64> = list.into_chain();
    assert_eq!(chain.into_iter().collect::<Vec<_>>(), [7]);
    let mut hlist = RcuHList::from_values(vtable(), [1, 2, 3]);
    for value in &mut hlist {
        *value += 1;
    }
    assert_eq!(hlist.into_iter().collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn chains_grow_and_shrink_at_both_ends() {
    let mut chain: Chain<u64> = (1..=3).collect();
    let mut more: Chain<u64> = (4..=6).collect();
    chain.append(&mut more);
    chain.append(&mut more);
    assert!(more.is_empty());
    assert_eq!((chain.pop_back(), chain.pop_front(), chain.len()), (Some(6), Some(1), 4));
    assert_eq!(format!("{chain:?}"), "[2, 3, 4, 5]");
    while chain.pop_back().is_some() {}
    assert_eq!(chain.pop_front(), None);
    chain.push_back(9);
    assert_eq!(chain.iter().collect::<Vec<_>>(), [&9]);
    let short: Chain<String, Hlist> = Chain::default();
    assert_eq!(short.iter().len(), 0);
}

#[test]
#[should_panic(expected = "a guard of urcu-bp")]
fn guards_of_another_flavor_are_refused() {
    let list = RcuList::from_values(vtable(), [1]);
    let guard = Bp::vtable().pin();
    let _ = list.first(&guard);
}

#[test]
#[should_panic(expected = "urcu-mb")]
fn elements_of_different_flavors_are_not_merged() {
    let list = RcuList::from_values(vtable(), [1]);
    let other = RcuList::from_values(Bp::vtable(), [2]);
    let mut detached = list.lock().detach_all();
    detached.merge(other.lock().detach_all());
}

#[test]
fn elements_go_to_lists_of_other_flavors_when_no_reader_is_left() {
    registered(|| {
        let list = RcuList::from_values(vtable(), [1, 2]);
        let other = RcuList::new(Bp::vtable());
        assert_eq!(other.append_from(&list).expect("outside"), 2);
        let guard = Bp::vtable().pin();
        assert_eq!(other.iter(&guard).collect::<Vec<_>>(), [&1, &2]);
        assert_eq!((list.flavor().name(), other.flavor().name()), ("urcu-mb", "urcu-bp"));
    });
}

#[test]
fn a_static_list_is_made_on_first_use() {
    static NUMBERS: std::sync::LazyLock<RcuList<u64>> = std::sync::LazyLock::new(|| RcuList::new(vtable()));
    registered(|| {
        NUMBERS.push_back(1);
        assert_eq!(seen(&NUMBERS), [1]);
    });
}

#[test]
fn values_without_static_lifetime_can_be_read() {
    registered(|| {
        let text = String::from("a b");
        let list = RcuList::from_values(vtable(), text.split(' '));
        assert_eq!(seen(&list), ["a", "b"]);
    });
}

#[test]
fn what_is_dropped_later_is_dropped_once() {
    let counts = Counts::new();
    {
        let list = RcuList::from_values(vtable(), (0..100).map(|n| counts.make(n)));
        list.lock().retain(|counted| counted.value() % 3 == 0);
        drop(list.lock().detach_if(|counted| counted.value() % 2 == 0));
        let detached = list.detach_if(|counted| counted.value() == 9);
        drop(detached.synchronize());
        let mut updater = list.lock();
        updater.cursor_front().replace(counts.make(200)).expect("not at the end");
        updater.push_back(counts.make(201));
        let refused = updater.cursor_at(|_| false).replace(counts.make(202)).expect_err("at the end");
        assert_eq!(refused.value(), 202);
    }
    vtable().wait_for_retired().expect("outside");
    assert_eq!((counts.made(), counts.dropped()), (103, 103));
}

#[test]
fn detached_elements_that_are_dropped_wait_for_readers() {
    registered(|| {
        let counts = Counts::new();
        let list = RcuList::from_values(vtable(), (0..3).map(|n| counts.make(n)));
        let guard = vtable().pin();
        let first = list.first(&guard);
        drop(list.detach_all());
        assert_eq!((first.map(|counted| counted.value()), counts.dropped()), (Some(0), 0));
        drop(guard);
        vtable().wait_for_retired().expect("outside");
        assert_eq!(counts.dropped(), 3);
    });
}

#[test]
fn a_merge_begins_to_wait_anew() {
    registered(|| {
        let list = RcuList::from_values(vtable(), 0..3);
        let guard = vtable().pin();
        let mut detached = list.detach_if(|n| *n == 0).poll().expect_err("inside a section");
        drop(guard);
        // What was asked for has passed now, before the others are taken out.
        assert!(vtable().synchronize_if_allowed() && vtable().synchronize_if_allowed());
        let guard = vtable().pin();
        let first = list.first(&guard);
        detached.merge(list.detach_all());
        let detached = detached.poll().expect_err("a reader is among the others");
        assert_eq!((first, detached.len()), (Some(&1), 3));
    });
}

#[test]
fn printing_keeps_updaters_out() {
    struct Probe;
    static PROBES: std::sync::LazyLock<RcuList<Probe>> = std::sync::LazyLock::new(|| RcuList::new(vtable()));
    impl std::fmt::Debug for Probe {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", PROBES.try_lock().is_none())
        }
    }
    PROBES.push_back(Probe);
    assert_eq!(format!("{:?}", *PROBES), "[true]");
}

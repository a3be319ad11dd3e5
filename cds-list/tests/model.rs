//! Random programs against the standard library's vector.
#![cfg(not(urcu_loom))]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one program, one thread: the same proof for all of a step")]

use cds_list::raw::{HlistHead, HlistNode, ListHead, hlist, list, rcuhlist, rculist};
use cds_list::{Chain, RcuHList, RcuList, container_of};
use proptest::prelude::*;
use structure_conformance::{Bp, Counted, Counts, Tested};

/// An updater's step, at a cursor.
#[derive(Clone, Debug)]
enum Step {
    PushFront,
    PushBack,
    PopFront,
    PopBack,
    Next(u8),
    Prev(u8),
    InsertBefore,
    InsertAfter,
    SpliceBefore(u8),
    SpliceAfter(u8),
    Remove,
    Detach,
    Replace,
    MoveToFront,
    MoveToBack,
    ShiftForward(u8),
    ShiftBack(u8),
    Retain(u8),
    DetachIf(u8),
    Extend(u8),
    Prepend(u8),
    Clear,
    DetachAll,
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..5u8;
    prop_oneof![
        Just(Step::PushFront),
        Just(Step::PushBack),
        Just(Step::PopFront),
        Just(Step::PopBack),
        few.clone().prop_map(Step::Next),
        few.clone().prop_map(Step::Prev),
        Just(Step::InsertBefore),
        Just(Step::InsertAfter),
        few.clone().prop_map(Step::SpliceBefore),
        few.clone().prop_map(Step::SpliceAfter),
        Just(Step::Remove),
        Just(Step::Detach),
        Just(Step::Replace),
        Just(Step::MoveToFront),
        Just(Step::MoveToBack),
        few.clone().prop_map(Step::ShiftForward),
        few.clone().prop_map(Step::ShiftBack),
        (2..5u8).prop_map(Step::Retain),
        (2..5u8).prop_map(Step::DetachIf),
        few.clone().prop_map(Step::Extend),
        few.prop_map(Step::Prepend),
        Just(Step::Clear),
        Just(Step::DetachAll),
    ]
}

/// The same steps on a vector. The cursor is at an index; at the end it is the length.
#[derive(Default)]
struct Model {
    values: Vec<u64>,
    at: usize,
}

impl Model {
    fn insert(&mut self, at: usize, values: Vec<u64>) {
        self.values.splice(at..at, values);
    }

    fn after(&self) -> usize {
        if self.at == self.values.len() { 0 } else { self.at + 1 }
    }
}

/// Numbers the values that are made.
struct Maker {
    next: u64,
    counts: Counts,
}

impl Maker {
    fn numbers(&mut self, count: u8) -> Vec<u64> {
        (0..count).map(|_| self.number()).collect()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn chain<K: cds_list::Kind>(&self, numbers: &[u64]) -> Chain<Counted, K> {
        numbers.iter().map(|number| self.counts.make(*number)).collect()
    }
}

/// What both shapes have; the rest is passed in.
macro_rules! run {
    ($list:expr, $steps:expr, doubly: $doubly:expr, |$updater:ident, $cursor:ident, $model:ident, $maker:ident, $rest:ident| $special:expr) => {{
        let counts = Counts::new();
        let mut maker = Maker { next: 0, counts: counts.clone() };
        let mut model = Model::default();
        let list = $list;
        for step in $steps {
            let mut updater = list.lock();
            // Steps of the updater, then of a cursor that is put back where it was.
            let mut chained = None;
            match step {
                Step::PushFront => {
                    let number = maker.number();
                    updater.push_front(counts.make(number));
                    model.insert(0, vec![number]);
                }
                Step::PopFront => {
                    let popped = (!model.values.is_empty()).then(|| model.values.remove(0));
                    prop_assert_eq!(updater.pop_front().map(Counted::value), popped);
                }
                Step::Prepend(count) => {
                    let numbers = maker.numbers(*count);
                    updater.prepend(maker.chain(&numbers));
                    model.insert(0, numbers);
                }
                Step::Retain(by) => {
                    updater.retain(|counted| counted.value() % u64::from(*by) != 0);
                    model.values.retain(|value| value % u64::from(*by) != 0);
                }
                Step::DetachIf(by) => {
                    chained = Some(updater.detach_if(|counted| counted.value() % u64::from(*by) == 0));
                    let taken =
                        chained.as_ref().map(|detached| detached.iter().map(Counted::value).collect::<Vec<_>>());
                    let expected = model.values.iter().copied().filter(|value| value % u64::from(*by) == 0);
                    prop_assert_eq!(taken, Some(expected.collect::<Vec<_>>()));
                    model.values.retain(|value| value % u64::from(*by) != 0);
                }
                Step::Clear => {
                    updater.clear();
                    model.values.clear();
                }
                Step::DetachAll => {
                    chained = Some(updater.detach_all());
                    prop_assert_eq!(chained.as_ref().map(|detached| detached.len()), Some(model.values.len()));
                    model.values.clear();
                }
                _ => {}
            }
            model.at = model.at.min(model.values.len());
            {
                let ($updater, $model, $maker, $rest) = (&mut updater, &mut model, &mut maker, step);
                $special;
            }
            model.at = model.at.min(model.values.len());
            let mut cursor = updater.cursor_front();
            (0..model.at).for_each(|_| cursor.move_next());
            match step {
                Step::Next(count) => (0..*count).for_each(|_| {
                    cursor.move_next();
                    model.at = model.after();
                }),
                Step::Prev(count) => (0..*count).for_each(|_| {
                    cursor.move_prev();
                    model.at = model.at.saturating_sub(1);
                }),
                Step::InsertBefore => {
                    let number = maker.number();
                    cursor.insert_before(counts.make(number));
                    model.insert(model.at, vec![number]);
                    model.at += 1;
                }
                Step::InsertAfter => {
                    let number = maker.number();
                    cursor.insert_after(counts.make(number));
                    let is_end = model.at == model.values.len();
                    model.insert(model.after(), vec![number]);
                    model.at += usize::from(is_end);
                }
                Step::SpliceBefore(count) => {
                    let numbers = maker.numbers(*count);
                    cursor.splice_before(maker.chain(&numbers));
                    model.at += numbers.len();
                    model.insert(model.at - numbers.len(), numbers);
                }
                Step::SpliceAfter(count) => {
                    let numbers = maker.numbers(*count);
                    cursor.splice_after(maker.chain(&numbers));
                    let by = if model.at == model.values.len() { numbers.len() } else { 0 };
                    model.insert(model.after(), numbers);
                    model.at += by;
                }
                Step::Remove => {
                    let removed = (model.at < model.values.len()).then(|| model.values.remove(model.at));
                    prop_assert_eq!(cursor.remove().map(Counted::value), removed);
                }
                Step::Detach => {
                    chained = cursor.detach();
                    let removed = (model.at < model.values.len()).then(|| model.values.remove(model.at));
                    let taken = chained.as_ref().and_then(|detached| detached.iter().next()).map(Counted::value);
                    prop_assert_eq!(taken, removed);
                }
                Step::Replace => {
                    let number = maker.number();
                    let replaced = cursor.replace(counts.make(number)).ok().map(Counted::value);
                    let place = model.values.get_mut(model.at);
                    prop_assert_eq!(replaced, place.map(|place| std::mem::replace(place, number)));
                }
                Step::MoveToFront => {
                    let is_there = model.at < model.values.len();
                    prop_assert_eq!(cursor.move_to_front(), is_there);
                    if is_there {
                        model.values[..=model.at].rotate_right(1);
                        model.at += 1;
                    }
                }
                Step::ShiftForward(count) => {
                    let room = model.values.len().saturating_sub(model.at + 1);
                    let places = usize::from(*count).min(room);
                    prop_assert_eq!(cursor.shift_forward(usize::from(*count)), places);
                    if places != 0 {
                        model.values[model.at..=model.at + places].rotate_left(1);
                        model.at += places;
                    }
                }
                Step::ShiftBack(count) => {
                    let is_there = model.at < model.values.len();
                    let places = if is_there { usize::from(*count).min(model.at) } else { 0 };
                    prop_assert_eq!(cursor.shift_back(usize::from(*count)), places);
                    if places != 0 {
                        model.values[model.at - places..=model.at].rotate_right(1);
                        model.at -= places;
                    }
                }
                _ => {}
            }
            {
                let ($cursor, $model, $rest) = (&mut cursor, &mut model, step);
                let _ = (&$cursor, &$rest);
                if let (true, Step::MoveToBack) = ($doubly, step) {
                    let is_there = $model.at < $model.values.len();
                    prop_assert_eq!(MoveToBack::to_back($cursor), is_there);
                    if is_there {
                        $model.values[$model.at..].rotate_left(1);
                        $model.at += usize::from($model.at + 1 == $model.values.len());
                    }
                }
            }
            let at = |place: Option<usize>| place.and_then(|place| model.values.get(place).copied());
            prop_assert_eq!(cursor.current().map(Counted::value), at(Some(model.at)));
            prop_assert_eq!(cursor.peek_prev().map(Counted::value), at(model.at.checked_sub(1)));
            prop_assert_eq!(cursor.peek_next().map(Counted::value), at(Some(model.after())));
            prop_assert_eq!(updater.iter().map(Counted::value).collect::<Vec<_>>(), &model.values[..]);
            prop_assert_eq!(updater.len(), model.values.len());
            drop(updater);
            // Half of what was detached comes back, at the front.
            if let Some(detached) = chained {
                if model.values.len() % 2 == 0 {
                    let chain = detached.synchronize().expect("outside");
                    let back: Vec<u64> = chain.iter().map(Counted::value).collect();
                    model.at += back.len();
                    list.lock().prepend(chain);
                    model.insert(0, back);
                }
            }
            let guard = Bp::vtable().pin();
            prop_assert_eq!(list.iter(&guard).map(Counted::value).collect::<Vec<_>>(), &model.values[..]);
            prop_assert_eq!(list.is_empty(), model.values.is_empty());
        }
        (list, model, counts)
    }};
}

/// A method that one shape has.
trait MoveToBack {
    fn to_back(cursor: &mut Self) -> bool;
}

impl MoveToBack for cds_list::Cursor<'_, '_, Counted, cds_list::Doubly> {
    fn to_back(cursor: &mut Self) -> bool {
        cursor.move_to_back()
    }
}

impl MoveToBack for cds_list::Cursor<'_, '_, Counted, cds_list::Hlist> {
    fn to_back(_: &mut Self) -> bool {
        unreachable!("not asked for")
    }
}

fn all_dropped(counts: &Counts) {
    Bp::vtable().wait_for_retired().expect("outside");
    assert_eq!(counts.made(), counts.dropped());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_a_vector(steps in prop::collection::vec(step(), 0..60)) {
        let (list, model, counts) = run!(
            RcuList::new(Bp::vtable()), &steps, doubly: true,
            |updater, cursor, model, maker, step| match step {
                Step::PushBack => {
                    let number = maker.number();
                    updater.push_back(maker.counts.make(number));
                    model.at += usize::from(model.at == model.values.len());
                    model.values.push(number);
                }
                Step::PopBack => prop_assert_eq!(updater.pop_back().map(Counted::value), model.values.pop()),
                Step::Extend(count) => {
                    let numbers = maker.numbers(*count);
                    updater.extend(maker.chain::<cds_list::Doubly>(&numbers));
                    model.values.extend(numbers);
                    prop_assert_eq!(updater.last().map(Counted::value), model.values.last().copied());
                }
                _ => {}
            }
        );
        let guard = Bp::vtable().pin();
        let mut back: Vec<u64> = list.iter_rev(&guard).map(Counted::value).collect();
        back.reverse();
        prop_assert_eq!(back, model.values);
        drop(guard);
        drop(list);
        all_dropped(&counts);
    }

    #[test]
    fn an_hlist_is_a_vector(steps in prop::collection::vec(step(), 0..60)) {
        let (list, model, counts) = run!(
            RcuHList::new(Bp::vtable()), &steps, doubly: false, |updater, cursor, model, maker, step| {
                let _ = (&updater, &model, &maker, step);
            }
        );
        let values: Vec<u64> = list.into_iter().map(|counted| counted.value()).collect();
        prop_assert_eq!(values, model.values);
        all_dropped(&counts);
    }
}

/// An object in two lists of each kind at a time.
#[derive(Default)]
struct Object {
    number: usize,
    links: [ListHead; 2],
    short: HlistNode,
}

/// A step of the raw tier: which function, which objects, which list.
type RawStep = (u8, usize, usize, bool);

const OBJECTS: usize = 8;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Both modules of the circular list do the same; every object may be in one of two lists by each of its links.
    #[test]
    fn raw_lists_are_vectors(steps in prop::collection::vec((0..11u8, 0..OBJECTS, 0..OBJECTS, any::<bool>()), 0..80)) {
        let objects: Vec<*mut Object> =
            (0..OBJECTS).map(|number| Box::into_raw(Box::new(Object { number, ..Object::default() }))).collect();
        let heads = Box::into_raw(Box::new([ListHead::new(), ListHead::new()])).cast::<ListHead>();
        let links = |object: usize, link: usize| {
            let object: *mut Object = objects[object];
            // SAFETY: a field place of a live object.
            unsafe { (&raw mut (*object).links).cast::<ListHead>() }.wrapping_add(link)
        };
        for link in 0..2 {
            // SAFETY: two heads, live.
            let head = |which: usize| unsafe { heads.add(which) };
            let mut models = [Vec::new(), Vec::new()];
            for which in 0..2 {
                // SAFETY: live, nobody else's.
                unsafe { list::init(head(which)) };
            }
            for &step in &steps {
                raw_step(step, &mut models, |object| links(object, link), head);
                #[allow(clippy::needless_range_loop, reason = "heads and models alike")]
                for which in 0..2 {
                    let number = |node: *mut ListHead| {
                        let object = container_of!(node.wrapping_sub(link), Object, links);
                        // SAFETY: the node is in a live object.
                        unsafe { (*object).number }
                    };
                    let back = |numbers: Vec<usize>| numbers.into_iter().rev().collect::<Vec<_>>();
                    // SAFETY: one thread.
                    prop_assert_eq!(unsafe { list::iter(head(which)) }.map(number).collect::<Vec<_>>(), &models[which][..]);
                    // SAFETY: one thread.
                    prop_assert_eq!(unsafe { list::iter_safe(head(which)) }.map(number).collect::<Vec<_>>(), &models[which][..]);
                    // SAFETY: one thread.
                    prop_assert_eq!(unsafe { rculist::iter_rcu(head(which)) }.map(number).collect::<Vec<_>>(), &models[which][..]);
                    // SAFETY: one thread.
                    prop_assert_eq!(back(unsafe { list::iter_rev(head(which)) }.map(number).collect()), &models[which][..]);
                    // SAFETY: one thread.
                    prop_assert_eq!(back(unsafe { list::iter_rev_safe(head(which)) }.map(number).collect()), &models[which][..]);
                    // SAFETY: one thread.
                    prop_assert_eq!(back(unsafe { rculist::iter_rev_rcu(head(which)) }.map(number).collect()), &models[which][..]);
                    // SAFETY: one thread.
                    prop_assert_eq!(unsafe { list::empty(head(which)) }, models[which].is_empty());
                    // SAFETY: one thread.
                    let ends = unsafe { [list::first(head(which)), list::last(head(which))] };
                    let ends = ends.map(|node| (!node.is_null()).then(|| number(node)));
                    prop_assert_eq!(ends, [models[which].first().copied(), models[which].last().copied()]);
                }
            }
        }
        // SAFETY: boxes, given up here.
        drop(unsafe { Box::from_raw(heads.cast::<[ListHead; 2]>()) });
        for object in objects {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(object) });
        }
    }

    #[test]
    fn raw_hlists_are_vectors(steps in prop::collection::vec((0..8u8, 0..OBJECTS, 0..OBJECTS, any::<bool>()), 0..80)) {
        let objects: Vec<*mut Object> =
            (0..OBJECTS).map(|number| Box::into_raw(Box::new(Object { number, ..Object::default() }))).collect();
        let head = Box::into_raw(Box::new(HlistHead::new()));
        let links = |object: usize| {
            let object: *mut Object = objects[object];
            // SAFETY: a field place of a live object.
            unsafe { &raw mut (*object).short }
        };
        let mut model: Vec<usize> = Vec::new();
        for &(function, object, other, rcu) in &steps {
            let at = model.iter().position(|number| *number == object);
            let beside = model.iter().position(|number| *number == other);
            // SAFETY: one thread; objects live and are in the list or not as each function asks.
            unsafe {
                match (function, at, beside) {
                    (0, None, _) => {
                        if rcu { rcuhlist::add_head_rcu(links(object), head) } else { hlist::add_head(links(object), head) }
                        model.insert(0, object);
                    }
                    (1, Some(at), _) => {
                        if rcu { rcuhlist::del_rcu(links(object)) } else { hlist::del(links(object)) }
                        model.remove(at);
                    }
                    (2, None, Some(beside)) => {
                        rcuhlist::add_after_rcu(links(object), links(other));
                        model.insert(beside + 1, object);
                    }
                    (3, None, Some(beside)) => {
                        rcuhlist::add_before_rcu(links(object), links(other));
                        model.insert(beside, object);
                    }
                    (4, Some(at), None) => {
                        rcuhlist::replace_rcu(links(object), links(other));
                        model[at] = other;
                    }
                    (5, Some(at), Some(_)) if object != other => {
                        rcuhlist::move_after_rcu(links(object), links(other));
                        model.remove(at);
                        let beside = model.iter().position(|number| *number == other).expect("stays");
                        model.insert(beside + 1, object);
                    }
                    (6, _, None) => {
                        // All of it out, and in again after another one.
                        let first = rcuhlist::take_all_rcu(head);
                        assert!(hlist::empty(head));
                        rcuhlist::add_head_rcu(links(other), head);
                        if let Some(last) = model.last() {
                            rcuhlist::splice_after_rcu(first, links(*last), links(other));
                        }
                        model.insert(0, other);
                    }
                    (7, ..) => {
                        hlist::iter_safe(head).for_each(|node| hlist::del(node));
                        model.clear();
                    }
                    _ => {}
                }
            }
            // SAFETY: the node is in a live object.
            let number = |node: *mut HlistNode| unsafe { (*container_of!(node, Object, short)).number };
            // SAFETY: one thread.
            prop_assert_eq!(unsafe { hlist::iter(head) }.map(number).collect::<Vec<_>>(), &model[..]);
            // SAFETY: one thread.
            prop_assert_eq!(unsafe { rcuhlist::iter_rcu(head) }.map(number).collect::<Vec<_>>(), &model[..]);
            // SAFETY: one thread.
            prop_assert_eq!(unsafe { hlist::empty(head) }, model.is_empty());
        }
        // SAFETY: boxes, given up here.
        drop(unsafe { Box::from_raw(head) });
        for object in objects {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(object) });
        }
    }
}

fn raw_step(
    (function, object, other, rcu): RawStep,
    models: &mut [Vec<usize>; 2],
    links: impl Fn(usize) -> *mut ListHead,
    head: impl Fn(usize) -> *mut ListHead,
) {
    let which = other % 2;
    let place = |models: &[Vec<usize>; 2], object: usize| {
        (0..2).find_map(|list| Some((list, models[list].iter().position(|number| *number == object)?)))
    };
    let (at, beside) = (place(models, object), place(models, other));
    // SAFETY: one thread; objects live and are in a list or not as each function asks.
    unsafe {
        match (function, at, beside) {
            (0, None, _) => {
                if rcu {
                    rculist::add_rcu(links(object), head(which))
                } else {
                    list::add(links(object), head(which))
                }
                models[which].insert(0, object);
            }
            (1, None, _) => {
                if rcu {
                    rculist::add_tail_rcu(links(object), head(which));
                } else {
                    list::add_tail(links(object), head(which));
                }
                models[which].push(object);
            }
            (2, Some((list, at)), _) => {
                if rcu {
                    rculist::del_rcu(links(object))
                } else {
                    list::del(links(object))
                }
                models[list].remove(at);
            }
            (3, Some((list, at)), _) => {
                list::del_init(links(object));
                assert!(list::empty(links(object)));
                models[list].remove(at);
            }
            (4, Some((list, at)), None) => {
                if rcu {
                    rculist::replace_rcu(links(object), links(other))
                } else {
                    list::replace(links(object), links(other))
                }
                models[list][at] = other;
            }
            (5, Some((list, at)), None) => {
                list::replace_init(links(object), links(other));
                assert!(list::empty(links(object)));
                models[list][at] = other;
            }
            (6, Some((list, at)), _) => {
                // With RCU only inside of a list.
                let to = if rcu { list } else { which };
                if rcu {
                    rculist::move_rcu(links(object), head(to))
                } else {
                    list::move_to(links(object), head(to))
                }
                models[list].remove(at);
                models[to].insert(0, object);
            }
            (7, Some((list, at)), _) => {
                let to = if rcu { list } else { which };
                if rcu {
                    rculist::move_tail_rcu(links(object), head(to))
                } else {
                    list::move_to_tail(links(object), head(to))
                }
                models[list].remove(at);
                models[to].push(object);
            }
            (8, ..) => {
                // Everything from one list to the other, in front or behind.
                let (from, to) = (which, 1 - which);
                if rcu {
                    if let Some((first, last)) = rculist::take_all_rcu(head(from)) {
                        rculist::splice_rcu(first, last, head(to));
                    }
                } else {
                    list::splice(head(from), head(to));
                    list::init(head(from));
                }
                let moved = std::mem::take(&mut models[from]);
                models[to].splice(0..0, moved);
            }
            (9, ..) => {
                let (from, to) = (which, 1 - which);
                list::splice_tail(head(from), head(to));
                list::init(head(from));
                let moved = std::mem::take(&mut models[from]);
                models[to].extend(moved);
            }
            (10, Some((list, at)), _) => {
                list::iter_safe_from(links(object), head(list)).for_each(|node| list::del(node));
                models[list].truncate(at);
            }
            _ => {}
        }
    }
}

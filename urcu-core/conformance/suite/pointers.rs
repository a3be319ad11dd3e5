//! `Rcu<T>` and `Retired<T>`: every value is dropped once, by whoever it belongs to, and never under a reader's eyes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use urcu_conformance::panics::{assert_says, message_of};
use urcu_conformance::seed::Random;
use urcu_conformance::{Counted, Counts, RaisedAtEnd, until};

use super::cast::{Inside, NAME, Way, alone, leaked_shelf, register};
use crate::rcu;

type Pointer = rcu::Rcu<Counted>;

/// What a reader finds.
fn value(pointer: &Pointer) -> Option<u64> {
    let thread = register();
    let guard = thread.read_lock();
    pointer.load(&guard).map(Counted::value)
}

#[test]
fn making_and_dropping() {
    alone(|| {
        let counts = Counts::new();
        let (empty, default) = (Pointer::empty(), Pointer::default());
        assert_eq!((value(&empty), value(&default)), (None, None));
        drop((empty, default));

        let from_value: Pointer = counts.make(1).into();
        let from_box = Pointer::empty();
        assert!(from_box.replace(rcu::RcuBox::new(counts.make(2))).is_none());
        let new = Pointer::new(counts.make(3));
        assert_eq!((value(&from_value), value(&from_box), value(&new)), (Some(1), Some(2), Some(3)));
        assert_says(&format!("{new:?}"), &[NAME]);
        assert_eq!((counts.made(), counts.dropped()), (3, 0));
        drop((from_value, from_box));
        assert_eq!(counts.dropped(), 2);
        let inner = new.into_inner().expect("a value");
        assert_eq!((inner.value(), counts.dropped()), (3, 2));
        drop(inner);
        assert_eq!((counts.made(), counts.dropped()), (3, 3));
        assert!(Pointer::empty().into_inner().is_none());
    });
}

#[test]
fn boxes_own_their_value() {
    alone(|| {
        let counts = Counts::new();
        let mut boxed = rcu::RcuBox::new(counts.make(1));
        assert_eq!(boxed.value(), 1);
        *boxed = counts.make(2);
        assert_eq!((boxed.value(), counts.dropped()), (2, 1));
        drop(boxed.into_inner());
        drop(rcu::RcuBox::from(counts.make(3)));
        // SAFETY: given up just now.
        drop(unsafe { rcu::RcuBox::from_raw(rcu::RcuBox::new(counts.make(4)).into_raw()) });
        assert_eq!((counts.made(), counts.dropped()), (4, 4));
    });
}

#[test]
fn replacing() {
    alone(|| {
        let counts = Counts::new();
        let mut pointer = Pointer::empty();
        assert!(pointer.publish(counts.make(1)).is_none());
        assert_eq!(value(&pointer), Some(1));

        let old = pointer.publish(counts.make(2)).expect("a value was there");
        assert_eq!(value(&pointer), Some(2));
        assert_eq!((old.get().value(), counts.dropped()), (1, 0));
        let old = old.synchronize_and_into_inner();
        assert_eq!((old.value(), counts.dropped()), (1, 0));
        drop(old);
        assert_eq!(counts.dropped(), 1);

        let mut thread = register();
        let old = pointer.replace(rcu::RcuBox::new(counts.make(3))).expect("a value was there");
        assert_eq!(old.synchronize_with(&mut thread).value(), 2);
        assert_eq!(counts.dropped(), 2);
        drop(thread);

        pointer.get_mut().expect("a value is there").value();
        let old = pointer.take().expect("a value was there");
        assert_eq!(value(&pointer), None);
        assert!(pointer.take().is_none());
        assert!(pointer.get_mut().is_none());
        assert_says(&format!("{old:?}"), &[NAME]);
        assert_eq!(counts.dropped(), 2);
        drop(old.synchronize_and_into_inner());
        assert!(pointer.into_inner().is_none());
        assert_eq!((counts.made(), counts.dropped()), (3, 3));
    });
}

#[test]
fn a_retired_value_that_is_dropped_waits_by_itself() {
    alone(|| {
        let counts = Counts::new();
        let shelf = leaked_shelf();
        let pointer = Pointer::new(counts.make(0));
        let inside = Inside::using(shelf, Way::Thread);
        let thread = register();
        for value in 1..=100 {
            // Also inside a section of the caller's own.
            let guard = (value % 2 == 0).then(|| thread.read_lock());
            drop(pointer.publish(counts.make(value)));
            drop(guard);
        }
        drop(thread);
        // A grace period for each of them has to wait for this reader.
        assert_eq!(counts.dropped(), 0);
        inside.leave();
        until("all are dropped", || counts.dropped() == 100);
        drop(pointer);
        assert_eq!((counts.made(), counts.dropped()), (101, 101));
    });
}

#[test]
fn publishing_is_allowed_everywhere() {
    alone(|| {
        // Unregistered, inside a section, offline; on the thread that reads.
        let pointer = rcu::Rcu::<u32>::empty();
        assert!(pointer.publish(0).is_none());
        let mut thread = register();
        let guard = thread.read_lock();
        let before = pointer.load(&guard).expect("a value");
        let retired = pointer.publish(1).expect("a value was there");
        // Both versions exist, for as long as the section goes on.
        assert_eq!((*before, pointer.load(&guard).copied()), (0, Some(1)));
        drop(guard);
        assert_eq!(retired.synchronize_with(&mut thread), 0);
        let mut offline = thread.offline();
        let retired = pointer.publish(2).expect("a value was there");
        offline.synchronize();
        assert_eq!(retired.synchronize_with(&mut offline.online()), 1);
    });
}

#[test]
fn comparing_and_exchanging() {
    alone(|| {
        let counts = Counts::new();
        let pointer = Pointer::empty();
        let mut thread = register();
        let guard = thread.read_lock();

        let fresh = rcu::RcuBox::new(counts.make(1));
        assert!(matches!(pointer.compare_exchange(None, fresh, &guard), Ok(None)));
        let current = pointer.load(&guard).expect("a value");

        // Something is there where nothing was expected.
        let failed = pointer.compare_exchange(None, rcu::RcuBox::new(counts.make(2)), &guard).expect_err("not empty");
        assert_eq!(failed.current.map(Counted::value), Some(1));
        assert_says(&failed.to_string(), &["another value"]);
        assert_eq!(failed.new.value(), 2);
        let again = failed.new;

        // What was loaded is there still.
        let old = pointer.compare_exchange(Some(current), again, &guard).expect("unchanged").expect("a value");
        assert_eq!((old.get().value(), current.value()), (1, 1));
        assert_eq!(pointer.load(&guard).map(Counted::value), Some(2));

        // It is not any more, although its memory cannot have been used again.
        let failed = pointer.compare_exchange(Some(current), rcu::RcuBox::new(counts.make(3)), &guard);
        let failed = failed.expect_err("changed");
        assert_eq!(failed.current.map(Counted::value), Some(2));
        drop(failed);
        assert_eq!((counts.made(), counts.dropped()), (3, 1));

        drop(guard);
        drop(old.synchronize_with(&mut thread));
        drop(pointer);
        assert_eq!((counts.made(), counts.dropped()), (3, 3));
    });
}

#[test]
fn values_of_any_size() {
    alone(|| {
        #[repr(align(256))]
        struct Wide(u8);
        let wide = rcu::Rcu::<Wide>::new(Wide(1));
        let unit = rcu::Rcu::<()>::new(());
        let large = rcu::Rcu::<[u64; 1000]>::new([7; 1000]);
        let mut thread = register();
        let guard = thread.read_lock();
        let found = wide.load(&guard).expect("a value");
        assert_eq!((std::ptr::from_ref(found).addr() % 256, found.0), (0, 1));
        assert!(unit.load(&guard).is_some());
        assert_eq!(large.load(&guard).expect("a value")[999], 7);
        drop(guard);
        assert!(wide.publish(Wide(2)).expect("a value").synchronize_with(&mut thread).0 == 1);
        unit.publish(()).expect("a value").synchronize_with(&mut thread);
        unit.take().expect("a value").synchronize_with(&mut thread);
        assert!(unit.take().is_none());
    });
}

#[test]
fn a_destructor_that_panics_takes_nothing_with_it() {
    alone(|| {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in a destructor");
            }
        }
        let pointer = rcu::Rcu::<Bomb>::new(Bomb);
        let old = pointer.publish(Bomb).expect("a value");
        assert_eq!(message_of(|| drop(old.synchronize_and_into_inner())), "in a destructor");
        assert_eq!(message_of(|| drop(pointer)), "in a destructor");
        rcu::synchronize();
    });
}

#[test]
fn many_updaters_of_one_pointer() {
    alone(|| {
        const UPDATERS: u64 = 4;
        const STEPS: u64 = 60;
        let counts = Counts::new();
        let pointer = Pointer::new(counts.make(0));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&stop);
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut thread = register();
                    let mut seen = 0;
                    while !stop.load(Ordering::Acquire) {
                        let guard = thread.read_lock();
                        let now = pointer.load(&guard).expect("never empty").value();
                        assert!(now >= seen, "{now} after {seen}");
                        seen = now;
                        drop(guard);
                        thread.quiescent_state();
                    }
                });
            }
            thread::scope(|updaters| {
                for stream in 0..UPDATERS {
                    let (counts, pointer) = (&counts, &pointer);
                    updaters.spawn(move || {
                        let mut random = Random::new(stream);
                        let mut thread = register();
                        for _ in 0..STEPS {
                            let old = count_up(pointer, counts, &mut thread, &mut random);
                            drop(old.synchronize_with(&mut thread));
                        }
                    });
                }
            });
        });
        assert_eq!(value(&pointer), Some(UPDATERS * STEPS), "an update was lost");
        drop(pointer);
        assert_eq!(counts.made(), counts.dropped());
    });
}

/// Replaces the value by its successor, however many try the same.
fn count_up(
    pointer: &Pointer,
    counts: &Counts,
    thread: &mut rcu::Thread,
    random: &mut Random,
) -> rcu::Retired<Counted> {
    loop {
        // Each attempt is a section of its own; waiting comes after.
        thread.quiescent_state();
        let guard = thread.read_lock();
        let current = pointer.load(&guard).expect("never empty");
        let next = rcu::RcuBox::new(counts.make(current.value() + 1));
        random.dawdle();
        match pointer.compare_exchange(Some(current), next, &guard) {
            Ok(old) => return old.expect("never empty"),
            Err(failed) => assert_ne!(failed.current.expect("never empty").value(), u64::MAX),
        }
    }
}

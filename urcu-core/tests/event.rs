//! Events under load, across `fork`, in handlers, and around grace periods.
#![cfg(not(urcu_loom))]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use structure_conformance::seed::Random;
use structure_conformance::{Qsbr, within_limit};
use urcu_conformance::{c_thread, forked, leak};
use urcu_core::{Event, Thread};

/// Elements that can be taken, and an event for those who want one.
#[derive(Default)]
struct Shelf {
    elements: AtomicU64,
    arrived: Event,
}

impl Shelf {
    fn take(&self) -> Option<()> {
        self.elements.fetch_update(Ordering::AcqRel, Ordering::Acquire, |there| there.checked_sub(1)).ok().map(drop)
    }

    fn put(&self) {
        self.elements.fetch_add(1, Ordering::Release);
        self.arrived.wake_one();
    }

    fn put_seq_cst(&self) {
        self.elements.fetch_add(1, Ordering::SeqCst);
        self.arrived.wake_one_after_seq_cst();
    }
}

/// Each element is taken, by threads of which some give up again and again. A lost wake-up never ends.
#[test]
fn elements_find_their_takers() {
    const ELEMENTS: u64 = 20_000;

    within_limit("elements_find_their_takers", || {
        let shelf = Shelf::default();
        let taken = AtomicU64::new(0);
        thread::scope(|scope| {
            for patient in 0..3 {
                let (shelf, taken) = (&shelf, &taken);
                scope.spawn(move || {
                    let mut random = Random::new(patient);
                    // Takes a fixed share, so nobody has to be told that all is over.
                    let mut left = ELEMENTS;
                    while left != 0 {
                        let got = match patient {
                            0 => {
                                shelf.arrived.wait_timeout(Duration::from_nanos(random.below(60_000)), || shelf.take())
                            }
                            1 => {
                                shelf.arrived.wait_deadline(Instant::now() + Duration::from_micros(50), || shelf.take())
                            }
                            _ => {
                                let () = shelf.arrived.wait(|| shelf.take());
                                Some(())
                            }
                        };
                        left -= u64::from(got.is_some());
                    }
                    taken.fetch_add(ELEMENTS, Ordering::Relaxed);
                });
            }
            for stream in 10..13 {
                let shelf = &shelf;
                scope.spawn(move || {
                    let mut random = Random::new(stream);
                    for _ in 0..ELEMENTS {
                        if random.once_in(50) {
                            // Lets the takers fall asleep.
                            thread::park_timeout(Duration::from_micros(random.below(100)));
                        }
                        if stream == 10 { shelf.put_seq_cst() } else { shelf.put() }
                    }
                });
            }
        });
        assert_eq!(taken.load(Ordering::Relaxed), 3 * ELEMENTS);
        assert_eq!(shelf.take(), None);
    });
}

/// Two threads that wait for each other in turn: every step is a sleep and a wake-up, or a race of the two.
#[test]
fn turns_are_passed_on() {
    const TURNS: u64 = 20_000;

    within_limit("turns_are_passed_on", || {
        let turn = AtomicU64::new(0);
        let passed = Event::new();
        let play = |own: u64| {
            let mut random = Random::new(own);
            for round in 0..TURNS {
                let mine = 2 * round + own;
                passed.wait(|| (turn.load(Ordering::Acquire) == mine).then_some(()));
                random.dawdle();
                // SeqCst, for a wake without a fence.
                turn.fetch_add(1, Ordering::SeqCst);
                if random.once_in(2) { passed.wake_all_after_seq_cst() } else { passed.wake_all() }
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| play(0));
            scope.spawn(|| play(1));
        });
        assert_eq!(turn.load(Ordering::Relaxed), 2 * TURNS);
    });
}

#[test]
fn a_timeout_is_kept() {
    within_limit("a_timeout_is_kept", || {
        let event = Event::new();
        let started = Instant::now();
        let mut looks = 0;
        let got = event.wait_timeout(Duration::from_millis(30), || {
            looks += 1;
            None::<()>
        });
        assert_eq!(got, None);
        assert!(started.elapsed() >= Duration::from_millis(30));
        // Spinning and yielding end after some dozen looks; it slept for the rest.
        assert!(looks < 1000, "{looks} looks in 30 ms");
        assert_eq!(event.wait_timeout(Duration::MAX, || Some(7)), Some(7), "what no clock can show is no limit");
    });
}

/// While an online QSBR thread waits, no grace period ends; offline it is not waited for.
#[test]
fn a_waiter_offline_holds_up_no_grace_period() {
    within_limit("a_waiter_offline_holds_up_no_grace_period", || {
        let event = Event::new();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut reader = Thread::<Qsbr>::register().expect("not registered yet");
                reader.while_offline(|| event.wait(|| over.load(Ordering::Acquire).then_some(())));
            });
            let mut updater = Thread::<Qsbr>::register().expect("not registered yet");
            (0..100).for_each(|_| updater.synchronize());
            over.store(true, Ordering::Release);
            event.wake_all();
        });
    });
}

/// The child's threads sleep and are woken on an event whose counts are those of the parent's threads.
#[test]
fn events_work_in_a_forked_child() {
    within_limit("events_work_in_a_forked_child", || {
        let shelf: &'static Shelf = leak(Box::default());
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let end = || over.load(Ordering::Acquire).then_some(());
                    // Some of them leave and come again while the process is being copied.
                    while shelf.arrived.wait_timeout(Duration::from_micros(100), end).is_none() {}
                });
            }
            for _ in 0..20 {
                forked::run(|| {
                    // Not the standard library's: see `c_thread::start`.
                    let takers = [(); 2]
                        .map(|()| c_thread::start(move || (0..50).for_each(|_| shelf.arrived.wait(|| shelf.take()))));
                    (0..100).for_each(|_| shelf.put());
                    takers.into_iter().for_each(c_thread::CThread::join);
                });
            }
            over.store(true, Ordering::Release);
            shelf.arrived.wake_all();
        });
    });
}

//! Torture: objects age by one with each grace period after they were unlinked. A reader may find an object that is
//! current or has just been unlinked; an older one has survived a grace period under its eyes.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::seed::Random;
use urcu_conformance::{RaisedAtEnd, leak, until};
use urcu_core::sync::AtomicPtr;

use super::cast::{Way, alone, in_section, register, registered};
use crate::rcu::{self, raw};

/// How long it goes on, apart from the fewest grace periods and sections that it must see.
const LENGTH: Duration = Duration::from_millis(1200);
const FEWEST: u64 = 50;
/// Objects of this age are used again; until then their age is told.
const OLDEST: u32 = 10;

#[derive(Default)]
struct Aging {
    age: AtomicU32,
}

impl Aging {
    fn leaked() -> &'static Self {
        leak(Box::default())
    }
}

#[derive(Default)]
struct World {
    current: AtomicPtr<Aging>,
    stop: AtomicBool,
    /// How many objects of each age were found in sections.
    found: [AtomicU64; OLDEST as usize + 1],
    periods: AtomicU64,
}

impl World {
    fn new() -> Self {
        let world = Self::default();
        raw::assign_pointer(&world.current, std::ptr::from_ref(Aging::leaked()).cast_mut());
        world
    }

    fn ended(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// One look, inside a section.
    fn look(&self, random: &mut Random) {
        // SAFETY: never null, and objects are never freed.
        let object = unsafe { &*raw::dereference(&self.current) };
        random.dawdle();
        let age = object.age.load(Ordering::Acquire).min(OLDEST);
        self.found[age as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, stream: u64) {
        let mut random = Random::new(stream);
        while !self.ended() {
            let way = Way::ALL[random.below(4) as usize];
            if random.once_in(20) {
                in_section(way, || self.look(&mut random));
                continue;
            }
            let mut thread = register();
            for _ in 0..random.below(200) {
                let guard = if random.once_in(2) { rcu::read_lock() } else { thread.read_lock() };
                self.look(&mut random);
                if random.once_in(4) {
                    let nested = thread.read_lock();
                    drop(guard);
                    self.look(&mut random);
                    drop(nested);
                } else {
                    drop(guard);
                }
                thread.quiescent_state();
                if random.once_in(50) {
                    thread.while_offline(thread::yield_now);
                }
            }
        }
    }

    fn update(&self, stream: u64) {
        let mut random = Random::new(stream);
        let (mut spare, mut unlinked) = (Vec::new(), Vec::<&Aging>::new());
        while !self.ended() {
            let fresh = spare.pop().unwrap_or_else(Aging::leaked);
            fresh.age.store(0, Ordering::Release);
            let old = raw::exchange_pointer(&self.current, std::ptr::from_ref(fresh).cast_mut());
            // SAFETY: never null, and objects are never freed.
            let old = unsafe { &*old };
            old.age.store(1, Ordering::Release);
            unlinked.push(old);
            if random.once_in(4) {
                random.dawdle();
            }
            rcu::synchronize();
            self.periods.fetch_add(1, Ordering::Relaxed);
            unlinked.retain(|object| {
                let age = object.age.fetch_add(1, Ordering::AcqRel) + 1;
                if age >= OLDEST {
                    spare.push(*object);
                }
                age < OLDEST
            });
        }
    }

    fn run(&self, readers: u64, updaters: u64) {
        let start = Instant::now();
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&self.stop);
            for stream in 0..readers {
                scope.spawn(move || self.read(stream));
            }
            for stream in 0..updaters {
                scope.spawn(move || self.update(100 + stream));
            }
            until("objects have aged for a while", || {
                let seen: u64 = self.found.iter().map(|count| count.load(Ordering::Relaxed)).sum();
                self.old() != 0
                    || start.elapsed() > LENGTH
                        && self.periods.load(Ordering::Relaxed) >= FEWEST
                        && seen >= FEWEST * readers
            });
        });
        let found: Vec<_> = self.found.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        println!("{} grace periods; ages found: {found:?}", self.periods.load(Ordering::Relaxed));
        assert_eq!(self.old(), 0, "objects survived a grace period inside a section: {found:?}");
        // A scope does not wait for the destructors of its threads, which end the registrations that nobody asked for.
        until("all registrations have ended", || registered() == 0);
    }

    /// How many objects were found that should have been out of reach.
    fn old(&self) -> u64 {
        self.found[2..].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[test]
fn one_updater() {
    alone(|| World::new().run(3, 1));
}

#[test]
fn more_threads_than_processors() {
    alone(|| {
        let processors = thread::available_parallelism().map_or(2, usize::from) as u64;
        World::new().run(2 * processors.min(8) + 1, 4);
    });
}

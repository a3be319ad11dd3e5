//! The one race that barriers are for: a section's first load overtakes the store that announces the section.
//!
//! Just before its section the reader stores to cache lines that other threads keep taking away. So the store of its word
//! waits in the store buffer behind them, while the load of the pointer, whose line it has, goes ahead. Without the pair
//! of light and heavy barriers, the updater then finds the reader outside every section, and reclaims what the reader
//! has just loaded. A reader that has seen the pointer change stays for a while to see whether that happens.
//!
//! Finds a missing barrier within a second or two on a machine with some processors to spare. On a single one, it only shows
//! that nothing else goes wrong.

use std::hint::spin_loop;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::seed::Random;
use urcu_conformance::{RaisedAtEnd, leak, until};
use urcu_core::sync::AtomicPtr;

use super::cast::{alone, register};
use crate::{TRAITS, rcu};

/// It goes on for so long, or until there were as many races as one hopes for.
const LENGTH: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_secs(1);
const RACES: u64 = 10_000;
/// Fewer grace periods or sections than this are none.
const FEWEST: u64 = 200;
/// Cache lines that the reader and the hammers fight for.
const LINES: usize = 48;
const FEWEST_LINES: usize = 12;
/// The updater dawdles for up to so many spins between its signal and its exchange. The reader needs that long to fill its
/// store buffer.
const HEAD_START: u64 = 15;
/// How long a reader that has seen a change stays.
const STAY: usize = 400;

#[repr(align(128))]
#[derive(Default)]
struct Alone<T>(T);

#[derive(Default)]
struct Reused {
    reclaimed: Alone<AtomicBool>,
}

struct Arena {
    lines: Vec<Alone<AtomicU64>>,
    current: Alone<AtomicPtr<Reused>>,
    /// The number of the grace period that is about to start.
    start: Alone<AtomicU64>,
    stop: Alone<AtomicBool>,
    /// What the reader has seen. It tells seldom: each locked instruction empties its store buffer.
    sections: Alone<AtomicU64>,
    raced: AtomicU64,
    violations: AtomicU64,
}

impl Arena {
    fn new() -> Self {
        Self {
            lines: (0..LINES).map(|_| Alone::default()).collect(),
            current: Alone::default(),
            start: Alone::default(),
            stop: Alone::default(),
            sections: Alone::default(),
            raced: AtomicU64::new(0),
            violations: AtomicU64::new(0),
        }
    }

    fn ended(&self) -> bool {
        self.stop.0.load(Ordering::Relaxed)
    }

    /// Fills the store buffer.
    fn dirty(&self, lines: usize, value: u64) {
        let lines = &self.lines[..lines];
        // As fast as the processor can, also in a build without optimisation.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: stores to as many atomics of 128 bytes each as the slice has, which are at least one.
        unsafe {
            std::arch::asm!(
                "2:",
                "mov qword ptr [{line}], {value}",
                "add {line}, 128",
                "dec {count}",
                "jnz 2b",
                line = inout(reg) lines.as_ptr() => _,
                count = inout(reg) lines.len() => _,
                value = in(reg) value,
                options(nostack),
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        lines.iter().for_each(|line| line.0.store(value, Ordering::Relaxed));
    }

    /// Takes the lines away from the reader.
    fn hammer(&self, stream: u64) {
        let mut random = Random::new(stream);
        while !self.ended() {
            let from = random.below(LINES as u64) as usize;
            for line in &self.lines[from..] {
                line.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn read(&self) {
        let mut random = Random::new(1);
        let mut thread = register();
        let (mut sections, mut raced) = (0, 0);
        while !self.ended() {
            let lines = FEWEST_LINES + random.below((LINES - FEWEST_LINES) as u64) as usize;
            if TRAITS.quiescent_states {
                // There, coming online is what announces.
                let offline = thread.offline();
                self.wait_for_start();
                self.dirty(lines, 1);
                thread = offline.online();
            } else {
                self.wait_for_start();
                self.dirty(lines, 1);
            }
            let guard = thread.read_lock();
            raced += u64::from(self.look(&mut random));
            drop(guard);
            sections += 1;
            if sections % 64 == 0 {
                self.sections.0.store(sections, Ordering::Relaxed);
                self.raced.store(raced, Ordering::Relaxed);
            }
        }
    }

    /// Waits for the updater's signal, not for long.
    fn wait_for_start(&self) {
        let last = self.start.0.load(Ordering::Relaxed);
        for _ in 0..2_000 {
            if self.start.0.load(Ordering::Relaxed) != last {
                return;
            }
        }
    }

    /// Whether the pointer changed meanwhile.
    #[inline(always)]
    fn look(&self, random: &mut Random) -> bool {
        let object = rcu::raw::dereference(&self.current.0);
        (0..random.below(12)).for_each(|_| spin_loop());
        if ptr::eq(rcu::raw::dereference(&self.current.0), object) {
            return false;
        }
        for _ in 0..STAY {
            // SAFETY: never null, and objects are never freed.
            if unsafe { &*object }.reclaimed.0.load(Ordering::Relaxed) {
                self.violations.fetch_add(1, Ordering::Relaxed);
                break;
            }
            spin_loop();
        }
        true
    }

    /// Objects come from a ring: they are used again long after every reader has looked at them.
    fn update(&self) {
        let ring: &'static [Reused] = leak((0..4096).map(|_| Reused::default()).collect::<Box<[_]>>());
        let mut random = Random::new(2);
        let start = Instant::now();
        let enough = |periods| {
            let (elapsed, raced) = (start.elapsed(), self.raced.load(Ordering::Relaxed));
            let late = elapsed > LENGTH || (elapsed > SHORTEST && raced >= RACES);
            let some = periods > FEWEST && self.sections.0.load(Ordering::Relaxed) > FEWEST;
            (late && some) || self.violations.load(Ordering::Relaxed) != 0
        };
        let mut periods = 0;
        while !enough(periods) {
            periods += 1;
            let fresh = &ring[periods as usize % ring.len()];
            fresh.reclaimed.0.store(false, Ordering::Relaxed);
            self.start.0.store(periods, Ordering::Relaxed);
            (0..random.below(HEAD_START)).for_each(|_| spin_loop());
            let old = rcu::raw::exchange_pointer(&self.current.0, ptr::from_ref(fresh).cast_mut());
            rcu::synchronize();
            // SAFETY: never null, and objects are never freed.
            unsafe { &*old }.reclaimed.0.store(true, Ordering::Relaxed);
        }
    }

    fn run(&self) {
        let first: &'static Reused = leak(Box::default());
        rcu::raw::assign_pointer(&self.current.0, ptr::from_ref(first).cast_mut());
        let hammers = if thread::available_parallelism().is_ok_and(|number| number.get() >= 4) { 2 } else { 1 };
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&self.stop.0);
            scope.spawn(|| self.read());
            for stream in 0..hammers {
                scope.spawn(move || self.hammer(10 + stream));
            }
            until("the reader runs", || self.sections.0.load(Ordering::Relaxed) > 0);
            self.update();
        });
    }
}

#[test]
fn a_section_does_not_begin_behind_the_updaters_back() {
    alone(|| {
        let arena = Arena::new();
        arena.run();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sections, raced) = (count(&arena.sections.0), count(&arena.raced));
        let periods = count(&arena.start.0);
        println!("{periods} grace periods, {sections} sections, {raced} of them while the pointer changed");
        assert_eq!(count(&arena.violations), 0, "a reader's object was reclaimed ({raced} races, {periods} periods)");
    });
}

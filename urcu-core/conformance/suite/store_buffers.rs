//! The one race that barriers are for: a section's first load overtakes the store that announces the section.
//!
//! The reader's stores just before the section go to cache lines that the updater keeps taking away. So the store of
//! its word waits in the store buffer for as long as possible, while the load of the pointer, whose line it has, goes
//! ahead. Without the pair of light and heavy barriers the updater then finds the reader outside, and reclaims what the
//! reader has just loaded. Needs two processors; on one, it only shows that nothing else goes wrong.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use urcu_conformance::seed::Random;
use urcu_conformance::{RaisedAtEnd, until};

use super::cast::{alone, register};
use crate::{TRAITS, rcu};

const LENGTH: Duration = Duration::from_millis(1500);
const FEWEST: u64 = 200;
/// Cache lines that reader and updater fight for.
const LINES: usize = 24;

#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicU64);

#[repr(align(128))]
#[derive(Default)]
struct Reused {
    reclaimed: AtomicBool,
}

#[derive(Default)]
struct Arena {
    lines: [Line; LINES],
    current: Line128<AtomicPtr<Reused>>,
    stop: AtomicBool,
    violations: AtomicU64,
    sections: AtomicU64,
}

#[repr(align(128))]
#[derive(Default)]
struct Line128<T>(T);

impl Arena {
    /// The pointer and the flag are read as early and as late as a section allows.
    #[inline(always)]
    fn look(&self, random: &mut Random) {
        let object = rcu::raw::dereference(&self.current.0);
        for _ in 0..random.below(64) {
            std::hint::spin_loop();
        }
        // SAFETY: never null, and objects are never freed.
        if unsafe { &*object }.reclaimed.load(Ordering::Relaxed) {
            self.violations.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn dirty(&self, lines: usize, value: u64) {
        for line in &self.lines[..lines] {
            line.0.store(value, Ordering::Relaxed);
        }
    }

    fn read(&self, stream: u64) {
        let mut random = Random::new(stream);
        let mut thread = register();
        let mut sections = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let lines = random.below(LINES as u64 + 1) as usize;
            if TRAITS.quiescent_states {
                // There, coming online is what announces.
                let offline = thread.offline();
                self.dirty(lines, sections);
                thread = offline.online();
            } else {
                self.dirty(lines, sections);
            }
            let guard = thread.read_lock();
            self.look(&mut random);
            drop(guard);
            sections += 1;
            if sections % 64 == 0 {
                self.sections.fetch_add(64, Ordering::Relaxed);
            }
        }
    }

    /// Objects of a ring: reused long after every reader has looked at them.
    fn update(&self) -> u64 {
        let ring: Vec<_> = (0..4096).map(|_| Reused::default()).collect();
        let ring: &'static [Reused] = Vec::leak(ring);
        let pointer = |at: u64| std::ptr::from_ref(&ring[at as usize % ring.len()]).cast_mut();
        let mut periods = 0;
        rcu::raw::assign_pointer(&self.current.0, pointer(0));
        let start = Instant::now();
        thread::scope(|scope| {
            let _stop = RaisedAtEnd(&self.stop);
            for stream in 0..2 {
                scope.spawn(move || self.read(stream));
            }
            until("the readers run", || self.sections.load(Ordering::Relaxed) > 0);
            while self.violations.load(Ordering::Relaxed) == 0
                && (start.elapsed() < LENGTH || periods < FEWEST || self.sections.load(Ordering::Relaxed) < FEWEST)
            {
                self.dirty(LINES, periods);
                periods += 1;
                let fresh = pointer(periods);
                // SAFETY: objects are never freed.
                unsafe { &*fresh }.reclaimed.store(false, Ordering::Relaxed);
                let old = rcu::raw::exchange_pointer(&self.current.0, fresh);
                rcu::synchronize();
                // SAFETY: objects are never freed.
                unsafe { &*old }.reclaimed.store(true, Ordering::Relaxed);
            }
        });
        periods
    }
}

#[test]
fn a_section_does_not_begin_behind_the_updaters_back() {
    alone(|| {
        let arena = Arena::default();
        let periods = arena.update();
        let (sections, violations) = (arena.sections.load(Ordering::Relaxed), arena.violations.load(Ordering::Relaxed));
        println!("{periods} grace periods, {sections} sections");
        assert_eq!(violations, 0, "a reader used a reclaimed object ({periods} grace periods, {sections} sections)");
    });
}

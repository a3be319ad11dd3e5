//! The one race that barriers are for: a section's first load overtakes the store that announces the section.
//!
//! Just before its section the reader stores to cache lines that another thread keeps taking away. So the store of its word
//! waits in the store buffer behind them, while the load of the pointer goes ahead. Without the pair of light and heavy
//! barriers, the updater then finds the reader outside every section. A reader that has seen the pointer change stays for
//! a while to see whether its object is reclaimed. Needs processors to spare: alone (`--mode race`) it finds a missing barrier in
//! seconds.

use std::hint::spin_loop;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::thread::JoinHandle;

use urcu_conformance::seed::Random;
use urcu_core::sync::CachePadded;
use urcu_core::{Flavor, ReadSide, Thread, raw};

use crate::world::World;

/// Cache lines that the reader and the hammer fight for.
const LINES: usize = 48;
const FEWEST_LINES: usize = 12;
/// The updater dawdles for up to so many spins between its signal and its exchange. The reader needs that long to fill its
/// store buffer.
const HEAD_START: u64 = 15;
/// How long a reader that has seen a change stays.
const STAY: usize = 400;

type Reclaimed = CachePadded<AtomicBool>;

struct Arena {
    world: &'static World,
    lines: Vec<CachePadded<AtomicU64>>,
    current: CachePadded<AtomicPtr<Reclaimed>>,
    /// The number of the grace period that is about to start.
    start: CachePadded<AtomicU64>,
}

/// The threads of this race.
pub(crate) fn start<F: Flavor>(world: &'static World) -> Vec<JoinHandle<()>> {
    let first: &'static Reclaimed = Box::leak(Box::default());
    let arena: &'static Arena = Box::leak(Box::new(Arena {
        world,
        lines: (0..LINES).map(|_| CachePadded::default()).collect(),
        current: CachePadded(AtomicPtr::new(ptr::from_ref(first).cast_mut())),
        start: CachePadded::default(),
    }));
    vec![
        world.spawn("race-reader", || arena.read::<F>()),
        world.spawn("race-hammer", || arena.hammer()),
        world.spawn("race-updater", || arena.update::<F>()),
    ]
}

impl Arena {
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
        lines.iter().for_each(|line| line.store(value, Ordering::Relaxed));
    }

    /// Takes the lines away from the reader.
    fn hammer(&self) {
        let mut random = Random::new(901);
        while !self.world.ended() {
            let from = random.below(LINES as u64) as usize;
            for line in &self.lines[from..] {
                line.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn read<F: Flavor>(&self) {
        let mut random = Random::new(902);
        let mut thread = Thread::<F>::register().expect("not registered");
        let (mut sections, mut raced) = (0_u64, 0);
        while !self.world.ended() {
            let lines = FEWEST_LINES + random.below((LINES - FEWEST_LINES) as u64) as usize;
            if F::READ_SIDE == ReadSide::QuiescentStates {
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
            // Seldom: each locked instruction empties the store buffer.
            if sections.is_multiple_of(64) {
                self.world.counts.sections.fetch_add(64, Ordering::Relaxed);
                self.world.counts.races.fetch_add(std::mem::take(&mut raced), Ordering::Relaxed);
            }
        }
    }

    /// Waits for the updater's signal, not for long.
    fn wait_for_start(&self) {
        let last = self.start.load(Ordering::Relaxed);
        for _ in 0..2_000 {
            if self.start.load(Ordering::Relaxed) != last {
                return;
            }
        }
    }

    /// Whether the pointer changed meanwhile.
    #[inline(always)]
    fn look(&self, random: &mut Random) -> bool {
        let object = raw::dereference(&self.current);
        (0..random.below(12)).for_each(|_| spin_loop());
        if ptr::eq(raw::dereference(&self.current), object) {
            return false;
        }
        for _ in 0..STAY {
            // SAFETY: never null, and objects are never freed.
            if unsafe { &*object }.load(Ordering::Relaxed) {
                self.world.fail("a section began behind the updater's back: its object was reclaimed".into());
                break;
            }
            spin_loop();
        }
        true
    }

    /// Objects come from a ring: they are used again long after every reader has looked at them.
    fn update<F: Flavor>(&self) {
        let ring: &'static [Reclaimed] = Vec::leak((0..4096).map(|_| CachePadded::default()).collect());
        let mut random = Random::new(903);
        let mut periods = 0_u64;
        while !self.world.ended() {
            periods += 1;
            let fresh = &ring[periods as usize % ring.len()];
            fresh.store(false, Ordering::Relaxed);
            self.start.store(periods, Ordering::Relaxed);
            (0..random.below(HEAD_START)).for_each(|_| spin_loop());
            let old = raw::exchange_pointer(&self.current, ptr::from_ref(fresh).cast_mut());
            urcu_core::synchronize::<F>();
            // SAFETY: never null, and objects are never freed.
            unsafe { &*old }.store(true, Ordering::Relaxed);
            if periods.is_multiple_of(64) {
                self.world.counts.awaited.fetch_add(64, Ordering::Relaxed);
            }
        }
    }
}

//! Readers: they join, enter sections by every way there is, nest, sleep, are preempted at marked points, and leave.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use urcu_conformance::seed::Random;
use urcu_core::{AnyGuard, Flavor, Guard, ReadSide, Thread, raw};

use crate::flags::Mode;
use crate::object::Seen;
use crate::record::BUCKETS;
use crate::signals;
use crate::world::{SLOTS, World};

/// Sections between two times that a reader adds its histogram to the shared one.
const ADD_EVERY: u64 = 64;
const DEEPEST: u64 = 6;

/// Reads until the end, in one life or in many.
pub(crate) fn run<F: Flavor>(world: &'static World, stream: u64) {
    let mut random = Random::new(stream);
    while !world.ended() {
        let seed = random.next();
        if world.does(Mode::Churn) {
            // Its registration ends with it, one way or another.
            let life = world.spawn("reader", move || Life::<F>::begin(world, seed).live());
            let _ = life.join();
        } else {
            Life::<F>::begin(world, seed).live();
        }
    }
}

/// Who stands for the registration.
enum Registration<F: Flavor> {
    Value(Thread<F>),
    Raw,
    /// The first section registers (bp).
    Itself,
}

struct Life<F: Flavor> {
    world: &'static World,
    random: Random,
    registration: Registration<F>,
    found: [u64; BUCKETS],
    sections: u64,
}

impl<F: Flavor> Life<F> {
    fn begin(world: &'static World, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let registration = match random.below(3) {
            0 => {
                raw::register_thread::<F>().expect("not registered yet");
                Registration::Raw
            }
            1 if F::REGISTERS_ITSELF => Registration::Itself,
            _ => Registration::Value(Thread::register().expect("not registered yet")),
        };
        Self { world, random, registration, found: [0; BUCKETS], sections: 0 }
    }

    fn live(mut self) {
        let target = self.world.does(Mode::Signals).then(|| self.world.be_target());
        signals::allow_reading(F::READ_SIDE != ReadSide::QuiescentStates);
        // Long lives and short ones.
        let most = if self.random.once_in(2) { self.random.below(8) } else { self.random.below(3_000) };
        for _ in 0..most {
            if self.world.ended() {
                break;
            }
            self.section();
            self.between();
            if self.sections.is_multiple_of(ADD_EVERY) {
                self.world.add_found(&mut self.found);
                self.world.counts.sections.fetch_add(ADD_EVERY, Ordering::Relaxed);
            }
        }
        self.world.add_found(&mut self.found);
        self.world.counts.sections.fetch_add(self.sections % ADD_EVERY, Ordering::Relaxed);
        self.world.counts.lives.fetch_add(1, Ordering::Relaxed);
        // A late handler must not register the thread again, nor read where it is not registered any more.
        signals::allow_reading(false);
        drop(target);
        self.leave();
    }

    fn leave(mut self) {
        // A registration that a thread's end has to end; not one of a thread that lives on.
        let left_to_exit = self.world.does(Mode::Churn) && self.random.once_in(3);
        match self.registration {
            Registration::Value(thread) => drop(thread),
            Registration::Raw | Registration::Itself if left_to_exit => {
                // In QSBR it would go on being online until the thread has gone: nothing else comes after this.
            }
            // SAFETY: no `Thread`, and no pointer of a section is used any more.
            Registration::Raw | Registration::Itself => unsafe { raw::unregister_thread::<F>() },
        }
    }

    /// One outermost section, by one of the ways.
    fn section(&mut self) {
        self.sections += 1;
        let way = self.random.below(4);
        let typed = matches!(self.registration, Registration::Value(_));
        match way {
            0 if typed => {
                // Taken out, so that the borrow of the guard leaves the rest usable.
                let Registration::Value(thread) = std::mem::replace(&mut self.registration, Registration::Raw) else {
                    unreachable!("just asked");
                };
                self.guarded(|| thread.read_lock());
                self.registration = Registration::Value(thread);
            }
            0 | 1 => self.guarded(urcu_core::read_lock::<F>),
            2 => {
                let flavor = self.world.vtable;
                self.guarded(|| flavor.pin());
            }
            _ => self.raw(0),
        }
    }

    /// A section behind guards, perhaps with others in it, which perhaps outlive it.
    fn guarded<G: AnyGuard>(&mut self, lock: impl Fn() -> G) {
        let guard = lock();
        self.marked();
        let first = self.look();
        if !self.world.does(Mode::Nest) || !self.random.once_in(3) {
            self.inside(first);
            drop(guard);
            return;
        }
        let depth = self.random.below(DEEPEST);
        let mut more: Vec<G> = (0..depth).map(|_| lock()).collect();
        if self.random.once_in(2) {
            // Hand over hand: what was found first stays protected by the others.
            let (last, second) = (lock(), self.look());
            drop(guard);
            self.inside(first);
            while !more.is_empty() {
                let at = self.random.below(more.len() as u64) as usize;
                drop(more.swap_remove(at));
                self.check(second);
            }
            self.check(first);
            drop(last);
        } else {
            self.inside(first);
            drop(more);
            self.check(first);
            drop(guard);
        }
    }

    fn raw(&mut self, depth: u64) {
        // SAFETY: unlocked below; the thread is registered (or the lock registers it), and online.
        unsafe { raw::read_lock::<F>() };
        self.marked();
        let seen = self.look();
        if depth < DEEPEST && self.world.does(Mode::Nest) && self.random.once_in(4) {
            self.raw(depth + 1);
            // An inner section of another tier.
            if self.random.once_in(4) {
                let inner: Guard<'static, F> = urcu_core::read_lock();
                self.check(seen);
                drop(inner);
            }
        }
        self.inside(seen);
        // SAFETY: locked above, and what was found is not used any more.
        unsafe { raw::read_unlock::<F>() };
    }

    fn look(&mut self) -> Seen {
        self.world.look(self.random.below(SLOTS as u64) as usize)
    }

    /// The rest of a section.
    fn inside(&mut self, seen: Seen) {
        self.marked();
        if self.world.does(Mode::Sleep) && self.random.once_in(400) {
            thread::sleep(Duration::from_micros(self.random.below(3_000)));
        }
        self.check(seen);
        self.marked();
        self.check(seen);
    }

    fn check(&mut self, seen: Seen) {
        let bucket = seen.bucket();
        self.found[bucket] += 1;
        if bucket > 1 {
            self.world.add_found(&mut self.found);
            self.world.fail(format!("a section found an object of age bucket {bucket}"));
        }
    }

    /// A marked point: here a preemption matters most.
    fn marked(&mut self) {
        match self.random.below(64) {
            0..2 => thread::yield_now(),
            2..8 => (0..self.random.below(300)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }

    /// Between sections: quiescent states, absences, a new registration, a reader's own grace period.
    fn between(&mut self) {
        match &mut self.registration {
            Registration::Value(thread) => {
                thread.quiescent_state();
                if self.random.once_in(50) {
                    thread.while_offline(|| self.random.dawdle());
                }
                if self.random.once_in(500) {
                    thread.synchronize();
                    self.world.counts.awaited.fetch_add(1, Ordering::Relaxed);
                }
            }
            Registration::Raw | Registration::Itself => {
                // SAFETY: outside every section, no reference is used any more.
                unsafe { raw::quiescent_state::<F>() };
                if self.random.once_in(50) {
                    // A handler must not read meanwhile: in QSBR there are none.
                    // SAFETY: as above.
                    unsafe { raw::thread_offline::<F>() };
                    self.random.dawdle();
                    // SAFETY: no `Offline` is in use.
                    unsafe { raw::thread_online::<F>() };
                }
                if self.random.once_in(500) {
                    // SAFETY: as above.
                    unsafe { raw::synchronize::<F>() };
                    self.world.counts.awaited.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

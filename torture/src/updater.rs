//! Updaters: they unlink objects, and give them a birthday for each grace period that has ended since.

use std::ffi::c_void;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;

use urcu_conformance::seed::Random;
use urcu_core::{Flavor, GracePeriod, RcuHead, Synchronize, Thread, raw};

use crate::object::{OLDEST, Object};
use crate::world::{SLOTS, World, world};

/// So many objects may be on their way through deferred calls.
const MOST: u64 = 4_096;

/// One kind of updater, and its thread's registration while it has one.
pub(crate) struct Updater<F: Flavor> {
    world: &'static World,
    random: Random,
    spare: Vec<&'static Object>,
    thread: Option<Thread<F>>,
}

impl<F: Flavor> Updater<F> {
    pub(crate) fn new(world: &'static World, stream: u64) -> Self {
        Self { world, random: Random::new(stream), spare: Vec::new(), thread: None }
    }

    /// Registers now and then, and leaves again; announces that it holds no references.
    fn turn(&mut self) {
        if let Some(thread) = &mut self.thread {
            thread.quiescent_state();
        }
        if self.random.once_in(100) {
            self.thread = match self.thread.take() {
                Some(thread) => {
                    drop(thread);
                    None
                }
                None => Some(Thread::register().expect("not registered")),
            };
        }
        if self.random.once_in(4) {
            self.random.dawdle();
        }
    }

    /// Unlinks an object, if there is a new one to take its place. Inside a section at times.
    fn unlink(&mut self) -> Option<&'static Object> {
        let Some(fresh) = self.world.pool.hand_out(&mut self.spare, MOST) else {
            self.wait_a_little();
            return None;
        };
        let slot = self.random.below(SLOTS as u64) as usize;
        let guard = match &self.thread {
            Some(thread) if self.random.once_in(3) => Some(thread.read_lock()),
            _ => None,
        };
        let old = self.world.replace(slot, fresh);
        drop(guard);
        Some(old)
    }

    /// Not online meanwhile: others may be waiting for this thread.
    fn wait_a_little(&mut self) {
        match &mut self.thread {
            Some(thread) => thread.while_offline(thread::yield_now),
            None => thread::yield_now(),
        }
    }

    fn grace_period_awaited(&self) {
        self.world.counts.awaited.fetch_add(1, Ordering::Relaxed);
    }

    /// A birthday for each; those of the highest age go back.
    fn birthdays(&self, unlinked: &mut Vec<&'static Object>) {
        unlinked.retain(|object| {
            let old = object.birthday() >= OLDEST;
            if old {
                self.world.pool.give_back(object);
            }
            !old
        });
    }

    /// Waits for each grace period.
    pub(crate) fn synchronize(mut self) {
        let mut unlinked = Vec::new();
        while !self.world.ended() {
            self.turn();
            unlinked.extend(self.unlink());
            match &mut self.thread {
                Some(thread) => thread.synchronize(),
                None if self.random.once_in(2) => urcu_core::synchronize::<F>(),
                // SAFETY: any thread outside every section; it is not online.
                None => unsafe { (self.world.vtable.synchronize)() },
            }
            self.grace_period_awaited();
            self.birthdays(&mut unlinked);
        }
        unlinked.into_iter().for_each(|object| self.world.pool.give_back(object));
    }

    /// Asks about each, or awaits it as a future.
    pub(crate) fn poll(mut self) {
        let mut waiting: Vec<(GracePeriod<F>, Vec<&'static Object>)> = Vec::new();
        while !self.world.ended() {
            self.turn();
            let Some(old) = self.unlink() else { continue };
            if self.random.once_in(8) {
                self.await_future();
                // As a program would free it: used again at once.
                old.birthday();
                self.world.pool.give_back(old);
                continue;
            }
            waiting.push((GracePeriod::start(), vec![old]));
            let mut index = 0;
            while index < waiting.len() {
                if !waiting[index].0.is_done() {
                    index += 1;
                    continue;
                }
                self.grace_period_awaited();
                self.birthdays(&mut waiting[index].1);
                if waiting[index].1.is_empty() {
                    waiting.swap_remove(index);
                } else {
                    waiting[index].0 = GracePeriod::start();
                    index += 1;
                }
            }
            while waiting.len() > 64 && !waiting[0].0.is_done() {
                self.wait_a_little();
            }
        }
        waiting.into_iter().flat_map(|(_, objects)| objects).for_each(|object| self.world.pool.give_back(object));
    }

    fn await_future(&mut self) {
        let mut future = pin!(Synchronize::<F>::start());
        let mut context = Context::from_waker(Waker::noop());
        while future.as_mut().poll(&mut context) == Poll::Pending {
            self.wait_a_little();
        }
        self.grace_period_awaited();
    }

    /// Hands heads to a worker.
    pub(crate) fn call_rcu(mut self) {
        while !self.world.ended() {
            self.turn();
            if let Some(old) = self.unlink() {
                // SAFETY: unlinked, in no queue; it stays untouched until `aged_by_head` has run.
                unsafe { raw::call_rcu::<F>(old.head(), aged_by_head::<F>) };
            }
        }
    }

    /// Defers closures, functions, and what only frees memory.
    pub(crate) fn defer(mut self) {
        while !self.world.ended() {
            self.turn();
            let Some(old) = self.unlink() else { continue };
            let argument = std::ptr::from_ref(old).cast_mut().cast();
            match self.random.below(3) {
                0 => urcu_core::defer::<_, F>(move || aged_by_closure::<F>(old)),
                // SAFETY: unlinked; objects are never freed.
                1 => unsafe { raw::defer::<F>(aged_by_function::<F>, argument) },
                // SAFETY: as above; the function takes no lock and calls nothing of the library.
                _ => unsafe { raw::defer_free::<F>(freed, argument, size_of::<Object>()) },
            }
        }
    }
}

/// One more grace period has ended. Whether the object is to go through another one.
fn grows_older(object: &'static Object) -> bool {
    let world = world();
    world.counts.callbacks.fetch_add(1, Ordering::Relaxed);
    let again = object.birthday() < OLDEST && !world.ended();
    if !again {
        world.pool.give_back(object);
    }
    again
}

unsafe extern "C" fn aged_by_head<F: Flavor>(head: *mut RcuHead) {
    // SAFETY: `call_rcu` was given heads of objects only.
    let object = unsafe { Object::of_head(head) };
    if grows_older(object) {
        // SAFETY: its callback is running, so it is in no queue.
        unsafe { raw::call_rcu::<F>(head, aged_by_head::<F>) };
    }
}

unsafe extern "C" fn aged_by_function<F: Flavor>(argument: *mut c_void) {
    // SAFETY: an object, never freed.
    let object: &'static Object = unsafe { &*argument.cast() };
    if grows_older(object) {
        // SAFETY: unlinked long ago.
        unsafe { raw::defer::<F>(aged_by_function::<F>, argument) };
    }
}

fn aged_by_closure<F: Flavor>(object: &'static Object) {
    if grows_older(object) {
        urcu_core::defer::<_, F>(move || aged_by_closure::<F>(object));
    }
}

/// As if it were freed: used again at once.
unsafe extern "C" fn freed(argument: *mut c_void) {
    // SAFETY: an object, never freed.
    let object: &'static Object = unsafe { &*argument.cast() };
    let world = world();
    world.counts.callbacks.fetch_add(1, Ordering::Relaxed);
    object.birthday();
    world.pool.give_back(object);
}

//! The calls that one thread has deferred, and the list of all threads that ever did.

use core::ptr;

use crate::defer::queue::Queue;
use crate::lock::Lock;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// A thread's two queues. Never freed; taken over by another thread when its owner has ended.
pub(crate) struct Updater {
    /// Calls that run no user code and free memory only: any thread may run them anywhere, and the owner does, while it
    /// goes on retiring.
    pub(crate) local: Queue,
    /// Calls that a worker runs.
    pub(crate) remote: Queue,
    owned: AtomicBool,
    /// What `local` had seen when a worker last looked: a queue that has not moved since has been left alone.
    pub(crate) seen: AtomicU64,
    next: AtomicPtr<Updater>,
}

impl Updater {
    fn new() -> Self {
        Self {
            local: Queue::new(),
            remote: Queue::new(),
            owned: AtomicBool::new(true),
            seen: AtomicU64::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The owner has ended; what it left goes on to wait for a worker.
    pub(crate) fn disown(&self) {
        // Release pairs with the Acquire in `acquire`: the next owner goes on filling where this one stopped.
        // PAIR(updater-owner)
        self.owned.store(false, Ordering::Release);
    }

    /// Calls that wait in either queue. A snapshot.
    pub(crate) fn pending(&self) -> u64 {
        let waiting = |queue: &Queue| {
            let executed = queue.executed();
            queue.queued().saturating_sub(executed)
        };
        waiting(&self.local) + waiting(&self.remote)
    }
}

/// All updaters of a domain; grows only.
pub(crate) struct Updaters {
    first: AtomicPtr<Updater>,
    /// Whether some thread is between the fork hooks. Held for a moment only.
    forking: Lock<bool>,
}

impl Updaters {
    pub(crate) const fn new() -> Self {
        Self { first: AtomicPtr::new(ptr::null_mut()), forking: Lock::new(false) }
    }

    /// Before `fork`: nobody empties a queue until [`release_after_fork`](Self::release_after_fork), also none that is made
    /// meanwhile. Threads go on joining: one that waited, inside a section or a deferred call, would be waited for.
    pub(crate) fn hold_for_fork(&'static self) {
        *self.forking.lock() = true;
        for updater in self.iter() {
            updater.remote.hold_for_fork();
            updater.local.hold_for_fork();
        }
    }

    /// After `fork`, in either process.
    pub(crate) fn release_after_fork(&'static self) {
        *self.forking.lock() = false;
        for updater in self.iter() {
            updater.remote.release_after_fork();
            updater.local.release_after_fork();
        }
    }

    /// In a forked child, first: a thread that does not exist may hold the lock, for a moment.
    pub(crate) fn reset_after_fork(&self) {
        self.forking.reset_after_fork(false);
    }

    /// An updater for the calling thread: one whose owner has ended, or a new one. Allocates at worst.
    pub(crate) fn acquire(&'static self) -> &'static Updater {
        for updater in self.iter() {
            let free = !updater.owned.load(Ordering::Relaxed);
            // PAIR(updater-owner)
            if free && updater.owned.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return updater;
            }
        }
        let updater: &'static Updater = Box::leak(Box::new(Updater::new()));
        let forking = self.forking.lock();
        if *forking {
            updater.remote.hold_for_fork();
            updater.local.hold_for_fork();
        }
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            updater.next.store(first, Ordering::Relaxed);
            let new = ptr::from_ref(updater).cast_mut();
            // SeqCst, hence Release: its fields before its address, and before the first call is added.
            // PAIR(updaters)
            match self.first.compare_exchange_weak(first, new, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return updater,
                Err(now) => first = now,
            }
        }
    }

    /// Every updater that was there when the walk began.
    pub(crate) fn iter(&'static self) -> impl Iterator<Item = &'static Updater> {
        // Acquire. PAIR(updaters)
        let mut at = self.first.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: null or a leaked box.
            let updater: &'static Updater = unsafe { at.as_ref() }?;
            at = updater.next.load(Ordering::Relaxed);
            Some(updater)
        })
    }

    /// In a forked child: the owners of all updaters but `own` are gone.
    pub(crate) fn disown_all_but(&'static self, own: Option<&'static Updater>) {
        for updater in self.iter() {
            if !own.is_some_and(|own| ptr::eq(own, updater)) {
                updater.disown();
            }
        }
    }
}

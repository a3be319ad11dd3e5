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
    joining: Lock<()>,
}

impl Updaters {
    pub(crate) const fn new() -> Self {
        Self { first: AtomicPtr::new(ptr::null_mut()), joining: Lock::new(()) }
    }

    /// Keeps threads from joining until [`release_after_fork`](Self::release_after_fork): a queue that is made between the
    /// hooks would not be held.
    pub(crate) fn hold_for_fork(&self) {
        self.joining.hold_for_fork();
    }

    pub(crate) fn release_after_fork(&self) {
        self.joining.release_after_fork();
    }

    /// In a forked child, without having been held.
    pub(crate) fn reset_after_fork(&self) {
        self.joining.reset_after_fork(());
    }

    /// An updater for the calling thread: one whose owner has ended, or a new one. Allocates at worst.
    pub(crate) fn acquire(&'static self) -> &'static Updater {
        let _joining = self.joining.lock();
        for updater in self.iter() {
            let free = !updater.owned.load(Ordering::Relaxed);
            // PAIR(updater-owner)
            if free && updater.owned.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return updater;
            }
        }
        let updater: &'static Updater = Box::leak(Box::new(Updater::new()));
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

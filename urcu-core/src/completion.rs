//! Something that happens once, and the task that waits for it.
//!
//! Without a lock: a forked child inherits the state as a thread that it does not have has left it, and has to go on from there.
//!
//! ```text
//! poll (one at a time)                            complete
//! T1  IDLE -> CHANGING; if DONE: ready            C1  -> DONE
//! T2  write the waker                             C2  it was IDLE: take the waker, wake
//! T3  CHANGING -> IDLE; if DONE: ready
//! ```
//!
//! The waker belongs to the task from T1 to T3, and to whoever completes from a C1 that found IDLE: then no T1 succeeds any more. A
//! C1 that comes between T1 and T3 wakes nobody; T3 finds it. If the task's thread does not exist any more (it was there when
//! another thread forked), or the clone of a waker panicked in T2, the state stays CHANGING, which only the next T1 cares about: it goes on
//! from there.

use core::cell::UnsafeCell;
use core::fmt;
use core::task::{Context, Poll, Waker};

use crate::sync::{AtomicU32, Ordering, Watched};

const IDLE: u32 = 0;
const CHANGING: u32 = 1;
const DONE: u32 = 2;

/// See the [module page](self).
pub struct Completion {
    state: AtomicU32,
    watched: Watched,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the state says who may touch the waker, which is itself `Send` and `Sync`.
unsafe impl Sync for Completion {}

impl Completion {
    /// It has not happened yet.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(IDLE), watched: Watched::new(), waker: UnsafeCell::new(None) }
    }

    /// Whether it has happened; else the task of `context` is woken once it has.
    ///
    /// # Safety
    ///
    /// Not while another call is under way.
    pub unsafe fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        // T1. Acquire: what came before the completion. Relaxed otherwise: the waker was written by the caller's side alone.
        // PAIR(completion)
        if self.state.compare_exchange(IDLE, CHANGING, Ordering::Relaxed, Ordering::Acquire) == Err(DONE) {
            return Poll::Ready(());
        }
        self.watched.is_written();
        // T2.
        // SAFETY: CHANGING, so `complete` leaves it alone; no other poll, as promised.
        match unsafe { &mut *self.waker.get() } {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        // T3. Release: the waker, to C2. Acquire as in T1. PAIR(completion)
        match self.state.compare_exchange(CHANGING, IDLE, Ordering::Release, Ordering::Acquire) {
            Ok(_) => Poll::Pending,
            Err(_done) => Poll::Ready(()),
        }
    }

    /// It has happened. A second call does nothing.
    pub fn complete(&self) {
        // C1. Release: what came before, to the task. Acquire: the waker. PAIR(completion)
        if self.state.swap(DONE, Ordering::AcqRel) != IDLE {
            return;
        }
        self.watched.is_written();
        // C2.
        // SAFETY: it was IDLE and is DONE, so that no poll touches the waker from now on, and no other call of this function.
        let waker = unsafe { &mut *self.waker.get() }.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("done", &(self.state.load(Ordering::Relaxed) == DONE))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{RawWaker, RawWakerVTable, Wake};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn poll(self: &Arc<Self>, completion: &Completion) -> Poll<()> {
            // SAFETY: the tests have one thread each.
            unsafe { completion.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self)))) }
        }

        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn the_last_waker_is_woken_once() {
        let (completion, first, last) = (Completion::new(), Arc::<Wakes>::default(), Arc::<Wakes>::default());
        assert!(first.poll(&completion).is_pending());
        assert!(last.poll(&completion).is_pending());
        completion.complete();
        completion.complete();
        assert_eq!((first.count(), last.count()), (0, 1));
        assert!(first.poll(&completion).is_ready());
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&last)), (1, 1));
    }

    #[test]
    fn a_task_that_was_left_in_the_middle() {
        // As a forked child finds it.
        let (completion, wakes) = (Completion::new(), Arc::<Wakes>::default());
        completion.state.store(CHANGING, Ordering::Relaxed);
        completion.complete();
        assert!(wakes.poll(&completion).is_ready());
        assert_eq!(wakes.count(), 0);
    }

    #[test]
    fn a_waker_that_panics_when_it_is_cloned() {
        fn clone(_: *const ()) -> RawWaker {
            panic!("no clones")
        }
        fn nothing(_: *const ()) {}
        static NO_CLONES: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, nothing);
        // SAFETY: functions that do nothing are good for any pointer.
        let broken = unsafe { Waker::new(core::ptr::null(), &NO_CLONES) };
        let (completion, wakes) = (Completion::new(), Arc::<Wakes>::default());
        let poll = || {
            // SAFETY: one thread.
            unsafe { completion.poll(&mut Context::from_waker(&broken)) }
        };
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        assert!(wakes.poll(&completion).is_pending());
        completion.complete();
        assert_eq!(wakes.count(), 1);
    }
}

//! What threads would otherwise share, once per thread.
//!
//! The first 64 threads that are alive have a number of their own. A stripe that belongs to such a number is used by that
//! thread alone, without a locked instruction. All other threads share some stripes with a lock.
//!
//! Numbers are this copy of the library's: a shared object that was linked with a copy of its own numbers the same threads
//! anew. So a structure belongs to the numbers of the copy that made it, and the code of other copies, which may be given
//! it, shares stripes.

use std::cell::Cell;
use std::thread;

use urcu_core::sync::{AtomicU64, AtomicUsize, CachePadded, Ordering};
use urcu_core::{Backoff, Generation, sync};

/// Numbers that a thread can have for itself.
const OWN_NUMBERS: usize = u64::BITS as usize;
/// No number yet.
const UNSET: usize = usize::MAX;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(UNSET) };
    /// Which shared stripe, where this copy's numbers do not count. Without a destructor: one would keep an object loaded that is
    /// a guest here.
    static GUEST: Cell<usize> = const { Cell::new(UNSET) };
    static GIVES_BACK: GivesBack = const { GivesBack };
}

/// The numbers that are taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// What tells this copy's numbers from others'.
#[inline]
fn numbering() -> usize {
    (&raw const TAKEN).addr()
}

/// A number that need not be this thread's alone.
#[cold]
fn guest_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    GUEST.with(|guest| {
        if guest.get() == UNSET {
            // Relaxed: any number will do.
            guest.set(OWN_NUMBERS + NEXT.fetch_add(1, Ordering::Relaxed) % OWN_NUMBERS);
        }
        guest.get()
    })
}

struct GivesBack;

impl Drop for GivesBack {
    fn drop(&mut self) {
        let number = NUMBER.replace(OWN_NUMBERS);
        if number < OWN_NUMBERS {
            // Release: what this thread did to its stripes comes before the next one that has the number. PAIR(map-number)
            TAKEN.fetch_and(!(1 << number), Ordering::Release);
        }
    }
}

#[cold]
fn take_number() -> usize {
    /// Of the threads that have none for themselves.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // A thread that is ending could not give it back.
    let can_give_back = GIVES_BACK.try_with(|_| ()).is_ok();
    let mut number = UNSET;
    if can_give_back {
        // Acquire: the stripes are as the last one that had the number left them. PAIR(map-number)
        let free = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, |taken| {
            let free = taken.trailing_ones();
            (free < u64::BITS).then(|| taken | 1 << free)
        });
        number = free.map_or(UNSET, |taken| taken.trailing_ones() as usize);
    }
    if number == UNSET {
        // Relaxed: any number will do.
        number = OWN_NUMBERS + NEXT.fetch_add(1, Ordering::Relaxed) % OWN_NUMBERS;
    }
    NUMBER.set(number);
    number
}

#[inline]
fn number() -> usize {
    let number = NUMBER.get();
    if number == UNSET { take_number() } else { number }
}

/// A `T` for each of the first threads, and some that the others share.
#[derive(Debug)]
pub(crate) struct Striped<T> {
    /// Those of single threads, a power of two of them, and half as many shared ones.
    stripes: Box<[CachePadded<Stripe<T>>]>,
    /// How many of them belong to single threads.
    own: usize,
    /// [`numbering`] of the copy that these threads' numbers are of.
    numbering: usize,
    /// What locks are marked with.
    generation: Generation,
    /// What is done with a stripe whose user was not forked along.
    mend: fn(&T),
}

#[derive(Debug)]
struct Stripe<T> {
    /// Held while a shared stripe is used: the generation of the holder's process, or zero.
    lock: AtomicU64,
    value: T,
}

// SAFETY: `with_own` gives a stripe to one thread at a time; `all` is for whoever reads what is atomic.
unsafe impl<T: Send> Sync for Striped<T> {}

fn how_many() -> usize {
    // No lock: a forked child could find it held.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: a number.
    let known = COUNT.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let count = (2 * processors).next_power_of_two().clamp(4, OWN_NUMBERS);
    COUNT.store(count, Ordering::Relaxed);
    count
}

impl<T> Striped<T> {
    pub(crate) fn new(make: impl Fn() -> T) -> Self {
        let own = how_many();
        let stripe = |_| CachePadded(Stripe { lock: AtomicU64::new(0), value: make() });
        let stripes = (0..own + own / 2).map(stripe).collect();
        Self { stripes, own, numbering: numbering(), generation: Generation::new(), mend: |_| {} }
    }

    /// In a forked child, `mend` is called with a stripe that was in use: in the middle of something, by a thread that does not
    /// exist.
    pub(crate) fn mended_by(mut self, mend: fn(&T)) -> Self {
        self.mend = mend;
        self
    }

    /// The calling thread's number; below `own` only by the copy that made the stripes.
    #[inline]
    fn number(&self) -> usize {
        if self.numbering == numbering() { number() } else { guest_number() }
    }

    /// The calling thread's stripe, if it has one for itself and a number already.
    #[inline]
    fn own_at_once(&self) -> Option<&T> {
        // A thread without a number has a large one.
        let number = if self.numbering == numbering() { NUMBER.get() } else { UNSET };
        // SAFETY: there are stripes for the numbers below `own`, by `new`.
        (number < self.own).then(|| unsafe { &self.stripes.get_unchecked(number).value })
    }

    /// Runs `work` with a stripe that nobody else uses meanwhile. It must neither panic nor come back here.
    #[inline]
    pub(crate) fn with_own<R>(&self, work: impl FnOnce(&T) -> R) -> R {
        if let Some(own) = self.own_at_once() {
            return work(own);
        }
        self.with_found(work)
    }

    /// The same for a thread that has no number yet, or none for itself.
    #[cold]
    fn with_found<R>(&self, work: impl FnOnce(&T) -> R) -> R {
        let number = self.number();
        if number < self.own {
            return work(&self.stripes[number].value);
        }
        self.with_shared(self.own + number % (self.own / 2), work)
    }

    /// The calling thread's stripe, if no other thread uses it.
    #[inline]
    pub(crate) fn own(&self) -> Option<&T> {
        let own = self.own_at_once();
        if own.is_some() { own } else { self.own_found() }
    }

    #[cold]
    fn own_found(&self) -> Option<&T> {
        let number = self.number();
        (number < self.own).then(|| &self.stripes[number].value)
    }

    /// The stripe that the calling thread uses; others may, too.
    #[inline]
    pub(crate) fn near(&self) -> &T {
        let number = self.number();
        let stripe = if number < self.own { number } else { self.own + number % (self.own / 2) };
        &self.stripes[stripe].value
    }

    #[cold]
    fn with_shared<R>(&self, stripe: usize, work: impl FnOnce(&T) -> R) -> R {
        let stripe = &self.stripes[stripe];
        let mut backoff = Backoff::brisk();
        let generation = self.generation.number();
        let mut free = 0;
        // Acquire pairs with the Release below. PAIR(map-stripe)
        while let Err(holder) = stripe.lock.compare_exchange(free, generation, Ordering::Acquire, Ordering::Relaxed) {
            if holder != generation {
                // It was given back, or is that of a thread of an ancestor, which does not exist here.
                free = holder;
                continue;
            }
            if !backoff.snooze() {
                thread::sleep(core::time::Duration::from_micros(50));
            }
            sync::spin_loop();
        }
        if free != 0 {
            (self.mend)(&stripe.value);
        }
        let answer = work(&stripe.value);
        // Release: the next one sees what was done. PAIR(map-stripe)
        stripe.lock.store(0, Ordering::Release);
        answer
    }

    /// All of them, which others may be using.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.stripes.iter().map(|stripe| &stripe.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripe_that_a_thread_of_a_parent_was_using_is_mended_once() {
        let mended = |value: &Cell<u32>| value.set(value.get() + 1);
        let stripes = Striped::new(|| Cell::new(0)).mended_by(mended);
        let shared = stripes.own;
        stripes.stripes[shared].lock.store(u64::MAX, Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(stripes.with_shared(shared, Cell::get), 1);
        }
        assert_eq!(stripes.stripes[shared].lock.load(Ordering::Relaxed), 0);
    }
}

//! Reference counts for what is found under RCU.
//!
//! A section protects an object for as long as the section lasts; a count does for as long as one likes. The two meet in
//! [`get_unless_zero`](RefCount::get_unless_zero): inside a section an object may be found whose last reference is just
//! being given back. Its memory is still there, because it is freed after a grace period only, but it must not be
//! referenced any more.
//!
//! # Orderings
//!
//! Taking a reference is relaxed: who takes one got at the object by a reference of its own, or by a protected load, and
//! that has ordered whatever the object's maker wrote. Giving one back is a Release, and whoever gives back the last one
//! has an Acquire fence behind it: so all that was done through any reference happens before the object's end. The
//! decrements form one release sequence, since all changes are read-modify-writes. PAIR(last-reference)
//!
//! # Overflow
//!
//! A count that leaves the lower half of its range is stuck from then on: the object is never freed, which is a leak
//! and not a use after free. The upper half is as wide as the lower, so threads that overshoot at the same time do no harm.

use crate::sync::modelled::{AtomicUsize, Ordering, fence};

/// A count of references to the object that it is part of. Starts at one.
///
/// Layout of the C library's `urcu_ref`. For a typed pointer that counts, see [`RcuArc`](crate::RcuArc).
///
/// All operations: any context, lock-free (`get` and `put` wait-free).
///
/// ```
/// use urcu_core::RefCount;
///
/// let references = RefCount::new();
/// references.get();
/// assert!(!references.put());
/// assert!(references.put(), "that was the last");
/// assert!(!references.get_unless_zero());
/// ```
#[doc(alias = "urcu_ref")]
#[derive(Debug)]
#[repr(transparent)]
pub struct RefCount {
    count: AtomicUsize,
}

/// The first count that is stuck.
const LIMIT: usize = isize::MAX as usize;
/// Where stuck counts are put back to: far from both ends of their range.
const STUCK: usize = LIMIT + LIMIT / 2;

impl RefCount {
    /// One reference: the caller's.
    #[doc(alias = "urcu_ref_init")]
    #[cfg(not(urcu_loom))]
    pub const fn new() -> Self {
        Self::with(1)
    }

    /// One reference: the caller's.
    #[cfg(urcu_loom)]
    pub fn new() -> Self {
        Self::with(1)
    }

    /// That many references. From `isize::MAX` on it is stuck.
    #[doc(alias = "urcu_ref_set")]
    #[cfg(not(urcu_loom))]
    pub const fn with(references: usize) -> Self {
        Self { count: AtomicUsize::new(references) }
    }

    /// That many references.
    #[cfg(urcu_loom)]
    pub fn with(references: usize) -> Self {
        Self { count: AtomicUsize::new(references) }
    }

    /// Takes a reference; the caller has one already, or keeps another from being given back.
    ///
    /// The C library ends the process when the count overflows; this one gets stuck.
    #[doc(alias = "urcu_ref_get")]
    #[inline]
    pub fn get(&self) {
        // Relaxed: the caller's own reference has ordered everything. See the module.
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before >= LIMIT {
            self.stay_stuck();
        }
    }

    /// Takes a reference if the count can count it: false, and none taken, when it is stuck or about to be.
    #[doc(alias = "urcu_ref_get_safe")]
    #[inline]
    pub fn try_get(&self) -> bool {
        self.get_if(|count| count < LIMIT - 1)
    }

    /// Takes a reference unless the last one is gone: for an object that was found inside a section.
    ///
    /// The object's memory must be kept from being reused meanwhile, by the section or by a lock. False for zero; once it
    /// is zero it stays so. A stuck count stays stuck.
    #[doc(alias = "urcu_ref_get_unless_zero")]
    #[inline]
    pub fn get_unless_zero(&self) -> bool {
        self.get_if(|count| count != 0)
    }

    /// Gives a reference back. True for the last one: the caller now ends the object's life, after a grace period if readers
    /// may find it. What was done through all other references happens before that.
    #[doc(alias = "urcu_ref_put")]
    #[must_use = "whoever gives back the last reference has to end the object's life"]
    #[inline]
    pub fn put(&self) -> bool {
        // Release. PAIR(last-reference)
        let before = self.count.fetch_sub(1, Ordering::Release);
        if before >= LIMIT {
            self.stay_stuck();
            return false;
        }
        debug_assert_ne!(before, 0, "a reference was given back that nobody had");
        if before != 1 {
            return false;
        }
        // Acquire. PAIR(last-reference)
        fence(Ordering::Acquire);
        true
    }

    /// [`put`](Self::put), and calls `release` for the last reference, as the C library does.
    #[doc(alias = "urcu_ref_put")]
    #[inline]
    pub fn put_with(&self, release: impl FnOnce()) {
        if self.put() {
            release();
        }
    }

    /// The count at some moment; `None` when it is stuck. For messages and tests.
    pub fn count(&self) -> Option<usize> {
        let count = self.count.load(Ordering::Relaxed);
        (count < LIMIT).then_some(count)
    }

    #[inline]
    fn get_if(&self, may: impl Fn(usize) -> bool) -> bool {
        let mut count = self.count.load(Ordering::Relaxed);
        while may(count) {
            let more = if count >= LIMIT { STUCK } else { count + 1 };
            // Relaxed: as in `get`; the protected load has ordered what the object's maker wrote.
            match self.count.compare_exchange_weak(count, more, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => count = found,
            }
        }
        false
    }

    /// Puts a stuck count back to the middle of its range.
    #[cold]
    fn stay_stuck(&self) {
        self.count.store(STUCK, Ordering::Relaxed);
    }
}

impl Default for RefCount {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn layout_of_the_c_library() {
        assert_eq!(size_of::<RefCount>(), size_of::<libc::c_long>());
        assert_eq!(align_of::<RefCount>(), align_of::<libc::c_long>());
    }

    #[test]
    fn zero_is_the_end() {
        let references = RefCount::with(2);
        let mut released = 0;
        references.put_with(|| released += 1);
        assert!(references.get_unless_zero() && references.try_get());
        assert_eq!(references.count(), Some(3));
        (0..3).for_each(|_| references.put_with(|| released += 1));
        assert_eq!((released, references.count()), (1, Some(0)));
        assert!(!references.get_unless_zero());
        assert_eq!(references.count(), Some(0));
    }

    #[test]
    fn an_overflow_gets_stuck() {
        let references = RefCount::with(LIMIT - 2);
        assert!(references.try_get(), "the last that can be counted");
        assert!(!references.try_get());
        assert_eq!(references.count(), Some(LIMIT - 1));
        references.get();
        assert_eq!(references.count(), None);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        references.get();
                        assert!(references.get_unless_zero() && !references.try_get());
                        (0..4).for_each(|_| assert!(!references.put()));
                    }
                });
            }
        });
        assert_eq!(references.count(), None, "stuck for ever, however much is given back");
    }
}

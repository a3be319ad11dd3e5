//! Objects that notice being reclaimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use urcu_core::sync::AtomicPtr;

use crate::leak;

/// An object whose memory stays, so that a reader may find out that it has been reclaimed too early without reading
/// freed memory.
#[derive(Debug, Default)]
pub struct Object {
    reclaimed: AtomicBool,
}

impl Object {
    /// One that lives until the process ends.
    pub fn leaked() -> &'static Self {
        leak(Box::default())
    }

    /// Reclaims it: no section may be using it any more.
    pub fn reclaim(&self) {
        // Release, and Acquire in the check: a grace period that gives no ordering is not helped out here, since no
        // data depends on the flag.
        assert!(!self.reclaimed.swap(true, Ordering::AcqRel), "reclaimed twice");
    }

    /// Fails if it has been reclaimed; called inside a section that has loaded it.
    #[track_caller]
    pub fn check(&self) {
        assert!(!self.is_reclaimed(), "an object was reclaimed inside a section that uses it");
    }

    /// Whether it has been reclaimed.
    pub fn is_reclaimed(&self) -> bool {
        self.reclaimed.load(Ordering::Acquire)
    }
}

/// A protected pointer to an [`Object`].
#[derive(Debug)]
pub struct Shelf(AtomicPtr<Object>);

impl Default for Shelf {
    fn default() -> Self {
        Self::new()
    }
}

impl Shelf {
    /// With an object.
    pub fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::from_ref(Object::leaked()).cast_mut()))
    }

    /// The pointer, for the raw tier.
    pub fn pointer(&self) -> &AtomicPtr<Object> {
        &self.0
    }

    /// The object that is there now. Inside a section, it must not be reclaimed before the end of that.
    pub fn look(&self) -> &'static Object {
        // SAFETY: only leaked objects are ever stored, and never null.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }

    /// Puts a fresh object there and returns the old one, which may be reclaimed after a grace period.
    pub fn replace(&self) -> &'static Object {
        let fresh = std::ptr::from_ref(Object::leaked()).cast_mut();
        // SAFETY: only leaked objects are ever stored, and never null.
        unsafe { &*self.0.swap(fresh, Ordering::AcqRel) }
    }
}

/// How many [`Counted`] values of a family were made and dropped.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<[AtomicUsize; 2]>);

impl Counts {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another value.
    pub fn make(&self, value: u64) -> Counted {
        self.0[0].fetch_add(1, Ordering::Relaxed);
        Counted { value, alive: ALIVE, counts: self.clone() }
    }

    /// How many were made.
    pub fn made(&self) -> usize {
        self.0[0].load(Ordering::Acquire)
    }

    /// How many were dropped.
    pub fn dropped(&self) -> usize {
        self.0[1].load(Ordering::Acquire)
    }
}

const ALIVE: u64 = 0xA11F_E0B1_EC70_0001;

/// A value whose drop is counted.
#[derive(Debug)]
pub struct Counted {
    value: u64,
    alive: u64,
    counts: Counts,
}

impl Counted {
    /// The number it was made with.
    #[track_caller]
    pub fn value(&self) -> u64 {
        assert_eq!(self.alive, ALIVE, "read after it was dropped");
        self.value
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_eq!(self.alive, ALIVE, "dropped twice");
        self.alive = 0;
        self.counts.0[1].fetch_add(1, Ordering::AcqRel);
    }
}

//! What readers look at: objects that tell their age, and notice when they are used again.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use urcu_core::RcuHead;

use crate::record::{BUCKETS, REUSED};

/// Objects of this age are used again; until then their age is told.
pub(crate) const OLDEST: u32 = 10;

/// Never freed, so that a broken flavor gives a wrong age and not a crash.
#[repr(C)]
pub(crate) struct Object {
    /// First: a callback gets this pointer.
    head: UnsafeCell<RcuHead>,
    /// 0: current; then how many grace periods have ended since it was unlinked, plus one.
    age: AtomicU32,
    /// How often it has been handed out.
    generation: AtomicU64,
    /// Written before the object is published, from its generation.
    payload: [AtomicU64; 4],
    /// In the list of those that may be handed out again.
    next: AtomicPtr<Object>,
}

// SAFETY: the head is touched by raw pointers only, by the one updater that has unlinked the object, and the library.
unsafe impl Sync for Object {}

fn payload(generation: u64, index: usize) -> u64 {
    generation.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(7 * index as u32 + 1)
}

impl Object {
    fn leaked() -> &'static Self {
        Box::leak(Box::new(Self {
            head: UnsafeCell::new(RcuHead::new()),
            age: AtomicU32::new(0),
            generation: AtomicU64::new(0),
            payload: Default::default(),
            next: AtomicPtr::new(ptr::null_mut()),
        }))
    }

    /// Makes it a new one.
    fn renew(&self) {
        // Relaxed: publication orders these before what readers see.
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        self.generation.store(generation, Ordering::Relaxed);
        for (index, word) in self.payload.iter().enumerate() {
            word.store(payload(generation, index), Ordering::Relaxed);
        }
        self.age.store(0, Ordering::Relaxed);
    }

    /// It has been unlinked.
    pub(crate) fn unlinked(&self) {
        self.age.store(1, Ordering::Relaxed);
    }

    /// A grace period has ended since the last birthday; its age now. Relaxed: it is the grace period that has to keep this
    /// out of the sight of readers.
    pub(crate) fn birthday(&self) -> u32 {
        self.age.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn head(&self) -> *mut RcuHead {
        self.head.get()
    }

    /// The object around a head.
    ///
    /// # Safety
    ///
    /// `head` is that of an object.
    pub(crate) unsafe fn of_head(head: *mut RcuHead) -> &'static Self {
        // SAFETY: the head is the first field, and objects are never freed.
        unsafe { &*head.cast::<Self>() }
    }

    /// A reader finds it.
    pub(crate) fn look(&'static self) -> Seen {
        Seen { object: self, generation: self.generation.load(Ordering::Relaxed) }
    }
}

/// An object as a section has found it.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    object: &'static Object,
    generation: u64,
}

impl Seen {
    /// The bucket that it belongs to now, still inside the section.
    #[inline]
    pub(crate) fn bucket(self) -> usize {
        let age = self.object.age.load(Ordering::Relaxed);
        let same = |(index, word): (usize, &AtomicU64)| word.load(Ordering::Relaxed) == payload(self.generation, index);
        let intact = self.object.payload.iter().enumerate().all(same);
        if !intact || self.object.generation.load(Ordering::Relaxed) != self.generation {
            return REUSED;
        }
        (age as usize).min(BUCKETS - 2)
    }
}

/// Objects that may be handed out again. Lock-free, so that what only frees memory may give back; taken as a whole.
pub(crate) struct Pool {
    returned: AtomicPtr<Object>,
    pub(crate) handed_out: AtomicU64,
    pub(crate) given_back: AtomicU64,
}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self { returned: AtomicPtr::new(ptr::null_mut()), handed_out: AtomicU64::new(0), given_back: AtomicU64::new(0) }
    }

    pub(crate) fn give_back(&self, object: &'static Object) {
        let mut top = self.returned.load(Ordering::Relaxed);
        loop {
            object.next.store(top, Ordering::Relaxed);
            let own = ptr::from_ref(object).cast_mut();
            match self.returned.compare_exchange_weak(top, own, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => top = now,
            }
        }
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }

    /// A new object, from `spare` if there is one. Nothing when too many are on their way.
    pub(crate) fn hand_out(&self, spare: &mut Vec<&'static Object>, most: u64) -> Option<&'static Object> {
        if spare.is_empty() {
            let mut top = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
            while !top.is_null() {
                // SAFETY: objects are never freed; ours since the swap.
                let object = unsafe { &*top };
                top = object.next.load(Ordering::Relaxed);
                spare.push(object);
            }
        }
        let on_their_way =
            self.handed_out.load(Ordering::Relaxed).saturating_sub(self.given_back.load(Ordering::Relaxed));
        let object = match spare.pop() {
            Some(object) => object,
            None if on_their_way < most => Object::leaked(),
            None => return None,
        };
        self.handed_out.fetch_add(1, Ordering::Relaxed);
        object.renew();
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_reuse_are_told() {
        let pool = Pool::new();
        let mut spare = Vec::new();
        let object = pool.hand_out(&mut spare, 1).expect("none is on its way");
        let seen = object.look();
        assert_eq!(seen.bucket(), 0);
        assert!(pool.hand_out(&mut spare, 1).is_none());
        object.unlinked();
        assert_eq!(seen.bucket(), 1);
        assert_eq!(object.birthday(), 2);
        assert_eq!(seen.bucket(), 2);
        (0..20).for_each(|_| {
            object.birthday();
        });
        assert_eq!(seen.bucket(), BUCKETS - 2);
        pool.give_back(object);
        let again = pool.hand_out(&mut spare, 1).expect("one has been given back");
        assert!(ptr::eq(again, object));
        assert_eq!(seen.bucket(), REUSED);
        assert_eq!(again.look().bucket(), 0);
        // SAFETY: an object's own head.
        assert!(ptr::eq(unsafe { Object::of_head(object.head()) }, object));
    }
}

//! A few pieces of bucket memory that the next small tables find ready.
//!
//! A growth that is done at once allocates on the thread of an insertion. What small tables need, some kilobytes, is much for an
//! allocator whose strength is small pieces: the C library's puts all small pieces together that the thread has freed, and the
//! insertions that follow pay for that.
//!
//! Nobody waits here, and a thread that stops in the middle (or does not exist in a forked child) has taken its piece with it. Builds
//! with debug assertions keep nothing, so that tools which watch freed memory see all of it.

use core::ptr::{self, NonNull};

use urcu_core::sync::{AtomicPtr, Ordering};

use super::word::{Link, Word};

/// The numbers of buckets that pieces are kept for: those of the first growths.
const COUNTS: [usize; 3] = [512, 1024, 2048];
/// Pieces of each: 112 KiB in all.
const PIECES: usize = 4;

pub(super) struct Kept {
    slots: [[AtomicPtr<Link>; PIECES]; COUNTS.len()],
}

/// Those of the process.
pub(super) static KEPT: Kept = Kept::new();

impl Kept {
    const fn new() -> Self {
        Self { slots: [const { [const { AtomicPtr::new(ptr::null_mut()) }; PIECES] }; COUNTS.len()] }
    }

    fn slots(&self, count: usize) -> impl Iterator<Item = &AtomicPtr<Link>> {
        let class =
            if cfg!(debug_assertions) && !cfg!(test) { None } else { COUNTS.iter().position(|&of| of == count) };
        class.into_iter().flat_map(|class| &self.slots[class])
    }

    /// A piece for so many buckets, all of them fresh, if there is one. The caller's from now on.
    pub(super) fn take(&self, count: usize) -> Option<NonNull<Link>> {
        self.slots(count).find_map(|slot| {
            // Relaxed: a look.
            if slot.load(Ordering::Relaxed).is_null() {
                return None;
            }
            // Acquire: what is in it. PAIR(lfht-kept)
            NonNull::new(slot.swap(ptr::null_mut(), Ordering::Acquire))
        })
    }

    /// Keeps a piece. Whether there was room: if not, it is still the caller's.
    ///
    /// # Safety
    ///
    /// Of the global allocator, with so many initialised buckets, a multiple of 64 from address 0, and used by nobody.
    pub(super) unsafe fn give(&self, memory: NonNull<Link>, count: usize) -> bool {
        let is_free = |slot: &&AtomicPtr<Link>| slot.load(Ordering::Relaxed).is_null();
        let Some(slot) = self.slots(count).find(is_free) else { return false };
        // SAFETY: as promised.
        let links = unsafe { core::slice::from_raw_parts(memory.as_ptr(), count) };
        for link in links {
            // Relaxed: published by the exchange.
            link.store(Word::FRESH.0, Ordering::Relaxed);
        }
        // Release: what is in it. PAIR(lfht-kept)
        slot.compare_exchange(ptr::null_mut(), memory.as_ptr(), Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_piece_is_fresh_and_nobody_elses() {
        let kept = Kept::new();
        let piece = |count: usize| {
            let links: Vec<Link> = (0..count).map(|_| Link::new(Word::END.0)).collect();
            NonNull::from(Box::leak(links.into_boxed_slice())).cast::<Link>()
        };
        let free = |memory: NonNull<Link>, count| {
            // SAFETY: leaked above.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory.as_ptr(), count)) });
        };
        assert_eq!(kept.take(512), None);
        let pieces: Vec<_> = (0..=PIECES).map(|_| piece(512)).collect();
        for (number, &piece) in pieces.iter().enumerate() {
            // SAFETY: made above.
            assert_eq!(unsafe { kept.give(piece, 512) }, number < PIECES);
        }
        assert_eq!(kept.take(1024), None);
        free(pieces[PIECES], 512);
        let mut taken: Vec<_> = core::iter::from_fn(|| kept.take(512)).collect();
        for memory in &taken {
            // SAFETY: a piece of this test.
            let links = unsafe { core::slice::from_raw_parts(memory.as_ptr(), 512) };
            assert!(links.iter().all(|link| link.load(Ordering::Relaxed) == Word::FRESH.0));
        }
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), PIECES);
        taken.into_iter().for_each(|memory| free(memory, 512));

        let odd = piece(600);
        // SAFETY: made above.
        assert!(!unsafe { kept.give(odd, 600) });
        free(odd, 600);
    }

    #[test]
    fn threads_that_take_and_give_never_have_the_same_piece() {
        let kept = Kept::new();
        std::thread::scope(|scope| {
            for thread in 1..=4_usize {
                let kept = &kept;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let memory = kept.take(512).unwrap_or_else(|| {
                            let links: Vec<Link> = (0..512).map(|_| Link::new(Word::FRESH.0)).collect();
                            NonNull::from(Box::leak(links.into_boxed_slice())).cast()
                        });
                        // SAFETY: this thread's.
                        let links = unsafe { core::slice::from_raw_parts(memory.as_ptr(), 512) };
                        let own = ptr::without_provenance_mut(thread * 8);
                        // As no atomics: nobody else uses it, and what its last owner did happened before.
                        let place = links[511].as_ptr();
                        // SAFETY: as above.
                        assert_eq!(unsafe { place.read() }, Word::FRESH.0, "round {round}");
                        // SAFETY: as above.
                        unsafe { place.write(own) };
                        std::thread::yield_now();
                        // SAFETY: as above.
                        assert_eq!(unsafe { place.read() }, own, "round {round}");
                        // SAFETY: as above, and not used any more.
                        if !unsafe { kept.give(memory, 512) } {
                            // SAFETY: leaked above, and not kept.
                            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory.as_ptr(), 512)) });
                        }
                    }
                });
            }
        });
        while let Some(memory) = kept.take(512) {
            // SAFETY: leaked above.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory.as_ptr(), 512)) });
        }
    }
}

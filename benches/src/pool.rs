//! Where the elements of walked lists lie: in the same memory, in the same order, for every contender.
//!
//! A walk costs what the memory system makes of the elements' addresses; left to the allocator, these depend on what was freed
//! before, and differences between contenders would be luck. So elements (told by a layout that nobody else asks for) are taken one
//! after the other from one array, which begins anew when all have been given back.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// An element's size, in memory.
pub const ELEMENT_SIZE: usize = 32;
/// Its alignment: more than two pointers and a word ask for.
pub const ELEMENT_ALIGN: usize = 16;
/// Enough for two lists at a time.
const ELEMENTS: usize = 2048;

#[repr(C, align(4096))]
struct Memory(UnsafeCell<[[u8; ELEMENT_SIZE]; ELEMENTS]>);

// SAFETY: given out in parts that do not overlap.
unsafe impl Sync for Memory {}

#[derive(Clone, Copy)]
struct State {
    /// The first part that has not been given out since the array was empty.
    next: usize,
    /// Parts that are in use.
    live: usize,
}

struct Pool {
    locked: AtomicBool,
    state: UnsafeCell<State>,
}

// SAFETY: the state is used under the lock only.
unsafe impl Sync for Pool {}

static MEMORY: Memory = Memory(UnsafeCell::new([[0; ELEMENT_SIZE]; ELEMENTS]));
static POOL: Pool = Pool { locked: AtomicBool::new(false), state: UnsafeCell::new(State { next: 0, live: 0 }) };

impl Pool {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        // Acquire and Release: a lock.
        while self.locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: under the lock.
        let answer = change(unsafe { &mut *self.state.get() });
        self.locked.store(false, Ordering::Release);
        answer
    }
}

/// Whether this is the layout of elements.
#[inline]
pub fn is_element(layout: Layout) -> bool {
    layout.size() == ELEMENT_SIZE && layout.align() == ELEMENT_ALIGN
}

/// The next place, unless all are taken.
pub fn take() -> Option<*mut u8> {
    let index = POOL.with(|state| {
        let index = state.next;
        let there = index < ELEMENTS;
        state.next += usize::from(there);
        state.live += usize::from(there);
        there.then_some(index)
    })?;
    Some(MEMORY.0.get().cast::<u8>().wrapping_add(index * ELEMENT_SIZE))
}

/// Gives a place back; `false` if it is none of the pool's.
///
/// # Safety
/// If it is one, it comes from [`take`], and nobody uses it any more.
pub unsafe fn give_back(place: *mut u8) -> bool {
    let offset = place.addr().wrapping_sub(MEMORY.0.get().addr());
    let is_ours = offset < ELEMENTS * ELEMENT_SIZE;
    if is_ours {
        POOL.with(|state| {
            state.live -= 1;
            if state.live == 0 {
                state.next = 0;
            }
        });
    }
    is_ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_apart_and_come_back() {
        // Other tests may use the pool meanwhile.
        let places: Vec<*mut u8> = (0..10).map_while(|_| take()).collect();
        for pair in places.windows(2) {
            assert!(pair[0].addr().abs_diff(pair[1].addr()) >= ELEMENT_SIZE);
        }
        for place in places {
            // SAFETY: taken above.
            assert!(unsafe { give_back(place) });
        }
        // SAFETY: none of the pool's.
        assert!(!unsafe { give_back(std::ptr::dangling_mut()) });
    }
}

//! Arrays of slots, and positions in them that fit into one word.
//!
//! A queue of segments is a chain of arrays. Where an end of the queue is (which segment, which slot) is one 64-bit word, so that one
//! compare-and-swap claims a slot: which one *and* in which segment. Nobody has to look into a segment before having claimed
//! something there, and a word that has come back means what it says.
//!
//! ```text
//!   63                    23 22            0
//!  +------------------------+---------------+
//!  | address / 128, 41 bits | slot, 23 bits |
//!  +------------------------+---------------+
//! ```
//!
//! The slot behind the last one means that the segment is full; one more, that somebody is installing the next (`segment_queue`).

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;
use std::alloc::{alloc, dealloc, handle_alloc_error};

use urcu_core::sync::modelled::{AtomicPtr, AtomicU32, Ordering};

const INDEX_BITS: u32 = 23;
/// Segments begin at multiples of this: two cache lines, and the bits that a position has no room for.
const ALIGNMENT: usize = 128;
const ADDRESS_BITS: u32 = 64 - INDEX_BITS + ALIGNMENT.trailing_zeros();

/// About how large a segment is: small enough to be recycled while it is in the cache, large enough that the change to the next
/// one does not count.
#[cfg(not(urcu_loom))]
const BYTES: usize = 4096;

/// A slot of a segment.
pub(crate) struct Position<T> {
    pub(crate) segment: *mut Segment<T>,
    pub(crate) index: usize,
}

impl<T> Clone for Position<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Position<T> {}

impl<T> PartialEq for Position<T> {
    fn eq(&self, other: &Self) -> bool {
        self.segment == other.segment && self.index == other.index
    }
}

impl<T> Position<T> {
    pub(crate) fn first(segment: *mut Segment<T>) -> Self {
        Self { segment, index: 0 }
    }

    /// As one word.
    #[inline]
    pub(crate) fn pack(self) -> u64 {
        let address = (self.segment.expose_provenance() / ALIGNMENT) as u64;
        address << INDEX_BITS | self.index as u64
    }

    #[inline]
    pub(crate) fn unpack(word: u64) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "what `pack` was given")]
        let (address, index) = ((word >> INDEX_BITS) as usize * ALIGNMENT, (word & ((1 << INDEX_BITS) - 1)) as usize);
        Self { segment: ptr::with_exposed_provenance_mut(address), index }
    }

    /// Whether the segment has no such slot any more.
    #[inline]
    pub(crate) fn is_beyond(&self) -> bool {
        self.index >= Segment::<T>::SLOTS
    }

    /// The slot before; this one is not the first.
    #[inline]
    pub(crate) fn before(self) -> Self {
        Self { index: self.index - 1, ..self }
    }

    /// The slot.
    ///
    /// # Safety
    ///
    /// The segment is allocated, and the index not beyond its end.
    #[inline]
    pub(crate) unsafe fn slot<'s>(&self) -> &'s Slot<T> {
        // SAFETY: as promised.
        let slot = unsafe { Segment::slot_at(self.segment, self.index) };
        // SAFETY: initialised by `allocate`; what changes inside is in cells.
        unsafe { &*slot }
    }
}

/// The header of a segment; slots follow it.
#[repr(C, align(128))]
pub(crate) struct Segment<T> {
    /// Null in the last one.
    pub(crate) next: AtomicPtr<Segment<T>>,
    /// What the slots' states become when they are filled; changed when the segment is used again, by its only owner.
    pub(crate) generation: AtomicU32,
    marker: PhantomData<T>,
}

/// Room for one value.
pub(crate) struct Slot<T> {
    pub(crate) state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
    /// Lets the model checker see who accesses the value.
    #[cfg(urcu_loom)]
    watched: loom::cell::UnsafeCell<()>,
}

impl<T> Segment<T> {
    /// Where the slots begin.
    const FIRST: usize = {
        let header = size_of::<Self>();
        if align_of::<Slot<T>>() > header { align_of::<Slot<T>>() } else { header }
    };

    /// How many slots there are.
    #[cfg(not(urcu_loom))]
    pub(crate) const SLOTS: usize = {
        let fitting = (BYTES - size_of::<Self>()) / size_of::<Slot<T>>();
        if fitting < 8 { 8 } else { fitting }
    };
    #[cfg(urcu_loom)]
    pub(crate) const SLOTS: usize = 2;

    const LAYOUT: Layout = {
        let align = if align_of::<Slot<T>>() > ALIGNMENT { align_of::<Slot<T>>() } else { ALIGNMENT };
        match Layout::from_size_align(Self::FIRST + Self::SLOTS * size_of::<Slot<T>>(), align) {
            Ok(layout) => layout,
            Err(_) => panic!("a value too large for a segment"),
        }
    };

    /// The size of a segment in bytes.
    pub(crate) const SIZE: usize = Self::LAYOUT.size();

    /// Where a slot is.
    ///
    /// # Safety
    ///
    /// The segment is allocated, and the index not beyond its end.
    #[inline]
    unsafe fn slot_at(segment: *mut Self, index: usize) -> *mut Slot<T> {
        // SAFETY: inside of the allocation, where the slots begin.
        let first = unsafe { segment.byte_add(Self::FIRST) }.cast::<Slot<T>>();
        // SAFETY: inside of the allocation, as promised.
        unsafe { first.add(index) }
    }

    /// A new segment whose slots are in state 0 and whose generation is 1.
    pub(crate) fn allocate() -> *mut Self {
        // SAFETY: not of size zero.
        let memory = unsafe { alloc(Self::LAYOUT) };
        if memory.is_null() {
            handle_alloc_error(Self::LAYOUT);
        }
        // 48 bits: what user space has, unless it asks the kernel for more.
        assert!(memory.addr() as u64 >> ADDRESS_BITS == 0, "an allocator that returns addresses beyond 48 bits");
        let segment = memory.cast::<Self>();
        let header = Self { next: AtomicPtr::new(ptr::null_mut()), generation: AtomicU32::new(1), marker: PhantomData };
        // SAFETY: large enough, aligned, and nobody else's.
        unsafe { segment.write(header) };
        for index in 0..Self::SLOTS {
            // SAFETY: allocated above.
            let slot = unsafe { Self::slot_at(segment, index) };
            // SAFETY: as above.
            let state = unsafe { &raw mut (*slot).state };
            // SAFETY: as above; the value stays uninitialised.
            unsafe { state.write(AtomicU32::new(0)) };
            #[cfg(urcu_loom)]
            // SAFETY: as above.
            unsafe {
                ptr::write(&raw mut (*slot).watched, loom::cell::UnsafeCell::new(()));
            }
        }
        segment
    }

    /// Frees a segment; values in it are forgotten.
    ///
    /// # Safety
    ///
    /// It comes from `allocate`, and nobody uses it any more.
    pub(crate) unsafe fn free(segment: *mut Self) {
        #[cfg(urcu_loom)]
        for index in 0..Self::SLOTS {
            // The model checker's atomics own memory.
            // SAFETY: nobody uses it any more.
            let slot = unsafe { Self::slot_at(segment, index) };
            // SAFETY: as above.
            let state = unsafe { &raw mut (*slot).state };
            // SAFETY: as above.
            unsafe { ptr::drop_in_place(state) };
            // SAFETY: as above.
            let watched = unsafe { &raw mut (*slot).watched };
            // SAFETY: as above.
            unsafe { ptr::drop_in_place(watched) };
        }
        // SAFETY: as promised.
        unsafe { ptr::drop_in_place(segment) };
        // SAFETY: allocated with this layout, as promised.
        unsafe { dealloc(segment.cast(), Self::LAYOUT) };
    }
}

impl<T> Slot<T> {
    /// Puts a value there, without saying so.
    ///
    /// # Safety
    ///
    /// The caller has claimed the slot for writing, and there is no value in it.
    #[inline]
    pub(crate) unsafe fn write(&self, value: T) {
        #[cfg(urcu_loom)]
        self.watched.with_mut(|_| ());
        // SAFETY: nobody else accesses the value, as promised.
        unsafe { self.value.get().write(MaybeUninit::new(value)) };
    }

    /// Takes the value out.
    ///
    /// # Safety
    ///
    /// There is one, the caller is the only one who may take it, and it was written before.
    #[inline]
    pub(crate) unsafe fn read(&self) -> T {
        #[cfg(urcu_loom)]
        self.watched.with_mut(|_| ());
        // SAFETY: as promised.
        let value = unsafe { self.value.get().read() };
        // SAFETY: as promised.
        unsafe { value.assume_init() }
    }

    /// Whether the slot is in `state`; if so, what was written before it got there is visible.
    #[inline]
    pub(crate) fn is(&self, state: u32) -> bool {
        // Acquire: the value, and whoever wrote it has left the segment. PAIR(slot)
        self.state.load(Ordering::Acquire) == state
    }
}

#[cfg(all(test, not(urcu_loom)))]
mod tests {
    use super::*;

    #[test]
    fn positions_fit_into_a_word() {
        let segment = Segment::<u64>::allocate();
        assert_eq!(segment.addr() % ALIGNMENT, 0);
        for index in [0, 1, Segment::<u64>::SLOTS, (1 << INDEX_BITS) - 1] {
            let position = Position { segment, index };
            let back = Position::<u64>::unpack(position.pack());
            assert!(back == position);
            assert_eq!(back.is_beyond(), index >= Segment::<u64>::SLOTS);
        }
        assert_eq!(Position { segment, index: 5 }.pack() + 1, Position { segment, index: 6 }.pack());
        // SAFETY: nobody uses it.
        unsafe { Segment::free(segment) };
    }

    #[test]
    fn segments_hold_values_of_any_size_and_alignment() {
        #[repr(align(256))]
        struct Aligned([u8; 700]);

        fn all<T>(value: impl Fn(usize) -> T, check: impl Fn(usize, T)) {
            let segment = Segment::<T>::allocate();
            assert!(Segment::<T>::SLOTS >= 8);
            for index in 0..Segment::<T>::SLOTS {
                // SAFETY: inside of the segment, nobody else's.
                let slot = unsafe { Position { segment, index }.slot() };
                // SAFETY: as above.
                unsafe { slot.write(value(index)) };
            }
            for index in 0..Segment::<T>::SLOTS {
                // SAFETY: written above, taken once.
                let slot = unsafe { Position { segment, index }.slot() };
                // SAFETY: as above.
                check(index, unsafe { slot.read() });
            }
            // SAFETY: nobody uses it.
            unsafe { Segment::free(segment) };
        }

        all(|index| index as u64, |index, value| assert_eq!(value, index as u64));
        all(|_| (), |_, ()| ());
        all(
            |index| Aligned([index as u8; 700]),
            |index, value| {
                assert_eq!(ptr::from_ref(&value).addr() % 256, 0);
                assert!(value.0.iter().all(|&byte| byte == index as u8));
            },
        );
    }
}

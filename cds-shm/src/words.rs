//! Values in shared memory: written and read word by word, by atomics.
//!
//! Another process may write to what this one reads, by right or in error. A reference to such memory would promise the compiler
//! that nobody does; so there is none: values are copied out, in words of 8 bytes, each by one relaxed load. What was torn meanwhile
//! is a wrong value, which for a [`Plain`] type is still a value.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use urcu_core::space::Stop;
use urcu_core::sync::{AtomicU64, Ordering};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Types that are nothing but bytes: every bit pattern is a value, there is no padding and nothing inside can change under a shared
/// reference. Derive zerocopy's `FromBytes`, `IntoBytes` and `Immutable` for a `#[repr(C)]` structure of integers.
///
/// No pointers, no offsets that are to be trusted: readers believe what they find as far as its type goes, and no further.
pub trait Plain: FromBytes + IntoBytes + Immutable + Copy + Send + Sync + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Copy + Send + Sync + 'static> Plain for T {}

/// Bytes of a word.
pub(crate) const WORD: usize = size_of::<AtomicU64>();

/// Room for so many bytes in whole words.
#[inline(always)]
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(WORD)
}

/// # Safety
///
/// `from` is mapped memory for `index + 1` words, aligned, and accessed by atomics only.
#[inline(always)]
unsafe fn word<'m>(from: NonNull<u8>, index: usize) -> &'m AtomicU64 {
    // SAFETY: as promised.
    let place = unsafe { from.cast::<AtomicU64>().add(index) };
    // SAFETY: as promised; any bits are an atomic.
    unsafe { place.as_ref() }
}

/// Copies a value out.
///
/// # Safety
///
/// `from` is mapped memory for `padded(size_of::<T>())` bytes, aligned to words, and accessed by atomics only.
#[inline(always)]
pub(crate) unsafe fn read<T: Plain>(from: NonNull<u8>) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    let bytes = value.as_mut_ptr().cast::<u8>();
    let mut done = 0;
    while done < size_of::<T>() {
        // Relaxed: the value was written before its node was linked. PAIR(lfht-link)
        // SAFETY: as promised.
        let found = unsafe { word(from, done / WORD) }.load(Ordering::Relaxed).to_ne_bytes();
        let count = (size_of::<T>() - done).min(WORD);
        let to = bytes.wrapping_add(done);
        // SAFETY: inside `found`, and inside the value.
        unsafe { core::ptr::copy_nonoverlapping(found.as_ptr(), to, count) };
        done += WORD;
    }
    // SAFETY: every byte was written, and any bytes are a `T`.
    unsafe { value.assume_init() }
}

/// Copies bytes in, and zeros up to the next word.
///
/// # Safety
///
/// As [`read`], writable, for the length of `bytes`.
#[inline(always)]
pub(crate) unsafe fn write(to: NonNull<u8>, bytes: &[u8]) {
    for (index, chunk) in bytes.chunks(WORD).enumerate() {
        let mut value = [0; WORD];
        value[..chunk.len()].copy_from_slice(chunk);
        // Relaxed: published with the node. PAIR(lfht-link)
        // SAFETY: as promised.
        unsafe { word(to, index) }.store(u64::from_ne_bytes(value), Ordering::Relaxed);
    }
}

/// Whether these bytes are there.
///
/// # Safety
///
/// As [`read`], for the length of `bytes`.
#[inline(always)]
pub(crate) unsafe fn equal(from: NonNull<u8>, bytes: &[u8]) -> bool {
    bytes.chunks(WORD).enumerate().all(|(index, chunk)| {
        // Relaxed: as in `read`.
        // SAFETY: as promised.
        let found = unsafe { word(from, index) }.load(Ordering::Relaxed).to_ne_bytes();
        found[..chunk.len()] == *chunk
    })
}

/// Copies `length` bytes out, behind what is in `to`.
///
/// # Errors
///
/// This process has no memory for so many.
///
/// # Safety
///
/// As [`read`], for `length`.
pub(crate) unsafe fn append(from: NonNull<u8>, length: usize, to: &mut Vec<u8>) -> Result<(), Stop> {
    to.try_reserve(length).map_err(|_| Stop::NoMemory { bytes: length })?;
    let mut left = length;
    for index in 0..length.div_ceil(WORD) {
        // Relaxed: as in `read`.
        // SAFETY: as promised.
        let found = unsafe { word(from, index) }.load(Ordering::Relaxed).to_ne_bytes();
        to.extend_from_slice(&found[..left.min(WORD)]);
        left = left.saturating_sub(WORD);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let memory: [AtomicU64; 8] = core::array::from_fn(|_| AtomicU64::new(u64::MAX));
        let at = NonNull::from(&memory).cast::<u8>();
        for length in 0..=64 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte as u8 + 1).collect();
            // SAFETY: eight words.
            unsafe { write(at, &bytes) };
            // SAFETY: as above.
            assert!(unsafe { equal(at, &bytes) });
            let mut found = vec![9];
            // SAFETY: as above.
            unsafe { append(at, length, &mut found) }.expect("memory");
            assert_eq!(found[0], 9);
            assert_eq!(found[1..], bytes);
            if length > 0 {
                let mut other = bytes;
                other[length - 1] ^= 1;
                // SAFETY: as above.
                assert!(!unsafe { equal(at, &other) });
            }
        }
        // SAFETY: as above.
        let numbers: [u8; 13] = unsafe { read(at) };
        assert_eq!(numbers, core::array::from_fn(|byte| byte as u8 + 1));
        // SAFETY: as above.
        let pair: (u64, u64) = { (unsafe { read(at) }, unsafe { read::<u64>(at) }) };
        assert_eq!(pair.0, u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(pair.1, pair.0);
    }
}

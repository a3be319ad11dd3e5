//! What keys, values and elements can be: plain types, or byte strings.

use core::ptr::NonNull;

use urcu_core::space::Stop;

use crate::words::{self, Plain, WORD, padded};

/// What can be stored in a segment: every [`Plain`] type, and [`Bytes`]. Not to be implemented elsewhere.
///
/// It lies there in whole words, aligned to words.
pub trait Stored: sealed::Sealed + 'static {
    /// What it is given as, by reference.
    type Borrowed: ?Sized;
    /// What it is read as: a copy.
    type Owned;

    /// Its length, if all have the same.
    #[doc(hidden)]
    const FIXED: Option<usize>;
    /// Tells kinds of contents apart.
    #[doc(hidden)]
    const LAYOUT: u64;

    #[doc(hidden)]
    fn bytes(value: &Self::Borrowed) -> &[u8];

    /// # Safety
    ///
    /// `padded(length)` bytes of mapped memory, accessed by atomics only; `length` is `FIXED`, if there is one.
    #[doc(hidden)]
    unsafe fn read(from: NonNull<u8>, length: usize) -> Result<Self::Owned, Stop>;
}

/// A byte string, of any length up to 2^32 - 1. Given as `&[u8]`, read as `Vec<u8>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {}

impl<T: Plain> Stored for T {
    type Borrowed = T;
    type Owned = T;

    const FIXED: Option<usize> = Some(size_of::<T>());
    const LAYOUT: u64 = (size_of::<T>() as u64) << 8 | align_of::<T>() as u64;

    #[inline(always)]
    fn bytes(value: &T) -> &[u8] {
        zerocopy::IntoBytes::as_bytes(value)
    }

    #[inline(always)]
    unsafe fn read(from: NonNull<u8>, _: usize) -> Result<T, Stop> {
        // SAFETY: as promised.
        Ok(unsafe { words::read(from) })
    }
}

impl Stored for Bytes {
    type Borrowed = [u8];
    type Owned = Vec<u8>;

    const FIXED: Option<usize> = None;
    const LAYOUT: u64 = u64::MAX >> 8;

    #[inline(always)]
    fn bytes(value: &[u8]) -> &[u8] {
        value
    }

    unsafe fn read(from: NonNull<u8>, length: usize) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::new();
        // SAFETY: as promised.
        unsafe { words::append(from, length, &mut bytes) }?;
        Ok(bytes)
    }
}

mod sealed {
    use super::{Bytes, Plain};

    pub trait Sealed {}

    impl<T: Plain> Sealed for T {}
    impl Sealed for Bytes {}
}

/// The room for a value of a fixed length; 0 for others.
pub(crate) const fn fixed_room<T: Stored>() -> usize {
    match T::FIXED {
        Some(length) => padded(length),
        None => 0,
    }
}

/// Two things in a row, with their lengths in front if one of them has no fixed length.
pub(crate) const fn lengths_room<A: Stored, B: Stored>() -> usize {
    if A::FIXED.is_some() && B::FIXED.is_some() { 0 } else { WORD }
}

/// A hash that is the same in every process and build, and differs between seeds.
#[inline(always)]
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> usize {
    let mut sum = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(WORD);
    for chunk in &mut chunks {
        let mut word = [0; WORD];
        word.copy_from_slice(chunk);
        sum = fold(sum ^ u64::from_le_bytes(word), 0x9E37_79B9_7F4A_7C15);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; WORD];
        word[..rest.len()].copy_from_slice(rest);
        sum = fold(sum ^ u64::from_le_bytes(word), 0x9E37_79B9_7F4A_7C15);
    }
    fold(sum, 0xD6E8_FEB8_6659_FD93) as usize
}

/// Both halves of a product.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_spread_over_low_and_high_bits() {
        let mut low = std::collections::HashSet::new();
        let mut high = std::collections::HashSet::new();
        for key in 0..10_000_u64 {
            let hash = hash(7, &(key << 20).to_ne_bytes());
            low.insert(hash & 0xFFFF);
            high.insert(hash >> 48);
        }
        // 65536 places: about 9,270 would be hit by chance.
        assert!(low.len() > 9000 && high.len() > 9000, "{} {}", low.len(), high.len());
        assert_ne!(hash(1, b"abc"), hash(2, b"abc"));
        assert_ne!(hash(1, b"abc"), hash(1, b"abc\0"));
    }
}

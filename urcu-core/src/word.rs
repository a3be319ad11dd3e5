//! The reader word: nesting, three marks and a grace-period number in 64 bits.
//!
//! ```text
//!  63                         N+3  N+2  N+1   N   N-1                0
//! +-------------------------------+----+----+----+-------------------+
//! | grace-period number           | R  | A  | S  | nesting (N bits)  |
//! +-------------------------------+----+----+----+-------------------+
//! ```
//!
//! | word | state of the reader |
//! |---|---|
//! | 0 | outside every section (QSBR: offline); the fast path of a lock expects exactly this |
//! | nesting > 0 | inside a section that began when the number was current (QSBR: online since then) |
//! | S | *slow*: the flavor runs on full fences, so every lock has to take the slow path |
//! | A | *awaited*: an updater may be asleep until this section ends; the unlock takes the slow path and wakes it |
//! | R | *raw*: every level of this section was entered by the raw tier. Such a section may be ended when its thread is gone; one behind a guard may not, since a leaked guard's references can be anywhere |
//!
//! The number is read at the outermost lock. Between reading the number and storing the word, any number of grace
//! periods may pass; the word then looks *older* than it is, which costs a needless wait and nothing else.

/// Where the fields of a reader word are; a constant of each flavor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordLayout {
    nesting_bits: u32,
}

impl WordLayout {
    /// A layout with this many bits for the nesting count.
    ///
    /// Sixteen leave 45 bits for the number: a reader would have to be stopped between loading the number and storing its
    /// word for 2^44 grace periods to look newer than it is. With 32 it would be 2^28, which is minutes of back-to-back
    /// grace periods: too few to rely on.
    ///
    /// # Panics
    ///
    /// Unless `8 <= nesting_bits <= 32`: fewer do not nest usefully, more leave no room for the number.
    pub const fn new(nesting_bits: u32) -> Self {
        assert!(nesting_bits >= 8 && nesting_bits <= 32, "a reader word has 8 to 32 bits for nesting");
        Self { nesting_bits }
    }

    /// The largest nesting count.
    #[inline]
    pub const fn max_nesting(self) -> u64 {
        (1 << self.nesting_bits) - 1
    }

    /// The mark S.
    #[inline]
    pub const fn slow(self) -> u64 {
        1 << self.nesting_bits
    }

    /// The mark A.
    #[inline]
    pub const fn awaited(self) -> u64 {
        1 << (self.nesting_bits + 1)
    }

    /// The mark R.
    #[inline]
    pub const fn raw(self) -> u64 {
        1 << (self.nesting_bits + 2)
    }

    /// One grace period, as an increment of the word.
    #[inline]
    pub const fn one_period(self) -> u64 {
        1 << (self.nesting_bits + 3)
    }

    /// What decides how a section ends: nesting, S and A.
    #[inline]
    pub const fn state(self, word: u64) -> u64 {
        word & (self.raw() - 1)
    }

    /// How deeply the reader is nested.
    #[inline]
    pub const fn nesting(self, word: u64) -> u64 {
        word & self.max_nesting()
    }

    /// The first value of a domain's grace-period word: number one, and the nesting of an outermost lock, so that the
    /// lock copies it as it is.
    pub const fn first_period(self) -> u64 {
        self.one_period() | 1
    }

    /// The number in `word`.
    #[inline]
    pub const fn number(self, word: u64) -> u64 {
        word / self.one_period()
    }

    /// Whether a grace period that began with `period` has to wait for a reader with this `word`.
    ///
    /// Numbers are compared by their difference, so that wrapping would be harmless: a reader inside a section holds
    /// up the next grace period but one, hence never is half a number space behind.
    #[inline]
    pub const fn holds_up(self, word: u64, period: u64) -> bool {
        self.nesting(word) != 0 && self.is_older(word, period)
    }

    /// Whether the number in `word` is older than that in `period`.
    #[inline]
    pub const fn is_older(self, word: u64, period: u64) -> bool {
        let number = word & !(self.one_period() - 1);
        let wanted = period & !(self.one_period() - 1);
        (number.wrapping_sub(wanted) as i64) < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: WordLayout = WordLayout::new(16);

    #[test]
    fn fields_do_not_overlap() {
        for bits in 8..=32 {
            let layout = WordLayout::new(bits);
            let fields =
                [layout.max_nesting(), layout.slow(), layout.awaited(), layout.raw(), !(layout.one_period() - 1)];
            assert_eq!(fields.iter().fold(0, |all, field| all | field), u64::MAX);
            assert_eq!(fields.iter().map(|field| field.count_ones()).sum::<u32>(), 64);
        }
    }

    #[test]
    fn only_older_sections_hold_up() {
        let period = LAYOUT.first_period() + 5 * LAYOUT.one_period();
        assert!(LAYOUT.holds_up(period - LAYOUT.one_period(), period));
        assert!(LAYOUT.holds_up((period - LAYOUT.one_period()) | LAYOUT.awaited() | LAYOUT.raw(), period));
        assert!(!LAYOUT.holds_up(period | LAYOUT.raw(), period));
        assert!(!LAYOUT.holds_up(period, period));
        assert!(!LAYOUT.holds_up(period + LAYOUT.one_period() + 3, period));
        assert!(!LAYOUT.holds_up(0, period));
        assert!(!LAYOUT.holds_up(LAYOUT.slow(), period));
    }

    #[test]
    fn numbers_wrap_without_harm() {
        let last = !(LAYOUT.one_period() - 1) | 1;
        let next = last.wrapping_add(LAYOUT.one_period());
        assert!(LAYOUT.holds_up(last, next));
        assert!(!LAYOUT.holds_up(next, last));
    }
}

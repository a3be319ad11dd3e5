//! Two caches, as large as need be: how often a line goes from one to the other.

use std::collections::HashMap;

/// Bytes of a line.
const LINE: u64 = 64;

/// Which of the two has a line, and whether one of them has written to it.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    by: [bool; 2],
    written: bool,
}

/// The accesses of a trace, and what they made move.
#[derive(Debug, Default)]
pub(super) struct Caches {
    lines: HashMap<u64, Held>,
    /// Where the marks are stored.
    mark: u64,
    /// Whose operation is going on.
    current: Option<usize>,
    /// Whether it is one that counts.
    counts: bool,
    operations: u64,
    transfers: u64,
}

impl Caches {
    /// With marks stored at this address.
    pub(super) fn new(mark: u64) -> Self {
        Self { mark, ..Self::default() }
    }

    /// A line of the trace: ` L 1ffe,8`, ` S 1ffe,8`, ` M 1ffe,8`; instructions and everything else are passed over.
    pub(super) fn line(&mut self, line: &[u8]) {
        let [b' ', kind @ (b'L' | b'S' | b'M'), b' ', rest @ ..] = line else { return };
        let Ok(rest) = std::str::from_utf8(rest) else { return };
        let Some((address, size)) = rest.trim_end().split_once(',') else { return };
        let (Ok(address), Ok(size)) = (u64::from_str_radix(address, 16), size.parse::<u64>()) else { return };
        if address == self.mark {
            return self.marked(size);
        }
        let Some(core) = self.current else { return };
        for line in address / LINE..=(address + size.max(1) - 1) / LINE {
            self.access(core, line, *kind != b'L');
        }
    }

    /// One and two bytes begin an operation of the first and the second thread. Four end it.
    fn marked(&mut self, size: u64) {
        self.current = match size {
            1 => Some(0),
            2 => Some(1),
            _ => None,
        };
        self.counts = self.current.is_some();
        self.operations += u64::from(self.counts);
    }

    fn access(&mut self, core: usize, line: u64, writes: bool) {
        let held = self.lines.entry(line).or_default();
        let other = 1 - core;
        // Out of the other's hands, or from it. What neither has comes from memory, and so may what nobody has written to.
        let moves = held.by[other] && (writes || (held.written && !held.by[core]));
        held.by[core] = true;
        if writes {
            held.by[other] = false;
            held.written = true;
        }
        self.transfers += u64::from(moves && self.counts);
    }

    /// Lines per operation, to a tenth: less is what the threads' own bookkeeping happens to do.
    ///
    /// # Errors
    /// When the trace had no operations.
    // Exact: some thousand.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn per_operation(&self) -> Result<f64, String> {
        if self.operations == 0 {
            return Err("the trace has no operations".into());
        }
        Ok((10.0 * self.transfers as f64 / self.operations as f64).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(trace: &str) -> f64 {
        let mut caches = Caches::new(0xf000);
        trace.lines().for_each(|line| caches.line(line.as_bytes()));
        caches.per_operation().unwrap()
    }

    const FIRST: &str = " S f000,1\n";
    const SECOND: &str = " S f000,2\n";
    const END: &str = " S f000,4\n";

    #[test]
    fn lines_that_both_write_move_and_lines_of_ones_own_do_not() {
        let turns = format!("{FIRST} M 1000,8\n S 2000,8\n{END}{SECOND} M 1000,8\n S 3000,8\n{END}");
        // The very first access finds nothing to take.
        assert_eq!(run(&turns), 0.5);
        assert_eq!(run(&turns.repeat(100)), 1.0);
    }

    #[test]
    fn lines_that_both_read_stay_where_they_are() {
        let turns = format!("{FIRST} L 1000,8\n{END}{SECOND} L 1000,8\n{END}");
        assert_eq!(run(&turns.repeat(10)), 0.0);
    }

    #[test]
    fn a_line_that_one_writes_and_the_other_reads_moves_twice() {
        let turns = format!("{FIRST} S 1000,8\n{END}{SECOND} L 1020,8\n{END}");
        assert_eq!(run(&turns.repeat(100)), 1.0);
    }

    #[test]
    fn what_is_outside_of_operations_does_not_count_and_wide_accesses_touch_two_lines() {
        let turns = format!("{FIRST} S 103c,8\n{END} S 1000,8\nI  1000,4\n==1== noise\n{SECOND} S 103c,8\n{END}");
        assert_eq!(run(&turns), 1.0);
        assert!(Caches::new(1).per_operation().is_err());
    }
}

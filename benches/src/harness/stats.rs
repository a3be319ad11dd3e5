//! Medians, percentiles and ratios.

/// The middle of a set of rounds, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median of the rounds.
    pub median: f64,
    /// The smallest round.
    pub min: f64,
    /// The largest round.
    pub max: f64,
    /// The median distance of the rounds from the median.
    pub spread: f64,
    /// How many rounds there were.
    pub rounds: usize,
}

impl Summary {
    /// Summarises the rounds; none when there is nothing to summarise.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = middle(&sorted)?;
        let distances: Vec<f64> = sorted.iter().map(|round| (round - middle).abs()).collect();
        Some(Self {
            median: middle,
            min: *sorted.first()?,
            max: *sorted.last()?,
            spread: median(&distances)?,
            rounds: sorted.len(),
        })
    }
}

impl Summary {
    /// Fewer rounds have no spread to judge by.
    pub const FEW: usize = 3;

    /// The standard error of the median, relative to it, as of normally distributed rounds with this spread; none when there
    /// are too few rounds to say.
    pub fn relative_error(&self) -> Option<f64> {
        /// Standard deviations per median distance from the median.
        const DEVIATION: f64 = 1.4826;
        /// The median's standard error is larger than the mean's by this.
        const OF_MEDIAN: f64 = 1.2533;
        // Exact: some rounds.
        #[allow(clippy::cast_precision_loss)]
        let rounds = self.rounds as f64;
        (self.rounds >= Self::FEW && self.median != 0.0)
            .then(|| OF_MEDIAN * DEVIATION * self.spread / rounds.sqrt() / self.median.abs())
    }

    /// The error of the ratio of two medians.
    pub fn error_of_ratio(&self, other: &Self) -> Option<f64> {
        Some(self.relative_error()?.hypot(other.relative_error()?))
    }
}

/// The median: the mean of the two middle values when their number is even.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The mean of the middle half of the values: as little moved by outliers as the median, and not
/// stuck to the ticks of a coarse clock.
pub fn midmean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    let half = &sorted[quarter..sorted.len() - quarter];
    // Exact: nobody measures 2^52 calls.
    #[allow(clippy::cast_precision_loss)]
    let count = half.len() as f64;
    (!half.is_empty()).then(|| half.iter().sum::<f64>() / count)
}

/// The smallest value that at least `percent` of the values do not exceed (nearest rank).
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // The rank fits: it is at most the length of a slice.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = ((percent / 100.0 * sorted.len() as f64).ceil() as usize).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_odd_number_is_the_middle_value() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
    }

    #[test]
    fn median_of_an_even_number_is_the_mean_of_the_two_middle_values() {
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), Some(3.0));
    }

    #[test]
    fn midmean_ignores_the_outer_quarters_and_resolves_finer_than_the_values() {
        assert_eq!(midmean(&[0.0, 10.0, 20.0, 10.0, 20.0, 20.0, 20.0, 9000.0]), Some(17.5));
        assert_eq!(midmean(&[3.0]), Some(3.0));
        assert_eq!(midmean(&[]), None);
    }

    #[test]
    fn nothing_has_no_median_no_percentile_and_no_summary() {
        assert_eq!(median(&[]), None);
        assert_eq!(percentile(&[], 99.0), None);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn summary_keeps_the_ends() {
        let summary = Summary::of(&[3.0, 1.0, 2.0]);
        assert_eq!(summary, Some(Summary { median: 2.0, min: 1.0, max: 3.0, spread: 1.0, rounds: 3 }));
    }

    #[test]
    fn the_spread_is_not_moved_by_an_outlier() {
        let summary = Summary::of(&[10.0, 11.0, 9.0, 10.0, 500.0]).unwrap();
        assert_eq!((summary.median, summary.spread), (10.0, 1.0));
    }

    #[test]
    fn more_rounds_of_one_spread_have_a_smaller_error() {
        let of = |rounds| Summary { median: 10.0, min: 9.0, max: 11.0, spread: 0.5, rounds };
        let (few, many) = (of(4).relative_error().unwrap(), of(16).relative_error().unwrap());
        assert!((few - 2.0 * many).abs() < 1e-9 && (0.04..0.06).contains(&few), "{few} {many}");
        assert_eq!(of(2).relative_error(), None);
        assert_eq!(of(2).error_of_ratio(&of(4)), None);
    }

    #[test]
    fn p99_is_the_nearest_rank_and_not_the_maximum() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(percentile(&values, 99.0), Some(990.0));
        assert_eq!(percentile(&values, 50.0), Some(500.0));
        assert_eq!(percentile(&values, 100.0), Some(1000.0));
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
    }
}

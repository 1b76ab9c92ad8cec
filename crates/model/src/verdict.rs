//! How a case compares with its baseline: a ratio, and what the counter can show at all.

use crate::{histogram::Histogram, options::Milli};

/// The smallest difference that the counter can show, in its ticks: what the
/// empty timed block varies by between its minimum and its 90th percentile, and
/// at least two.
pub fn resolution(empty: &Histogram) -> u64 {
    let spread = empty
        .quantile(900)
        .unwrap_or(0)
        .saturating_sub(empty.min().unwrap_or(0));
    spread.max(2)
}

/// `case / baseline` in thousandths, 1000 where they differ by no more than
/// `resolution`.
pub fn ratio(case: u64, baseline: u64, resolution: u64) -> Milli {
    if case.abs_diff(baseline) <= resolution {
        return 1000;
    }
    let milli = u128::from(case) * 1000 / u128::from(baseline.max(1));
    Milli::try_from(milli).unwrap_or(Milli::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_or_two_is_no_slowdown() {
        assert_eq!(ratio(3, 1, 2), 1000);
        assert_eq!(ratio(4, 1, 2), 4000);
        assert_eq!(ratio(300, 100, 2), 3000);
        assert_eq!(ratio(30, 100, 2), 300);
        assert_eq!(ratio(u64::MAX, 0, 2), Milli::MAX);
    }

    #[test]
    fn an_empty_block_that_varies_hides_small_differences() {
        let histogram = |values: &[(u64, u32)]| {
            let mut histogram = Histogram::new();
            for (value, times) in values {
                histogram.add_many(*value, *times);
            }
            histogram
        };
        assert_eq!(resolution(&histogram(&[(10, 64)])), 2);
        assert_eq!(resolution(&histogram(&[(10, 32), (25, 32)])), 15);
        assert_eq!(resolution(&Histogram::new()), 2);
    }
}

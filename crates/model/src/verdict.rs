//! The verdict: a case against its baseline.

use crate::{glossary::Verdict, histogram::Histogram, options::Milli, record::CaseRecord};

/// The quantiles (in thousandths) that decide: the median, and the 90th
/// percentile so that a delay of every tenth operation is seen. The far tail is
/// reported but does not decide: one interruption of an emulated core makes it.
pub const DECIDING: [u32; 2] = [500, 900];

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

/// The fewest samples behind a dwell that decide.
const DWELLS: u64 = 3;

/// How much later a case was than its baseline behind a dwell: even the earliest of its
/// samples than the latest of the baseline's, as they are few.
pub fn behind_dwell(case: &CaseRecord, resolution: u64) -> Option<Milli> {
    let enough = case.dwell.iter().filter(|d| d.samples.count() >= DWELLS);
    enough
        .filter_map(|d| Some(ratio(d.samples.min()?, d.baseline.max()?, resolution)))
        .max()
}

/// The slow-down of a case: the median over its rounds, or behind a dwell. Where rounds
/// showed nothing, and of an older image, the larger of its two classes' medians, each
/// against its own baseline; `None` where neither has samples on both sides.
pub fn of_case(case: &CaseRecord, resolution: u64) -> Option<Milli> {
    let over_rounds = || {
        let rounds = case.rounds.as_ref()?;
        let own = rounds.base.is_empty().then_some(1000);
        rounds
            .slowdown(resolution)
            .map(|(middle, _)| middle)
            .or(own)
    };
    let of_classes = || {
        let (base_issue, base_complete) = case.baseline();
        let median = |base: &Histogram, case: &Histogram| {
            Some(ratio(case.quantile(500)?, base.quantile(500)?, resolution))
        };
        let issue = median(base_issue, &case.issue);
        issue.max(median(base_complete, &case.complete))
    };
    let found = over_rounds().or_else(of_classes)?;
    Some(behind_dwell(case, resolution).map_or(found, |dwell| found.max(dwell)))
}

/// How many times later than its baseline a case was, in thousandths: the
/// largest of the deciding quantiles' ratios. `None` where one has no samples.
///
/// A difference that the counter cannot resolve (`resolution` ticks) counts as
/// none.
pub fn slowdown(baseline: &Histogram, case: &Histogram, resolution: u64) -> Option<Milli> {
    DECIDING
        .iter()
        .map(|q| {
            Some(ratio(
                case.quantile(*q)?,
                baseline.quantile(*q)?,
                resolution,
            ))
        })
        .try_fold(0, |worst, ratio| Some(worst.max(ratio?)))
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

/// The verdict on latency alone: `completed`, `slowed` beyond `threshold`, or
/// `inconclusive` without samples to compare.
pub fn on_latency(slowdown: Option<Milli>, threshold: Milli) -> Verdict {
    match slowdown {
        None => Verdict::Inconclusive,
        Some(milli) if milli > threshold => Verdict::Slowed,
        Some(_) => Verdict::Completed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[(u64, u32)]) -> Histogram {
        let mut histogram = Histogram::new();
        for (value, times) in values {
            histogram.add_many(*value, *times);
        }
        histogram
    }

    #[test]
    fn the_same_is_completed_and_three_times_later_is_slowed() {
        let base = histogram(&[(100, 64)]);
        assert_eq!(
            on_latency(slowdown(&base, &base, 1), 2000),
            Verdict::Completed
        );
        let late = histogram(&[(300, 64)]);
        let found = slowdown(&base, &late, 1).unwrap();
        assert!((2900..3100).contains(&found), "{found}");
        assert_eq!(on_latency(Some(found), 2000), Verdict::Slowed);
        assert_eq!(on_latency(Some(found), 4000), Verdict::Completed);
    }

    #[test]
    fn a_delay_of_every_eighth_operation_is_seen() {
        let base = histogram(&[(100, 64)]);
        let late = histogram(&[(100, 56), (1000, 8)]);
        assert!(slowdown(&base, &late, 1).unwrap() > 9000);
    }

    #[test]
    fn one_interruption_in_a_hundred_does_not_decide() {
        let base = histogram(&[(100, 100)]);
        let late = histogram(&[(100, 99), (1_000_000, 1)]);
        assert_eq!(slowdown(&base, &late, 1), Some(1000));
    }

    #[test]
    fn a_tick_or_two_is_no_slowdown() {
        assert_eq!(
            slowdown(&histogram(&[(1, 64)]), &histogram(&[(3, 64)]), 2),
            Some(1000)
        );
        assert!(slowdown(&histogram(&[(1, 64)]), &histogram(&[(4, 64)]), 2).unwrap() > 2000);
    }

    #[test]
    fn an_empty_block_that_varies_hides_small_differences() {
        assert_eq!(resolution(&histogram(&[(10, 64)])), 2);
        assert_eq!(resolution(&histogram(&[(10, 32), (25, 32)])), 15);
        assert_eq!(resolution(&Histogram::new()), 2);
    }

    #[test]
    fn without_samples_it_proves_nothing() {
        let base = histogram(&[(100, 64)]);
        assert_eq!(
            on_latency(slowdown(&base, &Histogram::new(), 1), 2000),
            Verdict::Inconclusive
        );
        assert_eq!(
            on_latency(slowdown(&Histogram::new(), &base, 1), 2000),
            Verdict::Inconclusive
        );
    }
}

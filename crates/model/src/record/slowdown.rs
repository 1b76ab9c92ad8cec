//! How much later than its baseline a case was.

use super::CaseRecord;
use crate::{histogram::Histogram, options::Milli, verdict::ratio};

/// The fewest samples behind a dwell that decide: where nothing differs, all of five are
/// later than all of five others once in 252 cases; of three, once in twenty.
const DWELLS: u64 = 5;

impl CaseRecord {
    /// The slow-down of a case: the median over its rounds, or behind a dwell. Where rounds
    /// showed nothing, and of an older image, the larger of its two classes' medians, each
    /// against its own baseline; `None` where neither has samples on both sides.
    pub fn slowdown(&self, resolution: u64) -> Option<Milli> {
        let over_rounds = || {
            let rounds = self.rounds.as_ref()?;
            let own = rounds.base.is_empty().then_some(1000);
            rounds
                .slowdown(resolution)
                .map(|(middle, _)| middle)
                .or(own)
        };
        let of_classes = || {
            let (base_issue, base_complete) = self.baseline();
            let median = |base: &Histogram, case: &Histogram| {
                Some(ratio(case.quantile(500)?, base.quantile(500)?, resolution))
            };
            let issue = median(base_issue, &self.issue);
            issue.max(median(base_complete, &self.complete))
        };
        let found = over_rounds().or_else(of_classes)?;
        let dwell = self.behind_dwell(resolution);
        Some(dwell.map_or(found, |dwell| found.max(dwell)))
    }

    /// How much later it was behind a dwell: even the earliest of its samples than the
    /// latest of the baseline's, as they are few.
    pub fn behind_dwell(&self, resolution: u64) -> Option<Milli> {
        let enough = self.dwell.iter().filter(|d| d.samples.count() >= DWELLS);
        enough
            .filter_map(|d| Some(ratio(d.samples.min()?, d.baseline.max()?, resolution)))
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glossary::{LineState, StaleState, Subject, Verdict},
        plan::Case,
        record::Dwell,
        rounds::{Class, Rounds},
    };

    fn samples(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|value| histogram.add(*value));
        histogram
    }

    fn case() -> CaseRecord {
        let case = Case {
            number: 1,
            subject: Subject::IcIvau,
            state: StaleState::Spin,
            line: LineState::DirtyHere,
        };
        CaseRecord::blank(&case, Verdict::Completed, None)
    }

    #[test]
    fn of_the_classes_the_later_and_of_rounds_their_median() {
        let mut case = case();
        assert_eq!(case.slowdown(2), None);
        case.complete = samples(&[200; 9]);
        assert_eq!(case.slowdown(2), None, "no baseline");
        case.base_complete = samples(&[200; 9]);
        assert_eq!(case.slowdown(2), Some(1000));
        (case.issue, case.base_issue) = (samples(&[24; 9]), samples(&[8; 9]));
        assert_eq!(case.slowdown(2), Some(3000));
        let mut rounds = Rounds::new(Class::Complete);
        for late in [16, 24, 80] {
            rounds.push(Some(8), late, (1, 1));
        }
        case.rounds = Some(rounds);
        assert_eq!(case.slowdown(2), Some(3000));
    }

    #[test]
    fn behind_a_dwell_all_must_be_later_than_any_of_the_baseline() {
        let mut case = case();
        let dwell = |samples_: &[u64], baseline: &[u64]| Dwell {
            ms: 50,
            samples: samples(samples_),
            baseline: samples(baseline),
        };
        case.dwell = [dwell(&[80, 90, 91, 92, 99], &[8, 8, 9, 9, 20])].into();
        assert_eq!(case.behind_dwell(2), Some(4000));
        case.dwell = [dwell(&[80, 90, 91, 92, 15], &[8, 8, 9, 9, 20])].into();
        assert!(case.behind_dwell(2) < Some(1000));
        case.dwell = [dwell(&[80, 90, 91, 92], &[8, 8, 9, 9])].into();
        assert_eq!(case.behind_dwell(2), None, "too few");
    }
}
